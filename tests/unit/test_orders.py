"""Every order means what it says: over thousands of rows, with a daemon and without one, and after an end in the middle."""

import ast
import contextlib
import inspect
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from shared import NOW, ROOT
from store_contract import batch, entry, lease, other, settled

import crmbridge.operate
from crmbridge.errors import StoreError
from crmbridge.model import Audience, Receipt, State
from crmbridge.operate.port import Running, Stopped
from crmbridge.operate.selection import OrderRefused
from crmbridge.operate.verbs import orders_of, questions_of
from crmbridge.rules.engine import Engine
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Aside, Batch, Pause, PauseKind, Selection, Wait

MANY = 3000
"""More than any page of the store, and than the bites of an order."""
RULES = Engine([], {}, None)
FAIR = Pause(kind=PauseKind.DESTINATION, name="out", reason="a fair", since=NOW)


class Stumbling(SqliteStore):
    """A store that breaks off at one of its writes, before it or after it, as an end of the process does."""

    left = None
    after = False

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name not in ("requeue", "drop", "hold", "release", "record", "retract", "resume", "retry_request", "drop_request"):
            return found

        async def write(*args, **options):
            if self.left is not None:
                self.left -= 1
            if self.left == 0 and not self.after:
                raise StoreError("ended here")
            answer = await found(*args, **options)
            if self.left == 0:
                raise StoreError("ended here")
            return answer

        return write


class Network:
    """What was published, and what of it was taken back; taking back what is gone is done."""

    def __init__(self, *, refuses=0):
        self.gone, self.refuses = set(), refuses

    async def delete(self, receipt):
        if int(receipt.remote_id) < self.refuses:
            raise OrderRefused("too old")
        self.gone.add(receipt.remote_id)


def config(**usual):
    options = SimpleNamespace(on_resume=usual.get("on_resume", "all"))
    there = SimpleNamespace(options=options, connector=SimpleNamespace(named=lambda _: ()))
    return SimpleNamespace(engine=RULES, destinations={"out": there, "idle": there})


def verbs(port):
    """Everything that may be called, by name."""
    return {**questions_of(port), **orders_of(port)}


def stopped(store, configured):
    return Stopped(store=store, config=configured, clock=lambda: NOW, built=None)


def running(store, configured, network=None):
    async def nothing(*_):
        pass

    return Running(
        store=store,
        configured=lambda: configured,
        clock=lambda: NOW,
        built=None,
        speaking=lambda: {"out": SimpleNamespace(attempts=network)},
        muted=lambda: "",
        on_queued=lambda: None,
        on_requests=lambda: None,
        on_steered=nothing,
        on_moved=nothing,
    )


@pytest.fixture(params=[stopped, running])
def port(request):
    return request.param


@pytest.fixture
def opened(tmp_path):
    stores = []

    def new(name="store.db"):
        store = Stumbling(tmp_path / name, synchronous="OFF")
        stores.append(store)
        return store

    yield new
    for store in stores:
        store.close()


async def filled(store, state, count=MANY):
    """So many messages in one lane, all of them in one state."""
    for start in range(0, count, 200):
        numbers = range(start, min(start + 200, count))
        await store.record(batch(*[entry(f"k{n}", record=other(n), text=f"no {n}") for n in numbers]), NOW)
    if state is State.HELD:
        await store.hold(Selection(), "by_hand", NOW)
    elif state is not State.QUEUED:
        while found := (await lease(store, limit=1000, per_lane=1000)).deliveries:
            receipt = (lambda one: Receipt(remote_id=one.key[1:])) if state is State.DELIVERED else (lambda one: None)
            await store.settle([settled(one, state, receipt=receipt(one)) for one in found], [], NOW)
    if state is not State.DELIVERED:  # What is published is counted by its receipts.
        assert await counted(store) == {state: count}
    return store


def saying(one, **changes):
    """An entry whose message is another in that."""
    return replace(one, deliveries=[replace(new, message=replace(new.message, **changes)) for new in one.deliveries])


async def counted(store):
    return {state: count for state in State if (count := await store.count([state], Selection()))}


async def put_aside(store, count):
    """So many records that wait for a person."""
    await store.record(Batch(source="crm", entries=(), aside=[Aside(other(n), b"seen", "odd") for n in range(count)]), NOW)


# --- whole, whatever their number --------------------------------------------------------------


ORDERS = {
    "dead retry": (State.DEAD, lambda desk: desk["dead_retry"]({"all": True}), {State.QUEUED: MANY}),
    "dead drop": (State.DEAD, lambda desk: desk["dead_drop"]({"all": True}), {State.UNSAID: MANY}),
    "queue hold": (State.QUEUED, lambda desk: desk["queue_hold"]({"all": True}), {State.HELD: MANY}),
    "queue release": (State.HELD, lambda desk: desk["queue_release"]({"all": True}), {State.QUEUED: MANY}),
    "queue drop": (State.HELD, lambda desk: desk["queue_drop"]({"all": True}), {State.UNSAID: MANY}),
    "resume nothing": (State.QUEUED, lambda desk: desk["resume"]("out", "nothing"), {State.UNSAID: MANY}),
    "resume latest": (State.QUEUED, lambda desk: desk["resume"]("out", "latest"), {State.QUEUED: MANY}),
    "resume summary": (State.QUEUED, lambda desk: desk["resume"]("out", "summary"), {State.QUEUED: 1, State.UNSAID: MANY}),
    "resume all": (State.QUEUED, lambda desk: desk["resume"]("out", "all"), {State.QUEUED: MANY}),
}


