"""Microsoft Teams, through the webhook of a workflow."""

from __future__ import annotations

from connectors.destinations.teams.destination import TeamsDestination
from connectors.destinations.teams.escape import misled
from connectors.destinations.teams.layout import laid_out
from connectors.destinations.teams.options import TeamsOptions
from crmbridge.contract import Ability, Connector

CONNECTOR = Connector(
    name="teams",
    summary="Messages and cards in a channel or chat of Microsoft Teams, through a workflow.",
    options=TeamsOptions,
    build=TeamsDestination,
    can=lambda _: frozenset({Ability.CARD}),
    lay_out=lambda _, layout: laid_out(layout),
    remarks=lambda _, spoken: [*misled(spoken.words)],
    escape="Record text has Markdown made look-alikes, and links, mentions, tags and entities are broken.",
)

__all__ = ["CONNECTOR"]
