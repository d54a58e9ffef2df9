"""A file of JSON lines."""

from __future__ import annotations

from connectors.destinations.file.destination import FileDestination
from connectors.destinations.file.options import FileOptions
from crmbridge.contract import Ability, Connector

CONNECTOR = Connector(
    name="file",
    summary="Appends each message to a file, one JSON object a line, safe on disk before it counts as delivered.",
    options=FileOptions,
    build=FileDestination,
    dynamic_channels=True,
    can=lambda _: frozenset({Ability.THREAD, Ability.EDIT, Ability.DELETE, Ability.CHANNEL}),
    escape="The text is kept as JSON, without controls and direction marks.",
)

__all__ = ["CONNECTOR"]
