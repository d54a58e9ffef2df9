"""Polling: what changed, by search, and what was deleted, from the recycle bin. Reads single pages; keeps nothing.

A search is never paged by its offset, which ends at 10,000, nor by stamps. Records move in that order while they are read;
HubSpot's own bulk jobs give one millisecond to more of them than fit a page; and a record that has changed since the index
last looked is found by its old stamp, but shows its new one, so that going on from there would leave out all between. Ids
do not move: a pass asks for everything from a stamp on, by id, behind the last one that it has read.
https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from connectors.sources.hubspot.api import Api
from connectors.sources.hubspot.options import HubspotOptions
from connectors.sources.hubspot.records import Records
from connectors.sources.hubspot.types import stamp_property
from connectors.sources.hubspot.values import milliseconds, moment, version
from crmbridge.contract import Setting, each
from crmbridge.errors import SourceError
from crmbridge.model import Observation, clean
from crmbridge.model.cursors import Position, StreamPage

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

    def read(self, stream: str, position: Position) -> StreamPage:
        """One page. Raises SourceError."""
        if stream.endswith(ARCHIVED):
            return self._deleted(stream.removesuffix(ARCHIVED), position)
        self._api.spare()
        return self._changed(stream, position)

    # --- changes

    def _changed(self, record_type: str, position: Position) -> StreamPage:
        """A page of what changed since Position.start.

        Within a pass, Position.after keeps as its id `NEWEST:BEHIND`: the newest stamp there was when the pass began,
        from which the next one looks back, and the last id that was read. What changes during a pass that takes long is
        newer than that, and comes again.
        """
        stamp = stamp_property(record_type)
        since = max(int(position.start or 0), 0)
        newest, behind = _place(position)
        filters = [(stamp, "GTE", str(since)), ("hs_object_id", "GT", behind or "0")]
        rows = self._api.search(record_type, filters, "hs_object_id", ["hs_object_id", stamp], self._options.page)
        seen = self._records.read(record_type, list(dict.fromkeys(str(one["id"]) for one in rows)), position)
        seen.sort(key=lambda one: one.occurred_at)
        high = newest if position.after is not None else max(_stamps(rows, stamp), default=None)
        if len(rows) < self._options.page:
            return StreamPage(seen, None if high is None else (high, ""), complete=True)
        last = max(int(one["id"]) for one in rows)
        if last <= int(behind or 0):
            raise SourceError(f"HubSpot's search of {record_type} does not get on behind {behind}")
        if position.after is None:
            latest = self._api.search(record_type, [(stamp, "GTE", str(since))], stamp, [stamp], 1, descending=True)
            high = max(_stamps(latest, stamp), default=high)
        return StreamPage(seen, (position.high or 0, f"{high}:{last}"), complete=False)

    # --- deletions

    def _deleted(self, record_type: str, position: Position) -> StreamPage:
        """A page of the recycle bin, which has no order but that of ids: it is walked whole, from time to time.

        Position.high is when the last whole walk began, by our clock; within a walk, Position.after holds that, and
        as the id `BEGUN:AFTER`, with HubSpot's own mark of the next page.
        """
        now = int(self._setting.now().timestamp() * 1000)
        walked = position.high if isinstance(position.high, int) else 0
        begun, after = _place(position)
        if position.after is None:
            begun = now
            if position.whole and walked <= now < walked + self._options.deletes_every * 1000:
                return StreamPage((), None, complete=True)
        self._api.spare()
        rows, following = self._api.archived(record_type, after)
        if following and following == after:
            raise SourceError(f"HubSpot's recycle bin of {record_type} does not get on behind {after}")
        found = each(
            rows,
            lambda row: _gone(record_type, row, walked - _LOOK_BACK),
            record_type=record_type,
            id=lambda row: row["id"],
            now=self._setting.now(),
        )
        seen = found.observations(lambda one: (one,) if one else ())
        if following:
            return StreamPage(seen, (walked, f"{begun}:{following}"), complete=False)
        return StreamPage(seen, (begun, ""), complete=True)


def _place(position: Position) -> tuple[int, str]:
    """Within a pass, what was noted when it began, and where it goes on."""
    noted, _, behind = str(position.after[1] if position.after is not None else "0:").partition(":")
    return int(noted), behind


def _stamps(rows: Iterable[Any], name: str) -> list[int]:
    found = (milliseconds((row.get("properties") or {}).get(name) or row.get("updatedAt")) for row in rows)
    return [one for one in found if one is not None]


def _gone(record_type: str, row: Any, since: int) -> Observation | None:
    """A deletion, if it is one of those `since`; what the record was, its snapshot knows."""
    stamp = milliseconds(row.get("archivedAt"))
    if stamp is None or stamp < since:
        return None
    return Observation(
        record_type=record_type, record_id=clean(str(row["id"])), fields={}, deleted=True, version=version(stamp), occurred_at=moment(stamp)
    )
