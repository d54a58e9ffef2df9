"""Salesforce: polled through the query API, and called by Outbound Messages."""

from datetime import date

from connectors.sources.salesforce.options import SalesforceOptions
from connectors.sources.salesforce.source import build
from crmbridge.contract import Connector, VendorPage

CONNECTOR = Connector(
    name="salesforce",
    summary="Salesforce objects, polled through the REST query API; Outbound Messages for speed",
    options=SalesforceOptions,
    build=build,
    documents=(
        VendorPage(
            url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm",
            read=date(2026, 11, 30),
            says="the REST API, and the pages of the README",
        ),
    ),
)
