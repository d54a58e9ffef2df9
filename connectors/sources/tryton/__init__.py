"""Tryton, polled through its REST API, with what its history keeps."""

from connectors.sources.tryton.options import TrytonOptions
from connectors.sources.tryton.source import TrytonSource
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="tryton",
    summary="Tryton 8 by REST, with the states between two polls and deletions from its history",
    options=TrytonOptions,
    build=TrytonSource,
)
