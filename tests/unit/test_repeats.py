"""A repeat is what the sender repeats, never what only looks the same; and what was taken for one can be looked up."""

import asyncio
import contextlib
import json
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import NOW

from connectors.sources.webhook.options import WebhookOptions
from connectors.sources.webhook.source import WebhookSource
from crmbridge.contract import Setting, WebhookRequest
from crmbridge.errors import StoreError
from crmbridge.intake import interpreter
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.parts import Intake, cut
from crmbridge.intake.repeats import Repeats, repeated
from crmbridge.intake.webhooks import Webhooks
from crmbridge.model import (
    ChangeKind,
    Cursor,
    FieldSpec,
    LastBody,
    Observation,
    RecordRef,
    Repeat,
    Same,
    Unnamed,
    dump_observation,
    load_observation,
)
from crmbridge.rules.engine import Engine
from crmbridge.store import SqliteStore
from crmbridge.store.terms import AlreadyKnown, SourcePosition
from crmbridge.telemetry import Metrics

DEAL = RecordRef("crm", "Deal", "1")
DAY = timedelta(days=1)


async def _soon(_seconds, sleep=asyncio.sleep):
    await sleep(0)


IMPATIENT = mock.patch("crmbridge.intake.desk.asyncio.sleep", _soon)


def body(digest="d", item=0, at=NOW, within=DAY):
    return Unnamed(digest, item, at, within)


def seen(body=None, **more):
    return Observation(record_type="Deal", record_id="1", fields={}, occurred_at=NOW, body=body, **more)


# --- what is a repeat


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (None, body(), False),
        (LastBody("d", 0, NOW), body(at=NOW + DAY), True),
        (LastBody("d", 0, NOW), body(at=NOW + DAY + timedelta(seconds=1)), False),  # its sender has given up long ago
        (LastBody("d", 0, NOW), body(at=NOW - DAY), True),  # a clock that was set back
        (LastBody("e", 0, NOW), body(), False),
        (LastBody("d", 1, NOW), body(item=0), True),  # the first of two states that one body tells, after both
        (LastBody("d", 0, NOW), body(item=1), False),  # the second one, after the first
    ],
)
def test_the_same_bytes(last, now, expected):
    """Directly after, within the sender's patience, and no state that the first copy did not tell."""
    assert repeated(last, now) is expected


def test_the_version_decides_then_the_id_then_the_bytes():
    """And what differs in the first of them is no repeat, however alike the rest is."""
    known = AlreadyKnown({}, {"o": NOW - DAY}, {DEAL: LastBody("d", 0, NOW - DAY)})
    assert not Repeats(known, NOW).has(DEAL, seen(version="1", observation_id="o"))
    assert Repeats(known, NOW).has(DEAL, seen(observation_id="o"))
    assert not Repeats(known, NOW).has(DEAL, seen(observation_id="p"))
    assert Repeats(known, NOW).has(DEAL, seen(body()))
    assert not Repeats(known, NOW).has(DEAL, seen())


def test_a_repeat_is_counted_once_for_what_was_repeated():
    """With when it was new; a request that a kill left half done is none of its sender's."""
    asked = Repeats(AlreadyKnown({}, {"o": NOW - DAY}, {DEAL: LastBody("d", 0, NOW - DAY)}), NOW)
    assert [asked.has(DEAL, one) for one in (seen(observation_id="o"), seen(observation_id="o"), seen(body()))] == [True] * 3
    assert asked.again == [
        Repeat(DEAL, Same.ID, "o", NOW - DAY, NOW, 2),
        Repeat(DEAL, Same.BYTES, "d", NOW - DAY, NOW, 1),
    ]
    half = Repeats(AlreadyKnown({}, {}, {DEAL: LastBody("d", 3, NOW)}), NOW)
    assert (half.has(DEAL, seen(body(item=2))), list(half.again)) == (True, [])


