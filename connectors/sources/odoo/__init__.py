"""Odoo: any model of one database, polled by JSON-RPC (14 to 18) or JSON-2 (19 and later); webhooks of 17 and later."""

from connectors.sources.odoo.options import OdooOptions
from connectors.sources.odoo.source import build
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="odoo",
    summary="Odoo models, polled by JSON-RPC (14 to 18) or JSON-2 (19 and later); webhooks for speed",
    options=OdooOptions,
    build=build,
)
