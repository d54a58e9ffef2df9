"""One destination's publisher on a real store: lease, pace, publish, settle."""

import asyncio
import itertools
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from store_contract import batch, entry, other

from crmbridge import http
from crmbridge.contract import Limits, Rate
from crmbridge.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Audience, Receipt, State
from crmbridge.publisher import publisher as publisher_module
from crmbridge.publisher.decide import Cap, OnUnknown, Policy
from crmbridge.publisher.pace import Paces
from crmbridge.publisher.publisher import Publisher
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Selection, Wait
from crmbridge.telemetry import Metrics


def now():
    return datetime.now(timezone.utc)


class Network:
    """A destination whose answers are given; what it saw is kept."""

    def __init__(self, answer=None, **limits):
        self.limits = Limits(**limits)
        self.answer = answer or (lambda message, key: Receipt(remote_id=key))
        self.seen = []
        self.at = []

    def measure(self, text):
        return 0

    def check(self):
        pass

    async def publish(self, message, key, parent):
        self.seen.append(key)
        self.at.append(time.monotonic())
        answer = self.answer(message, key)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        pass


class Batching(Network):
    def __init__(self, **limits):
        super().__init__(batch=10, **limits)
        self.parcels = []

    async def publish_many(self, parcel):
        self.parcels.append([key for _, key, _ in parcel])
        return [Rejected("no", code="no") if key == "bad" else Receipt(remote_id=key) for _, key, _ in parcel]


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield store
    store.close()


class Running:
    """A publisher that runs for the length of a block."""

    def __init__(
        self,
        store,
        network,
        *,
        on_unknown=OnUnknown.RESEND,
        chance=lambda: 0.0,
        destination="out",
        under_way=None,
        hidden=lambda _: (),
        **facts,
    ):
        policy = Policy(**({"destination": destination, "idempotent": False, "on_unknown": on_unknown} | facts))
        self.publisher = Publisher(
            network, policy, store=store, metrics=Metrics(), now=now, chance=chance, under_way=under_way, hidden=hidden
        )

    async def __aenter__(self):
        self.task = asyncio.create_task(self.publisher.run())
        return self.publisher

    async def __aexit__(self, *_):
        await self.publisher.stop(1.0)
        await self.task
        await self.publisher.close()


async def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that in time")


async def states(store):
    return {(one.state.value, one.count) for one in (await store.overview()).tallies}


async def test_everything_is_published_once(store):
    """The plain case, with more waiting than slots."""
    network = Network(concurrency=3)
    await store.record(batch(*(entry(f"k{n}", record=other(n)) for n in range(50))), now())
    async with Running(store, network):
        await until(lambda: _all(network, 50))
    assert sorted(f"k{n}" for n in range(50)) == sorted(network.seen)
    assert set() == await states(store)


async def _all(network, count):
    return len(network.seen) >= count


async def test_a_nudge_wakes(store):
    """What is accepted later goes out at once, not at the next look."""
    network = Network()
    async with Running(store, network) as publisher:
        await asyncio.sleep(0.05)
        await store.record(batch(entry("k")), now())
        began = time.monotonic()
        publisher.nudge()
        await until(lambda: _all(network, 1))
    assert network.at[0] - began < publisher_module.LONGEST_SLEEP / 2


async def test_one_record_keeps_its_order_through_failures(store):
    """The first message of a record is tried again before the second is tried at all."""
    answers = iter([Transient("refused"), Transient("refused")])
    network = Network(lambda message, key: next(answers, Receipt(remote_id=key)))
    await store.record(batch(entry("a"), entry("b", revision=2)), now())
    async with Running(store, network):
        await until(lambda: _all(network, 4))
    assert network.seen == ["a", "a", "a", "b"]


async def test_a_lane_keeps_its_pace_and_others_do_not_wait(store, monkeypatch):
    """Two channels at one message per 0.2 s: neither begins faster, and they run side by side."""
    begun = []

    class Noted(Paces):
        def begin(self, lane, now):
            begun.append((lane, now))
            super().begin(lane, now)

    monkeypatch.setattr(publisher_module, "Paces", Noted)
    network = Network(per_lane=Rate(count=1, seconds=0.2))
    entries = [entry(f"{lane}{n}", record=other(f"{lane}{n}"), channel=lane) for lane in "ab" for n in range(4)]
    await store.record(batch(*entries), now())
    async with Running(store, network):
        await until(lambda: _all(network, 8))
    for lane in "ab":
        at = [when for of, when in begun if of == lane]
        assert len(at) == 4
        assert all(later - earlier >= 0.2 - 1e-6 for earlier, later in itertools.pairwise(at))
    assert [lane for lane, _ in begun] != sorted(lane for lane, _ in begun), "they take turns"


