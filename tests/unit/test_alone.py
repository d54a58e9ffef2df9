"""One failing thing fails alone: a record, a request, a message; whatever is wrong with it, and however often it ended the process."""

import asyncio
import sqlite3
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from shared import NOW
from store_contract import batch, entry, other
from test_interpreter import Part, engine, seen
from test_orders import verbs
from test_publisher import Batching, Network, Running, _holds, until
from test_webhooks import Door

from crmbridge.errors import StoreError
from crmbridge.intake import interpreter as interpreter_module
from crmbridge.intake.interpreter import Intake
from crmbridge.model import Cursor, FieldSpec, RecordRef, Sensitivity, State, dump_observation, load_observation
from crmbridge.operate.port import Stopped
from crmbridge.rules.engine import Engine
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Selection, Settlement, SourcePosition
from crmbridge.store.underway import MOST

POISON = RecordRef("crm", "Deal", "poison")


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield store
    store.close()


class Poisoned(Engine):
    """Rules that a bug of ours ends for one record, as long as it says so."""

    def running(self, event, outcome, generation=0, only=None):
        if event.fields["S"] == "poison":
            raise RuntimeError("nobody foresaw this")
        return super().running(event, outcome, generation, only)


def poisoned():
    good = engine()
    return Poisoned(good.rules, good.records, good.zone)


def stopped(store, part):
    """What orders work on while no daemon runs."""
    return Stopped(store=store, config=SimpleNamespace(engine=part.interpreter.engine, destinations={}), clock=lambda: NOW, built=None)


async def aside(store):
    return [(row.record, reason) for row, reason in await store.failed_requests()]


# --- records


async def test_one_record_that_cannot_be_interpreted_is_put_aside_and_the_cursor_moves(store):
    """It would stop its source for ever otherwise: each poll would meet it again."""
    part = Part(store, poisoned())
    position = SourcePosition(Cursor("c"), True, NOW)
    await part.take(seen("1", S="a"), seen("poison", S="poison"), seen("2", S="b"), position=position)

    assert await part.said() == ["a", "b"]
    assert await store.position("crm") == position
    assert await aside(store) == [("Deal/poison", "RuntimeError: nobody foresaw this")]
    assert part.metrics.registry.get_sample_value("crmbridge_quarantined_total", {"source": "crm"}) == 1


async def test_a_record_that_is_put_aside_twice_is_there_once_in_its_newest_state(store):
    part = Part(store, poisoned())
    for version in ("1", "2"):
        await part.take(seen("poison", version=version, S="poison"))

    ((row, _),) = await store.failed_requests()
    found = await store.failed_request(row.id)
    assert load_observation(found[0].body).version == "2"


async def test_a_newer_state_that_can_be_interpreted_ends_it(store):
    """Nobody need look at what is over; also after a restart."""
    part = Part(store, poisoned())
    await part.take(seen("poison", version="1", S="poison"))
    part = Part(store, poisoned())
    await part.interpreter.remember()
    await part.take(seen("poison", version="2", S="good"))

    assert (await part.said(), await aside(store)) == (["good"], [])


async def test_a_record_is_told_as_it_would_have_been_when_a_person_tries_it_again(store):
    """What was new when it was read is new; what was learnt silently is learnt silently."""
    part = Part(store, poisoned())
    await part.take(seen("new", S="poison"), unseen_is_new=True)
    await part.take(seen("old", S="poison"), learning=False)
    door = Door(store)
    for row, _ in await store.failed_requests():
        await store.retry_request(row.id)
    async with door:
        await door.quiet()

    kinds = {one.event.record_id: one.event.kind.value for one in await store.events_after(0, 10)}
    assert kinds == {"new": "created", "old": "updated"}
    assert await aside(store) == []


async def test_what_the_source_itself_could_not_read_is_put_aside(store):
    part = Part(store)
    await part.take(seen("1", S="a"), replace(seen("odd", row="{...}"), unreadable="no stamp stands at updated"))

    assert await part.said() == ["a"]
    assert await aside(store) == [("Deal/odd", "no stamp stands at updated")]


