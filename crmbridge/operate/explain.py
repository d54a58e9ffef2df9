"""Explanations why something was said, or not: from what people hold, by changes, rules and deliveries, to the gaps between them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from crmbridge.intake.deliveries import run
from crmbridge.model import ChangeEvent, Delivery, RecordRef, Repeat, Same, counted, local_moment, verbs
from crmbridge.operate import names, shapes
from crmbridge.operate.look import LIMIT, Answers
from crmbridge.operate.port import Port
from crmbridge.operate.selection import OrderRefused, remote_ids
from crmbridge.rules.engine import Engine
from crmbridge.store.terms import Journalled

_CHANGES, _DELIVERIES, _RECORDS, _REPEATS = 20, 200, 10, 20


class Explain:
    """The answers of `explain`."""

    def __init__(self, port: Port, look: Answers) -> None:
        self._port = port
        self._store = port.store
        self._look = look

    async def explain(self, name: str, changes: int = _CHANGES) -> dict[str, Any]:
        """Explain what is known under a name.

        The name is a CRM address, a record (`source/type/id`, its id alone, or a part of its name), a change, a delivery, or a published
        message. If the name may mean several records, `found` lists them.
        """
        asked = name.strip()
        records, wanted = await self._meant_by(asked)
        notes = await self._meant_too(asked, records)
        if not records and asked and not asked.startswith("http"):
            named = await names.find(self._port, asked)
            if len(named.hits) != 1:
                said = _several(asked, named) if named.hits else await self._never_seen(name)
                return {"records": [], "found": [one.shown() for one in named.hits], "notes": said}
            (hit,) = named.hits
            records, notes = [hit.record], [f"found by its name: {hit.field} is {hit.value}", *_partly(named)]
        if not records:
            return {"records": [], "found": [], "notes": await self._never_seen(name)}
        explained = [await self._explained(record, wanted, min(changes, 100)) for record in records]
        return {"records": explained, "found": [], "notes": notes}

    async def _meant_too(self, name: str, records: list[RecordRef]) -> list[str]:
        """Find the records whose id is also the number of a delivery. The delivery is shown, and these records are only noted."""
        if not (name.isascii() and name.isdigit()) or not await self._store.delivery(name):
            return []
        others = [one for one in await self._store.records_named(name, _RECORDS) if one not in records]
        return [f"{name} is delivery {name} here; it is also the id of {one}: `crmbridge explain {one}`" for one in others]

    async def _meant_by(self, name: str) -> tuple[list[RecordRef], str | None]:
        """Find the records that `name` is about, and the change that it names, if it names one."""
        if event := await self._store.event(name):
            return [event.record], event.id
        if not name.startswith("http") and (found := await self._store.delivery(name)):
            return [found[0].message.record], found[0].event_id or None
        for remote_id in remote_ids(name, self._port.config.destinations):
            for key in await self._store.receipts_named(remote_id):
                if found := await self._store.delivery(key):
                    return [found[0].message.record], found[0].event_id or None
        if name.count("/") >= 2 and not name.startswith("http"):
            ref = RecordRef(*name.split("/", 2))
            known = (await self._store.known([ref])).snapshots or await self._store.events_of(ref, 1) or ref in await self._aside()
            return ([ref] if known or await self._repeats(ref) else []), None
        parts = [name, *reversed([part for part in re.split(r"[/?=&#]+", name) if part])]
        for part in parts:
            if records := await self._store.records_named(part, _RECORDS):
                return records, None
        for part in parts:  # a record never looked at, for it came with the id of something else
            if again := await self._store.repeats_of(part, LIMIT):
                return list(dict.fromkeys(one.record for one in again))[:_RECORDS], None
        aside = await self._aside()
        for part in parts:
            if records := [ref for ref in aside if part in (ref.id, ref.inner, str(ref))]:
                return records[:_RECORDS], None
        return [], None

    async def _aside(self) -> dict[RecordRef, str]:
        """Return the records that wait for a person because nobody could interpret them, each with the reason."""
        failed = await self._store.failed_requests(LIMIT)
        return {RecordRef(row.source, *row.record.split("/", 1)): f"request:{row.id}: {why}" for row, why in failed if row.record}

    async def _repeats(self, record: RecordRef) -> list[Repeat]:
        """Return what was taken for a repeat of a record, the latest first."""
        return [one for one in await self._store.repeats_of(record.id, LIMIT) if one.record == record][:_REPEATS]

    async def _explained(self, record: RecordRef, wanted: str | None, changes: int) -> dict[str, Any]:
        engine = self._port.engine
        snapshot = (await self._store.known([record])).snapshots.get(record)
        journal = await self._store.events_of(record, changes)
        deliveries = await self._store.deliveries_of(record, _DELIVERIES)
        repeats = await self._repeats(record)
        by_event: dict[str, list[Delivery]] = {}
        for one in deliveries:
            by_event.setdefault(one.event_id, []).append(one)
        picked = [one for one in journal if wanted is None or one.event.id == wanted]
        hidden = shapes.secret_fields(record.source, record.type, engine.records)
        return {
            "record": str(record),
            "now": shapes.values(snapshot.fields, hidden, engine.reading(record.source)) if snapshot else None,
            "revision": snapshot.revision if snapshot else None,
            "deleted": snapshot.deleted if snapshot else None,
            "changes": [await self._change(one, engine, by_event.get(one.event.id, [])) for one in picked],
            "repeats": [shapes.repeat(one) for one in repeats],
            "notes": await self._notes(record, engine, journal, repeats, snapshot is not None and snapshot.revision == 0),
        }

    async def _change(self, one: Journalled, engine: Engine, deliveries: list[Delivery]) -> dict[str, Any]:
        told = []
        for delivery in deliveries:
            found = await self._store.delivery(str(delivery.id))
            attempts = found[1] if found else []
            told.append(
                shapes.delivery(delivery, self._port.engine) | {"attempts_failed": [shapes.attempt(attempt) for attempt in attempts]}
            )
        return shapes.event(one.event, engine) | {
            "seq": one.seq,
            "recorded_at": one.recorded_at.isoformat(),
            "stale": one.stale,
            "rules": [] if one.stale else await verdicts(engine, one.event),
            "deliveries": told,
        }

    async def _notes(self, record: RecordRef, engine: Engine, journal: list[Journalled], repeats: list[Repeat], learnt: bool) -> list[str]:
        notes = []
        if why := (await self._aside()).get(record):
            notes.append(f"its newest state could not be interpreted and is put aside, see `crmbridge dead list`: {why}")
        if not journal and learnt:
            notes.append("it was learnt silently, when this source was first read: nothing of it has changed since")
        elif not journal:
            notes.append("the journal holds no change of it: none came, or retention has removed them")
        if any(one.stale for one in journal):
            notes.append("stale changes came after newer ones and were not said")
        notes += map(said_again, repeats)
        spec = engine.records.get((record.source, record.type))
        if spec:
            notes.append(f"only these fields count as changes: {', '.join(spec)}")
        if not any(rule.source == record.source and rule.record == record.type for rule in engine.rules):
            notes.append(f"no rule looks at {record.type} of {record.source}")
        notes += await self._source_notes(record.source)
        return notes

    def _when(self, instant: str | None) -> str:
        """Write an instant as every verb does, in the configured zone."""
        return local_moment(datetime.fromisoformat(instant), self._port.engine.zone) if instant else ""

    async def _source_notes(self, source: str) -> list[str]:
        facts = await self._look.overview()
        notes = []
        if position := facts["sources"].get(source):
            notes.append(f"{source} was last read at {self._when(position['polled_at']) or 'no time yet'}")
            if not position["baselined"]:
                notes.append(f"{source} is still learning what exists: nothing of it is said before that ends")
        waiting = sum(one["count"] for one in facts["inbox"] if one["source"] == source and not one["failed"])
        failed = sum(one["count"] for one in facts["inbox"] if one["source"] == source and one["failed"])
        if waiting:
            notes.append(f"{counted(waiting, 'request')} of {source} {verbs(waiting)['wait']} to be interpreted")
        if failed:
            notes.append(f"{counted(failed, 'request')} of {source} could not be interpreted: `crmbridge dead list`")
        notes += [f"paused since {one['since'][:19]}: {one['kind']} {one['name']}: {one['reason']}" for one in facts["pauses"]]
        return notes

    async def _never_seen(self, name: str) -> list[str]:
        if not name.strip():
            raise OrderRefused("name something: an address, a record, a change, a delivery")
        facts = await self._look.overview()
        notes = [f"nothing here is known as {name}: no change of such a record has come in"]
        sources = (
            {rule.source for rule in self._port.engine.rules}
            | {source for source, _ in self._port.engine.records}
            | facts["sources"].keys()
        )
        for source in sorted(sources):
            notes += await self._source_notes(source)
        return notes


def _several(name: str, named: names.ByName) -> list[str]:
    """Say what to do where many records have the name."""
    shown, first = len(named.hits), named.hits[0].record
    more = (
        "" if named.count == shown else f"; these are {shown} of {named.count}{'' if named.whole else ' or more'}: write more of the name"
    )
    return [f'{named.count} records have "{name}" in their names{more}. Next: `crmbridge explain {first}`', *_partly(named)]


def _partly(named: names.ByName) -> list[str]:
    """Say that there are more records than one question looks through, if so."""
    return [] if named.whole else ["not all records were looked through: one that is not here may be there, by its id"]


def said_again(one: Repeat) -> str:
    """Say who sent something again, when, and why it was taken for a repeat."""
    first, last = one.first_at.isoformat()[:19], one.last_at.isoformat()[:19]
    when = f"at {last}" if one.count == 1 else f"{one.count} times, last at {last},"
    if one.same is Same.ID:
        why = f"has the id {one.name}, which came at {first} already"
    else:
        why = f"has the same bytes as at {first}, and nothing else of this record came between"
    return f"what {one.record.source} sent {when} {why}: taken for a repeat, and not looked at"


async def verdicts(engine: Engine, event: ChangeEvent) -> list[dict[str, Any]]:
    """Say for every present rule about such a record whether it runs for this change, and which clause failed on which values."""
    looked = {verdict.rule: verdict for verdict in (await run(engine, event)).verdicts}
    found = []
    for rule in engine.rules:
        if (rule.source, rule.record) != (event.source, event.record_type):
            continue
        if verdict := looked.get(rule.id):
            found.append({"rule": rule.id, "matched": verdict.matched, "reason": verdict.reason})
        elif event.kind not in rule.kinds:
            kinds = ", ".join(sorted(rule.kinds))
            found.append({"rule": rule.id, "matched": False, "reason": f"it looks at {kinds}; this is {event.kind}"})
        else:
            found.append({"rule": rule.id, "matched": False, "reason": "a rule before it ends with `stop`"})
    return found
