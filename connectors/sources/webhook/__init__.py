"""Any CRM that can POST JSON."""

from connectors.sources.webhook.options import WebhookOptions
from connectors.sources.webhook.source import WebhookSource
from crmbridge.contract import Connector

CONNECTOR = Connector(name="webhook", summary="Any CRM that can POST JSON", options=WebhookOptions, build=WebhookSource)