async def test_a_record_that_cannot_be_written_is_found_among_many(store):
    """The database refuses one row of a transaction: all the others are recorded."""
    part, real = Part(store), store.record

    async def record(batch, now):
        if any(one.record == POISON for one in batch.entries):
            raise sqlite3.IntegrityError("a constraint")
        return await real(batch, now)

    store.record = record
    page = [seen(str(n), S="a") for n in range(70)] + [seen("poison", S="b")] + [seen(f"x{n}", S="c") for n in range(70)]
    await part.take(*page, position=SourcePosition(Cursor("c"), True, NOW))

    assert len(await part.said()) == 140
    assert (await store.position("crm")).cursor == "c"
    assert await aside(store) == [("Deal/poison", "IntegrityError: a constraint")]


async def test_while_nothing_can_be_written_nothing_is_put_aside(store):
    """A disk is full, and no record is to blame."""
    part = Part(store)

    async def record(batch, now):
        raise StoreError("the disk is full")

    real, store.record = store.record, record
    with pytest.raises(StoreError):
        await part.take(seen("1", S="a"))
    store.record = real
    assert await aside(store) == []


async def test_a_secret_field_of_what_is_put_aside_is_shown_to_nobody(store):
    """It is kept, for the record may be told one day; people see what they may."""
    good = engine()
    spec = {"S": FieldSpec(), "Pin": FieldSpec(sensitivity=Sensitivity.SECRET)}
    part = Part(store, Poisoned(good.rules, {("crm", "Deal"): spec}, good.zone), {"Deal": spec})
    await part.take(seen("poison", S="poison", Pin="1234"))
    desk = verbs(stopped(store, part))
    ((row, _),) = await store.failed_requests()

    assert b"1234" in (await store.failed_request(row.id))[0].body
    shown = await desk["show"](f"request:{row.id}")
    assert (shown["record"], shown["body"]) == ("Deal/poison", '{"fields": {"Pin": "***", "S": "poison"}, "before": {}}')
    assert "1234" not in str(await desk["dead_list"]()) + str(await desk["explain"]("poison"))
    (note, *_) = (await desk["explain"]("crm/Deal/poison"))["records"][0]["notes"]
    assert "nobody foresaw this" in note


async def test_what_cannot_even_be_written_down_is_kept_as_words(store):
    part = Part(store)
    await part.take(replace(seen("odd", S=object()), unreadable="odd"))

    ((row, _),) = await store.failed_requests()
    found = await store.failed_request(row.id)
    assert b"object object" in found[0].body
    with pytest.raises(ValueError):
        load_observation(found[0].body)


def test_an_observation_survives_being_written():
    one = replace(seen("é", S=(Decimal("1.50"), None)), before={"S": True}, created=True, actor="ann", url="https://x", merged_into="7")

    assert load_observation(dump_observation(one)) == one
    for body in (b"", b"[]", b"{}", b"null", b'{"fields": 3}'):
        with pytest.raises(ValueError):
            load_observation(body)


async def test_a_message_that_cannot_be_written_costs_only_itself(store):
    """A layout of which no JSON can be made: the change and its other messages are recorded."""
    layout = {"to": "wins", "text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{{ record.S }}"}}]}
    part = Part(store, engine(publish=[{"to": "out", "text": "{{ record.S }}"}, layout]))
    (rule,) = part.interpreter.engine.rules
    odd = replace(rule, steps=(rule.steps[0], replace(rule.steps[1], blocks=[{"odd": object()}])))
    part.interpreter.engine = Engine([odd], {}, part.interpreter.engine.zone)
    await part.take(seen("1", S="a"))

    assert await part.said() == ["a"]
    (dead,) = await store.select([State.DEAD], Selection())
    assert (dead.reason, dead.message.step, dead.last_error.partition(": ")[0]) == ("unrenderable", "wins", "it cannot be written")


# --- what ended the process


async def test_a_record_that_ended_the_process_is_taken_alone_and_then_never_again(store):
    """Kept for a person after the third time; until then nothing else of that kind is worked on meanwhile."""
    for _ in range(MOST - 1):
        await store.crashed([], [POISON], [], NOW)
    part = Part(store)
    await part.interpreter.remember()
    batches, real = [], store.record

    async def record(batch, now):
        batches.append([one.record.id for one in batch.entries])
        return await real(batch, now)

    store.record = record
    async with part.interpreter._under_way.alone:
        taking = asyncio.create_task(part.take(seen("1", S="a"), seen("poison", S="b"), seen("2", S="c")))
        await asyncio.sleep(0.05)
        assert batches == [["1"]]
    await taking
    assert batches == [["1"], ["poison"], ["2"]]
    assert await store.suspects() == {}  # it did no harm: it begins anew

    for _ in range(MOST):
        await store.crashed([], [POISON], [], NOW)
    part = Part(store)
    await part.interpreter.remember()
    await part.take(seen("poison", S="z"), seen("3", S="d"))
    assert await part.said() == ["a", "b", "c", "d"]
    assert await aside(store) == [("Deal/poison", "crmbridge ended 3 times while it was interpreted")]


