"""The outbox as a state machine on the simulated clock: in whatever order things happen, nothing is lost or said too often."""

import asyncio
import itertools
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from shared import examples
from store_contract import event, message, other

from crmbridge.contract import Limits, Rate
from crmbridge.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Receipt, State
from crmbridge.publisher.decide import OnUnknown, Policy
from crmbridge.publisher.health import Silence
from crmbridge.publisher.publisher import Publisher
from crmbridge.simulate import SimulatedStore, Simulation
from crmbridge.store.terms import Batch, Entry, NewDelivery, Selection
from crmbridge.telemetry import Metrics

OPEN = [State.QUEUED, State.SENDING, State.HELD, State.UNKNOWN]


class World:
    """A network as it really is: what is there, and how it behaves just now."""

    def __init__(self, simulation, *, lag=0.0):
        self.simulation = simulation
        self.lag = lag
        self.there = []  # (key, record, instant)
        self.mood = "well"
        self.lost = Counter()  # answers lost after publication, by key
        self.cut = 0  # attempts that a crash cut off
        self.silent_until = None
        self.broken_silence = 0
        self.jumped = False
        self.count = itertools.count()

    def forgive(self):
        """After a restart only the wall clock tells when a wait ends; if that jumped meanwhile, nobody can know."""
        if self.jumped:
            self.silent_until = None

    async def publish(self, said, key, parent):
        """One attempt."""
        now = self.simulation.clock.monotonic()
        if self.silent_until is not None and now < self.silent_until - 0.001:
            self.broken_silence += 1
        await asyncio.sleep(0.2)
        match self.mood:
            case "refusing":
                raise Transient("refused")
            case "limiting":
                self.silent_until = self.simulation.clock.monotonic() + 30
                raise RateLimited("slow down", self.simulation.clock.now() + timedelta(seconds=30))
            case "locked":
                raise AuthFailed("token_revoked")
            case "rejecting":
                raise Rejected("no", code="no")
            case "losing":  # it acts, and the answer is lost
                self.there.append((key, said.record.id, now))
                self.lost[key] += 1
                raise OutcomeUnknown("cut")
            case "dropping":  # it does not act, and nobody can tell
                raise OutcomeUnknown("no answer")
        self.there.append((key, said.record.id, now))
        try:
            await asyncio.sleep(0.2)  # the answer travels; a crash now is an answer that nobody hears
        except asyncio.CancelledError:
            self.cut += 1
            raise
        return Receipt(remote_id=f"r{next(self.count)}")

    def seen(self, key):
        """What a look-up shows: with a lag, what was published a moment ago is not there yet."""
        now = self.simulation.clock.monotonic()
        return next((Receipt(remote_id=one) for one, _, at in self.there if one == key and now - at >= self.lag), None)


class Plain:
    """A destination that takes no key and cannot be asked."""

    limits = Limits(concurrency=4, per_lane=Rate(count=1, seconds=1.0))

    def __init__(self, world):
        self.world = world

    def measure(self, text):
        return 0

    async def check(self):
        pass

    async def publish(self, said, key, parent):
        return await self.world.publish(said, key, parent)

    async def close(self):
        pass


class Asked(Plain):
    """One that can be asked."""

    async def find(self, said, key, parent, since):
        await asyncio.sleep(0.1)
        return self.world.seen(key)


