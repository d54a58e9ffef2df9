"""HubSpot: the CRM search, the archive and the webhooks of one account."""

from datetime import date

from connectors.sources.hubspot.options import HubspotOptions
from connectors.sources.hubspot.source import HubspotSource
from crmbridge.contract import Connector, VendorPage

CONNECTOR = Connector(
    name="hubspot",
    summary="HubSpot: deals, contacts, companies, tickets, custom objects",
    options=HubspotOptions,
    build=HubspotSource,
    documents=(
        VendorPage(
            url="https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm",
            read=date(2026, 11, 30),
            says="OpenAPI files of 2026-09 and the pages of the README",
        ),
    ),
)
