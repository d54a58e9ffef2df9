"""Records become observations: those that were written by (write_date, id), those that never were by (create_date, id).

Where a model keeps history, each poll also reads the states that its records had since the last one, and looks for ids that are gone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.tryton import history, words
from connectors.sources.tryton import told as memory
from connectors.sources.tryton.api import Api, Record, Revisions
from connectors.sources.tryton.fields import EMAILS, infos, look, values
from connectors.sources.tryton.options import TrytonOptions
from connectors.sources.tryton.rights import has, rights
from connectors.sources.tryton.told import Told
from connectors.sources.tryton.words import CREATED, WRITTEN
from crmbridge.contract import FieldInfo, Member, Right, Setting, each
from crmbridge.errors import SourceError
from crmbridge.http import reading
from crmbridge.model import Cursor, FieldValue, Observation, Page, clean, cursors, filled, from_us, to_us

_log = logging.getLogger(__name__)
_CREATED, _WRITTEN, _DELETED = " created", " written", " deleted"  # behind a model: its streams
_STAMPS: Final = {_CREATED: CREATED, _WRITTEN: WRITTEN}
_LISTED: Final = 2_000  # ids of one read
_AHEAD: Final = 200  # ids behind the highest one that may have come and gone since the last look
_ACTORS: Final = ("write_uid.rec_name", "create_uid.rec_name")


@dataclass(slots=True)
class _Pass:
    """What one page of one stream is read with."""

    model: str
    position: cursors.Position
    told: Told
    begun: int | None
    """What is older than this was read before."""


class TrytonSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rewindable`, `Teams`, `Describing` and `Entitled`."""

    def __init__(self, options: TrytonOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._records = setting.records
        self._api = Api(options, setting)
        self._looked: dict[str, datetime] = {}
        """When deletions of each model were looked for last."""
        self._settled: dict[str, set[int]] = {}
        """Ids that are gone for long, by model: they need not be asked about again."""

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        self._api.forget()
        if not self._records:
            raise SourceError("no record types are configured: write `records`")
        for model, spec in self._records.items():
            if missing := [name for name in spec if not self._there(model, name)]:
                raise SourceError(f"{model}: no field {', '.join(missing)} that this user may read: are name and module right?")
            for row in self._api.search(model, [*spec, CREATED, WRITTEN], [], ["id"], limit=1):
                # Tryton leaves fields out that its access rules forbid, and says nothing.
                if hidden := [name for name in [*spec, CREATED, WRITTEN] if not has(row, name)]:
                    raise SourceError(f"{model}: the user of the key may not read {', '.join(hidden)}")
            if self._historic(model):
                self._api.revisions(model, [1])
            elif self._options.history:
                _log.info("the model keeps no history: only present states are read, no deletions", extra=self._facts(model))

    def rights(self) -> Sequence[Right]:
        return list(rights(self._api, list(self._records), self._people, history=self._options.history))

    def poll(self, cursor: Cursor | None) -> Page:
        with reading("Tryton"):
            told, positions = memory.load(cursor), cursors.load(cursor)[0]
            page = cursors.next_page(
                cursor,
                self._streams(),
                lambda stream, position: self._read(stream, position, positions, told),
                overlap=self._options.overlap,
                now=self._setting.now(),
            )
            self._forget(told, cursors.load(page.cursor)[0])
        return replace(page, cursor=memory.dump(page.cursor, told))

    def since(self, moment: datetime) -> Cursor:
        """Behind it stand present states only: those in between are older than what was told since."""
        cursor = cursors.since(dict.fromkeys(self._streams(), to_us(moment)))
        return memory.dump(cursor, {model: Told(floor=to_us(self._setting.now())) for model in self._records})

    def members(self, record_type: str, id: str) -> Sequence[Member]:
        described, asked = self._api.described(record_type), self._people(record_type)
        row = self._api.read(record_type, asked, [_number(id)]).get(_number(id), {})
        found: list[Member] = []
        for number, name in enumerate(self._working(described)):
            email = EMAILS.get(self._relation(described, name))
            label = "owner" if number == 0 else str(described[name].get("string") or name)
            for one in _several(look(row, name)):
                person = clean(str(look(one, "rec_name") or ""))
                address = look(one, email) if email else None
                found += [Member(name=person, email=str(address) if address else None, role=label)] if person else []
        return found

    def _people(self, model: str) -> list[str]:
        """What is read of who works on a record: names, and addresses where it is known where they stand."""
        described = self._api.described(model)
        working = {name: EMAILS.get(self._relation(described, name)) for name in self._working(described)}
        return [f"{name}.{path}" for name, email in working.items() for path in ("rec_name", email) if path]

    def _working(self, described: Mapping[str, Any]) -> list[str]:
        return [name for name in self._options.people if name in described]

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        return infos(self._api.described(record_type))

    def close(self) -> None:
        self._api.close()

    # --- streams

    def _streams(self) -> list[str]:
        return [
            f"{model}{kind}" for model in self._records for kind in (_CREATED, _WRITTEN, *([_DELETED] if self._historic(model) else []))
        ]

    def _read(
        self, stream: str, position: cursors.Position, positions: Mapping[str, cursors.Position], told: dict[str, Told]
    ) -> cursors.StreamPage:
        model, _, kind = stream.rpartition(" ")
        # A record that came and went is found by the look for deletions alone, so that only the one before counts there.
        others = () if f" {kind}" == _DELETED else (positions.get(model + _CREATED), positions.get(model + _WRITTEN))
        begun = [int(one.start) for one in (position, *others) if one and one.start is not None]
        this = _Pass(model, position, told.setdefault(model, Told()), max(begun, default=None))
        if f" {kind}" == _DELETED:
            return self._read_deleted(this, _high(positions, model))
        return self._read_rows(this, _STAMPS[f" {kind}"])

    def _forget(self, told: Mapping[str, Told], positions: Mapping[str, cursors.Position]) -> None:
        """What lies before the next look back of all streams."""
        for model, one in told.items():
            high, gone = _high(positions, model), positions.get(model + _DELETED)
            if high is not None and gone is not None and gone.high is not None:
                high = min(high, int(gone.high))
            if high is not None:
                one.forget(int(cursors.back(high, self._options.overlap, self._setting.now())))

    # --- what is there

    def _read_rows(self, this: _Pass, stamp: str) -> cursors.StreamPage:
        fields = self._fields(this.model)
        rows = self._api.search(this.model, fields, words.behind(stamp, this.position), [stamp, "id"], self._options.page)
        complete = len(rows) < self._options.page
        ends = {row["id"]: _stamp(this.model, row) for row in rows}
        seen: list[Observation] = []
        before: dict[int, Record] = {}
        if this.position.whole and self._historic(this.model):
            changed = {id: at for id, at in ends.items() if at > this.told.until(id)}
            revisions = self._api.revisions(this.model, list(changed)) if changed else {}
            instants = history.between(revisions, changed, this.told)
            if (most := history.affordable(list(ends), instants)) < len(rows):
                rows, complete = rows[:most], False
            instants = {row["id"]: instants.get(row["id"], []) for row in rows}
            before = self._before(this, revisions, instants)
            seen = self._states(this, fields, instants, before)
        found = each(
            rows,
            lambda row: self._observation(this, row, ends[row["id"]], before.pop(row["id"], None)),
            record_type=this.model,
            spec=self._records[this.model],
            id=lambda row: row["id"],
            now=self._setting.now(),
            all_or_none=this.position.start is None,
        )
        seen += found.observations()
        for row in rows:
            this.told.tell(row["id"], ends[row["id"]])
        last = (ends[rows[-1]["id"]], rows[-1]["id"]) if rows else None
        return cursors.StreamPage(sorted(seen, key=lambda one: one.occurred_at), last, complete)

    def _before(self, this: _Pass, revisions: Revisions, instants: Mapping[int, Sequence[int]]) -> dict[int, Record]:
        """Records as they were before the first state that is told now, where that was not told by us a moment ago."""
        ids = [id for id in instants if id not in this.told.last and any(at < this.told.floor for at in revisions.get(id, ()))]
        return self._api.read(this.model, list(self._records[this.model]), ids, this.told.floor - 1) if ids else {}

    def _states(
        self, this: _Pass, fields: Sequence[str], instants: Mapping[int, Sequence[int]], before: dict[int, Record]
    ) -> list[Observation]:
        """The states in between, in order; each is told once."""
        states = list(history.states(self._api, this.model, fields, instants))
        found = each(
            states,
            lambda one: self._observation(this, one.record, one.at, before.pop(one.id, None)),
            record_type=this.model,
            id=lambda one: one.id,
            now=self._setting.now(),
        )
        for one in states:
            this.told.tell(one.id, one.at)
        return found.observations()

    # --- what is gone

    def _read_deleted(self, this: _Pass, high: int | None) -> cursors.StreamPage:
        """Look at the ids behind the last page's: those that are missing, as many of them as one page may read."""
        model, position, now = this.model, this.position, self._setting.now()
        newest = max(high or 0, int(position.high or 0)) or to_us(now)
        after = int(position.after[1]) if position.after else 0
        if position.after is None and position.high is not None:
            looked = self._looked.get(model)
            if looked is not None and now - looked < timedelta(seconds=self._options.deletes_every):
                return cursors.StreamPage((), (position.high, 0), complete=True)
        listed = [row["id"] for row in self._api.search(model, [], [["id", ">", after]], ["id"], _LISTED)]
        complete = len(listed) < _LISTED
        upto = max([this.told.top, after, *listed[-1:]]) + _AHEAD if complete else listed[-1]
        settled = self._settled.setdefault(model, set())
        settled -= set(listed)
        missing = [id for id in history.gaps(listed, after, upto) if id not in settled]
        revisions = self._api.revisions(model, missing) if missing else {}
        start = int(position.start) if position.start is not None else int(cursors.back(newest, self._options.overlap, now))
        settled |= {id for id, instants in revisions.items() if instants[-1] < start}
        recent = {id: revisions[id] for id in sorted(revisions) if revisions[id][-1] >= start}
        due = {id: [at for at in instants[:-1] if at > this.told.until(id)] + instants[-1:] for id, instants in recent.items()}
        if (most := history.affordable(list(due), due)) < len(due):
            complete, upto = False, list(due)[most] - 1
            recent = {id: instants for id, instants in recent.items() if id <= upto}
        gone = history.deleted(self._api, model, recent)
        seen = self._last_words(this, recent, gone)
        if complete:
            self._looked[model] = now
        if position.after is None and complete:
            return cursors.StreamPage(seen, (max([newest, *gone.values()]), after), complete=True)
        # The ids of the first page may have gone while the others were looked at: the next look goes back to where this one began.
        began = int(position.after[0]) if position.after is not None else newest
        return cursors.StreamPage(seen, (began, after if complete else upto), complete)

    def _last_words(self, this: _Pass, revisions: Revisions, gone: Mapping[int, int]) -> list[Observation]:
        """What deleted records were since the last poll, and that they are deleted."""
        instants = history.between(revisions, gone, this.told) if this.position.whole else {}
        found = self._states(this, self._fields(this.model), instants, {})
        for id, at in gone.items():
            found.append(
                Observation(
                    record_type=this.model,
                    record_id=str(id),
                    fields={},
                    deleted=True,
                    version=from_us(at).isoformat(timespec="microseconds"),
                    occurred_at=from_us(at),
                    url=self._link(this.model, id),
                )
            )
            this.told.tell(id, at)
        return sorted(found, key=lambda one: one.occurred_at)

    # --- one record

    def _observation(self, this: _Pass, row: Record, at: int, before: Record | None) -> Observation:
        fields, created = self._values(this.model, row), words.instant(row.get(CREATED))
        earlier = self._values(this.model, before) if before is not None else {}
        actor = look(row, _ACTORS[0]) if row.get("write_uid") else look(row, _ACTORS[1])
        return Observation(
            record_type=this.model,
            record_id=str(row["id"]),
            fields=fields,
            # What is the same may be the present value of a related record, which has no history of its own.
            before={name: value for name, value in earlier.items() if value != fields[name]} if earlier else None,
            existed=this.begun is not None and created is not None and created < this.begun,
            version=from_us(at).isoformat(timespec="microseconds"),
            occurred_at=from_us(at),
            actor=clean(str(actor))[:200] if actor else None,
            url=self._link(this.model, row["id"]),
        )

    def _values(self, model: str, row: Record) -> dict[str, FieldValue]:
        return values(row, self._records[model], self._api.described(model), self._reading)

    def _fields(self, model: str) -> list[str]:
        return [*self._records[model], CREATED, WRITTEN, *_ACTORS]

    def _historic(self, model: str) -> bool:
        return self._options.history and self._api.keeps_history(model)

    def _there(self, model: str, name: str) -> bool:
        """Whether each part of a dotted name is a field of the model before it."""
        first, _, rest = name.partition(".")
        described = self._api.described(model)
        if first not in described or not rest:
            return first in described
        relation = self._relation(described, first)
        return not relation or self._there(relation, rest)

    @staticmethod
    def _relation(described: Mapping[str, Any], name: str) -> str:
        return str(described.get(name, {}).get("relation") or "")

    def _link(self, model: str, id: int) -> str:
        if self._options.record_url:
            return filled(self._options.record_url, model=model, id=str(id))
        return f"{self._options.url}/#{self._options.database}/model/{model}/{id}"

    def _facts(self, model: str) -> dict[str, str]:
        return {"source": self._setting.name, "record": model}


def _high(positions: Mapping[str, cursors.Position], model: str) -> int | None:
    """The newest stamp that was read of a model."""
    found = [int(one.high) for one in (positions.get(model + _CREATED), positions.get(model + _WRITTEN)) if one and one.high is not None]
    return max(found, default=None)


def _stamp(model: str, row: Record) -> int:
    """The instant of a record's last change: write_date, which is empty until the first one, or create_date."""
    at = words.instant(row.get(WRITTEN))
    at = at if at is not None else words.instant(row.get(CREATED))
    if at is None:
        raise SourceError(f"{model}: the record {row['id']} has no stamp: may the user read create_date and write_date?")
    return at


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _number(id: str) -> int:
    if not id.isascii() or not id.isdecimal():
        raise SourceError(f"{id[:50]!r} is no id of Tryton's")
    return int(id)
