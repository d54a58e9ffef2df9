"""How far each stream of a polled source has been read: a table, a record type, its deletions. Pure.

A pass reads a stream from a start, page by page, by (changed, id): rows with one stamp may fill many pages. The next
pass starts `overlap` before the highest stamp seen: a transaction that began then and was committed late has older
stamps than rows already seen, and is found all the same. What is read twice is told apart by the snapshot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from crmbridge.model.changes import Cursor, Observation, Page
from crmbridge.model.values import parse_instant

VERSION: Final = 1
COUNTER_OVERLAP: Final = 1000
"""For a `changed` column that counts: how many numbers each pass looks back."""

Stamp = int | float | str
"""A value of the `changed` column: a number, or text as the database compares it."""

_WRITTEN: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:([T ])[0-9]{2}(?::[0-9]{2}(?::[0-9]{2})?)?)?", re.ASCII)
_EPOCHS: Final = ((1e8, 1e10, 1), (1e11, 1e13, 1_000), (1e14, 1e16, 1_000_000))
"""Numbers that are instants (1973 to 2286) in seconds, milliseconds, microseconds: least, greatest, per second."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far one stream has been read."""

    after: tuple[Stamp, Stamp] | None = None
    """Within a pass: the (changed, id) of the last row read."""
    start: Stamp | None = None
    """Where this pass began; None is the very beginning."""
    high: Stamp | None = None
    """The highest stamp seen so far."""
    whole: bool = False
    """Some pass has come to its end: from now on, a record that was not there before is new."""


@dataclass(frozen=True, slots=True)
class Read:
    """One page of one stream."""

    observations: Sequence[Observation]
    last: tuple[Stamp, Stamp] | None
    """The (changed, id) of its last row, from where the next page goes on; None if it was empty."""
    complete: bool
    """The pass ends with it."""


def next_page(
    cursor: Cursor | None, streams: Sequence[str], read_page: Callable[[str, Position], Read], *, overlap: int, now: datetime
) -> Page:
    """The page behind `cursor`, by one call of `read_page(stream, position)`: each poll makes one pass over every stream in turn.

    Raises ValueError for a cursor that is not ours.
    """
    positions, current = load(cursor)
    if current not in streams:
        current = None
    name = current or streams[0]
    position = positions.get(name, Position())
    if current is None or position.after is None:
        position = begin(position, overlap, now)
    found = read_page(name, position)
    positions[name] = read(position, found.last, complete=found.complete)
    following = name if not found.complete else streams[streams.index(name) + 1] if name != streams[-1] else None
    return Page(
        observations=tuple(found.observations),
        cursor=dump({known: positions[known] for known in streams if known in positions}, following),
        has_more=following is not None,
        learning=not position.whole,
    )


def since(streams: Mapping[str, Stamp]) -> Cursor:
    """The cursor behind which each stream is read from its stamp on, as one that was read to there."""
    return dump({name: Position(high=stamp, whole=True) for name, stamp in streams.items()}, None)


def at(moment: datetime, like: Stamp) -> Stamp:
    """A stamp of `moment`, or a little before, in the form of another one. Raises ValueError if that is no instant."""
    sample = instant(like)
    if sample is None:
        raise ValueError(f"{like!r} is no instant")
    return back(like, max(0, -int((moment - sample) // timedelta(seconds=1))))


def existed(created: Stamp | datetime | None, position: Position) -> bool:
    """Whether a record is older than the pass that finds it first: it is not new, somebody let us see it."""
    start = instant(position.start) if position.start is not None else None
    moment = created if isinstance(created, datetime) else instant(created) if created is not None else None
    return start is not None and moment is not None and moment < start


def begin(position: Position, overlap: int, now: datetime | None = None) -> Position:
    """A new pass, starting `overlap` seconds before what was seen, and before `now`: one row with a stamp in the
    future (a typing error, a clock ahead) must not hide all that changes until then."""
    return replace(position, after=None, start=None if position.high is None else back(position.high, overlap, now))


def read(position: Position, last: tuple[Stamp, Stamp] | None, *, complete: bool) -> Position:
    """After a page whose last row is `last` (None: it was empty); `complete` if the pass ends with it."""
    high = position.high
    if last is not None and (high is None or _above(last[0], high)):
        high = last[0]
    return replace(position, after=None if complete else last, high=high, whole=position.whole or complete)


def instant(stamp: Stamp) -> datetime | None:
    """A stamp as an instant, if it is one; a naive one is taken as UTC."""
    if isinstance(stamp, str):
        return parse_instant(stamp)
    for least, greatest, per_second in _EPOCHS:
        if least <= stamp < greatest:
            return datetime.fromtimestamp(stamp / per_second, timezone.utc)
    return None


def back(stamp: Stamp, seconds: int, now: datetime | None = None) -> Stamp:
    """A stamp at most `seconds` before `stamp`, and before `now`, in the same form; for a counter, COUNTER_OVERLAP before it."""
    if not isinstance(stamp, str):
        for least, greatest, per_second in _EPOCHS:
            if least <= stamp < greatest:
                return (stamp if now is None else min(stamp, int(now.timestamp() * per_second))) - seconds * per_second
        return stamp - COUNTER_OVERLAP
    moment = parse_instant(stamp)
    if moment is None:
        return stamp
    try:
        if now is not None:
            moment = min(moment, now.astimezone(moment.tzinfo))
        moment -= timedelta(seconds=seconds)
    except OverflowError:
        return stamp
    # Cut to whole seconds, or to what the stamp itself writes, and without its zone: such a text sorts before
    # every stamp of that second or later.
    written = _WRITTEN.match(stamp)
    if written is None:
        return f"{moment.year:04}"
    return f"{moment.year:04}-{moment:%m-%d}{written[1] or 'T'}{moment:%H:%M:%S}"[: written.end()]


def _above(one: Stamp, other: Stamp) -> bool:
    if isinstance(one, str) != isinstance(other, str):
        return isinstance(one, str)  # SQLite sorts text behind numbers
    return one > other  # type: ignore[operator]


def dump(positions: Mapping[str, Position], current: str | None) -> Cursor:
    """The cursor of a whole source: every stream's position, and the stream whose pass is under way."""
    streams = {name: [one.after, one.start, one.high, one.whole] for name, one in positions.items()}
    return Cursor(json.dumps({"v": VERSION, "tables": streams, "current": current}, separators=(",", ":")))


def load(cursor: Cursor | None) -> tuple[dict[str, Position], str | None]:
    """The inverse of `dump`. Raises ValueError for a cursor that is not ours."""
    if cursor is None:
        return {}, None
    raw: Any = json.loads(cursor)
    if not isinstance(raw, dict) or raw.get("v") != VERSION:
        raise ValueError("the stored cursor was not written by this version of this source")
    try:
        streams = raw["tables"].items()
        return {name: Position(tuple(after) if after else None, *rest) for name, (after, *rest) in streams}, raw["current"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"the stored cursor cannot be read: {error!r}") from None
