"""Any sender that POSTs JSON or forms."""

from connectors.sources.webhook.options import WebhookOptions
from connectors.sources.webhook.source import WebhookSource
from crmbridge.contract import Connector

CONNECTOR = Connector(name="webhook", summary="Any sender that POSTs JSON or forms", options=WebhookOptions, build=WebhookSource)
