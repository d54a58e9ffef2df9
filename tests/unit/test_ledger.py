"""Who ordered what is written down, and told to the security log: before it begins, and when it ends."""

import json
import logging
from datetime import timedelta

import pytest
from shared import NOW
from store_contract import batch, entry, other

from crmbridge import telemetry
from crmbridge.errors import CrmbridgeError, InvalidRequest, StoreError
from crmbridge.operate.book import Actor
from crmbridge.operate.port import Stopped
from crmbridge.operate.verbs import Verbs
from crmbridge.rules.engine import Engine
from crmbridge.store import SqliteStore
from crmbridge.store.ledger import Order
from crmbridge.store.terms import Retention, Selection
from crmbridge.telemetry import JsonFormatter

ANN = Actor("ann", "socket, user crm")
BOB = Actor("bob", "socket, user crm")
RULES = Engine([], {}, None)


class Configured:
    destinations: dict = {}  # noqa: RUF012
    engine = RULES


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield store
    store.close()


def desk(store, **own):
    return Verbs(Stopped(store=store, config=Configured(), clock=lambda: NOW, built=None), {}, own)


def order(verb="pause", **facts):
    return Order(verb=verb, arguments={}, meant="m", actor="ann", door="no daemon, user crm", **facts)


async def ask(desk, verb, arguments, actor=ANN):
    return await desk.answer(verb, arguments, lambda: actor)


async def waiting(store, count):
    await store.record(batch(*[entry(f"k{n}", record=other(n)) for n in range(count)]), NOW)


async def test_an_order_is_written_down_with_who_gave_it_and_what_it_came_to(store, caplog):
    caplog.set_level(logging.INFO, "crmbridge.security")
    await waiting(store, 7)
    answer = await ask(desk(store), "queue_drop", {"where": {"rule": "r", "names": [], "all": False}}, ANN)
    (one,) = await store.orders()
    assert answer == {"count": 7, "order": one.id}
    told = one.order
    assert (told.verb, told.arguments, told.actor, told.door) == ("queue_drop", {"where": {"rule": "r"}}, "ann", "socket, user crm")
    assert (one.began_at, one.ended_at, one.running, one.counts, one.error) == (NOW, NOW, False, {"count": 7}, "")
    (line,) = caplog.records
    assert (line.message, line.verb, line.actor, line.door, line.came_to) == ("ordered", "queue_drop", "ann", ANN.door, {"count": 7})


async def test_what_became_of_a_delivery_names_the_order(store):
    """`explain` shows the number, and `orders` who it was."""
    await waiting(store, 2)
    await ask(desk(store), "queue_hold", {"where": {"all": True}, "reason": "a fair"}, ANN)
    await ask(desk(store), "queue_drop", {"where": {"names": ["1"]}}, BOB)
    await ask(desk(store), "queue_hold", {"where": {"all": True}}, BOB)
    reasons = {number: (await store.delivery(number))[0].reason for number in "12"}
    assert reasons == {"1": "dropped by hand, order 2", "2": "by hand: a fair, order 1"}


@pytest.mark.parametrize("verb", ["queue_list", "overview", "orders", "tail", "count"])
async def test_a_question_is_no_order(store, verb):
    await ask(desk(store), verb, {"count": {"where": {"all": True}, "states": ["queued"]}}.get(verb, {}), ANN)
    assert await store.orders() == []


async def test_what_an_order_would_do_is_no_order(store):
    await ask(desk(store), "forget", {"record": "crm/Contact/1", "dry_run": True}, ANN)
    assert await store.orders() == []


