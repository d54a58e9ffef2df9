"""Whom crmbridge tells of itself: what is wrong with that, as the destination named has it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Set

from crmbridge.config.document import KeyPath
from crmbridge.config.models import AlertsModel
from crmbridge.contract import Ability, Connector, Options
from crmbridge.model import Audience, did_you_mean


def alerts_faults(alerts: AlertsModel, to: tuple[Connector, Options, Audience] | None, names: Set[str]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the first thing wrong, as (path, message), if anything is. `to` is the named destination, if `names` has it."""
    if alerts.to is None:
        if alerts.channel is not None:
            yield ("channel",), "is of no use without `to`"
        return
    if to is None:
        yield ("to",), f'no destination "{alerts.to}"{did_you_mean(alerts.to, names)}'
        return
    connector, options, audience = to
    if audience is Audience.PUBLIC:
        yield ("to",), f"{alerts.to} is read by the whole world: name a destination that is not"
    elif alerts.channel is not None and Ability.CHANNEL not in connector.can(options):
        yield ("channel",), f"{alerts.to} posts to one place only: leave `channel` out"
    elif alerts.channel is not None and (fault := connector.channel_fault(options, alerts.channel)):
        yield ("channel",), fault
    elif alerts.channel is None and connector.needs_channel(options):
        yield (), f"{alerts.to} has no channel of its own: write `channel`"