async def test_it_is_noted_on_which_record_we_work(store, tmp_path):
    """As a process that ends in the midst of it would leave it; and nothing is left when it is done."""
    under_way = interpreter_module.UnderWay(tmp_path / "u")
    left = []

    class Looking(Engine):
        def running(self, event, outcome, generation=0, only=None):
            left.append(interpreter_module.UnderWay(tmp_path / "u").left)
            return super().running(event, outcome, generation, only)

    good = engine()
    part = Part(store, Looking(good.rules, good.records, good.zone))
    part.interpreter._under_way = under_way
    await part.take(seen("1", S="a"))
    await part.take(seen("2", S="a"), requests=[7, 8])

    assert [(one.records, one.requests) for one in left] == [((RecordRef("crm", "Deal", "1"),), ()), ((), (7, 8))]
    assert interpreter_module.UnderWay(tmp_path / "u").left.nothing


async def test_a_request_that_ended_the_process_is_taken_alone_and_then_fails(store):
    door = Door(store)
    for text in ("1=a", "2=b", "3=c"):
        await door.post(text)
    rows = await store.waiting("crm", 0, 10)
    await store.crashed([rows[1].id], [], [], NOW)
    again = Door(store)
    parts = []
    take = again.part.interpreter.take_parts

    async def watched(some):
        parts.extend(list(one.requests) for one in some)
        await take(some)

    again.part.interpreter.take_parts = watched
    async with again:
        await again.quiet()
    assert parts == [[row.id] for row in rows]
    assert await again.part.said() == ["a", "b", "c"]

    await door.post("4=d")
    ((row),) = await store.waiting("crm", 0, 10)
    for _ in range(MOST):
        await store.crashed([row.id], [], [], NOW)
    assert await store.waiting("crm", 0, 10) == []
    assert await aside(store) == [(None, "crmbridge ended 3 times while it was worked on")]
    assert await store.retry_request(row.id)
    assert (await store.waiting("crm", 0, 10))[0].crashes == 0


async def test_what_fails_again_when_it_is_tried_again_is_kept(store):
    """Under a number of its own; nothing is lost by trying."""
    part = Part(store)
    await part.take(replace(seen("odd", row="{...}"), unreadable="no stamp"))
    ((row, _),) = await store.failed_requests()
    assert await store.retry_request(row.id)
    door = Door(store)
    async with door:
        await door.quiet()
    ((again, _),) = await store.failed_requests()
    assert await aside(store) == [("Deal/odd", "no stamp")]

    answer = await verbs(stopped(store, part))["dead_retry"]({"all": True})
    assert (answer["requests"], answer["problems"][0]["id"]) == (0, f"request:{again.id}")
    assert "must give it again (change the record, or touch the export): no stamp" in answer["problems"][0]["reason"]


async def test_a_later_state_on_the_same_page_ends_what_was_odd_before_it(store):
    """Tried again later, the odd one would be told as the newest."""
    part = Part(store, poisoned())
    await part.take(seen("1", version="1", S="poison"), seen("1", version="2", S="good"))
    assert (await part.said(), await aside(store)) == (["good"], [])
    await part.take(seen("2", version="1", S="good"), seen("2", version="2", S="poison"))
    assert (await part.said(), await aside(store)) == (["good", "good"], [("Deal/2", "RuntimeError: nobody foresaw this")])


async def test_a_state_that_was_put_aside_is_no_news_once_its_record_has_moved_on(store):
    """Even if a desk holds it already when a poll tells the newer one."""
    part = Part(store, poisoned())
    await part.take(seen("1", S="poison"))
    ((row, _),) = await store.failed_requests()
    await store.retry_request(row.id)
    (held,) = await store.waiting("crm", 0, 10)
    await part.take(seen("1", S="new"))
    assert await store.waiting("crm", 0, 10) == []

    kept = load_observation(held.body)
    plain_rules = Part(store)
    await plain_rules.interpreter.take(
        Intake(source="crm", observations=[kept], closed=[held.id], requests=[held.id], revision=held.revision)
    )
    assert await part.said() == ["new"]