async def test_bites_are_one_order(store, caplog):
    """A person gave it once; and it is not done before the last of them."""
    caplog.set_level(logging.INFO, "crmbridge.security")
    await waiting(store, 5)
    first = await ask(desk(store), "queue_hold", {"where": {"all": True}, "most": 2})
    (one,) = await store.orders()
    assert (one.counts, one.running, one.ended_at) == ({"count": 5}, False, None), "a transaction holds more than a bite"
    assert await ask(desk(store), "queue_hold", {"where": {"all": True}, "most": 2, "order": first["order"]}) == {"count": 0, "order": 1}
    (one,) = await store.orders()
    assert (one.order.arguments, one.counts, one.ended_at) == ({"where": {"all": True}}, {"count": 5}, NOW)
    assert [(line.message, line.came_to) for line in caplog.records] == [("ordered", {"count": 5})]


async def test_an_order_of_which_there_is_more_to_do_does_not_look_done(store, caplog):
    """Whoever gave it may have gone home between two bites."""
    caplog.set_level(logging.INFO, "crmbridge.security")
    pages = iter(
        [{"changes": 2000, "messages": 3, "next": 2000}, {"changes": 2000, "messages": 1, "next": 4000}, {"changes": 5, "next": None}]
    )

    async def replay(since, after=None, until=None):
        return next(pages)

    first = await ask(desk(store, replay=replay), "replay", {"since": "2d"})
    (one,) = await store.orders()
    assert (one.running, one.ended_at, one.counts) == (False, None, {"changes": 2000, "messages": 3})
    assert caplog.records == []
    for place in (2000, 4000):
        again = {"since": "2d", "until": "2026-11-22", "after": place, "order": first["order"]}
        assert (await ask(desk(store, replay=replay), "replay", again))["order"] == first["order"]
    (one,) = await store.orders()
    assert (one.ended_at, one.counts, one.order.arguments) == (NOW, {"changes": 4005, "messages": 4}, {"since": "2d"})
    assert [line.came_to for line in caplog.records] == [{"changes": 4005, "messages": 4}]


@pytest.mark.parametrize(
    ("verb", "arguments", "actor", "number"),
    [
        ("queue_drop", {"where": {"all": True}}, ANN, 1),
        ("queue_hold", {"where": {"all": True}}, BOB, 1),
        ("queue_hold", {"where": {"all": True}}, Actor("ann", "token, from 10.0.0.7"), 1),
        ("queue_hold", {"where": {"record": "crm/Deal/1"}}, ANN, 1),
        ("queue_hold", {"where": {"all": True}, "reason": "mine"}, ANN, 1),
        ("queue_hold", {"where": {"all": True}}, ANN, 99),
        ("queue_hold", {"where": {"all": True}}, ANN, "1"),
        ("queue_hold", {"where": {"all": True}}, ANN, True),
        ("queue_hold", {"where": {"all": True}}, ANN, 2**70),
        ("queue_hold", {"where": {"all": True}}, ANN, -1),
    ],
)
async def test_nobody_goes_on_with_another_order(store, verb, arguments, actor, number):
    """Else what bob drops would stand under what ann held."""
    await store.order_begins(await _begun(store), NOW)
    await store.order_ends(1, {"count": 3}, "", NOW, more=True)
    answer = await ask(desk(store), verb, arguments | {"order": number}, actor)
    second, first = await store.orders()
    assert answer["order"] == second.id == 2
    assert (first.counts, first.order.actor, first.ended_at) == ({"count": 3}, "ann", None)
    assert (second.order.verb, second.order.actor) == (verb, actor.name)


async def _begun(store):
    """Ann's order to hold all, as the desk writes it down."""
    await ask(desk(store), "queue_hold", {"where": {"all": True}})
    (one,) = await store.orders()
    await store.database.write(lambda db: db.execute("DELETE FROM orders").rowcount)
    await store.database.write(lambda db: db.execute("DELETE FROM sqlite_sequence WHERE name = 'orders'").rowcount)
    return one.order


async def test_an_order_is_gone_on_with_only_while_somebody_is_at_it(store):
    """Not under the number of last week's; nor twice at a time."""
    begun = await _begun(store)
    await store.order_begins(begun, NOW)
    assert not await store.order_goes_on(1, begun, NOW, NOW), "a bite of it is being carried out"
    await store.order_ends(1, {}, "", NOW, more=True)
    assert not await store.order_goes_on(1, begun, NOW + timedelta(seconds=1), NOW)
    assert await store.order_goes_on(1, begun, NOW, NOW)
    await store.order_ends(1, {}, "", NOW)
    assert not await store.order_goes_on(1, begun, NOW, NOW), "it has ended"


