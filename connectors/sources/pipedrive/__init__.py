"""Pipedrive: polled through API v2, and called by webhooks v2, which say old values."""

from connectors.sources.pipedrive.options import PipedriveOptions
from connectors.sources.pipedrive.source import build
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="pipedrive",
    summary="Pipedrive's deals, persons and organizations: polled, and called by webhooks",
    options=PipedriveOptions,
    build=build,
)