async def test_a_retry_after_the_record_was_told_by_others_is_stale(store):
    """The row is still there, but the record has moved on by a webhook of another daemon's poll."""
    part = Part(store, poisoned())
    await part.take(seen("1", S="a"))
    await part.take(seen("1", S="poison"))
    ((row, _),) = await store.failed_requests()
    kept = load_observation((await store.failed_request(row.id))[0].body)
    other_part = Part(store)  # it does not know of what was put aside
    await other_part.take(seen("1", S="b"))
    await other_part.interpreter.take(Intake(source="crm", observations=[kept], closed=[row.id], requests=[row.id], revision=1))
    assert await part.said() == ["a", "b"]
    assert other_part.count("stale") == 1


async def test_what_a_poll_only_looks_back_at_is_told_once(store):
    """Not with every poll, and not after a person has dropped it."""
    part = Part(store)
    odd = replace(seen("odd", row="{...}"), unreadable="no stamp")
    for _ in range(3):
        await part.take(odd)
    assert part.metrics.registry.get_sample_value("crmbridge_quarantined_total", {"source": "crm"}) == 1
    ((row, _),) = await store.failed_requests()
    assert await store.drop_request(row.id)
    await part.take(replace(odd, occurred_at=NOW.replace(year=2027)))
    assert await aside(store) == []
    await part.take(replace(odd, unreadable="no id"))
    assert await aside(store) == [("Deal/odd", "no id")]


@pytest.mark.parametrize(
    "error", [OSError(24, "Too many open files"), MemoryError(), sqlite3.OperationalError("unable to open database file")]
)
async def test_the_machine_s_troubles_blame_no_record(store, error, monkeypatch):
    """Nothing is put aside, and the cursor stays: it is taken again."""
    part = Part(store)

    def fails():
        raise error

    monkeypatch.setattr(store.database, "_reader", fails)
    with pytest.raises(StoreError):
        await part.take(seen("1", S="a"), position=SourcePosition(Cursor("c"), True, NOW))
    monkeypatch.undo()
    assert (await aside(store), await store.position("crm")) == ([], SourcePosition())


async def test_a_suspect_by_poll_and_by_webhook_hangs_nobody(store):
    """Whoever has the lock already does not wait for it."""
    await store.crashed([], [RecordRef("crm", "Deal", "1")], [], NOW)
    door = Door(store)
    await door.post("1=a")
    (row,) = await store.waiting("crm", 0, 10)
    await store.crashed([row.id], [], [], NOW)
    again = Door(store)
    await again.part.interpreter.remember()
    async with asyncio.timeout(10), again:
        await again.quiet()
    assert await again.part.said() == ["a"]


async def test_only_a_suspect_is_taken_alone(store):
    """One that never comes again must not make every page a hundred transactions."""
    await store.crashed([], [RecordRef("old", "Deal", "gone"), POISON], [], NOW)
    part, sizes, real = Part(store), [], store.record
    await part.interpreter.remember()

    async def record(batch, now):
        sizes.append(len(batch.entries))
        return await real(batch, now)

    store.record = record
    await part.take(*(seen(str(n), S="a") for n in range(50)), seen("poison", S="b"), *(seen(f"x{n}", S="c") for n in range(50)))
    assert sizes == [50, 1, 50]


async def test_desks_work_on_when_the_part_is_begun_again(store):
    """Their threads too."""
    door = Door(store)
    async with door:
        await door.post("1=a")
        await door.quiet()
    async with door:
        await door.post("2=" + "b" * 100_000)
        await door.quiet()
    assert await door.failed() == []
    assert await store.last_event() == 2


async def test_a_record_that_would_be_worked_on_for_long_is_put_aside(store):
    """Ten lists of twenty thousand."""
    part = Part(store)
    many = tuple(map(Decimal, range(20_000)))
    await part.take(seen("1", S="a"), seen("2", S="b", **{f"f{n}": many for n in range(10)}))
    assert (await part.said(), await aside(store)) == (["a"], [("Deal/2", "its fields hold more than 25,000 items")])


# --- the loop


