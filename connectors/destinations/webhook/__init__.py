"""Any HTTP endpoint, as a signed Standard Webhook."""

from __future__ import annotations

from connectors.destinations.webhook.destination import WebhookDestination
from connectors.destinations.webhook.options import WebhookOptions
from crmbridge.contract import Ability, Connector

CONNECTOR = Connector(
    name="webhook",
    summary="Signed JSON posts to any HTTP endpoint (Standard Webhooks 1.0.0).",
    options=WebhookOptions,
    build=WebhookDestination,
    idempotent=True,
    can=lambda _: frozenset({Ability.THREAD, Ability.EDIT, Ability.DELETE, Ability.CHANNEL}),
    escape="The text is sent as plain text in JSON, without controls and direction marks; the receiver must not read it as mark-up.",
)

__all__ = ["CONNECTOR"]
