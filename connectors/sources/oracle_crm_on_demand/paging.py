"""Where the next page begins, in a list that the vendor orders by whole seconds and that changes while we read. Pure.

The API has no cursor, and `offset` into a list that changes skips records. So each page asks for what is stamped at or after
an anchor, the last stamp read, and `offset` only passes over the records of that one stamp. The last record read is read
again, as the first of the next page: if it is not there, records have moved, and the reading goes back by a page until it
finds it, or to the anchor itself. Only `>=` and the order are asked of the vendor; how it compares ids does not matter.

A stamp of the hour that comes twice (zone.py) is no anchor: the vendor might take it for the other instant. The anchor stays
at the last plain stamp before it, and the offset counts on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crmbridge.errors import SourceError
from crmbridge.model.cursors import Position


@dataclass(frozen=True, slots=True)
class Row:
    """What matters of a record here."""

    id: str
    written: str
    """Its stamp as the vendor writes it."""
    stamp: str
    """The same in UTC, YYYY-MM-DDTHH:MM:SS, so that it sorts as text."""
    plain: bool
    """It can mean one instant only."""

    @property
    def mark(self) -> str:
        """The record as it was when it was read: one that was changed since stands elsewhere."""
        return f"{self.written} {self.id}"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list is read."""

    anchor: str
    """The list is what is stamped at or after this; empty: everything."""
    count: int = 0
    """Records of the list that have been read."""
    last: str = ""
    """The mark of the last of them."""

    @property
    def offset(self) -> int:
        """Where the next page begins: with the last record read."""
        return max(self.count - 1, 0)

    @classmethod
    def of(cls, position: Position) -> Place:
        """Raises ValueError for a position that is not ours."""
        if position.after is None:
            return cls(str(position.start or "")[:19])
        anchor, within = map(str, position.after)
        count, _, last = within.partition(" ")
        return cls(anchor, int(count), last)

    def after(self) -> tuple[str, str]:
        """As a position keeps it."""
        return self.anchor, f"{self.count} {self.last}"


def advance(place: Place, page: Sequence[Row], *, limit: int, ended: bool) -> tuple[Place, bool]:
    """The place behind `page`, which was read at `place`, and whether the pass ends with it. `limit` is at least 2.

    `ended`: the vendor says that nothing follows.
    """
    if place.offset and all(row.mark != place.last for row in page):
        earlier = max(place.offset - limit + 1, 0)
        return Place(place.anchor, earlier + 1, place.last), False
    if not page:
        return place, True
    anchor, start = place.anchor, -place.offset
    plain = next((row for row in reversed(page) if row.plain), None)
    if plain is not None and plain.stamp != anchor:
        anchor, start = plain.stamp, next(index for index, row in enumerate(page) if row.stamp == plain.stamp)
    following = Place(anchor, len(page) - start, page[-1].mark)
    return following, ended or following == place  # nothing new is an end, whatever the vendor says


def prove(page: Sequence[Row], since: str) -> None:
    """Raise SourceError for a page that is not what was asked for: nothing before `since` (UTC text, or empty), in order.

    How the vendor reads a stamp in a query is not documented. If it did otherwise than we think, changes would be missed in silence.
    """
    stamps = [row.stamp for row in page if row.plain]
    if early := [stamp for stamp in stamps if stamp < since]:
        raise SourceError(f"asked for what changed at or after {since} UTC, the vendor answered with {early[0]}: is time_zone right?")
    if stamps != sorted(stamps):
        raise SourceError("the vendor's answer is not in the order of ModifiedDate, which was asked for")
