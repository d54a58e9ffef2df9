"""One of five destinations is dead with ten thousand waiting: on the simulated clock, nobody else notices."""

import asyncio
import logging

from store_contract import event, message, other

from crmbridge.contract import Limits, Rate
from crmbridge.errors import Transient
from crmbridge.model import Receipt, State
from crmbridge.publisher.decide import OnUnknown, Policy
from crmbridge.publisher.publisher import Publisher
from crmbridge.simulate import SimulatedStore, Simulation
from crmbridge.store.terms import Batch, Entry, NewDelivery, Selection
from crmbridge.telemetry import Metrics

RATE = Rate(count=10, seconds=1.0)
WAITING, EACH = 10_000, 300


class Network:
    """Publishes in a tenth of a second; a dead one hangs for eight and refuses."""

    limits = Limits(concurrency=4, per_destination=RATE)

    def __init__(self, simulation, dead=False):
        self.simulation, self.dead = simulation, dead
        self.at, self.tries, self.under_way, self.most = [], [], 0, 0

    def measure(self, text):
        return 0

    async def check(self):
        pass

    async def publish(self, said, key, parent):
        self.tries.append(self.simulation.clock.monotonic())
        self.under_way += 1
        self.most = max(self.most, self.under_way) if len(self.tries) > 20 else 0
        try:
            await asyncio.sleep(8.0 if self.dead else 0.1)
            if self.dead:
                raise Transient("no answer")
            self.at.append(self.simulation.clock.monotonic())
            return Receipt(remote_id=key)
        finally:
            self.under_way -= 1

    async def close(self):
        pass


def fill(simulation, store, name, count):
    for start in range(0, count, 200):
        entries = []
        for n in range(start, min(start + 200, count)):
            said = message(destination=name, channel="", record=other(f"{name}-{n}"))
            entries.append(
                Entry(record=said.record, event=event(1, said.record), deliveries=[NewDelivery(key=f"{name}-{n}", message=said)])
            )
        simulation.run(store.record(Batch(source="crm", entries=entries), simulation.clock.now()))


def publish_all(tmp_path, dead):
    """Five destinations with something to say each; returns simulation, store and networks when the healthy ones are done."""
    simulation = Simulation()
    store = SimulatedStore(tmp_path / f"store-{dead}.db")
    networks = {f"d{n}": Network(simulation, dead and n == 0) for n in range(5)}
    for name in networks:
        fill(simulation, store, name, WAITING if name == "d0" else EACH)
    for name, network in networks.items():
        policy = Policy(destination=name, idempotent=False, on_unknown=OnUnknown.RESEND)
        clock = simulation.clock
        one = Publisher(network, policy, store=store, metrics=Metrics(), now=clock.now, monotonic=clock.monotonic, chance=lambda: 1.0)
        simulation.spawn(one.run())
    simulation.until(lambda: all(len(one.at) == EACH for name, one in networks.items() if name != "d0"))
    return simulation, store, networks


def test_a_dead_destination_slows_no_other(tmp_path):
    """To the tenth of a second, the others end when they would without it; it is probed by one attempt at a time."""
    logging.disable(logging.CRITICAL)  # ten thousand lines say nothing here
    try:
        alone, store, networks = publish_all(tmp_path, dead=False)
        ends = {name: one.at[-1] for name, one in networks.items() if name != "d0"}
        alone.close()
        store.close()

        simulation, store, networks = publish_all(tmp_path, dead=True)
        assert {name: one.at[-1] for name, one in networks.items() if name != "d0"} == ends
        sick = networks["d0"]
        simulation.pass_time(1800)
        assert sick.most <= 1, "one probe at a time"

        sick.dead, healed = False, simulation.loop.time()
        simulation.pass_time(400)  # the longest the breaker waits
        assert sick.at, "it is tried again by itself"
        simulation.until(lambda: len(sick.at) == WAITING, most=4 * WAITING)
        windows = zip(sick.at, sick.at[RATE.count :], strict=False)
        assert min(later - first for first, later in windows) >= RATE.seconds - 0.11, "never above the rate"
        assert healed < sick.at[0]
        assert simulation.run(store.count([State.QUEUED, State.DEAD, State.UNKNOWN], Selection())) == 0
        simulation.close()
        store.close()
    finally:
        logging.disable(logging.NOTSET)