async def test_a_rate_limit_is_never_undercut_not_even_by_a_restart(store):
    """The wait is in the store: a new process keeps it."""
    permitted = now() + timedelta(seconds=0.8)
    network = Network(lambda message, key: RateLimited("slow", permitted) if now() < permitted else Receipt(remote_id=key))
    await store.record(batch(entry("a"), entry("b", record=other(1))), now())
    async with Running(store, network):
        await until(lambda: _all(network, 1))
        await asyncio.sleep(0.1)
    first = len(network.seen)
    async with Running(store, network):
        await until(lambda: _all(network, first + 2))
    assert set(network.seen[first:]) == {"a", "b"}
    assert all(at - network.at[0] >= 0.7 for at in network.at[first:])


async def test_a_wrong_token_pauses_and_a_restart_tries_again(store):
    """Nothing is lost, nothing hammers, and the reason is there to read."""
    good = False
    network = Network(lambda message, key: Receipt(remote_id=key) if good else AuthFailed("token_revoked"))
    await store.record(batch(entry("a"), entry("b", record=other(1))), now())
    async with Running(store, network) as publisher:
        await until(lambda: _all(network, 1))
        await asyncio.sleep(0.2)
        assert "token_revoked" in publisher.health.paused.reason
        assert len(network.seen) <= 2
    good = True
    async with Running(store, network):
        await until(lambda: _nothing_open(store))


async def test_a_wrong_token_is_told_before_the_first_message(store):
    """The login fails: paused, and kept so for the next process to try; nothing was sent."""
    network = Network()
    network.check = lambda: (_ for _ in ()).throw(AuthFailed("token_revoked"))
    async with Running(store, network) as publisher:
        await until(lambda: _paused(publisher))
        await store.record(batch(entry("a")), now())
        publisher.nudge()
        await asyncio.sleep(0.1)
    assert network.seen == []
    assert [(wait.until, wait.reason) for wait in await store.waits()] == [(None, "token_revoked")]
    async with Running(store, Network()):
        await until(lambda: _nothing_open(store))


async def test_no_login_within_silence_that_was_asked_for(store):
    """A restart does not undercut it, not even to ask who we are."""
    asked = []
    network = Network()
    network.check = lambda: asked.append(now())
    until_then = now() + timedelta(seconds=30)
    await store.settle([], [Wait(destination="out", channel=None, until=until_then, reason="slow down", since=now())], now())
    async with Running(store, network):
        await asyncio.sleep(0.2)
    assert asked == []


async def test_a_login_that_fails_otherwise_stops_nothing(store):
    """The network may be away for a moment: an attempt tells more."""
    network = Network()
    network.check = lambda: (_ for _ in ()).throw(Transient("away"))
    await store.record(batch(entry("a")), now())
    async with Running(store, network):
        await until(lambda: _all(network, 1))


async def _paused(publisher):
    return publisher.health.paused


async def _nothing_open(store):
    return not await states(store)


@pytest.mark.parametrize(("on_unknown", "times", "state"), [(OnUnknown.RESEND, 2, None), (OnUnknown.HOLD, 1, State.UNKNOWN)])
async def test_a_lost_answer_follows_the_policy(store, on_unknown, times, state):
    """Resend publishes again, hold leaves it to a person; both say so."""
    answers = iter([OutcomeUnknown("cut")])
    network = Network(lambda message, key: next(answers, Receipt(remote_id=key)))
    await store.record(batch(entry("a")), now())
    async with Running(store, network, on_unknown=on_unknown):
        await until(lambda: _all(network, times))
        await asyncio.sleep(0.2)
    assert times == len(network.seen)
    assert ({("unknown", 1)} if state else set()) == await states(store)


async def test_an_exception_nobody_mapped_is_decided_by_the_mark(store):
    """Before the request began it is transient, after that unknown."""

    def answer(message, key):
        if key == "began":
            http.begin()
        return RuntimeError("a bug")

    network = Network(answer)
    await store.record(batch(entry("began"), entry("not", record=other(1))), now())
    async with Running(store, network, on_unknown=OnUnknown.HOLD, chance=lambda: 1.0):
        await until(lambda: _all(network, 2))
        await asyncio.sleep(0.2)
    assert {("unknown", 1), ("queued", 1)} == await states(store)


