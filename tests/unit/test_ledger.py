"""Who ordered what is written down, and told to the security log: before it begins, and when it ends."""

import logging
from datetime import timedelta

import pytest
from shared import NOW
from store_contract import batch, entry, other

from crmbridge.errors import CrmbridgeError, InvalidRequest, StoreError
from crmbridge.operate.desk import Actor, Desk
from crmbridge.operate.port import Stopped
from crmbridge.rules.engine import Engine
from crmbridge.store import SqliteStore
from crmbridge.store.interface import Retention, Scope
from crmbridge.store.ledger import Order

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
    return Desk(Stopped(store=store, config=Configured(), clock=lambda: NOW, built=None), {}, own)


async def waiting(store, count):
    await store.record(batch(*[entry(f"k{n}", record=other(n)) for n in range(count)]), NOW)


async def test_an_order_is_written_down_with_who_gave_it_and_what_it_came_to(store, caplog):
    caplog.set_level(logging.INFO, "crmbridge.security")
    await waiting(store, 7)
    answer = await desk(store).answer("queue_drop", {"where": {"rule": "r", "names": [], "all": False}}, ANN)
    (one,) = await store.orders()
    assert answer == {"count": 7, "order": one.id}
    assert one.order == Order(verb="queue_drop", arguments={"where": {"rule": "r"}}, actor="ann", door="socket, user crm")
    assert (one.began_at, one.ended_at, one.counts, one.error) == (NOW, NOW, {"count": 7}, "")
    (line,) = caplog.records
    assert (line.message, line.verb, line.actor, line.door, line.came_to) == ("ordered", "queue_drop", "ann", ANN.door, {"count": 7})


async def test_what_became_of_a_delivery_names_the_order(store):
    """`explain` shows the number, and `orders` who it was."""
    await waiting(store, 2)
    await desk(store).answer("queue_hold", {"where": {"all": True}, "reason": "a fair"}, ANN)
    await desk(store).answer("queue_drop", {"where": {"names": ["1"]}}, BOB)
    await desk(store).answer("queue_hold", {"where": {"all": True}}, BOB)
    reasons = {number: (await store.delivery(number))[0].reason for number in "12"}
    assert reasons == {"1": "dropped by hand, order 2", "2": "by hand: a fair, order 1"}


@pytest.mark.parametrize("verb", ["queue_list", "overview", "orders", "tail", "count"])
async def test_a_question_is_no_order(store, verb):
    await desk(store).answer(verb, {"count": {"where": {"all": True}, "states": ["queued"]}}.get(verb, {}), ANN)
    assert await store.orders() == []


async def test_what_an_order_would_do_is_no_order(store):
    await desk(store).answer("forget", {"record": "crm/Contact/1", "dry_run": True}, ANN)
    assert await store.orders() == []


async def test_bites_are_one_order(store):
    """A person gave it once."""
    await waiting(store, 5)
    first = await desk(store).answer("queue_hold", {"where": {"all": True}, "most": 2}, ANN)
    for _ in range(4):
        more = {"where": {"all": True}, "most": 2, "order": first["order"]}
        assert (await desk(store).answer("queue_hold", more, ANN))["order"] == first["order"]
    (one,) = await store.orders()
    assert (one.order.arguments, one.counts) == ({"where": {"all": True}}, {"count": 5})


@pytest.mark.parametrize(
    ("verb", "actor", "number"),
    [("queue_drop", ANN, 1), ("queue_hold", BOB, 1), ("queue_hold", ANN, 99), ("queue_hold", ANN, "1")],
)
async def test_nobody_goes_on_with_another_order(store, verb, actor, number):
    """Else what bob drops would stand under what ann held."""
    await waiting(store, 3)
    await desk(store).answer("queue_hold", {"where": {"all": True}, "most": 1}, ANN)
    await desk(store).answer(verb, {"where": {"all": True}, "order": number}, actor)
    second, first = await store.orders()
    assert (first.counts, first.order.actor) == ({"count": 3}, "ann")
    assert (second.order.verb, second.order.actor) == (verb, actor.name)


async def test_a_refused_order_is_written_down_too(store):
    with pytest.raises(CrmbridgeError, match="there is no delivery 9"):
        await desk(store).answer("queue_drop", {"where": {"names": ["9"]}}, ANN)
    (one,) = await store.orders()
    assert (one.ended_at, one.counts, one.error) == (NOW, {}, "there is no delivery 9")


