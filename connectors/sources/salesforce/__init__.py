"""Salesforce: polled through the query API, and called by Outbound Messages."""

from connectors.sources.salesforce.options import SalesforceOptions
from connectors.sources.salesforce.source import build
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="salesforce",
    summary="Salesforce objects, polled through the REST query API; Outbound Messages for speed",
    options=SalesforceOptions,
    build=build,
)