async def test_others_go_on_while_rules_work(store):
    """A rule may work for tens of milliseconds; a hundred of them in a row let others in between."""
    rules = engine("{% for i in record.S %}{% if i == 'x' %}{% endif %}{% endfor %}.")
    many = Engine([replace(rules.rules[0], id=f"r{n}") for n in range(100)], rules.records, rules.zone)
    part = Part(store, many)
    turns, done = 0, asyncio.Event()

    async def others():
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await part.take(seen("1", S=tuple("abcdefghij" * 60)))
    done.set()
    await beside
    assert turns > 25


async def test_heavy_records_are_recorded_a_few_at_a_time(store):
    """Each transaction's rows are written as JSON on the loop's thread."""
    part, real, sizes = Part(store), store.record, []

    async def record(batch, now):
        sizes.append(len(batch.entries))
        return await real(batch, now)

    store.record = record
    heavy = tuple(map(str, range(9_000)))
    await part.take(*(seen(str(n), S=heavy) for n in range(4)), *(seen(f"l{n}", S="light") for n in range(10)))
    assert sizes == [2, 12]


async def test_a_large_body_is_parsed_in_a_thread(store):
    """So that somebody else's request is answered meanwhile; what is small is not handed over."""
    import threading

    door, threads = Door(store), []
    sender = door.webhooks.sources["crm"]
    parse = sender.parse

    def watched(request):
        threads.append(threading.current_thread() is threading.main_thread())
        return parse(request)

    sender.parse = watched
    await door.post("1=a")
    await door.post("2=" + "b" * 100_000)
    async with door:
        await door.quiet()
    assert threads == [True, False]


async def test_a_desk_that_stumbles_goes_on(store, monkeypatch):
    """Whatever went wrong in its loop: the inbox still has everything."""
    from crmbridge.intake import desk

    monkeypatch.setattr(desk, "backoff", lambda *_: 0.01)
    door = Door(store)
    real, troubles = store.waiting, iter([RuntimeError("odd"), StoreError("locked")])

    async def waiting(*asked):
        if error := next(troubles, None):
            raise error
        return await real(*asked)

    store.waiting = waiting
    await door.post("1=a")
    async with door:
        await door.quiet()
    assert await door.part.said() == ["a"]
    desk_ = door.webhooks.desks["crm"]
    assert (desk_.failures, desk_.last_error, desk_.failing_since) == (0, "", None)


# --- messages


async def test_a_message_whose_row_cannot_be_read_is_a_dead_letter_and_the_others_go_out(store):
    """A damaged row, or one that a newer version wrote."""
    await store.record(batch(*(entry(f"k{n}", record=other(n)) for n in range(3))), NOW)
    await store.database.write(lambda db: db.execute("UPDATE deliveries SET message = '{}' WHERE key = 'k1'"))
    network = Network()
    async with Running(store, network):
        await until(lambda: _seen(network, 2))
        await until(lambda: _dead(store, 1))
    assert sorted(network.seen) == ["k0", "k2"]
    (dead,) = await store.select([State.DEAD], Selection())
    assert (dead.reason, dead.message.rule, dead.message.record) == ("quarantined", "r", other(1))
    assert "cannot be read" in dead.last_error


async def test_an_interrupted_message_whose_row_cannot_be_read_stops_no_start(store):
    await store.record(batch(entry("k0", record=other(0)), entry("k1", record=other(1))), NOW)
    await store.lease("out", now=NOW, limit=1, per_lane=1, skip=[])
    await store.database.write(lambda db: db.execute("UPDATE deliveries SET message = 'x' WHERE key = 'k0'"))
    network = Network()
    async with Running(store, network):
        await until(lambda: _seen(network, 1))
        await until(lambda: _dead(store, 1))
    assert network.seen == ["k1"]


@pytest.mark.parametrize("answer", [None, "id", {"remote_id": "1"}])
async def test_an_answer_that_is_no_receipt_is_no_clear_answer(store, answer):
    """It may be published: never again and again."""
    await store.record(batch(entry("k0")), NOW)
    network = Network(lambda message, key: answer)
    async with Running(store, network, on_unknown="hold"):
        await until(lambda: _in(store, State.UNKNOWN))
    assert network.seen == ["k0"]


