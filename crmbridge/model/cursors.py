"""How far each stream of a polled source has been read: a table, a record type, its deletions. Pure.

A pass reads a stream from a start, page by page, by (changed, id): rows with one stamp may fill many pages. The next
pass starts `overlap` before the highest stamp seen. A transaction that began then and was committed late has older
stamps than rows already seen, and is found by this. The snapshot tells which rows are read a second time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Final

from crmbridge.model.changes import Cursor, Observation, Page
from crmbridge.model.stamps import EPOCHS, both, epoch, parse_instant

VERSION: Final = 1
COUNTER_OVERLAP: Final = 1000
"""How many numbers each pass looks back, for a `changed` column that counts."""

Stamp = int | float | str
"""A value of the `changed` column: a number, or text as the database compares it."""

_WRITTEN: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:([T ])[0-9]{2}(?::[0-9]{2}(?::[0-9]{2})?)?)?", re.ASCII)
_QUARTER: Final = timedelta(minutes=15)
_LONGEST_STEP: Final = 26 * 4  # quarters of an hour: no clock was ever set back by more


class NotOurs(ValueError):
    """A cursor that this source did not write, or wrote in another version."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far one stream has been read."""

    after: tuple[Stamp, Stamp] | None = None
    """Within a pass: the (changed, id) of the last row read."""
    start: Stamp | None = None
    """Where this pass began. None is the very beginning."""
    high: Stamp | None = None
    """The highest stamp seen so far."""
    whole: bool = False
    """Some pass has come to its end. From now on, a record that was not there before is new."""


