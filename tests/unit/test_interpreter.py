"""Observations become events and deliveries, in one transaction each, on a real store."""

import tempfile
from dataclasses import replace
from datetime import timezone
from pathlib import Path

import pytest
import yaml
from shared import NOW

from crmbridge.config.load import load
from crmbridge.errors import RenderError, StoreError
from crmbridge.intake.deliveries import rerender
from crmbridge.intake.interpreter import Intake, Interpreter
from crmbridge.model import Cursor, FieldSpec, Observation, RecordRef, State, load_message, plain
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Batch, Entry, Selection, Snapshot, SourcePosition
from crmbridge.telemetry import Metrics

SPEC = {"Deal": {"S": FieldSpec(), "N": FieldSpec()}}


def engine(text="{{ record.S }}", *, records=None, **more):
    """One rule about deals, for one destination, read as any configuration is."""
    rule = {
        "id": "r",
        "when": {"source": "crm", "record": "Deal", "event": ["created", "updated", "deleted"]},
        "publish": [{"to": "out", "text": text}],
    }
    map_ = {"record_type": "body.type", "record_id": "body.id", "fields": "body"}
    known = {name: {"fields": dict.fromkeys(spec, "internal")} for name, spec in (records or {}).items()}
    config = {
        "crmbridge": 1,
        "sources": {"crm": {"type": "webhook", "signature": {"scheme": "none"}, "map": map_, "records": known}},
        "destinations": {
            "out": {"type": "console", "surge": "off"},
            "wins": {"type": "slack", "token": {"env": "NONE"}, "channel": "#wins", "surge": "off"},
        },
        "rules": [rule | more],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crmbridge.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        return load(path, secrets=False).engine


def seen(record_id="1", version=None, observation_id=None, **fields):
    return Observation(
        record_type="Deal", record_id=record_id, fields=fields, occurred_at=NOW, version=version, observation_id=observation_id
    )


class Part:
    """An interpreter on its store, with what it told."""

    def __init__(self, store, rules=None, records=None):
        self.store = store
        self.metrics = Metrics()
        self.nudged = []
        self.interpreter = Interpreter(
            store, rules or engine(), {"crm": records or {}}, metrics=self.metrics, now=lambda: NOW, recorded=self.nudged.append
        )

    async def take(self, *observations, **more):
        await self.interpreter.take(Intake(source="crm", observations=observations, **more))

    async def said(self):
        rows = await self.store.database.read(
            lambda db: db.execute("SELECT message FROM deliveries WHERE state = 'queued' ORDER BY id").fetchall()
        )
        return [plain(load_message(row[0]).text) for row in rows]

    def count(self, outcome):
        return self.metrics.registry.get_sample_value("crmbridge_observations_total", {"source": "crm", "outcome": outcome}) or 0


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield store
    store.close()


@pytest.fixture
def part(store):
    return Part(store)


async def test_a_change_becomes_a_delivery(part):
    """And whoever publishes it hears of it, after the commit."""
    await part.take(seen(S="a"))

    assert await part.said() == ["a"]
    assert [{"out"}] == part.nudged
    assert {RecordRef("crm", "Deal", "1"): Snapshot(1, None, False, {"S": "a"})} == (
        await part.store.known([RecordRef("crm", "Deal", "1")])
    ).snapshots


async def test_several_changes_of_one_record_in_one_batch(part):
    """Each is an event of its own, in order; the snapshot is the last one's; the next batch goes on from there."""
    await part.take(seen(S="a"), seen("2", S="x"), seen(S="b"), seen(S="b"), seen(S="a"))
    await part.take(seen(S="a"), seen(S="c"))

    assert await part.said() == ["a", "x", "b", "a", "c"]
    found = (await part.store.known([RecordRef("crm", "Deal", "1"), RecordRef("crm", "Deal", "2")])).snapshots
    assert [(one.revision, one.fields) for one in found.values()] == [(4, {"S": "c"}), (1, {"S": "x"})]
    assert (part.count("change"), part.count("unchanged")) == (5, 2)


async def test_a_conflict_is_interpreted_again(part):
    """Someone recorded the record between our look and our write: their change is then known."""
    record, real = RecordRef("crm", "Deal", "1"), part.store.known
    await part.take(seen(S="a"))

    async def overtaken(*asked):
        found = await real(*asked)
        part.store.known = real
        await part.store.record(
            Batch(source="crm", entries=[Entry(record=record, snapshot=Snapshot(2, None, False, {"S": "b"}), assumed=1)]), NOW
        )
        return found

    part.store.known = overtaken
    await part.take(seen(S="b"))
    assert await part.said() == ["a"]

    await part.take(seen(S="c"))
    assert await part.said() == ["a", "c"]
    assert [one.event.revision for one in await part.store.events_after(0, 10)] == [1, 3]


async def test_conflicts_without_end_are_an_error(part):
    """Not a loop for ever."""
    real = part.store.known
    await part.take(seen(S="a"))

    async def old(*asked):
        found = await real(*asked)
        return replace(found, snapshots={one: Snapshot(0, None, False, {}) for one in found.snapshots})

    part.store.known = old
    with pytest.raises(StoreError, match="changed 20 times"):
        await part.take(seen(S="b"))


async def test_a_large_page_is_recorded_in_parts(part, store):
    """At most 200 in a transaction; what closes the page is written with its last part only."""
    row = await store.accept("crm", {}, "", b"x", NOW)
    batches, real = [], store.record

    async def record(batch, now):
        batches.append(batch)
        return await real(batch, now)

    store.record = record
    position = SourcePosition(Cursor("c"), True, NOW)
    await part.take(*(seen(str(n), S="a") for n in range(401)), closed=[row.id], failed={77: "no"}, position=position)

    assert [len(one.entries) for one in batches] == [200, 200, 1]
    assert [([], {}, None), ([], {}, None), ([row.id], {77: "no"}, position)] == [(one.closed, one.failed, one.position) for one in batches]
    assert len(await part.said()) == 401
    assert await store.waiting("crm", 0, 10) == []


async def test_a_page_that_is_interrupted_is_taken_again(part, store):
    """The first part was recorded, the second one failed: all of it comes again, and nothing is said twice."""
    real, calls = store.record, []

    async def record(batch, now):
        calls.append(batch)
        if len(calls) == 2:
            raise StoreError("the plug was pulled")
        return await real(batch, now)

    store.record = record
    page = [seen(str(n), observation_id=f"o{n}", S="a") for n in range(250)]
    with pytest.raises(StoreError, match="plug"):
        await part.take(*page, position=SourcePosition(Cursor("c"), False, NOW))
    assert SourcePosition() == await store.position("crm")

    await part.take(*page, position=SourcePosition(Cursor("c"), False, NOW))
    assert 250 == len(await part.said()) == await store.last_event()
    assert part.count("repeated") == 200


async def test_an_empty_page_moves_the_cursor(part, store):
    """Else a quiet source would be read from the beginning for ever."""
    await part.take(position=SourcePosition(Cursor("c"), True, NOW))

    assert SourcePosition(Cursor("c"), True, NOW) == await store.position("crm")
    assert part.nudged == []


async def test_what_cannot_be_rendered_is_a_dead_letter(store):
    """The rest of the page goes on, and the rules as mended can say it."""
    part = Part(store, engine("{{ record.S }} {{ record.N }}"))
    await part.take(seen("1", S="a"), seen("2", S="b", N="n"), seen("3", S="", N=""))

    assert await part.said() == ["b n"]
    dead = await store.select([State.DEAD], Selection())
    assert [(one.reason, one.message.record.id) for one in dead] == [("unrenderable", "3"), ("unrenderable", "1")]
    assert "record.N" in dead[1].last_error
    assert part.metrics.registry.get_sample_value("crmbridge_rule_errors_total", {"rule": "r"}) == 2
    assert [{"out"}] == part.nudged

    event = await store.event(dead[1].event_id)
    assert rerender(engine("{{ record.S }}"), event, dead[1].key).text[0].text == "a"
    with pytest.raises(RenderError, match=r"record\.N"):
        rerender(engine("{{ record.S }} {{ record.N }}"), event, dead[1].key)
    with pytest.raises(RenderError, match="no longer say anything"):
        rerender(engine(match={"S": "z"}), event, dead[1].key)


async def test_only_unrenderable_wakes_nobody(store):
    """There is nothing to publish."""
    part = Part(store, engine("{{ record.N }}"))
    await part.take(seen(S="a"))

    assert part.nudged == []


async def test_a_condition_that_fails_does_not_match(store):
    """It counts, and it stops nothing."""
    part = Part(store, engine(**{"if": "record.S > 3"}))
    await part.take(seen("1", S="text"), seen("2", S="text"))

    assert await part.said() == []
    assert part.metrics.registry.get_sample_value("crmbridge_rule_errors_total", {"rule": "r"}) == 2


async def test_redeliveries_are_known_by_their_id(part):
    """In one batch and across batches; a versioned one is judged by its version instead."""
    await part.take(seen(observation_id="o1", S="a"), seen(observation_id="o2", S="b"), seen(observation_id="o2", S="z"))
    await part.take(seen(observation_id="o1", S="a"), seen(observation_id="o3", S="c"))
    await part.take(seen(observation_id="o1", version="5", S="d"), seen(observation_id="o1", version="4", S="e"))

    assert await part.said() == ["a", "b", "c", "d"]
    assert (part.count("repeated"), part.count("stale")) == (2, 1)
    assert [one.stale for one in await part.store.events_after(0, 10)] == [False] * 4 + [True]


async def test_only_configured_fields_count(store):
    """A change of any other field is no change, and it is not stored; another record type is read as it comes."""
    part = Part(store, engine(records=SPEC), SPEC)
    await part.take(seen(S="a", Secret="s"))
    await part.take(seen(S="a", Secret="t"))
    assert await part.said() == ["a"]
    event = (await store.events_after(0, 10))[0].event
    assert event.fields == {"S": "a"}

    other = Observation(record_type="Lead", record_id="1", fields={"Any": "x"}, occurred_at=NOW)
    await part.take(other)
    assert ((await store.known([RecordRef("crm", "Lead", "1")])).snapshots)[RecordRef("crm", "Lead", "1")].fields == {"Any": "x"}


async def test_a_field_that_is_configured_later_is_learnt(store):
    """No message about a value that was there all along."""
    part = Part(store, engine(), {"Deal": {"S": FieldSpec()}})
    await part.take(seen(S="a", N="1"))
    part.interpreter.records = {"crm": SPEC}  # reload
    await part.take(seen(S="a", N="1"))
    assert await part.said() == ["a"]

    await part.take(seen(S="a", N="2"))
    assert await part.said() == ["a", "a"]


async def test_before_is_narrowed_too(store):
    """A secret old value is as secret as the new one."""
    part = Part(store, engine(records=SPEC), SPEC)
    one = Observation(record_type="Deal", record_id="1", fields={"S": "b"}, before={"S": "a", "Secret": "s"}, occurred_at=NOW)
    await part.take(one)

    event = (await store.events_after(0, 10))[0].event
    assert event.before == {"S": "a"}


async def test_a_silent_baseline_then_news(part):
    """What exists is learnt; what changes or appears afterwards is said."""
    await part.take(seen("1", S="a"), seen("2", S="a"), learning=True)
    assert (await part.store.last_event(), await part.said()) == (0, [])

    await part.take(seen("1", S="a"), seen("2", S="b"), seen("3", S="new"), unseen_is_new=True)
    assert await part.said() == ["b", "new"]
    assert [one.event.kind.value for one in await part.store.events_after(0, 10)] == ["updated", "created"]
    assert timezone.utc is NOW.tzinfo
