"""The deliveries that a person means, read from the words of the command line. Pure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, TypedDict

from crmbridge.config.config import DestinationConfig
from crmbridge.errors import CrmbridgeError
from crmbridge.model import parse_instant
from crmbridge.store.terms import Selection

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class OrderRefused(CrmbridgeError):
    """An order that cannot be carried out. The message says why."""


class SelectionWords(TypedDict, total=False):
    """A selection in JSON, as the command line and the admin API give it."""

    names: Sequence[str]
    destination: str | None
    channel: str | None
    rule: str | None
    record: str | None
    reason: str | None
    since: str | None
    until: str | None
    all: bool


_KEYS: Final = frozenset(SelectionWords.__annotations__)


def instant(words: str, now: datetime) -> datetime:
    """Read `2h` or `7d` (ago) or an ISO 8601 instant. Raises OrderRefused."""
    if match := re.fullmatch(r"([0-9]{1,6})([smhd])", words.strip()):
        with contextlib.suppress(OverflowError):  # the moment would lie before the first year
            return now - timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    moment = parse_instant(words)
    if moment is None:
        raise OrderRefused(f"{words} is neither a time ago, like 2h or 7d, nor an instant, like 2026-01-31T12:00")
    return moment.astimezone(timezone.utc)


def read(where: Mapping[str, Any], now: datetime, *, whole: bool = False) -> Selection:
    """Read the selection that `where` means, without its names.

    An empty selection means everything only with `whole`. Otherwise raises OrderRefused for it.
    """
    if unknown := where.keys() - _KEYS:
        raise OrderRefused(f"a selection has no {', '.join(sorted(unknown))}")
    selection = Selection(
        destination=where.get("destination"),
        channel=where.get("channel"),
        rule=where.get("rule"),
        record=where.get("record"),
        reason=where.get("reason"),
        since=instant(where["since"], now) if where.get("since") else None,
        until=instant(where["until"], now) if where.get("until") else None,
    )
    if selection.everything and not (whole or where.get("all") or where.get("names")):
        raise OrderRefused("say which: their numbers, --rule, --destination, --channel, --record, --since, --until or --all")
    return selection


def remote_ids(name: str, destinations: Mapping[str, DestinationConfig]) -> list[str]:
    """List the ids that networks may give a message whose address or id people hold.

    Connectors read an address; if none can, the parts of its path are taken.
    """
    if found := [id for one in destinations.values() for id in one.connector.named(name)]:
        return list(dict.fromkeys(found))
    if not name.startswith(("http://", "https://")):
        return [name]
    path = re.split(r"[?#]", name, maxsplit=1)[0]
    return [part for part in reversed(path.split("/")[3:]) if part]