async def test_an_order_that_breaks_does_not_look_done(store, caplog):
    async def reload():
        raise KeyError("whatever it knew")

    with pytest.raises(KeyError):
        await desk(store, reload=reload).answer("reload", {}, ANN)
    (one,) = await store.orders()
    assert one.error == "KeyError, see the log"


async def test_an_order_that_its_process_did_not_survive_says_so(store):
    """It was written down before it began."""
    began = Order(verb="queue_drop", arguments={}, actor="ann", door="no daemon, user crm")
    await store.order_begins(began, NOW)
    (one,) = await store.orders()
    assert one.ended_at is None
    await desk(store).begin()
    (one,) = await store.orders()
    assert (one.ended_at, one.error) == (NOW, "the process ended in the middle of it: give it again")
    assert not await store.order_goes_on(one.id, began)


async def test_no_password_is_written_down(store, caplog):
    caplog.set_level(logging.INFO, "crmbridge.security")

    async def user_add(login, name, password):
        return {}

    await desk(store, user_add=user_add).answer("user_add", {"login": "susan", "name": "Susan", "password": "correct horse"}, ANN)
    (one,) = await store.orders()
    assert one.order.arguments == {"login": "susan", "name": "Susan", "password": "***"}
    assert "correct horse" not in str([vars(line) for line in caplog.records])


async def test_what_was_said_against_the_usual_is_written_down(store):
    """`adopt --speak` is the order of which one wants to know."""

    async def adopt(hold=True):
        return {"held": 0}

    for given in ({"hold": False}, {"hold": True}, {}):
        await desk(store, adopt=adopt).answer("adopt", given, ANN)
    assert [one.order.arguments for one in await store.orders()] == [{}, {}, {"hold": False}]


async def test_a_long_list_is_cut_short(store):
    await waiting(store, 50)
    await desk(store).answer("queue_drop", {"where": {"names": [str(n) for n in range(1, 51)]}}, ANN)
    (one,) = await store.orders()
    assert one.order.arguments["where"]["names"][-2:] == ["20", "and 30 more"]


async def test_what_helps_a_full_disk_needs_no_line(store, caplog):
    """An order that writes nothing of the database itself is carried out though it cannot be written down."""

    async def refuse(*_):
        raise StoreError("the disk is full")

    async def backup(folder):
        return {"folder": folder}

    store.order_begins = refuse
    answer = await desk(store, backup=backup).answer("backup", {"folder": "/mnt/x"}, ANN)
    assert answer == {"folder": "/mnt/x", "order": None}
    assert "an order is not written down" in caplog.text


@pytest.mark.parametrize(
    ("verb", "arguments", "status"),
    [("nothing", {}, 404), ("__init__", {}, 404), ("queue_drop", {"of": 1}, 400), ("queue_drop", {}, 400), ("overview", {"order": 1}, 400)],
)
async def test_what_is_no_verb_is_refused(store, verb, arguments, status):
    with pytest.raises(InvalidRequest) as refused:
        await desk(store).answer(verb, arguments, ANN)
    assert refused.value.status == status
    assert await store.orders() == []


async def test_orders_are_found_by_time_and_number(store):
    moments = [NOW, NOW + timedelta(hours=1)]
    for at in moments:
        await store.order_begins(Order(verb="pause", arguments={}, actor="ann", door=""), at)
    assert [one["id"] for one in (await desk(store).answer("orders", {"since": "2026-01-01"}, ANN))["orders"]] == [2, 1]
    assert [one.id for one in await store.orders(NOW + timedelta(minutes=1))] == [2]
    assert [one.id for one in await store.orders(id=1)] == [1]
    assert [one.id for one in await store.orders(limit=1)] == [2]


async def test_orders_go_with_their_time_and_never_while_they_are_carried_out(store):
    order = Order(verb="pause", arguments={}, actor="ann", door="")
    for _ in range(2):
        await store.order_begins(order, NOW)
    await store.order_ends(1, {}, "", NOW)
    kept = Retention(orders=timedelta(days=3))
    assert await store.purge(kept, NOW + timedelta(days=2)) == 0
    assert await store.purge(kept, NOW + timedelta(days=4)) == 1
    assert [one.id for one in await store.orders()] == [2]


async def test_a_scope_means_the_same_after_it_was_written_down(store):
    """What is kept of an order is no order."""
    await waiting(store, 3)
    where = {"rule": "r", "names": [], "all": False, "since": None}
    await desk(store).answer("queue_hold", {"where": where}, ANN)
    assert where == {"rule": "r", "names": [], "all": False, "since": None}
    assert await store.count(["held"], Scope()) == 3