def test_anything_else_of_the_record_comes_between():
    """Also what has a version or an id of its own, where a sender gives them only sometimes."""
    known = AlreadyKnown({}, {}, {DEAL: LastBody("d", 0, NOW)})
    for other in (seen(body("e")), seen(version="1"), seen(observation_id="o")):
        asked = Repeats(known, NOW)
        asked.note(DEAL, other)
        assert not asked.has(DEAL, seen(body()))
        assert asked.bodies == {DEAL: LastBody("e", 0, NOW) if other.body else None}
    silent = Repeats(AlreadyKnown({}, {}), NOW)
    silent.note(DEAL, seen(version="1"))
    assert silent.bodies == {}  # a sender that always gives one costs nothing


def test_what_is_put_aside_keeps_its_body():
    """So that it is tried again as it came; one that was put aside by an earlier version has none."""
    one = seen(body(within=timedelta(seconds=90)))
    assert load_observation(dump_observation(one)) == one
    assert load_observation(dump_observation(seen(observation_id="o"))).body is None


# --- parts


@given(st.lists(st.integers(0, 3), max_size=6), st.data())
def test_requests_are_closed_with_the_part_that_ends_them(sizes, data):
    """Every request once, never before its last observation, and never later than the part that holds it."""
    told_by = [row for row, size in enumerate(sizes) for _ in range(size)]
    total = len(told_by)
    ends = [*sorted(data.draw(st.sets(st.integers(1, total - 1)))) * (total > 1), total] if total > 1 else [total]
    position = SourcePosition(Cursor("c"))
    whole = Intake(
        source="crm",
        observations=[seen()] * total,
        told_by=told_by,
        closed=list(range(len(sizes))),
        failed={9: "no"},
        position=position,
    )
    parts = cut(whole, ends)
    assert [len(one.observations) for one in parts] == [end - start for start, end in zip([0, *ends], ends, strict=False)]
    assert sorted(id for one in parts for id in one.closed) == list(whole.closed)
    for index, one in enumerate(parts):
        later = {row for part in parts[index + 1 :] for row in part.told_by}
        assert not later & set(one.closed)
        assert set(one.told_by) <= later | {id for part in parts[: index + 1] for id in part.closed}
    assert [(one.failed, one.position) for one in parts] == [({}, None)] * (len(parts) - 1) + [({9: "no"}, position)]
    unknown = cut(Intake(source="crm", observations=[seen()] * 4, closed=[1, 2]), [2, 4])
    assert [one.closed for one in unknown] == [[], [1, 2]]


# --- a sender, its requests, and what is told of them


class Bridge:
    """A webhook source with its inbox, desk and store; it can be killed, and its store can fail."""

    def __init__(self, store, repeats_within=345_600, **map_):
        where = {"record_type": {"value": "Deal"}, "record_id": "item.id", "fields": "item", "items": "body.items"}
        options = WebhookOptions(signature={"scheme": "none"}, map={**where, **map_}, repeats_within=repeats_within)
        self.source = WebhookSource(options, Setting(name="crm", records={"Deal": {"stage": FieldSpec()}}))
        self.store = store
        self.now = NOW
        self.metrics = Metrics()
        self.kill_after, self.fail_at = set(), set()
        self.commits = 0
        self._killed = asyncio.Event()
        self._real, store.record = store.record, self._record

    async def _record(self, batch, now):
        self.commits += 1
        if self.commits in self.fail_at:
            raise StoreError("disk")
        new = await self._real(batch, now)
        if self.commits in self.kill_after:
            self._killed.set()
            await asyncio.Event().wait()
        return new

    def _begin(self):
        part = Interpreter(self.store, Engine([], {}), {"crm": {}}, metrics=self.metrics, now=lambda: self.now, recorded=lambda _: None)
        self.webhooks = Webhooks(self.store, part, {"crm": self.source}, metrics=self.metrics, now=lambda: self.now)
        self._task = asyncio.create_task(self.webhooks.run())

    async def __aenter__(self):
        self._begin()
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.webhooks.close()

    async def send(self, data, **headers):
        """One request, a minute after the last."""
        self.now += timedelta(minutes=1)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        assert (await self.webhooks.receive("crm", WebhookRequest(given, data, "", self.now))).status == 202

    async def settle(self):
        """Until all is interpreted; who is killed meanwhile begins again."""
        async with asyncio.timeout(60):
            while await self.store.waiting("crm", 0, 1):
                if self._killed.is_set():
                    self._killed.clear()
                    await self.__aexit__()
                    self._begin()
                assert not self._task.done()
                await asyncio.sleep(0.001)

    async def told(self):
        """The states of each record that were told, in order."""
        found = {}
        for one in await self.store.events_after(0, 10_000):
            if not one.stale:
                found.setdefault(one.event.record_id, []).append(str(one.event.fields["stage"]))
        return found

    async def again(self, id="1"):
        return [(one.same, one.count) for one in await self.store.repeats_of(id, 100)]


