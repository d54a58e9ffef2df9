"""Polling: what changed, by `write_date`, and what was deleted, by walking through all ids. Reads single pages; keeps nothing.

Odoo keeps `write_date` in microseconds and shows whole seconds. So `write_date > SECOND` finds the same record for ever,
`write_date = SECOND` finds none, and only `>=` can be asked. Pages go by id inside that fixed bound: ids do not move, so that
neither ties nor what changes meanwhile makes a pass skip anything. `write_date` is when the transaction began, so that the next
pass looks back (`overlap`) for what was committed late.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from connectors.sources.odoo.api import Api
from connectors.sources.odoo.known import Known, load
from connectors.sources.odoo.options import OdooOptions
from connectors.sources.odoo.records import Records
from connectors.sources.odoo.trackings import Trackings
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.http import VendorRefused
from crmbridge.model import Cursor, Observation, Page, cursors
from crmbridge.model.cursors import Position, StreamPage

_log = logging.getLogger(__name__)
DELETED: Final = " deleted"
"""Behind a record type: the stream of its deletions."""
WALK: Final = 10_000
"""Ids of one search."""
_AT_ONCE: Final = 200  # records that were not found, in one reading: of those that are gone Odoo takes its time
_DOUBTS: Final = 100  # readings at the end of one walk


class Changes:
    """The streams of a source: each record type, and its deletions."""

    def __init__(self, api: Api, records: Records, trackings: Trackings, options: OdooOptions, setting: Setting) -> None:
        self._api = api
        self._records = records
        self._trackings = trackings
        self._options = options
        self._setting = setting
        self.streams = [*setting.records, *(name + DELETED for name in setting.records)]

    def poll(self, cursor: Cursor | None) -> Page:
        """One page. Raises SourceError, ValueError for a cursor that is not ours."""
        before, _ = cursors.load(cursor)
        known = {name: load(before.get(name + DELETED, Position()).high) or Known(0, 0, None) for name in self._setting.records}

        def read(stream: str, position: Position) -> StreamPage:
            try:
                if stream.endswith(DELETED):
                    return self._deleted(stream.removesuffix(DELETED), position)
                found, known[stream] = self._changed(stream, position, known[stream])
            except VendorRefused as error:
                raise VendorRefused(f"{stream}: {error}", error.status, error.body, error.retry_at) from None
            return found

        page = cursors.next_page(cursor, self.streams, read, overlap=self._options.overlap, now=self._setting.now())
        return replace(page, cursor=self._noted(page, known))

    def since(self, stamp: str) -> Cursor:
        """The cursor for what changed at `stamp` or later. Records are read as they are now, and deletions learnt from then on."""
        now = self._now()
        types = dict.fromkeys(self._setting.records, stamp)
        return cursors.since(types | {name + DELETED: Known(0, now, None, rewound=True).dump() for name in types})

    # --- changes

    def _changed(self, model: str, position: Position, known: Known) -> tuple[StreamPage, Known]:
        """A page of what changed since Position.start, and what is known of the log then.

        Within a pass, Position.after keeps as its id `NEWEST|BEHIND`: the newest stamp there was when the pass began, from
        which the next one looks back, and the last id that was read. What changes during a pass that takes long is newer
        than that, and comes again.
        """
        start = str(position.start) if position.start is not None else None
        newest, behind = _place(position)
        bound = [["write_date", ">=", start]] if start is not None else []
        rows = self._records.rows(model, [*bound, ["id", ">", behind]], self._options.page)
        seen = self._records.observations(model, rows, position)
        if self._options.old_values and not known.rewound:
            if start is None or not position.whole:
                if position.after is None:  # what was logged before is no news
                    known = replace(known, found=self._trackings.newest(model))
            else:
                seen, message = self._trackings.between(model, start, rows, seen, known)
                known = replace(known, found=None if message is None else max(message, known.found or 0))
        if known.ids is not None:
            known = replace(known, ids=known.ids | {row["id"] for row in rows})
        seen.sort(key=lambda one: one.occurred_at)
        high = newest if position.after is not None else max(_stamps(rows), default="")
        if len(rows) < self._options.page:
            return StreamPage(seen, (high, "") if high else None, complete=True), replace(known, told=known.found)
        last = rows[-1]["id"]
        if last <= behind:
            raise SourceError(f"Odoo's search of {model} does not get on behind {behind}")
        if position.after is None:
            latest = self._api.search_read(model, [*bound, ["write_date", "!=", False]], ["write_date"], order="write_date desc", limit=1)
            high = max(_stamps(latest), default=high)
        return StreamPage(seen, (position.high or "", f"{high}|{last}"), complete=False), known

    # --- deletions

    def _deleted(self, model: str, position: Position) -> StreamPage:
        """A page of a walk through all ids, which is made from time to time; at its end, what an earlier one had is compared.

        Position.high is what is known of the ids (`Known`); within a walk, Position.after keeps as its id what was found so far.
        """
        known = load(position.high) or Known(0, 0, None)
        now = self._now()
        if position.after is None:
            due = known.walked + self._options.deletes_every * 1000
            if (position.whole and known.walked <= now < due) or not self._options.most_ids:
                last = None if position.high is not None else (Known(0, now, None).dump(), "")
                return StreamPage((), last, complete=True)
            sofar = replace(known, walk=known.walk + 1, walked=now, ids=frozenset(), rewound=False)
        else:
            sofar = load(position.after[1]) or Known(known.walk + 1, now, frozenset())
        ids = sofar.ids or frozenset()
        found = self._api.search(model, [["id", ">", max(ids, default=0)]], WALK)
        ids |= frozenset(found)
        if len(ids) > self._options.most_ids:
            facts = {"source": self._setting.name, "record": model, "most_ids": self._options.most_ids}
            _log.warning("deletions are not looked for: there are more records than most_ids", extra=facts)
            return StreamPage((), (replace(sofar, ids=None).dump(), ""), complete=True)
        if len(found) == WALK:
            return StreamPage((), (str(position.high or ""), replace(sofar, ids=ids).dump()), complete=False)
        gone, there = self._gone(model, sorted((known.ids or frozenset()) - ids))
        return StreamPage(
            [self._observation(model, id) for id in gone], (replace(sofar, ids=ids | frozenset(there)).dump(), ""), complete=True
        )

    def _gone(self, model: str, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Of ids that were not found: those that are gone, and those that are there after all, or must be looked at by the next walk.

        A record that is only out of this login's sight is not found either; but where it is read, Odoo refuses, and says nothing
        of one that is gone. It refuses the whole reading, which is then made in halves.
        """
        gone: list[int] = []
        there: list[int] = []
        asked, parts = 0, [list(ids[at : at + _AT_ONCE]) for at in range(0, len(ids), _AT_ONCE)]
        while parts:
            part = parts.pop()
            if asked >= _DOUBTS:
                later = [id for one in [part, *parts] for id in one]
                facts = {"source": self._setting.name, "record": model, "records": len(later)}
                _log.warning("many records are gone or out of sight: the next walk goes on finding out which", extra=facts)
                there += later
                break
            asked += 1
            try:
                shown = self._api.there(model, part)
            except VendorRefused as error:
                missing = "MissingError" in str(error)  # nobody promises that what is gone is only left out
                if error.status != 403 and not missing:
                    raise
                if len(part) > 1:
                    parts += [part[: len(part) // 2], part[len(part) // 2 :]]
                elif missing:
                    gone += part
                continue
            there += shown
            gone += [id for id in part if id not in shown]
        return sorted(gone), there

    def _observation(self, model: str, id: int) -> Observation:
        """When it was deleted, nobody knows: some time since the walk before."""
        return Observation(record_type=model, record_id=str(id), fields={}, deleted=True, occurred_at=self._setting.now())

    def _noted(self, page: Page, known: Mapping[str, Known]) -> Cursor:
        """The page's cursor with what is known of each type now: a record that it brought may go before the next walk."""
        positions, current = cursors.load(page.cursor)
        for name, now in known.items():
            position = positions.get(name + DELETED, Position())
            before = load(position.high)
            if before is None or before.walk == now.walk:  # else a walk has just ended, and knows better
                position = replace(position, high=now.dump())
            positions[name + DELETED] = replace(position, start=None)  # it would hold all ids once more
        return cursors.dump(positions, current)

    def _now(self) -> int:
        return int(self._setting.now().timestamp() * 1000)


def _place(position: Position) -> tuple[str, int]:
    """Within a pass, what was noted when it began, and where it goes on."""
    noted, _, behind = str(position.after[1] if position.after is not None else "|0").partition("|")
    return noted, int(behind)


def _stamps(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [row["write_date"] for row in rows if isinstance(row.get("write_date"), str)]