async def test_a_parcel_s_odd_answers_are_their_own(store):
    network = Batching()

    async def publish_many(parcel):
        network.parcels.append([key for _, key, _ in parcel])
        return [object() if key == "k1" else await network.publish(None, key, None) for _, key, _ in parcel]

    network.publish_many = publish_many
    await store.record(batch(*(entry(f"k{n}", record=other(n)) for n in range(3))), NOW)
    async with Running(store, network, on_unknown="hold"):
        await until(lambda: _in(store, State.UNKNOWN))
    (unknown,) = await store.select([State.UNKNOWN], Selection())
    assert unknown.key == "k1"


async def test_a_receipt_that_cannot_be_written_is_recorded_as_far_as_it_can(store):
    """The message is out: it must not be said again."""
    from crmbridge.model import Receipt

    network = Network(lambda message, key: Receipt(remote_id=key, extra={"odd": object()}))
    await store.record(batch(entry("k0")), NOW)
    async with Running(store, network):
        await until(lambda: _receipt(store, "k0"))
    assert network.seen == ["k0"]


async def test_a_turn_that_stumbles_is_followed_by_another(store, monkeypatch):
    await store.record(batch(entry("k0")), NOW)
    real, troubles = store.lease, iter([RuntimeError("odd"), ValueError("odder")])

    async def lease(*args, **facts):
        if error := next(troubles, None):
            raise error
        return await real(*args, **facts)

    store.lease = lease
    network = Network()
    async with Running(store, network) as publisher:
        await until(lambda: _seen(network, 1))
        assert publisher.fault == ""


async def test_a_message_that_ended_the_process_goes_alone_and_is_then_put_aside(store):
    """With a key that the database keeps through it all."""
    network = Batching()
    await store.record(batch(*(entry(f"k{n}", record=other(n)) for n in range(3))), NOW)
    (first, *_) = (await store.lease("out", now=NOW, limit=3, per_lane=3, skip=[])).deliveries
    await store.crashed([], [], [first.id], NOW)
    async with Running(store, network, idempotent=True):
        await until(lambda: _seen_or_sent(network, 3))
    assert sorted(network.seen + [key for parcel in network.parcels for key in parcel]) == ["k0", "k1", "k2"]
    assert network.seen[:1] == ["k0"]

    await store.record(batch(entry("k9", record=other(9))), NOW)
    for _ in range(MOST):
        (last,) = (await store.lease("out", now=NOW, limit=1, per_lane=1, skip=[])).deliveries
        await store.crashed([], [], [last.id], NOW)  # no request of it was out: it is queued again
    (dead,) = await store.select([State.DEAD], Selection())
    assert (dead.key, dead.reason) == ("k9", "quarantined")
    assert await store.requeue(dead, dead.message, NOW)
    (again,) = await store.select([State.QUEUED], Selection())
    assert again.crashes == 0


async def test_an_attempt_that_ends_acquits_its_message(store):
    """Three kills over weeks, each while its destination was down, are no sign against it."""
    await store.record(batch(entry("k0")), NOW)
    for _ in range(MOST + 1):
        (one,) = (await store.lease("out", now=NOW, limit=1, per_lane=1, skip=[])).deliveries
        await store.crashed([], [], [one.id], NOW)
        (one,) = (await store.lease("out", now=NOW, limit=1, per_lane=1, skip=[])).deliveries
        await store.settle([Settlement(delivery=one, state=State.QUEUED, outcome="transient", due=NOW)], [], NOW)
    assert await store.count([State.QUEUED], Selection()) == 1


async def test_a_suspect_waits_for_no_network(store):
    """Once the request of one is out, the next may be worked on."""
    from crmbridge import http
    from crmbridge.store.underway import UnderWay

    under_way, hang, seen_ = UnderWay(), asyncio.Event(), []

    def slow(message, key):
        seen_.append(key)
        http.begin()
        return hang.wait()

    await store.record(batch(entry("k0", record=other(0)), entry("k1", record=other(1))), NOW)
    for one in (await store.lease("out", now=NOW, limit=2, per_lane=2, skip=[])).deliveries:
        await store.crashed([], [], [one.id], NOW)
    running = Running(store, Network(slow), on_unknown="hold")
    running.publisher._working_on = under_way
    async with running:
        await until(lambda: _long(seen_, 2))
        hang.set()
    assert sorted(seen_) == ["k0", "k1"]


