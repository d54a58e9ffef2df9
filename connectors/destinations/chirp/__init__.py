"""Chirp, the organisation's own feed."""

from __future__ import annotations

from datetime import timedelta

from connectors.destinations.chirp.destination import ChirpDestination
from connectors.destinations.chirp.options import ChirpOptions
from crmbridge.contract import Ability, Connector
from crmbridge.model import Audience

CONNECTOR = Connector(
    max_age=timedelta(days=7),
    name="chirp",
    audiences=frozenset({Audience.COMPANY}),
    needs_channel=lambda _: True,
    summary="Posts in Chirp, the feed that comes with crmbridge, with one channel for each record.",
    options=ChirpOptions,
    build=ChirpDestination,
    idempotent=True,
    embedded=lambda options: options.url is None,
    dynamic_channels=True,
    can=lambda _: frozenset({Ability.THREAD, Ability.EDIT, Ability.DELETE, Ability.CHANNEL}),
    escape="Rule and record text travel apart, and Chirp shows record text as text only.",
)

__all__ = ["CONNECTOR"]
