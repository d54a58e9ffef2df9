"""One destination's publisher: lease -> pace -> publish -> settle, for ever.

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
from typing import Any

from crmbridge import http
from crmbridge.contract import Batched, Caller, Deletable, Destination, Editable, Findable
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, Rejected, StoreError
from crmbridge.model import Delivery, Message, Receipt, Why
from crmbridge.publisher import decide
from crmbridge.publisher.breaker import Breaker
from crmbridge.publisher.decide import Cap, Decision, Policy
from crmbridge.publisher.looking import Looker
from crmbridge.publisher.pace import Pace, Paces
from crmbridge.publisher.parcels import Silence, clear, lane, parcels, told
from crmbridge.publisher.wake import rest
from crmbridge.store import underway
from crmbridge.store.interface import Scope, Store, Wait
from crmbridge.store.underway import UnderWay
from crmbridge.telemetry import Metrics

_log = logging.getLogger(__name__)
_SHORTEST_SLEEP = 0.01  # seconds: what is left of a wait may be less than a clock can tell
_LONGEST_SLEEP = 30.0  # seconds; then we look again, whatever we were told
_OF_THE_MESSAGE = frozenset({"expired", "head_gone", "rejected"})  # outcomes that say nothing of the destination
_PATIENCE = 1.0  # seconds between two tries of what must be done before anything else
_OVERTIME = 30.0  # seconds an attempt may take: connectors have deadlines, this is for those that break theirs


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
        self.breaker = Breaker()
        self.waits: dict[str | None, Wait] = {}
        """Silence until an instant, by channel; None is the whole destination."""
        self._silent: dict[str | None, float] = {}
        """The same instants on the monotonic clock: a wall clock that jumps must not end a vendor's wait."""
        self.last_failure = ""
        """What the destination, or the way to it, said last."""
        self.paused: Wait | None = None
        """Silence until a person acts: the destination refuses us."""
        self.silenced: Silence | None = None
        """Why nothing may be said; None if nobody wants silence."""
        self.failing_since: datetime | None = None
        """Since when nothing gets through; None while it does."""
        self.unreached = False
        """It could not be spoken to when we began, and nothing has got through since."""
        self.fault = ""
        """What went wrong in this loop itself, unforeseen; empty while it goes well."""
        self._stumbles = 0
        self._delivers = False  # something was answered since we began
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
        self._call = Caller(f"destination {self.name}", limits.concurrency)
        self._lanes = Paces(limits.per_lane)
        self._pace = Pace(limits.per_destination) if limits.per_destination else None
        self._under_way: set[asyncio.Task[None]] = set()
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
                asked_to_wait=self._heed,
                silent=lambda: self.paused is not None,
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
                    await rest(self._wake, min(pause, _LONGEST_SLEEP))
        finally:
            for task in beside:
                task.cancel()

    async def _safely(self, work: Callable[[], Awaitable[float]]) -> float:
        """The pause that `work` asks for; a longer and longer one each time something unforeseen goes wrong in it."""
        try:
            pause = await work()
        except Exception as error:
            return self._stumbled(error)
        self.fault, self._stumbles = "", 0
        return pause

    def _stumbled(self, error: Exception) -> float:
        self._stumbles += 1
        self.fault = http.describe(error)
        _log.error("publishing stumbled and goes on", exc_info=error, extra={"destination": self.name, "times": self._stumbles})
        return min(_LONGEST_SLEEP, 0.5 * 2.0 ** min(self._stumbles, 8))

    async def _resume(self) -> float:
        """Take over the waits and the interrupted attempts of an earlier process."""
        now = self._now()
        for wait in await self._store.waits():
            if wait.destination == self.name:
                self._heed(wait)
        if self.paused:
            # A person restarted or reloaded us: credentials may be good again, and one attempt tells.
            await self._store.end_pause(self.name)
            self.paused = None
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
            if self._silence(self._monotonic()) <= 0 and (first or (self.last_failure and self._idle)):
                await self._check()
            first = False
            await asyncio.sleep(_LONGEST_SLEEP)

    async def _check(self) -> None:
        try:
            await self._ask(self.destination.check)
            self.breaker, self.unreached, self.last_failure, self.failing_since = Breaker(), False, "", None
        except AuthFailed as error:
            wait = decide.refused(self.policy, str(error), self._now())
            self._pause(wait)
            await self._store.settle([], [wait], wait.since)
        except Exception as error:  # nothing is proved: an attempt may fare better, and says more if not
            reason = str(error) or type(error).__name__
            if not self._delivers:
                self.unreached, self.last_failure, self.failing_since = True, reason, self._now()
            _log.warning("a destination could not be checked", extra={"destination": self.name, "reason": reason})

    async def _turn(self) -> float:
        """Begin what may begin now; returns for how many seconds nothing else can (0: look again at once)."""
        now, tick = self._now(), self._monotonic()
        pause = self._silence(tick)
        if pause > 0:
            return max(pause, _SHORTEST_SLEEP)
        limits = self.destination.limits
        slots = min(limits.concurrency - len(self._under_way), self.breaker.allows(tick, len(self._under_way)))
        if slots <= 0 or (self._under_way and slots < limits.concurrency // 4):
            # An attempt that ends wakes us; a lease is a transaction, and one for each slot that falls free would be many.
            return _LONGEST_SLEEP
        probing = self.breaker.open_until is not None
        wanted = slots if probing else slots * limits.batch
        if self._pace:
            wanted = min(wanted, self._pace.free(tick))
        if self.policy.cap:
            wanted = min(wanted, await self._left(self.policy.cap, now) - len(self._under_way))
            if wanted <= 0:
                return _LONGEST_SLEEP
        resting = self._lanes.resting(tick)
        asked = [channel for channel, until in self._silent.items() if channel is not None and until > tick]
        try:
            lease = await self._store.lease(
                self.name, now=now, limit=wanted, per_lane=self._lanes.per_turn, skip=[*resting, *asked], after=self._last_lane
            )
        except StoreError as error:
            _log.error("nothing can be published: the store refuses", extra={"destination": self.name, "reason": str(error)})
            return 1.0
        self._idle = not lease.deliveries and not self._under_way and lease.next_due is None
        for one in lease.expired:
            self._tell(decide.expired(one), now, now)
        for id, why in lease.unreadable.items():
            _log.error("a message is put aside", extra={"destination": self.name, "delivery": id, "reason": why})
        deliveries = await self._kept_back(lease.deliveries)
        begun = self._monotonic()  # not before: the pace counts from when a request may really go out
        for batch in parcels(deliveries, 1 if probing else limits.batch):
            for one in batch:
                self._last_lane = lane(one)
                self._lanes.begin(self._last_lane, begun)
                if self._pace:
                    self._pace.begin(begun)
            attempt = asyncio.create_task(self._attempt(batch))
            self._under_way.add(attempt)
            attempt.add_done_callback(self._ended)
        if (lease.deliveries or lease.expired) and lease.next_due is not None and lease.next_due <= now:
            return 0.0
        waits = [at - tick for at in resting.values()]
        waits += [self._silent[channel] - tick for channel in asked]
        if lease.next_due is not None:
            waits.append((lease.next_due - now).total_seconds())
        return max(min(waits, default=_LONGEST_SLEEP), _SHORTEST_SLEEP)

    async def _kept_back(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Without those that this destination's present readers may not see: they become dead letters."""
        refused = [decision for one in deliveries if (decision := decide.disclosed(one, self.policy, self._hidden(one.message)))]
        if not refused:
            return deliveries
        await self._settle(refused)
        for decision in refused:
            self._tell(decision, self._now(), self._now())
        keys = {decision.settlement.delivery.key for decision in refused}
        return [one for one in deliveries if one.key not in keys]

    async def _left(self, cap: Cap, now: datetime) -> int:
        """How many messages the cap still allows; at none the rest is held for a person."""
        left = 1_000_000
        for name, most, since in cap.windows(now):
            remaining = most - await self._store.spent(self.name, since)
            left = min(left, remaining)
            if remaining <= 0 and (held := await self._store.hold(Scope(destination=self.name), Why.CAP.because(f"{most} {name}"), now)):
                facts = {"destination": self.name, "cap": f"{most} {name}", "held": held}
                _log.warning("the cap is reached: what waits is held, see `crmbridge queue list --state held`", extra=facts)
        return left

    def _silence(self, tick: float) -> float:
        """For how long the whole destination must be silent."""
        if self.paused or self.silenced:
            return _LONGEST_SLEEP
        if (until := self._silent.get(None)) is not None:
            if until > tick:
                return until - tick
            del self._silent[None], self.waits[None]
        if self.breaker.open_until is not None and tick < self.breaker.open_until:
            return self.breaker.open_until - tick
        if self._pace and self._pace.free(tick) <= 0:
            return self._pace.ready_at(tick) - tick
        return 0.0

    def _heed(self, wait: Wait) -> None:
        """Keep a wait; none is ever shortened."""
        if wait.until is None:
            self.paused = self.paused or wait
            return
        until = self._monotonic() + (wait.until - self._now()).total_seconds()
        if until > self._silent.get(wait.channel, 0.0):
            self.waits[wait.channel], self._silent[wait.channel] = wait, until

    # --- attempts

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        self._under_way.discard(attempt)
        self._wake.set()
        if not attempt.cancelled() and (error := attempt.exception()):
            _log.critical("an attempt could not be settled", exc_info=error, extra={"destination": self.name})

    async def _attempt(self, batch: Sequence[Delivery]) -> None:
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
        """`out` hears, in whatever thread, that a request begins."""
        began = self._now()
        outcomes = await self._publish(batch, out)
        now = self._now()
        decisions = [self._decide(delivery, outcome, began, now) for delivery, outcome in zip(batch, outcomes, strict=True)]
        self._learn(decisions)
        await self._settle(decisions)
        if self._looker and any(one.settlement.look_at for one in decisions):
            self._looker.nudge()
        for decision in decisions:
            self._tell(decision, began, now)

    async def _publish(self, batch: Sequence[Delivery], out: Callable[[], object] | None) -> Sequence[Receipt | DeliveryError]:
        """One outcome for each delivery; never raises but for cancellation."""

        def begun() -> None:  # from here on it is the network's turn
            slot.end()
            if out:
                out()

        with self._working_on.slot() as slot, http.marked(begun) as mark:
            slot.begin(underway.deliveries([one.id for one in batch]))
            try:
                async with asyncio.timeout(_OVERTIME):
                    if len(batch) > 1 and isinstance(self.destination, Batched):
                        parcel = [(one.message, one.key, one.parent) for one in batch]
                        outcomes = await self._call(self.destination.publish_many, parcel)
                        if len(outcomes) != len(batch):
                            raise OutcomeUnknown(f"{len(batch)} messages were sent and {len(outcomes)} outcomes came back")
                        return [clear(one) for one in outcomes]
                    (only,) = batch
                    return [clear(await self._say(only))]
            except Exception as error:
                if not isinstance(error, DeliveryError):
                    _log.debug("an attempt raised", exc_info=error, extra={"destination": self.name})
                outcome = http.classify(error, mark.end())
                return [outcome] * len(batch)

    async def _say(self, one: Delivery) -> Receipt:
        """Publish, or let what was published say this from now on."""
        parent = one.parent if one.parent and one.parent.remote_id else None
        if not one.message.edit:
            return await self._call(self.destination.publish, one.message, one.key, parent)
        if parent is not None and isinstance(self.destination, Editable):
            return await self._call(self.destination.edit, parent, one.message, one.key)
        return await self._call(self.destination.publish, one.message, one.key, None)

    async def delete(self, receipt: Receipt) -> None:
        """Take a published message back. Raises DeliveryError."""
        if not isinstance(self.destination, Deletable):
            raise Rejected(f"{self.name} cannot take messages back", code="delete")
        await self._ask(self.destination.delete, receipt)

    async def edit(self, receipt: Receipt, message: Message, key: str) -> None:
        """Let a published message say something else. Raises DeliveryError."""
        if not isinstance(self.destination, Editable):
            raise Rejected(f"{self.name} cannot change messages", code="edit")
        await self._ask(self.destination.edit, receipt, message, key)

    async def _ask(self, method: Callable[..., Any], *args: Any) -> None:
        """Something beside publishing, once. Raises DeliveryError."""
        with http.attempt():
            async with asyncio.timeout(_OVERTIME):
                await self._call(method, *args)

    def _decide(self, delivery: Delivery, outcome: Receipt | DeliveryError, began: datetime, now: datetime) -> Decision:
        if isinstance(outcome, Receipt):
            return decide.delivered(delivery, outcome)
        try:
            return decide.failed(delivery, outcome, self.policy, now, self._chance(), began)
        except Exception as error:  # a connector's error that holds nonsense, like an instant without a zone
            _log.exception("an outcome cannot be used", extra={"destination": self.name})
            lost = OutcomeUnknown(f"the connector's answer cannot be used: {http.describe(error)}")
            return decide.failed(delivery, lost, self.policy, now, self._chance(), began)

    def _learn(self, decisions: Sequence[Decision]) -> None:
        """What the attempts say about the destination's health, and the silence they ask for."""
        signs = [one.healthy for one in decisions if one.healthy is not None]
        if signs:
            if any(signs):
                self.breaker = self.breaker.succeeded()
            else:
                was_open = self.breaker.open_until is not None
                self.breaker = self.breaker.failed(self._monotonic(), self._chance())
                if self.breaker.open_until is not None and not was_open:
                    _log.warning("a destination looks ill; one probe at a time from now on", extra={"destination": self.name})
        for decision in decisions:
            if decision.wait is None:
                continue
            if decision.wait.until is None:
                self._pause(decision.wait)
            else:
                self._heed(decision.wait)

    def _pause(self, wait: Wait) -> None:
        if not self.paused:
            _log.error(
                "a destination is paused: put it right, then run `crmbridge reload`",
                extra={"destination": self.name, "reason": wait.reason},
            )
        self._heed(wait)

    async def _settle(self, decisions: Sequence[Decision]) -> None:
        """Until this is durable the deliveries stay `sending`, which a restart takes as unknown."""
        while True:
            try:
                waits = [one.wait for one in decisions if one.wait]
                return await self._store.settle([one.settlement for one in decisions], waits, self._now())
            except StoreError as error:
                _log.error("outcomes cannot be recorded yet", extra={"destination": self.name, "reason": str(error)})
                await asyncio.sleep(_PATIENCE)
            except Exception as error:  # an outcome that cannot be written: a receipt that is not JSON, a text that is none
                _log.exception("an outcome cannot be written as it is", extra={"destination": self.name})
                if len(decisions) > 1:
                    for one in decisions:
                        await self._settle([one])
                    return None
                decisions = [decide.unwritable(decisions[0], http.describe(error))]
                await asyncio.sleep(_PATIENCE)

    def _tell(self, decision: Decision, began: datetime, now: datetime) -> None:
        one = decision.settlement
        good = one.outcome == "delivered"
        (self._delivered if good else self._metrics.deliveries.labels(self.name, one.outcome)).inc()
        if good or decision.healthy:
            self._delivers, self.unreached, self.last_failure, self.failing_since = True, False, "", None
        elif one.outcome not in _OF_THE_MESSAGE:
            self.last_failure, self.failing_since = one.error, self.failing_since or now
        if good:
            self._latency.observe(max(0.0, (now - one.delivery.due).total_seconds()))
        level = logging.INFO if good else logging.WARNING
        if _log.isEnabledFor(level):
            _log.log(level, one.outcome, extra={"destination": self.name, **told(one, began, now)})

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
