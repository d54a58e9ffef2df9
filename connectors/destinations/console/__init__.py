"""The terminal: what would be said, without saying it anywhere."""

from __future__ import annotations

from connectors.destinations.console.destination import ConsoleDestination
from connectors.destinations.console.options import ConsoleOptions
from crmbridge.contract import Ability, Connector

CONNECTOR = Connector(
    name="console",
    summary="Prints each message on standard output: for trying rules out.",
    options=ConsoleOptions,
    build=ConsoleDestination,
    dynamic_channels=True,
    can=lambda _: frozenset({Ability.THREAD, Ability.EDIT, Ability.DELETE, Ability.CHANNEL}),
    escape="Control and escape characters are removed, so record text cannot steer the terminal.",
)

__all__ = ["CONNECTOR"]
