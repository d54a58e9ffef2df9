"""Lost answers are looked for: was the message published after all? One loop for each destination that can be asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from crmbridge import http
from crmbridge.contract import Caller, Findable
from crmbridge.errors import DeliveryError, StoreError
from crmbridge.model import Receipt
from crmbridge.publisher import decide
from crmbridge.publisher.decide import Policy
from crmbridge.store.interface import Store
from crmbridge.store.terms import Doubted, Wait
from crmbridge.telemetry import Metrics
from crmbridge.waiting import rest

_log = logging.getLogger(__name__)
_LONGEST_SLEEP = 30.0  # seconds; then we look again, whatever we were told
_LONGEST_LOOK = 180.0  # seconds: it may read many pages, each within the network's own deadline
_AT_ONCE = 20  # doubts taken from the store in one turn


class Looker:
    """Asks one destination for what may or may not be there."""

    def __init__(
        self,
        destination: Findable,
        policy: Policy,
        *,
        store: Store,
        metrics: Metrics,
        call: Caller,
        now: Callable[[], datetime],
        asked_to_wait: Callable[[Wait], None],
        paused: Callable[[], bool],
        settled: Callable[[], None],
    ) -> None:
        """`asked_to_wait` hears what the destination asks for; while `paused`, nothing is asked; `settled` hears of each end."""
        self._destination = destination
        self._policy = policy
        self._store = store
        self._metrics = metrics
        self._call = call
        self._now = now
        self._asked_to_wait = asked_to_wait
        self._paused = paused
        self._settled = settled
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """There is a new doubt."""
        self._wake.set()

    async def run(self) -> None:
        """Look for ever, until cancelled."""
        while True:
            self._wake.clear()
            pause = await self._turn()
            if pause > 0:
                await rest(self._wake, min(pause, _LONGEST_SLEEP))

    async def _turn(self) -> float:
        if self._paused():
            return 1.0
        try:
            doubted, later = await self._store.doubted(self._policy.destination, self._now(), _AT_ONCE)
            for one in doubted:
                await self._look_safely(one)
        except StoreError as error:
            _log.error("lost answers cannot be looked for: the store refuses", extra={"reason": str(error)})
            return 1.0
        except Exception:
            _log.exception("looking for lost answers stumbled and goes on", extra={"destination": self._policy.destination})
            return _LONGEST_SLEEP
        if doubted:
            return 0.0
        return max(0.01, (later - self._now()).total_seconds()) if later else _LONGEST_SLEEP

    async def _look_safely(self, one: Doubted) -> None:
        """Look for one message. An error leaves it to a person and stops no other look."""
        try:
            await self._look(one)
        except StoreError:
            raise
        except Exception:
            _log.exception("a lost answer cannot be looked for", extra={"key": one.delivery.key})
            await self._store.looked(one.delivery, None, self._now())

    async def _look(self, one: Doubted) -> None:
        delivery = one.delivery
        seen = await self._ask(one)
        now = self._now()
        verdict = decide.looked(one.looks, seen, self._policy, now)
        if verdict.wait:
            self._asked_to_wait(verdict.wait)
        if verdict.found:
            await self._store.confirm(delivery, verdict.found, "found at the destination after its answer was lost", now)
        elif verdict.resend:
            await self._store.requeue(delivery, delivery.message, now, decide.RESENT)
        else:
            await self._store.looked(delivery, verdict.again_at, now)
        outcome = "found" if verdict.found else "resend" if verdict.resend else "again" if verdict.again_at else "unresolved"
        self._metrics.looks.labels(self._policy.destination, outcome).inc()
        facts = {"destination": self._policy.destination, "key": delivery.key, "look": one.looks + 1, "outcome": outcome}
        _log.info("looked for a lost answer", extra=facts | ({"reason": verdict.error} if verdict.error else {}))
        if not verdict.again_at:
            self._settled()

    async def _ask(self, one: Doubted) -> Receipt | DeliveryError | None:
        """Ask the destination for a message. Raises nothing but cancellation."""
        delivery = one.delivery
        with http.marked() as mark:
            try:
                find: Callable[..., Awaitable[Receipt | None]] = self._destination.find  # type: ignore[assignment]
                return await self._call(find, delivery.message, delivery.key, delivery.parent, one.since, within=_LONGEST_LOOK)
            except Exception as error:
                return http.classify(error, mark.end())