def items(*states, **more):
    """A body that tells states: pairs of a record and a stage."""
    return json.dumps({"items": [{"id": id, "stage": stage, **more} for id, stage in states]}).encode()


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield store
    store.close()


async def test_there_and_back_is_a_change_however_equal_the_bodies(store):
    """A, B, A, B are four; each sent twice, at once and a day later, they still are."""
    async with Bridge(store) as bridge:
        for stage in "ABAB":
            await bridge.send(items((1, stage)))
            await bridge.send(items((1, stage)))
            await bridge.settle()
            bridge.now += DAY
            await bridge.send(items((1, stage)))
            await bridge.settle()
        assert await bridge.told() == {"1": ["A", "B", "A", "B"]}
        assert sorted(await bridge.again()) == [(Same.BYTES, 4), (Same.BYTES, 4)]  # a row for A, and one for B
        assert bridge.metrics.registry.get_sample_value("crmbridge_observations_total", {"source": "crm", "outcome": "repeated"}) == 8


async def test_one_body_with_two_states_of_a_record(store):
    """Sent again it says nothing, in the time for which its sender tries; after that it is what it says."""
    async with Bridge(store, repeats_within=3600) as bridge:
        for pause, expected in ((0, "AB"), (3000, "AB"), (3600, "ABAB")):
            bridge.now += timedelta(seconds=pause)
            await bridge.send(items((1, "A"), (1, "B")))
            await bridge.settle()
            assert await bridge.told() == {"1": list(expected)}


async def test_another_record_does_not_come_between(store):
    """A batch tells of several; a repeat of it is one for each of them that nothing else was said of."""
    async with Bridge(store) as bridge:
        await bridge.send(items((1, "A"), (2, "A")))
        await bridge.send(items((2, "B")))
        await bridge.send(items((1, "A"), (2, "A")))
        await bridge.settle()
        assert await bridge.told() == {"1": ["A"], "2": ["A", "B", "A"]}
        assert (await bridge.again("1"), await bridge.again("2")) == ([(Same.BYTES, 1)], [])


async def test_created_and_deleted_are_told_once_however_often_they_come(store):
    """A header may say what happened: with another word in it the same body is another request."""
    kind = {"from": "headers.X-Topic", "created": ["new"], "deleted": ["gone"]}
    async with Bridge(store, kind=kind) as bridge:
        for topic in ("new", "new", "gone", "gone", "gone"):
            await bridge.send(items((1, "A")), x_topic=topic)
            await bridge.settle()
        assert [one.event.kind for one in await store.events_after(0, 10)] == [ChangeKind.CREATED, ChangeKind.DELETED]


