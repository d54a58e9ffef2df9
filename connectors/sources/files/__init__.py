"""Exports of a CRM, as files in a folder: CSV or JSON lines."""

from connectors.sources.files.options import FilesOptions
from connectors.sources.files.source import FilesSource
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="files", summary="Exports in a folder: CSV or JSON lines, each file read once it is whole", options=FilesOptions, build=FilesSource
)