async def test_what_a_crash_interrupted_is_resolved_at_start(store):
    """`sending` at start means: nobody knows. Idempotent: again. Public: held."""
    await store.record(batch(entry("a")), now())
    await store.lease("out", now=now(), limit=1, per_lane=1, skip=[])
    network = Network()
    async with Running(store, network, on_unknown=OnUnknown.HOLD):
        await asyncio.sleep(0.2)
    assert network.seen == []
    assert {("unknown", 1)} == await states(store)


async def test_an_ill_destination_gets_one_probe_at_a_time(store):
    """After five failures in a row nothing goes but probes."""
    under_way = most = 0

    async def slow():
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return Transient("down")

    network = Network(lambda message, key: slow(), concurrency=5)
    await store.record(batch(*(entry(f"k{n}", record=other(n)) for n in range(30))), now())
    async with Running(store, network, chance=lambda: 0.0) as publisher:
        await until(lambda: _open(publisher))
        most, before = 0, len(network.seen)
        await asyncio.sleep(3.2)
        assert most <= 1
        assert 1 <= len(network.seen) - before <= 2


async def _open(publisher):
    return publisher.health.breaker.open_until is not None and not publisher.under_way


async def test_batches_have_one_outcome_each(store):
    """Two leases become parcels; one refused message does not harm its neighbours."""
    network = Batching()
    entries = [entry(f"k{n}", record=other(n)) for n in range(11)] + [entry("bad", record=other(99))]
    await store.record(batch(*entries), now())
    async with Running(store, network, idempotent=True):
        await until(lambda: _only_dead(store))
    assert sum(map(len, network.parcels)) + len(network.seen) == 12
    assert max(map(len, network.parcels)) <= 10


async def test_a_cap_counts_every_message_that_is_under_way(store):
    """A parcel is one attempt and many messages: each of them may be published yet."""
    network, go = Batching(concurrency=4), asyncio.Event()
    many = network.publish_many

    async def slow(parcel):
        found = await many(parcel)
        await go.wait()
        return found

    network.publish_many = slow
    await store.record(batch(*[entry(f"k{n}", record=other(n)) for n in range(10)]), now())
    async with Running(store, network, idempotent=True, cap=Cap(per_day=12)) as publisher:
        await until(lambda: _holds(lambda: len(network.parcels) == 1))
        await store.record(batch(*[entry(f"later{n}", record=other(100 + n)) for n in range(10)]), now())
        publisher.nudge()
        await until(lambda: _holds(lambda: len(network.parcels) == 2))
        go.set()
        await until(lambda: _held(store, 8))
    assert [len(parcel) for parcel in network.parcels] == [10, 2]


async def _holds(condition):
    return condition()


async def _held(store, count):
    return ("held", count) in await states(store)


async def _only_dead(store):
    return await states(store) == {("dead", 1)}


async def test_a_sick_destination_slows_no_other(store):
    """Each has its own slots and threads: one that hangs is alone with it."""

    over = threading.Event()

    class Hanging(Network):
        def publish(self, message, key, parent):  # type: ignore[override]
            over.wait(60)
            self.seen.append(key)
            return Receipt(remote_id=key)

    sick, well = Hanging(concurrency=2), Network()
    from store_contract import message

    from crmbridge.store.terms import Entry, NewDelivery

    entries = [Entry(record=other(n), deliveries=[NewDelivery(key=f"s{n}", message=message("sick", record=other(n)))]) for n in range(4)]
    entries += [entry(f"k{n}", record=other(100 + n)) for n in range(20)]
    await store.record(batch(*entries), now())
    other_one = Running(store, sick, destination="sick")
    async with other_one, Running(store, well):
        await until(lambda: _all(well, 20))
        assert sick.seen == []
        over.set()
        await until(lambda: _all(sick, 4))


async def test_a_clean_stop_lets_attempts_end(store):
    """What is under way ends within the grace, and is settled: nothing is unknown after a restart."""

    async def slow(key):
        await asyncio.sleep(0.2)
        return Receipt(remote_id=key)

    network = Network(lambda message, key: slow(key))
    await store.record(batch(entry("a")), now())
    async with Running(store, network):
        await until(lambda: _all(network, 1))
    assert set() == await states(store)
    assert await store.interrupted() == []