async def test_a_suspect_that_has_not_begun_when_we_end_is_queued(store):
    """Nothing was sent: nobody need ask whether it was published."""
    await store.record(batch(entry("k0")), NOW)
    (one,) = (await store.lease("out", now=NOW, limit=1, per_lane=1, skip=[])).deliveries
    await store.crashed([], [], [one.id], NOW)
    network = Network()
    running = Running(store, network, on_unknown="hold")
    async with running.publisher._working_on.alone:
        task = asyncio.create_task(running.publisher.run())
        await until(lambda: _in(store, State.SENDING))
        await running.publisher.stop(0.05)
        await task
    await running.publisher.close()
    assert network.seen == []
    assert await store.count([State.QUEUED], Selection()) == 1


async def test_an_expired_row_that_cannot_be_read_holds_up_no_other(store):
    new = [entry("k0", record=other(0)), entry("k1", record=other(1))]
    await store.record(batch(*new), NOW)
    spoil = "UPDATE deliveries SET message = '{}', expires_at = 1 WHERE key = 'k0'"
    await store.database.write(lambda db: db.execute(spoil))
    lease = await store.lease("out", now=NOW, limit=5, per_lane=5, skip=[])
    assert [one.key for one in lease.deliveries] == ["k1"]


async def test_an_error_that_holds_nonsense_leaves_no_message_under_way(store):
    from datetime import datetime

    from crmbridge.errors import RateLimited

    network = Network(lambda message, key: RateLimited("slow", datetime(2026, 1, 1)))  # no zone
    await store.record(batch(entry("k0")), NOW)
    async with Running(store, network, on_unknown="hold"):
        await until(lambda: _in(store, State.UNKNOWN))


async def test_a_destination_that_is_well_again_is_seen_to_be_though_nothing_is_sent(store, monkeypatch):
    from crmbridge.publisher import publisher as module

    monkeypatch.setattr(module, "LONGEST_SLEEP", 0.02)
    network, answers = Network(), iter([OSError("no route"), OSError("no route")])

    def check():
        if error := next(answers, None):
            raise error

    network.check = check
    async with Running(store, network) as publisher:
        await until(lambda: _holds(lambda: publisher.health.unreached))
        await until(lambda: _holds(lambda: not publisher.health.unreached and not publisher.health.last_failure))


async def test_while_something_waits_a_login_proves_nothing(store, monkeypatch):
    """A destination that lets us in and takes no message stays ill: its waits are not cut short."""
    from crmbridge.errors import Transient
    from crmbridge.publisher import publisher as module

    monkeypatch.setattr(module, "LONGEST_SLEEP", 0.02)
    network = Network(lambda message, key: Transient("HTTP 503"))
    await store.record(batch(*(entry(f"k{n}", record=other(n)) for n in range(8))), NOW)
    async with Running(store, network, chance=lambda: 1.0) as publisher:
        await until(lambda: _holds(lambda: publisher.health.breaker.open_until is not None))
        checks = []
        network.check = lambda: checks.append(1)
        await asyncio.sleep(0.2)
        assert (checks, publisher.health.last_failure) == ([], "HTTP 503")


async def test_it_is_noted_which_message_is_made_ready_until_its_request_is_out(store, tmp_path):
    from crmbridge import http
    from crmbridge.store.underway import UnderWay

    left = []

    def answer(message, key):
        left.append(UnderWay(tmp_path / "u").left.deliveries)
        http.begin()
        left.append(UnderWay(tmp_path / "u").left.deliveries)
        return http.classify(ValueError("x"), True)

    network = Network(answer)
    await store.record(batch(entry("k0")), NOW)
    async with Running(store, network, on_unknown="hold", under_way=UnderWay(tmp_path / "u")):
        await until(lambda: _in(store, State.UNKNOWN))
    (unknown,) = await store.select([State.UNKNOWN], Selection())
    assert left == [(unknown.id,), ()]


async def _long(found, count):
    return len(found) >= count


async def _seen(network, count):
    return len(network.seen) >= count


async def _seen_or_sent(network, count):
    return len(network.seen) + sum(map(len, network.parcels)) >= count


async def _dead(store, count):
    return await store.count([State.DEAD], Selection()) >= count


async def _in(store, state):
    return await store.count([state], Selection()) > 0


async def _receipt(store, key):
    found = await store.delivery(key)
    return found is not None and found[0].state is State.DELIVERED