async def test_an_id_is_a_repeat_for_as_long_as_ids_are_known(store):
    """Whatever came between; where the header is missing, the bytes decide."""
    async with Bridge(store, observation_id="headers.Idempotency-Key") as bridge:
        for stage, key in (("A", "1"), ("B", "2"), ("A", "1"), ("A", "3"), ("B", "2")):
            await bridge.send(items((1, stage)), idempotency_key=key)
            bridge.now += 9 * DAY
        for stage in "BBA":
            await bridge.send(items((1, stage)))
        await bridge.settle()
        assert await bridge.told() == {"1": ["A", "B", "A", "B", "A"]}
        assert sorted(await bridge.again()) == [(Same.BYTES, 1), (Same.ID, 1), (Same.ID, 1)]


async def test_a_sender_that_never_stops_takes_no_room(store):
    """However often the same comes again, it is one row."""
    async with Bridge(store) as bridge:
        for _ in range(300):
            await bridge.send(items((1, "A")))
        await bridge.settle()
        assert await bridge.again() == [(Same.BYTES, 299)]
        for name, expected in {"observations": 0, "bodies": 1, "repeats": 1, "inbox": 0, "events": 1}.items():
            query = f"SELECT count(*) FROM {name}"
            assert await store.database.read(lambda db, query=query: db.execute(query).fetchone()[0]) == expected, name


async def test_what_is_put_aside_is_nobodys_repeat(store):
    """What nobody could interpret was not handled, and what stood before it is no longer what was said last."""
    part = Interpreter(store, Engine([], {}), {"crm": {}}, metrics=Metrics(), now=lambda: NOW, recorded=lambda _: None)
    odd = Observation(record_type="Deal", record_id="1", fields={"S": "b"}, occurred_at=NOW, body=body("odd"), unreadable="odd")
    for one in (body("a"), None):
        good = Observation(record_type="Deal", record_id="1", fields={"S": "a"}, occurred_at=NOW, body=one)
        await part.take(Intake(source="crm", observations=[good if one else odd], requests=[1]))
    assert (await store.known([DEAL], "crm", [], True)).bodies == {}


@pytest.mark.parametrize("trouble", ["kill_after", "fail_at"])
async def test_nothing_is_told_twice_where_it_ends_between_two_parts(store, trouble):
    """What is taken again after a kill, or once the disk is well, would else stand behind what came after it."""
    with mock.patch.object(interpreter, "MAX_BATCH", 2), IMPATIENT:
        async with Bridge(store) as bridge:
            setattr(bridge, trouble, {2, 3, 5})
            for stage in "ABCABCABC":
                await bridge.send(items((1, stage)))
            await bridge.send(items(*((1, stage) for stage in "ABABAB")))
            await bridge.settle()
            assert await bridge.told() == {"1": list("ABCABCABCABABAB")}
            assert await bridge.again() == []


# --- generated histories

STATES = st.sampled_from("ABC")
LANES = (("1", "2"), ("3",))


@st.composite
def requests_of(draw, records, names):
    """What a sender made of some records, request by request: each a list of (record, stage, version)."""
    requests, stages, version = [], [], 0
    for _ in range(draw(st.integers(0, 6))):
        states = draw(st.lists(st.tuples(st.sampled_from(records), STATES), min_size=1, max_size=3))
        twice = len({id for id, _ in states}) < len(states)
        if names == "nothing" and (stages[-1:] == [states] or (twice and states in stages)):
            continue  # nobody could know that it is not the one before
        stages.append(states)
        requests.append([(id, stage, version := version + 1) for id, stage in states])
    return requests


