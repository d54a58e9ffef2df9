"""One destination's publisher: gates -> lease -> disclosure -> parcels -> attempt -> decide -> learn -> settle -> tell, for ever.

Each destination has its own, with its own attempts under way and its own threads, so a sick one slows no other.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from crmbridge import http
from crmbridge.contract import LONGEST_ATTEMPT, Caller, Destination, Findable
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, StoreError
from crmbridge.model import Delivery, Message, Receipt
from crmbridge.publisher import decide
from crmbridge.publisher.attempts import Attempts
from crmbridge.publisher.decide import Decision, Policy
from crmbridge.publisher.gates import LONGEST_SLEEP, Gates, Turn
from crmbridge.publisher.health import Health
from crmbridge.publisher.looking import Looker
from crmbridge.publisher.pace import Pace, Paces
from crmbridge.publisher.parcels import channel_of, parcels, told
from crmbridge.store.interface import Store
from crmbridge.store.terms import Lease
from crmbridge.store.underway import UnderWay
from crmbridge.telemetry import Metrics
from crmbridge.waiting import rest, until_stored

_log = logging.getLogger(__name__)
_SHORTEST_SLEEP: Final = 0.01  # seconds: what is left of a wait may be less than a clock can tell
_PATIENCE: Final = 1.0  # seconds before an outcome that could not be written is written in another way


class Publisher:
    """Publishes what the store holds for one destination."""

    def __init__(
        self,
        destination: Destination,
        policy: Policy,
        *,
        store: Store,
        metrics: Metrics,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        under_way: UnderWay | None = None,
        hidden: Callable[[Message], Sequence[str]] = lambda _: (),
    ) -> None:
        """`under_way`: where it is noted on what we work. `hidden`: the fields a message shows that its readers may not see by now."""
        self.name = policy.destination
        self.policy = policy
        self.destination = destination
        self.health = Health(self.name, now=now, monotonic=monotonic, chance=chance)
        self.fault = ""
        """What went wrong in this loop itself, unforeseen; empty while it goes well."""
        self._stumbles = 0
        self._idle = False  # nothing waits for it
        self._store = store
        self._working_on = under_way or UnderWay()
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        self._chance = chance
        self._hidden = hidden
        limits = destination.limits
        self._latency = metrics.latency.labels(self.name)
        self._delivered = metrics.deliveries.labels(self.name, "delivered")
        self._call = Caller(f"destination {self.name}", limits.concurrency, LONGEST_ATTEMPT)
        self.attempts = Attempts(self.name, destination, call=self._call, under_way=self._working_on)
        self._lanes = Paces(limits.per_lane)
        self._pace = Pace(limits.per_destination) if limits.per_destination else None
        self._under_way: dict[asyncio.Task[None], int] = {}
        """The attempts that have begun, and how many messages each is about."""
        self._gates = Gates(
            self.name,
            self.health,
            destination=destination,
            pace=self._pace,
            cap=policy.cap,
            store=store,
            under_way=self._under_way.values,
        )
        self._wake = asyncio.Event()
        self._last_lane = ""
        self._stopping = False
        self._turning = asyncio.Lock()
        self._looker: Looker | None = None
        if isinstance(destination, Findable):
            self.policy = policy = replace(policy, finds=True)
            self._looker = Looker(
                destination,
                policy,
                store=store,
                metrics=metrics,
                call=self._call,
                now=now,
                asked_to_wait=self.health.heed,
                paused=lambda: self.health.paused is not None,
                settled=self.nudge,
            )

    # --- the loop

    def nudge(self) -> None:
        """Something may be due."""
        self._wake.set()

    @property
    def under_way(self) -> int:
        """Attempts that have begun and are not settled."""
        return len(self._under_way)

    async def run(self) -> None:
        """Publish until `stop`. Resolves first what a crash interrupted. Whatever goes wrong in a turn, there is a next one."""
        while (pause := await self._safely(self._resume)) > 0:
            await rest(self._wake, pause)
        beside = [asyncio.create_task(self._introduce())]
        if self._looker:
            beside.append(asyncio.create_task(self._looker.run()))
        try:
            while not self._stopping:
                self._wake.clear()
                async with self._turning:
                    pause = 0.0 if self._stopping else await self._safely(self._turn)
                if pause > 0 and not self._stopping:
                    await rest(self._wake, min(pause, LONGEST_SLEEP))
        finally:
            for task in beside:
                task.cancel()

    async def _safely(self, work: Callable[[], Awaitable[float]]) -> float:
        """Do `work` and return the pause that it asks for, in seconds. After unforeseen errors the pause grows."""
        try:
            pause = await work()
        except Exception as error:
            self._stumbles += 1
            self.fault = http.describe(error)
            _log.error("publishing stumbled and goes on", exc_info=error, extra={"destination": self.name, "times": self._stumbles})
            return min(LONGEST_SLEEP, 0.5 * 2.0 ** min(self._stumbles, 8))
        self.fault, self._stumbles = "", 0
        return pause

    async def _resume(self) -> float:
        """Take over the waits and the interrupted attempts of an earlier process."""
        now = self._now()
        for wait in await self._store.waits():
            if wait.destination == self.name:
                self.health.heed(wait)
        if self.health.paused:
            # A person restarted or reloaded us: credentials may be good again, and one attempt tells.
            await self._store.end_pause(self.name)
            self.health.paused = None
        decisions = [decide.interrupted(one, self.policy, now) for one in await self._store.interrupted(self.name)]
        if decisions:
            await self._store.settle([one.settlement for one in decisions], [], now)
            _log.warning("attempts were interrupted", extra={"destination": self.name, "count": len(decisions)})
        return 0.0

    async def _introduce(self) -> None:
        """Log in before the first message needs it: a wrong token is told at once. Where silence was asked for, messages find out.

        And again while it is not well, and nothing waits that would show whether it still is not.
        """
        first = True
        while True:
            if self.health.silence(self._monotonic()) == 0 and (first or (self.health.last_failure and self._idle)):
                await self._check()
            first = False
            await asyncio.sleep(LONGEST_SLEEP)

    async def _check(self) -> None:
        try:
            await self.attempts.check()
            self.health.reached()
        except AuthFailed as error:
            wait = decide.refused(self.policy, str(error), self._now())
            self.health.pause(wait)
            await self._store.settle([], [wait], wait.since)
        except Exception as error:  # nothing is proved: an attempt may fare better, and says more if not
            reason = str(error) or type(error).__name__
            self.health.not_reached(reason, self._now())
            _log.warning("a destination could not be checked", extra={"destination": self.name, "reason": reason})

    # --- one turn

    async def _turn(self) -> float:
        """Begin what may begin now; returns for how many seconds nothing else can (0: look again at once)."""
        turn = await self._gates.room(Turn(self._now(), self._monotonic()))
        if turn.rest is not None:
            return max(turn.rest, _SHORTEST_SLEEP)
        resting, asked = self._lanes.resting(turn.tick), self.health.asked(turn.tick)
        try:
            lease = await self._store.lease(
                self.name, now=turn.now, limit=turn.room, per_lane=self._lanes.per_turn, skip=[*resting, *asked], after=self._last_lane
            )
        except StoreError as error:
            _log.error("nothing can be published: the store refuses", extra={"destination": self.name, "reason": str(error)})
            return 1.0
        self._idle = not lease.deliveries and not self._under_way and lease.next_due is None
        self._tell_of_ended(lease, turn.now)
        try:
            refused = [one for delivery in lease.deliveries if (one := self._disclosed(delivery))]
        except Exception:  # nothing has begun: what is leased must not look as if it were under way
            await self._settle([decide.unbegun(one, turn.now) for one in lease.deliveries])
            raise
        self._begin(await self._without(refused, lease.deliveries), turn.batch)
        if (lease.deliveries or lease.expired) and lease.next_due is not None and lease.next_due <= turn.now:
            return 0.0
        waits = [at - turn.tick for at in (*resting.values(), *asked.values())]
        if lease.next_due is not None:
            waits.append((lease.next_due - turn.now).total_seconds())
        return max(min(waits, default=LONGEST_SLEEP), _SHORTEST_SLEEP)

    def _tell_of_ended(self, lease: Lease, now: datetime) -> None:
        """Tell of deliveries that the lease itself has ended."""
        for one in lease.expired:
            self._tell(decide.expired(one), now, now)
        for id, why in lease.unreadable.items():
            _log.error("a message is put aside", extra={"destination": self.name, "delivery": id, "reason": why})

    def _disclosed(self, delivery: Delivery) -> Decision | None:
        """End a message that its destination's present readers may not see; None if they may."""
        return decide.disclosed(delivery, self.policy, self._hidden(delivery.message))

    async def _without(self, refused: Sequence[Decision], deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Let the refused end as dead letters; returns the others."""
        if not refused:
            return deliveries
        await self._settle(refused)
        for decision in refused:
            self._tell(decision, self._now(), self._now())
        keys = {decision.settlement.delivery.key for decision in refused}
        return [one for one in deliveries if one.key not in keys]

    def _begin(self, deliveries: Sequence[Delivery], size: int) -> None:
        """Begin an attempt for each parcel of at most `size`."""
        begun = self._monotonic()  # not before: the pace counts from when a request may really go out
        for batch in parcels(deliveries, size):
            for one in batch:
                self._last_lane = channel_of(one)
                self._lanes.begin(self._last_lane, begun)
                if self._pace:
                    self._pace.begin(begun)
            attempt = asyncio.create_task(self._attempt(batch))
            self._under_way[attempt] = len(batch)
            attempt.add_done_callback(self._ended)

    # --- one attempt

    async def _attempt(self, batch: Sequence[Delivery]) -> None:
        """Attempt a batch: what ended a process before, while nothing else is attempted."""
        if not any(one.crashes for one in batch):
            return await self._attempt_now(batch, None)
        began = False
        try:
            async with self._working_on.alone_until_out() as out:
                began = True
                await self._attempt_now(batch, out)
        except asyncio.CancelledError:
            if not began:
                await self._settle([decide.unbegun(one, self._now()) for one in batch])
            raise

    async def _attempt_now(self, batch: Sequence[Delivery], out: Callable[[], object] | None) -> None:
        """Attempt, decide, learn, settle, tell. `out` hears, in whatever thread, that a request begins."""
        began = self._now()
        outcomes = await self.attempts.publish(batch, out)
        now = self._now()
        decisions = [self._decide(delivery, outcome, began, now) for delivery, outcome in zip(batch, outcomes, strict=True)]
        self.health.learn(decisions)
        await self._settle(decisions)
        if self._looker and any(one.settlement.look_at for one in decisions):
            self._looker.nudge()
        for decision in decisions:
            self._tell(decision, began, now)

    def _decide(self, delivery: Delivery, outcome: Receipt | DeliveryError, began: datetime, now: datetime) -> Decision:
        if isinstance(outcome, Receipt):
            return decide.delivered(delivery, outcome)
        try:
            return decide.failed(delivery, outcome, self.policy, now, self._chance(), began)
        except Exception as error:  # a connector's error that holds nonsense, like an instant without a zone
            _log.exception("an outcome cannot be used", extra={"destination": self.name})
            lost = OutcomeUnknown(f"the connector's answer cannot be used: {http.describe(error)}")
            return decide.failed(delivery, lost, self.policy, now, self._chance(), began)

    async def _settle(self, decisions: Sequence[Decision]) -> None:
        """Until this is durable the deliveries stay `sending`, which a restart takes as unknown."""

        def unable(error: StoreError) -> None:
            _log.error("outcomes cannot be recorded yet", extra={"destination": self.name, "reason": str(error)})

        def settle(some: Sequence[Decision]) -> Awaitable[None]:
            return self._store.settle([one.settlement for one in some], [one.wait for one in some if one.wait], self._now())

        while True:
            try:
                return await until_stored(partial(settle, decisions), unable)
            except Exception as error:  # an outcome that cannot be written: a receipt that is not JSON, a text that is none
                _log.exception("an outcome cannot be written as it is", extra={"destination": self.name})
                if len(decisions) > 1:
                    for one in decisions:
                        await self._settle([one])
                    return None
                decisions = [decide.unwritable(decisions[0], http.describe(error))]
                await asyncio.sleep(_PATIENCE)

    def _tell(self, decision: Decision, began: datetime, now: datetime) -> None:
        """Count and log an end, and remember what it says of the destination."""
        one = decision.settlement
        good = one.outcome == "delivered"
        (self._delivered if good else self._metrics.deliveries.labels(self.name, one.outcome)).inc()
        self.health.ended(decision, now)
        if good:
            self._latency.observe(max(0.0, (now - one.delivery.due).total_seconds()))
        level = logging.INFO if good else logging.WARNING
        if _log.isEnabledFor(level):
            _log.log(level, one.outcome, extra={"destination": self.name, **told(one, began, now)})

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        del self._under_way[attempt]
        self._wake.set()
        if not attempt.cancelled() and (error := attempt.exception()):
            _log.critical("an attempt could not be settled", exc_info=error, extra={"destination": self.name})

    # --- ending

    async def stop(self, grace: float) -> None:
        """Begin nothing new and let what is under way end within `grace` seconds; the rest is unknown."""
        self._stopping = True
        self._wake.set()
        async with self._turning:  # what is being leased at this moment is an attempt under way afterwards
            pass
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=grace)
            for attempt in late:
                attempt.cancel()
            if late:
                await asyncio.wait(late)
                _log.warning("attempts did not end in time", extra={"destination": self.name, "count": len(late)})

    async def close(self) -> None:
        """Release the destination."""
        await self._call(self.destination.close)
        self._call.close()