async def test_an_error_ends_an_order_for_good(store):
    begun = await _begun(store)
    await store.order_begins(begun, NOW)
    await store.order_ends(1, {}, "refused", NOW, more=True)
    assert not await store.order_goes_on(1, begun, NOW, NOW)
    (one,) = await store.orders()
    assert (one.ended_at, one.error) == (NOW, "refused")


async def test_a_refused_order_is_written_down_too(store):
    with pytest.raises(CrmbridgeError, match="there is no delivery 9"):
        await ask(desk(store), "queue_drop", {"where": {"names": ["9"]}}, ANN)
    (one,) = await store.orders()
    assert (one.ended_at, one.counts, one.error) == (NOW, {}, "there is no delivery 9")


async def test_an_order_that_breaks_does_not_look_done(store, caplog):
    async def reload():
        raise KeyError("whatever it knew")

    with pytest.raises(KeyError):
        await ask(desk(store, reload=reload), "reload", {}, ANN)
    (one,) = await store.orders()
    assert one.error == "KeyError, see the log"


async def test_an_order_that_its_process_did_not_survive_says_so(store):
    """It was written down before it began."""
    began = order("queue_drop")
    await store.order_begins(began, NOW)
    (one,) = await store.orders()
    assert one.ended_at is None
    await desk(store).begin()
    (one,) = await store.orders()
    assert (one.ended_at, one.error) == (NOW, "the process ended in the middle of it: give it again")
    assert not await store.order_goes_on(one.id, began, NOW, NOW)


async def test_no_password_is_written_down(store, caplog):
    caplog.set_level(logging.INFO, "crmbridge.security")

    async def user_add(login, name, password):
        return {}

    await ask(desk(store, user_add=user_add), "user_add", {"login": "susan", "name": "Susan", "password": "correct horse"}, ANN)
    (one,) = await store.orders()
    assert one.order.arguments == {"login": "susan", "name": "Susan", "password": "***"}
    assert "correct horse" not in str([vars(line) for line in caplog.records])


async def test_what_was_said_against_the_usual_is_written_down(store):
    """`adopt --speak` is the order of which one wants to know."""

    async def adopt(hold=True):
        return {"held": 0}

    for given in ({"hold": False}, {"hold": True}, {}):
        await ask(desk(store, adopt=adopt), "adopt", given, ANN)
    assert [one.order.arguments for one in await store.orders()] == [{}, {}, {"hold": False}]


async def test_a_long_list_is_cut_short(store):
    await waiting(store, 50)
    await ask(desk(store), "queue_drop", {"where": {"names": [str(n) for n in range(1, 51)]}}, ANN)
    (one,) = await store.orders()
    assert one.order.arguments["where"]["names"][-2:] == ["20", "and 30 more"]


async def test_what_helps_a_full_disk_needs_no_line(store, caplog):
    """An order that writes nothing of the database itself is carried out though it cannot be written down."""

    async def refuse(*_):
        raise StoreError("the disk is full")

    async def backup(folder):
        return {"folder": folder}

    store.order_begins = refuse
    answer = await ask(desk(store, backup=backup), "backup", {"folder": "/mnt/x"}, ANN)
    assert answer == {"folder": "/mnt/x", "order": None}
    assert "an order is not written down" in caplog.text


@pytest.mark.parametrize(
    ("verb", "arguments", "status"),
    [("nothing", {}, 404), ("__init__", {}, 404), ("queue_drop", {"of": 1}, 400), ("queue_drop", {}, 400), ("overview", {"order": 1}, 400)],
)
async def test_what_is_no_verb_is_refused(store, verb, arguments, status):
    with pytest.raises(InvalidRequest) as refused:
        await ask(desk(store), verb, arguments, ANN)
    assert refused.value.status == status
    assert await store.orders() == []


