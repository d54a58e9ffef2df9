"""JSON records become observations, one page a poll.

Where the API sorts by its stamp, a pass never goes to a second page but among records of one stamp: records that change while it
reads would move the rest, and one of them would be skipped. It asks anew from the last stamp instead. Where it sorts otherwise, pages are
walked as they come, and the next pass begins at what was newest when this one began.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any, Final

from connectors.sources.rest.api import Api, Body
from connectors.sources.rest.options import Resource, RestOptions, Since
from crmbridge.contract import Promise, Right, Setting, Stretch, Walk, each
from crmbridge.errors import FieldsGone, SourceError
from crmbridge.http import denial, look, reading
from crmbridge.model import Cursor, FieldValue, Observation, Page, both, clean, cursors, filled, identity, marked

_log = logging.getLogger(__name__)
_PROOF: Final = 10  # records
_CLOSED: Final = frozenset({402, 404, 405, 410})  # besides 403, how an API says that a path is not for us


class RestSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rewindable`, `Walking` and `Entitled`."""

    def __init__(self, options: RestOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._api = Api(options, setting)

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        for name, one in self._options.types.items():
            items = self._items(name, self._api.page(one, {}, ""))
            for item in items[:1]:
                self._prove(name, one, item)
            self._misspelt(name, [_fields(one, item) for item in items])

    def rights(self) -> Sequence[Right]:
        """Each path is asked for what changed since now, where that can be asked."""
        now = _written(self._setting.now())
        return [
            Right(
                name=f"GET {self._options.url}{one.path}",
                promise=Promise.CHANGES,
                lost=f"nothing of {name} is told",
                refused=denial(partial(self._api.page, one, self._asked(one, now), ""), _CLOSED),
            )
            for name, one in self._options.types.items()
        ]

    def _prove(self, name: str, one: Resource, item: Mapping[str, Any]) -> None:
        try:
            self._stamp(name, one, item)
        except ValueError as error:
            raise SourceError(str(error)) from None

    def _misspelt(self, name: str, seen: Sequence[Mapping[str, Any]]) -> None:
        """A field that no record has. APIs may leave empty ones out, so that a few records prove nothing."""
        missing = self._missing(name, seen) if seen else []
        if not missing:
            return
        words = f"{name}: none of {len(seen)} records has {', '.join(missing)}; the first has {', '.join(sorted(seen[0]))[:500]}"
        if len(seen) >= _PROOF:
            raise FieldsGone(words)
        _log.warning("a field may be misspelt", extra={"source": self._setting.name, "reason": words})

    def poll(self, cursor: Cursor | None) -> Page:
        with reading("the API"):
            return cursors.next_page(cursor, list(self._options.types), self._read, overlap=self._options.overlap, now=self._setting.now())

    def since(self, moment: datetime) -> Cursor:
        return cursors.since({name: _written(moment) for name, one in self._options.types.items() if one.since})

    def walks(self) -> Mapping[str, Walk]:
        return {name: one.walk for name, one in self._options.types.items()}

    def walk(self, record_type: str, place: str | None, rows: bool) -> Stretch:
        one = self._options.types[record_type]
        body = self._api.page(one, {}, place or "")
        items = self._items(record_type, body)
        seen: Sequence[Observation] = ()
        if rows:
            before = self._setting.now() - (one.walk.rows_every or timedelta(0)) - timedelta(seconds=self._options.overlap)
            _, seen = self._observations(record_type, one, items, cursors.Position(start=before.timestamp(), whole=True))
        # One that is shown with the mark of a deletion is there no longer.
        ids = [identity(look(one.id, item)) for item in items if not (one.deleted and marked(look(one.deleted, item)))]
        following = self._api.following(one, body, place or "", len(items)) if items else None
        return Stretch(ids=ids, observations=[row for row in seen if row.record_id in set(ids)], place=following)

    def close(self) -> None:
        self._api.close()

    # --- reading

    def _read(self, name: str, position: cursors.Position) -> cursors.Read:
        one = self._options.types[name]
        return self._ascending(name, one, one.since, position) if one.ascending and one.since else self._walked(name, one, position)

    def _ascending(self, name: str, one: Resource, since: Since, position: cursors.Position) -> cursors.Read:
        """Position.after is (stamp, place): everything from that stamp on; with a place, behind a first page that holds only that stamp."""
        start, place = (str(position.after[0]), str(position.after[1])) if position.after else (position.start, "")
        body = self._api.page(one, self._asked(one, start), place)
        items = self._items(name, body)
        stamps, seen = self._observations(name, one, items, position)
        if not self._ascend(stamps):
            raise SourceError(
                f"{name}: the records are not sorted by {one.changed}, the oldest first: sort them, or say `ascending: false`"
            )
        newest = _written(max(stamps)) if stamps else None
        if newest is None or len(items) < one.size:
            return cursors.Read(seen, (newest, "") if newest else None, complete=True, lacking=self._lacking(name, one, items))
        moment = cursors.instant(start) if start is not None else None
        if moment is None or written(stamps[-1], since.format) != written(moment, since.format):
            return cursors.Read(seen, (newest, ""), complete=False, lacking=self._lacking(name, one, items))
        following = self._api.following(one, body, place, len(items))
        if following is None or following == place:
            raise SourceError(f"{name}: more than {one.size} records were changed at {start}, and without `paging` the rest cannot be read")
        return cursors.Read(seen, (str(start), following), complete=False, lacking=self._lacking(name, one, items))

    def _ascend(self, stamps: Sequence[datetime]) -> bool:
        """Whether they stand in order; in the night when a wall clock is set back, give or take what it was set by."""
        zone, slack = self._reading.zone, timedelta(0)
        for before, after in itertools.pairwise(stamps):
            if zone is not None:
                slack = max(slack, _step(before, zone), _step(after, zone))
            if after + slack < before:
                return False
        return True

    def _walked(self, name: str, one: Resource, position: cursors.Position) -> cursors.Read:
        """Position.after is (newest, place): the newest stamp of the first page, from which the next pass looks back."""
        newest, place = (str(position.after[0]), str(position.after[1])) if position.after else (None, "")
        body = self._api.page(one, self._asked(one, position.start), place)
        items = self._items(name, body)
        stamps, seen = self._observations(name, one, items, position)
        if newest is None and stamps:
            newest = _written(max(stamps))
        following = self._api.following(one, body, place, len(items)) if items else None
        if following is None:
            return cursors.Read(seen, (newest, "") if newest is not None else None, complete=True, lacking=self._lacking(name, one, items))
        if following == place:
            raise SourceError(f"{name}: the API gives the page {place[:100]} as the one behind itself")
        return cursors.Read(seen, (newest or "", following), complete=False, lacking=self._lacking(name, one, items))

    def _asked(self, one: Resource, start: cursors.Stamp | None) -> dict[str, str]:
        moment = cursors.instant(start) if start is not None else None
        return {one.since.parameter: written(moment, one.since.format)} if one.since and moment else {}

    def _items(self, name: str, body: Body) -> list[dict[str, Any]]:
        one = self._options.types[name]
        items = look(one.items, body.json) if one.items else body.json
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise SourceError(f"{name}: no list of records stands at {one.items or 'the top of the body'}")
        return items

    def _observations(
        self, name: str, one: Resource, items: Sequence[Mapping[str, Any]], position: cursors.Position
    ) -> tuple[list[datetime], list[Observation]]:
        """The stamps of those that can be read, in order, and all observations. Raises ValueError."""

        # A field that is not there is not empty, unless the API says so; and what a whole page lacks, the API has no longer.
        gone = self._lacking(name, one, items).get(name, [])
        empty = [field for field in self._setting.records.get(name, {}) if field not in gone] if one.omits_empty else []

        def read(item: Mapping[str, Any]) -> tuple[datetime, Observation]:
            stamp = self._stamp(name, one, item)
            return stamp, self._observation(name, one, item, stamp, position, empty)

        full = one.size is not None and len(items) >= one.size
        found = each(
            items,
            read,
            record_type=name,
            id=lambda item: look(one.id, item),
            spec=self._setting.records.get(name),
            now=self._setting.now(),
            all_or_none=position.start is None or (full and bool(one.ascending)),
        )
        return [stamp for _, (stamp, _) in found.good], found.observations(lambda pair: (pair[1],))

    def _stamp(self, name: str, one: Resource, item: Mapping[str, Any]) -> datetime:
        try:
            return self._reading.instant(look(one.changed, item), self._setting.now())
        except ValueError as error:
            raise ValueError(f"{name}: no instant stands at {one.changed} of a record: {error}") from None

    def _observation(
        self,
        name: str,
        one: Resource,
        item: Mapping[str, Any],
        stamp: datetime,
        position: cursors.Position,
        empty: Collection[str],
    ) -> Observation:
        id = look(one.id, item)
        record_id = identity(id)[:1000]
        if not record_id:
            raise ValueError(f"{name}: no id stands at {one.id} of a record")
        actor = look(one.actor, item) if one.actor else None
        return Observation(
            record_type=name,
            record_id=record_id,
            fields=self._values(name, _fields(one, item), empty),
            existed=cursors.existed(self._made(one, item), position),
            deleted=bool(one.deleted) and marked(look(one.deleted or "", item)),
            version=None if self._reading.is_double(look(one.changed, item)) else stamp.isoformat(),
            occurred_at=stamp,
            actor=clean(str(actor))[:200] if actor is not None else None,
            url=filled(one.url, id=record_id) if one.url else None,
        )

    def _values(self, name: str, fields: Mapping[str, Any], empty: Collection[str]) -> dict[str, FieldValue]:
        """The configured fields that are there, by their names or dotted paths, and those that are `empty` where they are not.

        Every scalar one if none are configured.
        """
        spec = self._setting.records.get(name)
        if spec is None:
            return {clean(key): self._reading.value(value) for key, value in fields.items() if not isinstance(value, (dict, list))}
        return {
            field: self._reading.read(fields[field] if field in fields else look(field, fields), one)
            for field, one in spec.items()
            if field in empty or _has(fields, field)
        }

    def _lacking(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        """The configured fields that none of a page's records has. APIs may leave empty ones out, so that few records prove nothing."""
        missing = self._missing(name, [_fields(one, item) for item in items])
        return {name: missing} if items and (not missing or len(items) >= _PROOF) else {}

    def _missing(self, name: str, seen: Sequence[Mapping[str, Any]]) -> list[str]:
        return [field for field in self._setting.records.get(name, {}) if not any(_has(fields, field) for fields in seen)]

    def _made(self, one: Resource, item: Mapping[str, Any]) -> datetime | None:
        try:
            return self._reading.instant(look(one.created, item)) if one.created else None
        except ValueError:
            return None


def _fields(one: Resource, item: Mapping[str, Any]) -> Mapping[str, Any]:
    found = look(one.fields, item) if one.fields else item
    return found if isinstance(found, dict) else {}


def _has(fields: Mapping[str, Any], name: str) -> bool:
    """Whether a field stands there, empty or not; what hangs on something that is empty is empty too."""
    if name in fields:
        return True
    value: Any = fields
    for part in name.split("."):
        if value is None:
            return True
        if not isinstance(value, dict) or part not in value:
            return look(name, fields) is not None
        value = value[part]
    return True


def _step(moment: datetime, zone: tzinfo) -> timedelta:
    """By how much a stamp may be mistaken: the clock in `zone` has shown, or is going to show, this time twice."""
    first, second = both(moment.astimezone(zone).replace(tzinfo=None), zone)
    return max(second - first, timedelta(0))


def _written(moment: datetime) -> str:
    """A stamp as the cursor keeps it: texts of one length, which sort as instants do."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


def written(moment: datetime, form: str) -> str:
    """An instant as the API is asked; cut to its unit, so that nothing of it is left out."""
    utc = moment.astimezone(timezone.utc)
    match form:
        case "epoch":
            return str(int(utc.timestamp()))
        case "epoch_ms":
            return str(int(utc.timestamp() * 1000))
        case "date":
            return f"{utc:%Y-%m-%d}"
        case "iso_ms":
            return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"
    return f"{utc:%Y-%m-%dT%H:%M:%SZ}"
