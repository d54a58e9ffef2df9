"""Polling: what changed, by search, and what was deleted, from the recycle bin. Reads single pages; keeps nothing.

A search is never paged by its offset: it ends at 10,000, and records move while it is read. Each page is a search of its
own from the last stamp on; what comes twice is told apart by what is known of it. More records of one millisecond than a
page holds (HubSpot's own bulk jobs stamp whole accounts so) are read by id.
https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm
"""

from __future__ import annotations

from typing import Any, Final

from connectors.sources.hubspot.api import Api
from connectors.sources.hubspot.options import HubspotOptions
from connectors.sources.hubspot.records import Records
from connectors.sources.hubspot.types import stamp_property
from connectors.sources.hubspot.values import milliseconds, moment, version
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.model import Observation, clean
from crmbridge.model.cursors import Position, Read

ARCHIVED: Final = " archived"
"""Behind a record type: the stream of its deletions."""
_LOOK_BACK: Final = 86_400_000
"""Milliseconds before the last walk through the recycle bin, for deletions during it and clocks that differ."""


class Changes:
    """The streams of a source: each record type, and its deletions."""

    def __init__(self, api: Api, records: Records, options: HubspotOptions, setting: Setting) -> None:
        self._api = api
        self._records = records
        self._options = options
        self._setting = setting
        self.streams = [stream for name in setting.records for stream in (name, name + ARCHIVED)]

    def read(self, stream: str, position: Position) -> Read:
        """One page. Raises SourceError."""
        if stream.endswith(ARCHIVED):
            return self._deleted(stream.removesuffix(ARCHIVED), position)
        self._api.spare()
        return self._changed(stream, position)

    # --- changes

    def _changed(self, record_type: str, position: Position) -> Read:
        stamp = stamp_property(record_type)
        begin, behind = _place(position)
        if behind:
            filters, sort = [(stamp, "EQ", str(begin)), ("hs_object_id", "GT", behind)], "hs_object_id"
        else:
            filters, sort = [(stamp, "GTE", str(begin))], stamp
        rows = self._api.search(record_type, filters, sort, ["hs_object_id", stamp], self._options.page)
        seen = self._records.read(record_type, list(dict.fromkeys(str(one["id"]) for one in rows)), position)
        full = len(rows) >= self._options.page
        if behind:
            last = max((int(one["id"]) for one in rows), default=0)
            if full and last <= int(behind):
                raise SourceError(f"HubSpot's search of {record_type} does not get on behind {behind}")
            return Read(seen, (begin, str(last)) if full else (begin + 1, ""), complete=False)
        stamps = [found for one in rows if (found := _stamp(one, stamp)) is not None]
        if not full:
            return Read(seen, (max(stamps), "") if stamps else None, complete=True)
        return Read(seen, self._next(begin, stamps), complete=False)

    def _next(self, begin: int, stamps: list[int]) -> tuple[int, str]:
        """Where to go on behind a full page from `begin` on.

        A row may show a later stamp than the one it was found by: it has changed again, and the index does not know yet.
        Going on from there would leave out all between. So only stamps count that the index must know by now, as long as
        there are some; among the newest, all may be such rows.
        """
        settled = int(self._setting.now().timestamp() * 1000) - self._options.overlap * 1000
        known = [one for one in stamps if one < settled]
        last = max(known or stamps or [begin])
        return (last, "") if last > begin else (begin, "0")

    # --- deletions

    def _deleted(self, record_type: str, position: Position) -> Read:
        """A page of the recycle bin, which has no order but that of ids: it is walked whole, from time to time.

        Position.high is when the last whole walk began, by our clock; within a walk, Position.after holds that, and
        as the id `BEGUN:AFTER`, with HubSpot's own mark of the next page.
        """
        now = int(self._setting.now().timestamp() * 1000)
        walked = position.high if isinstance(position.high, int) else 0
        begun, after = now, ""
        if position.after is not None:
            words = str(position.after[1]).partition(":")
            begun, after = int(words[0]), words[2]
        elif position.whole and walked <= now < walked + self._options.deletes_every * 1000:
            return Read((), None, complete=True)
        self._api.spare()
        rows, following = self._api.archived(record_type, after)
        if following and following == after:
            raise SourceError(f"HubSpot's recycle bin of {record_type} does not get on behind {after}")
        seen = [one for row in rows if (one := _gone(record_type, row, walked - _LOOK_BACK))]
        if following:
            return Read(seen, (walked, f"{begun}:{following}"), complete=False)
        return Read(seen, (begun, ""), complete=True)


def _place(position: Position) -> tuple[int, str]:
    """The least stamp to look for, and, within that one stamp, the id behind which; empty: all from that stamp on."""
    if position.after is not None:
        return int(position.after[0]), str(position.after[1])
    return (int(position.start), "") if position.start is not None else (0, "")


def _stamp(row: Any, name: str) -> int | None:
    return milliseconds((row.get("properties") or {}).get(name) or row.get("updatedAt"))


def _gone(record_type: str, row: Any, since: int) -> Observation | None:
    """A deletion, if it is one of those `since`; what the record was, its snapshot knows."""
    stamp = milliseconds(row.get("archivedAt"))
    if stamp is None or stamp < since:
        return None
    return Observation(
        record_type=record_type, record_id=clean(str(row["id"])), fields={}, deleted=True, version=version(stamp), occurred_at=moment(stamp)
    )
