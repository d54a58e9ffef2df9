"""What a message must pass before the store is asked for any: gates, each of which leaves less room or says how long there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from crmbridge.contract import Destination
from crmbridge.model import Why
from crmbridge.publisher.decide import Cap
from crmbridge.publisher.health import Health
from crmbridge.publisher.pace import Pace
from crmbridge.store.interface import Store
from crmbridge.store.terms import Selection

_log = logging.getLogger(__name__)
LONGEST_SLEEP: Final = 30.0  # seconds; then we look again, whatever we were told
_UNBOUNDED: Final = 1_000_000  # messages


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn begins with."""

    now: datetime
    tick: float
    """Seconds of the monotonic clock."""
    room: int = _UNBOUNDED
    """How many messages may begin."""
    batch: int = 1
    """How many of them may go together."""
    rest: float | None = None
    """Where none may: the seconds for which that stands."""

    def at_most(self, room: int) -> Turn:
        """Leave no more room than that."""
        return replace(self, room=min(self.room, room))

    def not_for(self, seconds: float) -> Turn:
        """Leave none."""
        return replace(self, room=0, rest=seconds)


class Gates:
    """The gates of one destination, in their order."""

    def __init__(
        self,
        name: str,
        health: Health,
        *,
        destination: Destination,
        pace: Pace | None,
        cap: Cap | None,
        store: Store,
        under_way: Callable[[], Collection[int]],
    ) -> None:
        """`under_way`: how many messages each attempt is about that has begun and is not settled."""
        self._name = name
        self._health = health
        self._destination = destination
        self._pace = pace
        self._cap = cap
        self._store = store
        self._under_way = under_way
        self._gates = (self._silence, self._attempts, self._paced, self._capped)

    async def room(self, turn: Turn) -> Turn:
        """How much room this turn has, after all gates or the first one that is shut. Raises StoreError."""
        for gate in self._gates:
            turn = await gate(turn)
            if turn.rest is not None:
                return turn
        return turn

    async def _silence(self, turn: Turn) -> Turn:
        """Nothing goes while the destination asked for silence, refuses us, looks ill, or a person wants silence."""
        seconds = self._health.silence(turn.tick)
        return turn if seconds == 0 else turn.not_for(LONGEST_SLEEP if seconds is None else seconds)

    async def _attempts(self, turn: Turn) -> Turn:
        """As many go as attempts are free; one, where it looks ill."""
        limits, begun = self._destination.limits, len(self._under_way())
        free = min(limits.concurrency - begun, self._health.breaker.allows(turn.tick, begun))
        if free <= 0 or (begun and free < limits.concurrency // 4):
            # An attempt that ends wakes us; a lease is a transaction, and one for each that falls free would be many.
            return turn.not_for(LONGEST_SLEEP)
        batch = 1 if self._health.probing else limits.batch
        return replace(turn.at_most(free * batch), batch=batch)

    async def _paced(self, turn: Turn) -> Turn:
        """No more go than its pace allows."""
        if self._pace is None:
            return turn
        free = self._pace.free(turn.tick)
        return turn.at_most(free) if free > 0 else turn.not_for(self._pace.ready_at(turn.tick) - turn.tick)

    async def _capped(self, turn: Turn) -> Turn:
        """No more go than the cap leaves. At none the rest is held for a person."""
        if self._cap is None:
            return turn
        left = _UNBOUNDED
        for name, most, since in self._cap.windows(turn.now):
            remaining = most - await self._store.spent(self._name, since)
            left = min(left, remaining)
            reason = Why.CAP.because(f"{most} {name}")
            if remaining <= 0 and (held := await self._store.hold(Selection(destination=self._name), reason, turn.now)):
                facts = {"destination": self._name, "cap": f"{most} {name}", "held": held}
                _log.warning("the cap is reached: what waits is held, see `crmbridge queue list --state held`", extra=facts)
        left -= sum(self._under_way())  # each of them may be published yet
        return turn.at_most(left) if left > 0 else turn.not_for(LONGEST_SLEEP)
