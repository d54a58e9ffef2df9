"""Records become observations: one page of one resource a poll; deletions and merges from Modification Tracking."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from connectors.sources.oracle_crm_on_demand import dialect
from connectors.sources.oracle_crm_on_demand.api import Api
from connectors.sources.oracle_crm_on_demand.options import OracleOptions
from connectors.sources.oracle_crm_on_demand.paging import Place, Row, advance, prove
from connectors.sources.oracle_crm_on_demand.people import People
from connectors.sources.oracle_crm_on_demand.rights import CLOSED, needed, rights, tracked
from connectors.sources.oracle_crm_on_demand.trackings import FIELDS, QUERY, last_words
from connectors.sources.oracle_crm_on_demand.zone import Zone
from crmbridge.contract import FieldInfo, Member, Promise, Right, Setting, each
from crmbridge.errors import SourceError
from crmbridge.http import VendorRefused, reading
from crmbridge.model import Cursor, FieldSpec, FieldType, FieldValue, Observation, Page, clean, cursors, filled, parse_instant

_log = logging.getLogger(__name__)
Raw = Mapping[str, Any]
_STAMP = "%Y-%m-%dT%H:%M:%S"


class OracleSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rewindable`, `Teams`, `Describing` and `Entitled`."""

    def __init__(self, options: OracleOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._zone = Zone(options.time_zone)
        self._types = {options.objects.get(name, dialect.singular(name)): name for name in setting.records}
        """Record types by the name that Modification Tracking uses."""
        if len(self._types) < len(setting.records):
            raise ValueError("two record types have one name in Modification Tracking; say under `objects` what it calls them")
        self._streams = list(setting.records)
        if options.modification_trackings:
            if dialect.TRACKINGS in setting.records:
                raise ValueError(f"{dialect.TRACKINGS} cannot be a record type while modification_trackings is on")
            self._streams.append(dialect.TRACKINGS)
        self._api = Api(options, setting)
        self._people = People(self._api, setting.now)
        self._untracked = False
        """Modification Tracking was refused: asking again would cost a login each time."""

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        self._need_records()
        self._api.login.check_zone(self._zone)
        self._api.forget()
        for name, spec in self._setting.records.items():
            needed(self._api, name, {path.partition(".")[0] for path in spec}, {dialect.CHANGED})
        if self._options.modification_trackings:
            self._track()

    def rights(self) -> Sequence[Right]:
        found = list(rights(self._api, self._people, self._setting.records, trackings=self._options.modification_trackings))
        self._untracked = any(one.refused for one in found if one.promise is Promise.DELETIONS)
        return found

    def poll(self, cursor: Cursor | None) -> Page:
        self._need_records()
        with reading("CRM On Demand"):
            return cursors.next_page(cursor, self._streams, self._read, overlap=self._options.overlap, now=self._setting.now())

    def since(self, moment: datetime) -> Cursor:
        return cursors.since({name: f"{moment.astimezone(timezone.utc):{_STAMP}}" for name in self._streams})

    def members(self, record_type: str, id: str) -> Sequence[Member]:
        return self._people.of(record_type, id)

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        found = []
        for name, facts in self._api.attributes(record_type).items():
            kind, label = dialect.field_type(facts.get("type")), clean(str(facts.get("title") or name))
            found.append(FieldInfo(name=name, label=label, type=kind))
            if kind is FieldType.MONEY:
                found.append(FieldInfo(name=f"{name}.Modifier", label=f"{label} (currency)", type=FieldType.TEXT))
        return found

    async def close(self) -> None:
        # On the loop: in this source's one thread it would stand behind a poll that waits for the pace.
        self._api.stop()
        await asyncio.to_thread(self._api.close)

    # --- reading

    def _track(self) -> None:
        """Find out whether Modification Tracking may be read."""
        try:
            tracked(self._api)
            self._untracked = False
        except VendorRefused as error:
            self._untrack(error)

    def _untrack(self, error: VendorRefused) -> None:
        """Without it deletions are not told, and all else goes on."""
        if error.status not in CLOSED:
            raise error
        self._untracked = True
        _log.warning("Modification Tracking may not be read", extra={"source": self._setting.name, "reason": str(error)})

    def _read(self, name: str, position: cursors.Position) -> cursors.StreamPage:
        place = Place.of(position)
        since = self._zone.written(moment) if (moment := parse_instant(place.anchor)) else None
        tracking = name == dialect.TRACKINGS and self._options.modification_trackings
        if tracking and self._untracked:
            return self._unread(position)
        try:
            found, ended = self._api.page(
                name,
                fields=list(FIELDS) if tracking else self._fields(name),
                q=dialect.all_of(dialect.at_or_after(dialect.CHANGED, since) if since else "", QUERY if tracking else ""),
                limit=self._options.page,
                offset=place.offset,
            )
        except VendorRefused as error:
            if not tracking:
                raise
            self._untrack(error)
            return self._unread(position)
        page = [self._row(name, raw) for raw in found]
        prove(page, f"{self._zone.utc(since):{_STAMP}}" if since else "")
        following, complete = advance(place, page, limit=self._options.page, ended=ended)
        seen = self._changes(found) if tracking else self._observations(name, found, position)
        # Nothing of it counts as read where an empty list was asked from its start.
        return cursors.StreamPage(seen, following.after() if page or place.count else None, complete)

    def _unread(self, position: cursors.Position) -> cursors.StreamPage:
        """What was deleted before the first look is no news; what is deleted from now on is told once it may be read."""
        high = position.high if position.whole else f"{self._setting.now().astimezone(timezone.utc):{_STAMP}}"
        return cursors.StreamPage((), (high, "") if high is not None else None, complete=True)

    def _fields(self, name: str) -> list[str]:
        own = [path.partition(".")[0] for path in self._setting.records[name]]
        return list(dict.fromkeys([dialect.ID, dialect.CHANGED, dialect.CREATED, dialect.ACTOR, *own]))

    def _row(self, name: str, raw: Raw) -> Row:
        id, stamp = raw.get(dialect.ID), str(raw.get(dialect.CHANGED))
        moment = self._zone.instant(stamp, self._setting.now())
        if not id or moment is None:
            raise SourceError(f"{name}: a record came without a usable {dialect.ID} and {dialect.CHANGED} ({id}, {stamp[:40]})")
        return Row(str(id), stamp, f"{moment:{_STAMP}}", self._zone.is_plain(stamp))

    def _observations(self, name: str, found: Sequence[Raw], position: cursors.Position) -> list[Observation]:
        rows = each(
            found,
            lambda raw: self._observation(name, raw, position),
            record_type=name,
            id=lambda raw: raw.get(dialect.ID),
            spec=self._setting.records[name],
            now=self._setting.now(),
            all_or_none=position.start is None,
        )
        return rows.observations()

    def _observation(self, name: str, raw: Raw, position: cursors.Position) -> Observation:
        created = self._zone.instant(str(raw.get(dialect.CREATED)), self._setting.now())
        id = clean(str(raw[dialect.ID]))
        return Observation(
            record_type=name,
            record_id=id,
            fields={path: self._value(raw, path, spec) for path, spec in self._setting.records[name].items()},
            existed=cursors.existed(created, position),
            version=self._version(raw),
            occurred_at=self._changed(raw),
            actor=_text(raw.get(dialect.ACTOR)),
            url=self._url(name, id),
        )

    def _value(self, raw: Raw, path: str, spec: FieldSpec) -> FieldValue:
        value, kind = dialect.value_of(raw, path), spec.type
        if kind is FieldType.ANY and dialect.is_money(raw, path):
            kind = FieldType.NUMBER
        if kind is FieldType.DATETIME and isinstance(value, str):
            return self._zone.instant(value, self._setting.now()) or self._reading.value(value, kind)
        return self._reading.value(value, kind, spec.separator)

    def _changes(self, found: Sequence[Raw]) -> list[Observation]:
        return [
            Observation(
                record_type=one.record_type,
                record_id=clean(one.id),
                fields={},
                deleted=one.merged_into is None,
                merged_into=clean(one.merged_into) if one.merged_into else None,
                version=self._version(one.raw),
                occurred_at=self._changed(one.raw),
                actor=_text(one.raw.get(dialect.ACTOR)),
                url=self._url(one.record_type, clean(one.id)),
            )
            for one in last_words(found, self._types)
        ]

    def _changed(self, raw: Raw) -> datetime:
        now = self._setting.now()
        return self._zone.instant(str(raw[dialect.CHANGED]), now) or now

    def _version(self, raw: Raw) -> str | None:
        """None in the hour that comes twice: a change in its second half must not look older than one in its first."""
        return self._changed(raw).isoformat() if self._zone.is_plain(str(raw[dialect.CHANGED])) else None

    def _url(self, name: str, id: str) -> str | None:
        if self._options.record_url is None:
            return None
        kind = self._options.objects.get(name, dialect.singular(name))
        return filled(self._options.record_url, type=kind, id=id)

    # --- checks

    def _need_records(self) -> None:
        if not self._setting.records:
            raise SourceError(
                "name the record types and their fields under `records`, like Opportunities: {fields: {SalesStage: internal}}"
            )


def _text(value: Any) -> str | None:
    return clean(str(value)) if value else None