async def test_a_stop_during_a_lease_leaves_nothing_in_doubt(store):
    """What is being leased at that moment is published or stays queued: never `sending`, which a restart takes as unknown."""
    network, real, leasing = Network(), store.lease, asyncio.Event()

    async def lease(*args, **more):
        found = await real(*args, **more)
        leasing.set()
        await asyncio.sleep(0.1)
        return found

    store.lease = lease
    await store.record(batch(entry("k")), now())
    running = Running(store, network)
    publisher = await running.__aenter__()
    await leasing.wait()
    await publisher.stop(1.0)
    running.task.cancel()  # as the daemon does
    await asyncio.wait({running.task})
    await publisher.close()
    assert network.seen == ["k"]
    assert await store.interrupted() == []


async def test_a_message_for_fewer_readers_is_never_said_to_more(store):
    """Its destination became public while it waited: a dead letter, not a leak."""
    network = Network()
    await store.record(batch(entry("a")), now())
    async with Running(store, network, audience=Audience.PUBLIC):
        await until(lambda: _only_dead(store))
    assert network.seen == []
    (dead,) = await store.select([State.DEAD], Selection())
    assert dead.last_error == "it was made for out, read by the company; out is read by the public"


async def test_an_attempt_that_is_over_can_send_nothing_any_more(store, monkeypatch):
    """A thread that was left behind wakes up late: what counted as not published must stay so."""
    monkeypatch.setattr(publisher_module, "LONGEST_ATTEMPT", 0.1)
    published, late = [], []

    class Stuck(Network):
        def publish(self, message, key, parent):  # type: ignore[override]
            if not late:
                late.append(key)
                time.sleep(0.4)
            http.begin()
            published.append(key)
            return Receipt(remote_id=key)

    await store.record(batch(entry("a")), now())
    async with Running(store, Stuck(), on_unknown=OnUnknown.HOLD):
        await until(lambda: _nothing_open(store))
        await asyncio.sleep(0.5)
    assert published == ["a"]


async def test_a_wait_of_no_length_is_no_licence_to_hammer(store):
    """`Retry-After: 0`, or a clock ahead of the vendor's."""
    network = Network(lambda message, key: RateLimited("slow", now() - timedelta(minutes=1)))
    await store.record(batch(entry("a")), now())
    async with Running(store, network):
        await asyncio.sleep(1.6)
    assert 1 <= len(network.seen) <= 2


@pytest.mark.parametrize("jump", [timedelta(hours=1), -timedelta(hours=1)])
async def test_a_jump_of_the_wall_clock_moves_no_wait(store, jump):
    """What a network asked for is waited for by the monotonic clock: not a second less, and not an hour more."""
    shift, began = [timedelta()], time.monotonic()

    def wall():
        return now() + shift[0]

    answers = iter([lambda: RateLimited("slow", wall() + timedelta(seconds=1.5))])
    network = Network(lambda message, key: next(answers, lambda: Receipt(remote_id=key))())
    running = Running(store, network)
    running.publisher._now = wall
    await store.record(batch(entry("a")), wall())
    async with running as publisher:
        await until(lambda: _all(network, 1))
        await asyncio.sleep(0.2)
        shift[0] = jump
        await store.record(batch(entry("b", record=other(1))), wall())
        publisher.nudge()
        await until(lambda: _all(network, 2))
    assert network.at[1] - began >= 1.5
    assert "b" in network.seen[1:]


async def test_a_pause_does_not_end_the_vendor_s_own_waits(store):
    """Two silences at once: a person ends the one, time the other."""
    later = now() + timedelta(hours=1)
    waits = [
        Wait(destination="out", channel=channel, until=when, reason="r", since=now()) for channel, when in [(None, None), ("#a", later)]
    ]
    await store.settle([], waits, now())
    await store.record(batch(entry("a"), entry("b", record=other(1), channel="#b")), now())
    network = Network()
    async with Running(store, network):
        await until(lambda: _all(network, 1))
        await asyncio.sleep(0.2)
    assert network.seen == ["b"]


async def test_what_goes_wrong_behind_a_lease_leaves_nothing_under_way(store):
    """A message that was leased and did not begin waits as before, and goes out once it can."""
    network, faults = Network(), [RuntimeError("nobody foresaw this")]

    def hidden(message):
        if faults:
            raise faults.pop()
        return ()

    await store.record(batch(entry("k0"), entry("k1", record=other(1))), now())
    async with Running(store, network, hidden=hidden) as publisher:
        await until(lambda: _all(network, 2))
        await until(lambda: _nothing_open(store))
        assert publisher.fault == ""
    assert sorted(network.seen) == ["k0", "k1"]
