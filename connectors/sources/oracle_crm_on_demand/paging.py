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

from crmbridge.model.cursors import Position


@dataclass(frozen=True, slots=True)
class Row:
    """What matters of a record here."""

    id: str
    stamp: str
    """UTC, YYYY-MM-DDTHH:MM:SS, so that it sorts as text."""
    plain: bool
    """It can mean one instant only."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list is read."""

    anchor: str
    """The list is what is stamped at or after this; empty: everything."""
    count: int = 0
    """Records of the list that have been read."""
    last: str = ""
    """The id of the last of them."""

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
    ids = [row.id for row in page]
    known = ids.index(place.last) if place.last in ids else -1
    if place.offset and known < 0:
        earlier = max(place.offset - limit + 1, 0)
        return Place(place.anchor, earlier + 1, place.last), False
    if known == len(page) - 1:  # nothing new: also where the vendor says that more follows
        return place, True
    anchor, start = place.anchor, -place.offset
    for row in reversed(page):
        if row.plain:
            if row.stamp != anchor:
                anchor, start = row.stamp, next(index for index, one in enumerate(page) if one.stamp == row.stamp)
            break
    return Place(anchor, len(page) - start, ids[-1]), ended
