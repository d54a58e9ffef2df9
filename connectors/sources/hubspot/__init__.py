"""HubSpot: the CRM search, the archive and the webhooks of one account."""

from connectors.sources.hubspot.options import HubspotOptions
from connectors.sources.hubspot.source import HubspotSource
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="hubspot", summary="HubSpot: deals, contacts, companies, tickets, custom objects", options=HubspotOptions, build=HubspotSource
)