async def test_orders_are_found_by_time_and_number(store):
    moments = [NOW, NOW + timedelta(hours=1)]
    for at in moments:
        await store.order_begins(order(), at)
    assert [one["id"] for one in (await ask(desk(store), "orders", {"since": "2026-01-01"}, ANN))["orders"]] == [2, 1]
    assert [one.id for one in await store.orders(NOW + timedelta(minutes=1))] == [2]
    assert [one.id for one in await store.orders(id=1)] == [1]
    assert [one.id for one in await store.orders(limit=1)] == [2]


async def test_orders_go_with_their_time_and_never_while_they_are_carried_out(store):
    for _ in range(2):
        await store.order_begins(order(), NOW)
    await store.order_ends(1, {}, "", NOW)
    kept = Retention(orders=timedelta(days=3))
    assert await store.purge(kept, NOW + timedelta(days=2)) == 0
    assert await store.purge(kept, NOW + timedelta(days=4)) == 1
    assert [one.id for one in await store.orders()] == [2]


async def test_a_scope_means_the_same_after_it_was_written_down(store):
    """What is kept of an order is no order."""
    await waiting(store, 3)
    where = {"rule": "r", "names": [], "all": False, "since": None}
    await ask(desk(store), "queue_hold", {"where": where}, ANN)
    assert where == {"rule": "r", "names": [], "all": False, "since": None}
    assert await store.count(["held"], Selection()) == 3


async def test_what_is_written_down_has_bounds_and_no_secret(store, caplog):
    """A year's list of orders is not where somebody puts a gigabyte, nor where a token is found."""
    caplog.set_level(logging.INFO, "crmbridge.security")
    telemetry.hide("s3cret-of-the-bridge")
    deep = {"a": {"b": {"c": {"d": {"e": {}}}}}}
    many = {f"key{number}": "x" * 900 for number in range(1000)}
    for where in (
        {"names": ["x" * 900_000]},
        {"names": ["s3cret-of-the-bridge"]},
        {"k" * 900_000: 1},
        many,
        deep,
        {"rule": 10**30},
    ):
        with pytest.raises((CrmbridgeError, OverflowError)):
            await ask(desk(store), "queue_drop", {"where": where})
    for one in await store.orders():
        written = json.dumps(one.order.arguments) + one.error
        assert len(written) < 10_000
        assert "s3cret" not in written
    assert max(len(JsonFormatter().format(line)) for line in caplog.records) < 20_000
    assert len(caplog.records) == 6


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("ann", "ann"),
        ("Ann  Ø\n\x1b[31mx", "Ann Ø [31mx"),
        ("x" * 500, "x" * 100),
        ("a\udcff", "a\ufffd"),
        ("\udcff" * 9, "\ufffd" * 9),
        ("", ""),
    ],
)
async def test_whatever_somebody_calls_themselves_refuses_no_order(store, told, name):
    await ask(desk(store), "pause", {"name": "all", "reason": "x"}, Actor.of(told, "socket, user crm"))
    (one,) = await store.orders()
    assert one.order.actor == name


async def test_a_record_that_is_forgotten_is_named_by_no_order(store):
    await waiting(store, 3)
    record = str(other(1))
    await ask(desk(store), "queue_hold", {"where": {"record": record}})
    await ask(desk(store), "queue_hold", {"where": {"record": str(other(2))}})
    await ask(desk(store), "forget", {"record": record})
    assert [one.order.arguments for one in await store.orders()] == [
        {"record": "***"},
        {"where": {"record": str(other(2))}},
        {"where": {"record": "***"}},
    ]


async def test_the_list_has_a_limit_below_too(store):
    for _ in range(3):
        await store.order_begins(order(), NOW)
    assert len((await ask(desk(store), "orders", {"limit": -1}))["orders"]) == 1