@pytest.mark.parametrize("order", ORDERS)
async def test_an_order_goes_through_all_that_it_means(opened, port, order):
    """The on-call's last word must not end quietly after a page."""
    state, give, expected = ORDERS[order]
    store = await filled(opened(), state)
    await store.pause(FAIR)
    await give(verbs(port(store, config())))
    assert await counted(store) == expected


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("writes", [1, 2, 3, 900])
@pytest.mark.parametrize("order", ORDERS)
async def test_an_order_that_ended_in_the_middle_is_finished_by_a_repeat(opened, order, writes, after):
    """With nothing done twice and nothing left out."""
    state, give, expected = ORDERS[order]
    store = await filled(opened(), state, 1100)
    await store.pause(FAIR)
    store.left, store.after = writes, after
    try:
        await give(verbs(stopped(store, config())))
    except StoreError:
        store.left = None
        with contextlib.suppress(OrderRefused):  # All was done but for the answer: it is not paused any more.
            await give(verbs(stopped(store, config())))
    store.left = None
    assert await counted(store) == {state: 1100 if count == MANY else count for state, count in expected.items()}
    assert await store.pauses() == ([] if order.startswith("resume") else [FAIR])


async def test_a_summary_tells_how_many_waited(opened, port):
    store = await filled(opened(), State.QUEUED)
    await store.pause(FAIR)
    assert (await verbs(port(store, config()))["resume"]("out", "summary"))["dropped"] == MANY
    (said,) = await store.select([State.QUEUED], Selection())
    assert said.message.text[0].text == f"{MANY} messages waited during a pause and are not said one by one: r."


@pytest.mark.parametrize("say", [None, "all", "latest", "summary", "nothing"])
async def test_what_was_not_paused_loses_nothing(opened, port, say):
    """An order that is refused has done nothing, whatever `on_resume` says; so a repeat of one that was done does nothing either."""
    store = await filled(opened(), State.QUEUED, 50)
    desk = verbs(port(store, config(on_resume="summary")))
    with pytest.raises(OrderRefused, match="out was not paused"):
        await desk["resume"]("out", say)
    assert await counted(store) == {State.QUEUED: 50}


async def test_a_summary_after_a_destination_paused_itself_is_said_once_too(opened):
    """Its wait says since when."""
    store = await filled(opened(), State.QUEUED, 1100)
    await store.settle([], [Wait(destination="out", channel=None, until=None, reason="the login is refused", since=NOW)], NOW)
    store.left, store.after, moment = 2, True, NOW
    desk = verbs(Stopped(store=store, config=config(), clock=lambda: moment, built=None))
    with pytest.raises(StoreError):
        await desk["resume"]("out", "summary")
    store.left, moment = None, NOW + timedelta(minutes=1)
    await desk["resume"]("out", "summary")
    assert await counted(store) == {State.QUEUED: 1, State.UNSAID: 1100}
    assert await store.waits() == []


async def test_a_summary_is_said_in_as_many_channels_as_there_are(opened, port):
    """Each record may have a channel of its own, and a batch of the store holds two hundred of them."""
    store = opened()
    for start in range(0, 250, 50):
        some = [entry(f"{n} {twice}", record=other(n), channel=f"#{n}") for n in range(start, start + 50) for twice in "ab"]
        await store.record(batch(*some), NOW)
    await store.pause(FAIR)
    assert (await verbs(port(store, config()))["resume"]("out", "summary"))["dropped"] == 500
    assert await counted(store) == {State.QUEUED: 250, State.UNSAID: 500}


async def test_what_waited_for_the_public_is_neither_summed_up_nor_let_go(opened, port):
    """Nobody wants fifty posts at once on a public account."""
    store = opened()
    entries = [entry(f"k{n}", record=other(n)) for n in range(50)]
    public = [
        replace(one, deliveries=[replace(new, message=replace(new.message, audience=Audience.PUBLIC)) for new in one.deliveries])
        for one in entries
    ]
    await store.record(batch(*public), NOW)
    await store.pause(FAIR)
    await verbs(port(store, config()))["resume"]("out", "summary")
    assert await counted(store) == {State.HELD: 50}


async def test_who_takes_back_hears_of_what_may_be_published(opened):
    """Lost answers: nobody knows yet, and they are said again where that is the way."""
    store = await filled(opened(), State.UNKNOWN, 30)
    answer = await verbs(running(store, config(), Network()))["retract"](where={"rule": "r", "since": "2h"})
    assert (answer["count"], answer["doubtful"]) == (0, 30)


