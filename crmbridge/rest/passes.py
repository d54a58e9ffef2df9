"""Passes through lists, one page for each poll.

Where the API sorts by its stamp, a pass asks anew from the last stamp instead of going to a second page. Records that change while it
reads would move the rest, and one of them would be skipped. Only among records of one stamp does it go to further pages. Where the
API sorts otherwise, pages are walked as they come, and the next pass begins at the newest stamp that this one began with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from crmbridge.errors import SourceError
from crmbridge.http import look
from crmbridge.model import both, cursors, identity
from crmbridge.rest.asking import Found, following, is_beyond
from crmbridge.rest.options import Since
from crmbridge.rest.rows import Lists, Stream

Ask = Callable[[Stream, datetime | None, str], Found]
"""A function that asks for the page of a stream at a bookmark (empty: the first) of what changed since an instant."""


class Passes:
    """A reader that passes through the lists of one source again and again. Raises SourceError, ValueError."""

    def __init__(self, rows: Lists, ask: Ask) -> None:
        self._rows = rows
        self._ask = ask
        self._before: dict[str, tuple[str, list[str]]] = {}
        """The last page of each list: its bookmark, and the ids on it."""
        self._visited: dict[str, set[str]] = {}
        """The bookmarks of each list that this pass has read."""

    def page(self, stream: Stream, position: cursors.Position) -> cursors.StreamPage:
        """Read the page of a list at a position."""
        one = stream.listing
        sorted_so = one.ascending and not one.newest_first
        return self._ascending(stream, one.since, position) if sorted_so and one.since else self._walked(stream, position)

    def _ascending(self, stream: Stream, since: Since, position: cursors.Position) -> cursors.StreamPage:
        """Read a list on by stamp. `position.after` is (stamp, bookmark).

        A bookmark means: the first page of that stamp held nothing of a later stamp.
        """
        name, one = stream.record_type, stream.listing
        start, bookmark = (str(position.after[0]), str(position.after[1])) if position.after else (position.start, "")
        moment = cursors.instant(start) if start is not None else None
        body = self._ask(stream, moment, bookmark)
        items = self._rows.items(stream, body)
        self._not_again(stream, bookmark, items)
        stamps, seen = self._rows.read(stream, items, position, back=stream.deleted or stream.listing.newest_first)
        if not self._ascend(stamps):
            raise SourceError(
                f"{name}: the records are not sorted by {one.changed}, the oldest first: sort them, or say `ascending: false`"
            )
        lacking = self._rows.lacking(stream, items)
        newest = stamped(max(stamps)) if stamps else None
        if newest is None or len(items) < one.size:
            return cursors.StreamPage(seen, (newest, "") if newest else None, complete=True, lacking=lacking)
        if moment is None or is_beyond(stamps[-1], moment, since.format):
            return cursors.StreamPage(seen, (newest, ""), complete=False, lacking=lacking)
        behind = self._behind(stream, body, bookmark, len(items))
        if behind is None and one.paging is not None:
            return cursors.StreamPage(seen, (newest, ""), complete=True, lacking=lacking)
        if behind is None:
            raise SourceError(f"{name}: more than {one.size} records were changed at {start}, and without `paging` the rest cannot be read")
        return cursors.StreamPage(seen, (str(start), behind), complete=False, lacking=lacking)

    def _ascend(self, stamps: Sequence[datetime]) -> bool:
        """Say whether the stamps stand in order. In the night in which a wall clock is set back, an error of that step is allowed."""
        zone, leeway = self._rows.reading.zone, timedelta(0)
        for before, after in itertools.pairwise(stamps):
            if zone is not None:
                leeway = max(leeway, _step(before, zone), _step(after, zone))
            if after + leeway < before:
                return False
        return True

    def _walked(self, stream: Stream, position: cursors.Position) -> cursors.StreamPage:
        """Walk a whole list. `position.after` is (newest, bookmark).

        The next pass looks back from the newest stamp of the first page.
        """
        one = stream.listing
        newest, bookmark = (str(position.after[0]), str(position.after[1])) if position.after else (None, "")
        start = cursors.instant(position.start) if position.start is not None else None
        body = self._ask(stream, start, bookmark)
        items = self._rows.items(stream, body)
        self._not_again(stream, bookmark, items)
        stamps, seen = self._rows.read(stream, items, position, back=stream.deleted or stream.listing.newest_first)
        if newest is None and (stamps or one.changed is None):
            newest = stamped(max(stamps) if one.changed else self._rows.setting.now())
        reached = one.newest_first and start is not None and any(stamp < start for stamp in stamps)
        behind = self._behind(stream, body, bookmark, len(items)) if items and not reached else None
        lacking = self._rows.lacking(stream, items)
        if behind is None:
            return cursors.StreamPage(seen, (newest, "") if newest is not None else None, complete=True, lacking=lacking)
        return cursors.StreamPage(seen, (newest or "", behind), complete=False, lacking=lacking)

    def _behind(self, stream: Stream, body: Found, bookmark: str, count: int) -> str | None:
        return self.onward(stream, bookmark, following(stream.listing, body, bookmark, count))

    def onward(self, stream: Stream, bookmark: str, behind: str | None) -> str | None:
        """Return the bookmark of the next page, if there is one. Raises SourceError if this pass has read that page already."""
        visited = self._visited.setdefault(stream.name, set())
        if not bookmark:
            visited.clear()
        visited.add(bookmark)
        if behind in visited:
            raise SourceError(f"{stream.name}: the API leads in a circle: behind its page {bookmark[:100]} stands {behind[:100]} again")
        return behind

    def _not_again(self, stream: Stream, bookmark: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Check that a page differs from the page before. An API that ignores the bookmark gives one page for ever. Raises SourceError."""
        name, ids = stream.name, [identity(look(stream.listing.id, item)) for item in items]
        before = self._before.get(name)
        self._before[name] = bookmark, ids
        if bookmark and ids and before is not None and before[0] != bookmark and before[1] == ids:
            raise SourceError(f"{name}: the API gives the page before once more as the page {bookmark[:100]}")


def _step(moment: datetime, zone: tzinfo) -> timedelta:
    """Return by how much a stamp may be wrong: the clock in `zone` shows this time twice, before and after it is set back."""
    first, second = both(moment.astimezone(zone).replace(tzinfo=None), zone)
    return max(second - first, timedelta(0))


def stamped(moment: datetime) -> str:
    """Write a stamp as the cursor keeps it: texts of one length, which sort as instants do."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