class Outbox(RuleBasedStateMachine):
    """One destination, its publisher, and everything that can happen to them."""

    on_unknown = OnUnknown.RESEND
    asked = False

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="crmbridge-states-"))
        self.simulation = Simulation()
        self.world = World(self.simulation, lag=2.0 if self.asked else 0.0)
        self.accepted = []
        self.dropped = set()
        self.publisher = self.task = None
        self.crashes = 0
        self.open_store()
        self.start()

    def open_store(self):
        self.store = SimulatedStore(self.folder / "store.db")

    def start(self):
        policy = Policy(destination="out", idempotent=False, on_unknown=self.on_unknown)
        destination = (Asked if self.asked else Plain)(self.world)
        clock = self.simulation.clock
        self.publisher = Publisher(
            destination, policy, store=self.store, metrics=Metrics(), now=clock.now, monotonic=clock.monotonic, chance=lambda: 0.5
        )
        self.task = self.simulation.spawn(self.publisher.run())

    def do(self, work):
        return self.simulation.run(work)

    @rule(record=st.integers(0, 3), channel=st.sampled_from(["#a", "#b"]), count=st.integers(1, 4))
    def accept(self, record, channel, count):
        for _ in range(count):
            key = f"k{len(self.accepted)}"
            said = message(channel=channel, record=other(record))
            entry = Entry(
                record=said.record, event=event(len(self.accepted) + 1, said.record), deliveries=[NewDelivery(key=key, message=said)]
            )
            self.do(self.store.record(Batch(source="crm", entries=[entry]), self.simulation.clock.now()))
            self.accepted.append((key, channel, said.record.id))
        self.publisher.nudge()

    @rule(mood=st.sampled_from(["well", "well", "refusing", "limiting", "losing", "dropping", "locked"]))
    def change_mood(self, mood):
        self.world.mood = mood

    @rule(seconds=st.sampled_from([0.1, 0.3, 1.0, 5.0, 60.0, 600.0]))
    def wait(self, seconds):
        self.simulation.pass_time(seconds)

    @rule(hours=st.sampled_from([-24, -1, 1, 24]))
    def jump(self, hours):
        self.simulation.clock.jump(timedelta(hours=hours))
        self.world.jumped = True
        if hours < 0:  # as the daemon's watch does
            self.do(self.store.shift(timedelta(hours=hours), self.simulation.clock.now()))
        self.publisher.nudge()

    @rule()
    def crash(self):
        """The process dies: attempts under way are cut off where they are."""
        self.simulation.cancel_all()
        self.store.abandon()
        self.crashes += 1
        self.world.forgive()
        self.open_store()
        self.start()

    @rule()
    def restart(self):
        """A clean stop and a new start."""
        self.do(self.publisher.stop(10.0))
        self.do(asyncio.wait({self.task}))
        self.world.forgive()
        self.store.close()
        self.open_store()
        self.start()

    @rule()
    def reload(self):
        """The publisher is exchanged while the store stays."""
        self.do(self.publisher.stop(10.0))
        self.do(asyncio.wait({self.task}))
        self.world.forgive()
        self.start()

    @rule()
    def halt_and_go_on(self):
        self.publisher.health.silenced = Silence("a person", by_hand=True)
        before = len(self.world.there)
        self.simulation.pass_time(1.0)  # what was under way ends
        before = len(self.world.there)
        self.simulation.pass_time(120.0)
        assert len(self.world.there) == before
        self.publisher.health.silenced = None
        self.publisher.nudge()

    @rule(channel=st.sampled_from(["#a", "#b"]))
    def hold_and_release(self, channel):
        self.do(self.store.hold(Selection(channel=channel), "by hand", self.simulation.clock.now()))
        self.simulation.pass_time(3.0)
        self.do(self.store.release(Selection(channel=channel), self.simulation.clock.now()))
        self.publisher.nudge()

    @precondition(lambda self: self.accepted)
    @rule()
    def a_person_resolves_what_is_unknown(self):
        for one in self.do(self.store.select([State.UNKNOWN], Selection())):
            if one.key in {key for key, _, _ in self.world.there}:
                self.do(self.store.confirm(one, Receipt(remote_id="x"), "by hand", self.simulation.clock.now()))
            else:
                self.do(self.store.requeue(one, one.message, self.simulation.clock.now()))
        self.publisher.nudge()

    @invariant()
    def nothing_is_lost(self):
        for key, _, _ in self.accepted:
            found = self.do(self.store.delivery(key))
            assert found is not None, key
            if found[0].state is State.DELIVERED:
                assert key in {one for one, _, _ in self.world.there}, f"{key} is called delivered and is not there"
            assert found[0].state is not State.DEAD, found[0]

    @invariant()
    def nothing_is_said_too_often(self):
        said = Counter(key for key, _, _ in self.world.there)
        extra = sum(count - 1 for count in said.values())
        if self.asked or self.on_unknown is OnUnknown.HOLD:
            assert extra == 0, said
        else:
            assert extra <= sum(self.world.lost.values()) + self.world.cut, (said, self.world.lost, self.world.cut)

    @invariant()
    def nobody_is_pressed(self):
        assert self.world.broken_silence == 0

    @invariant()
    def a_record_is_told_in_order(self):
        """In each lane, what was accepted first is there first, whatever was said twice."""
        first = {}
        for place, (key, _, _) in enumerate(self.world.there):
            first.setdefault(key, place)
        for (channel, record), group in itertools.groupby(sorted(self.accepted, key=lambda one: (one[1], one[2])), lambda one: one[1:]):
            places = [first[key] for key, _, _ in sorted(group, key=lambda one: int(one[0][1:])) if key in first]
            assert places == sorted(places), (channel, record)

    def teardown(self):
        """The network is well again, and people do their part: everything is said in the end."""
        try:
            self.world.mood = "well"
            for _ in range(200):
                if self.publisher.health.paused:
                    self.reload()
                self.simulation.pass_time(600.0)
                self.a_person_resolves_what_is_unknown()
                states = Counter(self.do(self.store.delivery(key))[0].state for key, _, _ in self.accepted)
                if set(states) <= {State.DELIVERED}:
                    break
            left = [one for key, _, _ in self.accepted if (one := self.do(self.store.delivery(key))[0]).state is not State.DELIVERED]
            assert not left, (left, self.simulation.clock.now(), self.publisher.health.waits)
            self.nothing_is_said_too_often()
            self.a_record_is_told_in_order()
        finally:
            self.simulation.close()
            self.store.close()
            shutil.rmtree(self.folder)


class Holding(Outbox):
    """A gap is better than a double."""

    on_unknown = OnUnknown.HOLD


class Asking(Outbox):
    """The destination can be asked, and what it shows lags two seconds behind."""

    asked = True


MACHINES = {"resend": Outbox, "hold": Holding, "find": Asking}


@pytest.mark.parametrize("how", MACHINES)
def test_the_outbox_in_any_order(how):
    """Accept, deliver, crash, lose answers, jump, restart, reload, pause, hold: short form."""
    short = settings(max_examples=examples(100), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(MACHINES[how], settings=short)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", MACHINES)
def test_the_outbox_in_any_order_for_long(how):
    """The same, a hundred times as much."""
    much = settings(max_examples=1000, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(MACHINES[how], settings=much)