async def test_a_dead_letter_that_is_tried_again_is_not_too_old_for_it(opened):
    """A person asked, though its time was over before."""
    store = opened()
    (one,) = [entry("k")]
    late = replace(
        one, deliveries=[replace(new, message=replace(new.message, expires_at=NOW + timedelta(hours=6))) for new in one.deliveries]
    )
    await store.record(batch(late), NOW)
    (found,) = (await lease(store)).deliveries
    await store.settle([settled(found, State.DEAD, reason="rejected")], [], NOW)
    later = NOW + timedelta(hours=7)
    await verbs(Stopped(store=store, config=config(), clock=lambda: later, built=None))["dead_retry"]({"all": True})
    (again,) = (await lease(store, now=later)).deliveries
    assert again.expires_at is None


async def test_requests_that_were_put_aside_are_all_meant(opened, port):
    store = opened()
    await put_aside(store, MANY)
    answer = await verbs(port(store, config()))["dead_drop"]({"all": True})
    assert (answer["requests"], await store.failed_requests()) == (MANY, [])


async def test_all_that_a_rule_said_is_taken_back(opened):
    """And what of it cannot be is named, as far as an answer has room."""
    store, network = await filled(opened(), State.DELIVERED), Network(refuses=150)
    desk = verbs(running(store, config(), network))
    where = {"rule": "r", "since": "2h"}
    assert (await desk["retract"](where=where, dry_run=True))["count"] == MANY
    answer = await desk["retract"](where=where)
    assert (answer["count"], len(answer["problems"]), answer["more_problems"]) == (MANY - 150, 100, 50)
    assert len(network.gone) == MANY - 150
    assert (await desk["retract"](where=where, dry_run=True))["count"] == 150, "what was taken back is not taken back again"


async def test_taking_back_goes_on_where_it_ended(opened):
    store, network = await filled(opened(), State.DELIVERED, 1100), Network()
    desk = verbs(running(store, config(), network))
    store.left = 1050
    with pytest.raises(StoreError):
        await desk["retract"](where={"rule": "r", "since": "2h"})
    store.left = None
    assert (await desk["retract"](where={"rule": "r", "since": "2h"}))["count"] == 1100 - 1049
    assert len(network.gone) == 1100


async def test_only_a_running_daemon_takes_back(opened):
    with pytest.raises(OrderRefused, match="no crmbridge runs"):
        await verbs(stopped(opened(), config()))["retract"](["1"])


# --- the same with a daemon and without one -----------------------------------------------------


async def test_a_destination_that_no_rule_uses_is_paused_too(opened, port):
    """Whoever pauses it before its first rule must not hear that it does not exist."""
    store = opened()
    assert await verbs(port(store, config()))["pause"]("idle", "not yet") == {"paused": "idle", "kind": "destination"}
    assert await store.pauses() == [replace(FAIR, name="idle", reason="not yet")]


async def test_what_a_destination_says_after_a_pause_is_asked_of_its_configuration(opened, port):
    """`on_resume` holds for an order that no daemon hears, too."""
    store = await filled(opened(), State.QUEUED, 5)
    await store.pause(FAIR)
    assert await verbs(port(store, config(on_resume="nothing")))["resume"]("out") == {"resumed": "out", "dropped": 5}
    assert await counted(store) == {State.UNSAID: 5}


# --- the house ----------------------------------------------------------------------------------


def test_no_class_of_the_house_is_another_one_too():
    """Orders are found where they stand; what they share is handed to them."""
    for path in Path(next(iter(crmbridge.operate.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert {ast.unparse(base) for base in node.bases} <= {"Protocol", "TypedDict", "CrmbridgeError"}, (
                    f"{path.name}: {node.name}"
                )


def test_each_file_of_the_house_is_read_in_one_sitting():
    for path in Path(next(iter(crmbridge.operate.__path__))).glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) < 400, path.name


def test_every_verb_says_what_it_does():
    for name, verb in verbs(stopped(SimpleNamespace(), config())).items():
        assert verb.__doc__, name


def test_the_command_line_speaks_to_the_verbs_that_there_are():
    """By their names and with their arguments: what no test happens to order would else fail on the night it is needed."""
    known = {**questions_of(MagicMock()), **orders_of(MagicMock())}
    spoken = 0
    for path in sorted((ROOT / "crmbridge" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"call", "ask_daemon"}):
                continue
            name = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else None
            if name not in known:
                continue
            spoken += 1
            given = {one.arg: MagicMock() for one in node.keywords if one.arg}
            signature = inspect.signature(known[name])
            bind = signature.bind_partial if any(one.arg is None for one in node.keywords) else signature.bind
            try:
                bind(**given)
            except TypeError as error:
                raise AssertionError(f"{path.name}:{node.lineno} {name}: {error}") from None
    assert spoken > 15