@st.composite
def histories(draw):
    """How a sender names its requests, what it made in each lane, and in what order that arrives, as (lane, number of the request)."""
    names = draw(st.sampled_from(["nothing", "ids", "versions"]))
    lanes = [draw(requests_of(records, names)) for records in LANES]
    first = [(lane, index) for lane, requests in enumerate(lanes) for index in range(len(requests))]
    if names == "nothing":  # a copy comes before anything else of its records
        copies = [one for one in first for _ in range(draw(st.integers(1, 3)))]
        queues = [[one for one in copies if one[0] == lane] for lane in range(len(LANES))]
        arrived = [queues[lane].pop(0) for lane in draw(st.permutations([lane for lane, _ in copies]))]
    else:
        arrived = list(first)
        for one in first:  # a copy comes at any time after its original
            for _ in range(draw(st.integers(0, 2))):
                arrived.insert(draw(st.integers(arrived.index(one) + 1, len(arrived))), one)
        arrived = draw(st.permutations(arrived)) if names == "versions" else arrived
    trouble = draw(st.sampled_from(["kill_after", "fail_at"])), draw(st.sets(st.integers(1, 8), max_size=3))
    return names, lanes, arrived, trouble, draw(st.integers(1, 4)), draw(st.integers(1, 5))


def made(states):
    """The true changes among the states of a record."""
    return [stage for index, stage in enumerate(states) if index == 0 or stage != states[index - 1]]


def newest(arrived):
    """What can be told of versions out of order: each state that is newer than all before, where it is another one.

    And what can not: the states that came behind a newer one that says something else.
    """
    states, best, late = [], 0, set()
    for stage, version in arrived:
        if version >= best:
            states.append(stage)
            best = version
        elif stage != states[-1]:
            late.add(stage)
    return made(states), late


@given(histories())
def test_changes_told_are_changes_made(history):
    """With ids, whatever is sent again and whenever; with versions, in any order too; with neither, while copies come directly after.

    Equal bodies, several states in one request, kills and failures between any two commits.
    """
    names, lanes, arrived, (trouble, when), batch, together = history

    async def lived(folder):
        store = SqliteStore(Path(folder) / "store.db", synchronous="OFF")
        given = {"nothing": {}, "ids": {"observation_id": "headers.idempotency-key"}, "versions": {"version": "item.v"}}[names]
        async with Bridge(store, **given) as bridge:
            setattr(bridge, trouble, when)
            for number, (lane, index) in enumerate(arrived):
                told = [{"id": id, "stage": stage} | ({"v": v} if names == "versions" else {}) for id, stage, v in lanes[lane][index]]
                headers = {"idempotency_key": f"{lane}-{index}"} if names == "ids" else {}
                await bridge.send(json.dumps({"items": told}).encode(), **headers)
                if number % together == 0:
                    await bridge.settle()
            await bridge.settle()
            again = {id: sum(count for _, count in await bridge.again(id)) for id in "123"}
            stale = [one.event for one in await store.events_after(0, 10_000) if one.stale]
            found = await bridge.told(), again, stale
        store.close()
        return found

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(interpreter, "MAX_BATCH", batch),
        mock.patch("crmbridge.intake.desk.asyncio.sleep", _soon),
    ):
        told, again, stale = asyncio.run(lived(folder))

    copies, killed = Counter(arrived), trouble == "kill_after" and bool(when)
    for lane, requests in enumerate(lanes):
        for id in LANES[lane]:
            if names == "versions":
                came = [(stage, v) for of, index in arrived if of == lane for who, stage, v in lanes[of][index] if who == id]
                told_of, late = newest(came)
                refused = {one.fields["stage"] for one in stale if one.record_id == id}
                assert told.get(id, []) == told_of
                assert refused == late or (killed and refused > late)  # what was recorded before a kill is late after it
                assert again[id] == 0
            else:
                assert told.get(id, []) == made([stage for states in requests for who, stage, _ in states if who == id])
                repeats = sum((copies[lane, index] - 1) * sum(who == id for who, _, _ in states) for index, states in enumerate(requests))
                different = len({json.dumps([one[:2] for one in states]) for states in requests}) == len(requests)
                assert again[id] >= repeats
                # A kill within a request may have us count some of it twice; and of bodies that are alike nobody knows which is a copy.
                assert again[id] == repeats or killed or (names == "nothing" and not different)