@dataclass(frozen=True, slots=True)
class StreamPage:
    """One page of one stream."""

    observations: Sequence[Observation]
    last: tuple[Stamp, Stamp] | None
    """The (changed, id) of its last row, from where the next page goes on. None if the page was empty."""
    complete: bool
    """The pass ends with this page."""
    lacking: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The configured fields that are gone, as in `Page.lacking`."""
    high: Stamp | None = None
    """Its highest stamp, if that is not the stamp of the last row."""


def next_page(
    cursor: Cursor | None,
    streams: Sequence[str],
    read_page: Callable[[str, Position], StreamPage],
    *,
    overlap: int,
    now: datetime,
    zone: tzinfo | None = None,
) -> Page:
    """Read the page behind `cursor`, by one call of `read_page(stream, position)`. Each poll makes one pass over every stream in turn.

    `zone` is where the clock hangs that wrote stamps without an offset. None: they are in UTC.
    Raises NotOurs.
    """
    positions, current = load(cursor)
    if current not in streams:
        current = None
    name = current or streams[0]
    position = positions.get(name, Position())
    if current is None or position.after is None:
        position = begin(position, overlap, now, zone)
    found = read_page(name, position)
    positions[name] = read(position, found.last, complete=found.complete, highest=found.high)
    following = name if not found.complete else streams[streams.index(name) + 1] if name != streams[-1] else None
    return Page(
        observations=tuple(found.observations),
        cursor=dump({known: positions[known] for known in streams if known in positions}, following),
        has_more=following is not None,
        learning=not position.whole,
        lacking=found.lacking,
    )


def since(streams: Mapping[str, Stamp]) -> Cursor:
    """Make the cursor behind which each stream is read from its stamp on, as if it had been read up to there."""
    return dump({name: Position(high=stamp, whole=True) for name, stamp in streams.items()}, None)


def at(moment: datetime, like: Stamp, zone: tzinfo | None = None) -> Stamp:
    """Write a stamp of `moment`, or of a little before, in the form of the stamp `like`. Raises ValueError if that is no instant."""
    sample = instant(like, zone)
    if sample is None:
        raise ValueError(f"{like!r} is no instant")
    return back(like, 0, min(moment, sample), zone)


def existed(created: Stamp | datetime | None, position: Position, zone: tzinfo | None = None) -> bool:
    """Say whether a record is older than the pass that first finds it. Then it is not new: somebody gave us access to it."""
    start = instant(position.start, zone) if position.start is not None else None
    moment = created if isinstance(created, datetime) else instant(created, zone) if created is not None else None
    return start is not None and moment is not None and moment < start


def begin(position: Position, overlap: int, now: datetime | None = None, zone: tzinfo | None = None) -> Position:
    """Begin a new pass, `overlap` seconds before what was seen, and before `now`.

    One row with a stamp in the future (a typing error, a clock ahead) must not hide all that changes until then.
    """
    return replace(position, after=None, start=None if position.high is None else back(position.high, overlap, now, zone))


def read(position: Position, last: tuple[Stamp, Stamp] | None, *, complete: bool, highest: Stamp | None = None) -> Position:
    """Advance a position past a page whose last row is `last` (None: it was empty). `complete`: the pass ends with this page.

    `highest` is as `StreamPage.high`.
    """
    high = position.high
    if last is not None and (high is None or _above(highest if highest is not None else last[0], high)):
        high = highest if highest is not None else last[0]
    return replace(position, after=None if complete else last, high=high, whole=position.whole or complete)


def highest(stamps: Sequence[Stamp]) -> Stamp | None:
    """Return the last of some stamps in order that is no word. Behind `n/a` or `infinity`, nothing would ever be found."""
    return next((one for one in reversed(stamps) if not _is_word(one)), stamps[-1] if stamps else None)


def instant(stamp: Stamp, zone: tzinfo | None = None) -> datetime | None:
    """Read a stamp as an instant, if it is one. Without an offset it is the first instant that a clock in `zone` (None: UTC) shows so."""
    if not isinstance(stamp, str):
        return epoch(stamp)
    if zone is None:
        return parse_instant(stamp)
    wall = _wall(stamp)
    try:
        return parse_instant(stamp) if wall is None else both(wall, zone)[0]
    except OverflowError:
        return None


def back(stamp: Stamp, seconds: int, now: datetime | None = None, zone: tzinfo | None = None) -> Stamp:
    """Return a stamp at most `seconds` before `stamp`, and before `now`, in the same form. For a counter, go COUNTER_OVERLAP back.

    Stamps of a wall clock (`zone`) are found again if the clock was set back since: the stamps of that hour come twice.
    """
    if not isinstance(stamp, str):
        moment = epoch(stamp)
        if moment is None:
            return stamp - COUNTER_OVERLAP
        per_second = next(rate for least, greatest, rate in EPOCHS if least <= abs(stamp) < greatest)
        return (stamp if now is None else min(stamp, int(now.timestamp() * per_second))) - seconds * per_second
    wall = _wall(stamp) if zone is not None else None
    moment = parse_instant(stamp) if wall is None else wall
    if moment is None:
        return stamp
    try:
        if wall is not None and zone is not None:
            moment = _earliest(wall, zone, timedelta(seconds=seconds), now)
        else:
            if now is not None:
                moment = min(moment, now.astimezone(moment.tzinfo))
            moment -= timedelta(seconds=seconds)
    except OverflowError:
        return stamp
    # The text is cut to whole seconds, or to what the stamp itself writes, and has no zone. Such a text sorts before
    # every stamp of that second or later.
    written = _WRITTEN.match(stamp)
    if written is None:
        return f"{moment.year:04}"
    return f"{moment.year:04}-{moment:%m-%d}{written[1] or 'T'}{moment:%H:%M:%S}"[: written.end()]


def _wall(stamp: str) -> datetime | None:
    """Read what a wall clock showed. Return None if the stamp names an offset, or is none."""
    try:
        moment = datetime.fromisoformat(stamp.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is None else None


def _earliest(wall: datetime, zone: tzinfo, overlap: timedelta, now: datetime | None) -> datetime:
    """Return the earliest time that the clock has shown since `overlap` before `wall`. It may have been set back in between.

    A clock that is set forward leaves out an hour. A careless program may write a stamp of that hour; it is then used as it stands.
    """
    first, _ = both(wall, zone)
    start = (first if now is None else min(first, now)) - overlap
    moments = [start + quarter * _QUARTER for quarter in range(_LONGEST_STEP)]
    if now is not None:
        moments = [start, *(moment for moment in moments[1:] if moment < now), max(start, min(now, moments[-1]))]
    shown = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]
    # If the clock shows less than a quarter of an hour ago, it was set back in between, and showed a little less still.
    return min(wall - overlap, shown[0], *(after - _QUARTER for before, after in pairwise(shown) if after < before))


def _above(one: Stamp, other: Stamp) -> bool:
    if _is_word(one) != _is_word(other):
        return _is_word(other)  # a word does not tell how far was read
    if isinstance(one, str) != isinstance(other, str):
        return isinstance(one, str)  # SQLite sorts text after numbers
    return one > other  # type: ignore[operator]


def _is_word(stamp: Stamp) -> bool:
    """Say whether a stamp is a word: a text that is neither an instant nor a counter."""
    return isinstance(stamp, str) and not stamp.isdigit() and instant(stamp) is None


def dump(positions: Mapping[str, Position], current: str | None) -> Cursor:
    """Write the cursor of a whole source: the position of every stream, and the stream whose pass is under way."""
    streams = {name: [one.after, one.start, one.high, one.whole] for name, one in positions.items()}
    return Cursor(json.dumps({"v": VERSION, "tables": streams, "current": current}, separators=(",", ":")))


def load(cursor: Cursor | None) -> tuple[dict[str, Position], str | None]:
    """Read what `dump` wrote. Raises NotOurs for anything else."""
    if cursor is None:
        return {}, None
    try:
        raw: Any = json.loads(cursor)
    except ValueError as error:
        raise NotOurs(f"the stored cursor cannot be read: {error}") from None
    if not isinstance(raw, dict) or raw.get("v") != VERSION:
        raise NotOurs("the stored cursor was not written by this version of this source")
    try:
        streams = raw["tables"].items()
        return {name: Position(tuple(after) if after else None, *rest) for name, (after, *rest) in streams}, raw["current"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotOurs(f"the stored cursor cannot be read: {error!r}") from None
