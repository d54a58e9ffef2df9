"""How one destination fares: the silence it asked for or needs, and what it said last. Its memory is its own; clocks are passed in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from crmbridge.publisher.breaker import Breaker
from crmbridge.publisher.decide import Decision
from crmbridge.store.terms import Wait

_log = logging.getLogger(__name__)
_OF_THE_MESSAGE: Final = frozenset({"expired", "head_gone", "rejected"})  # outcomes that say nothing of the destination


@dataclass(frozen=True, slots=True)
class Silence:
    """Why nothing may be said, and what ends that."""

    words: str
    by_hand: bool = False
    """A person wants it; else nothing at all may be said by this process."""
    since: datetime | None = None


class Health:
    """What is known of one destination."""

    def __init__(self, name: str, *, now: Callable[[], datetime], monotonic: Callable[[], float], chance: Callable[[], float]) -> None:
        """`chance` (0 to 1) spreads probes."""
        self.breaker = Breaker()
        self.waits: dict[str | None, Wait] = {}
        """Silence until an instant, by channel; None is the whole destination."""
        self.paused: Wait | None = None
        """Silence until a person acts: the destination refuses us."""
        self.silenced: Silence | None = None
        """Why nothing may be said; None if nobody wants silence."""
        self.last_failure = ""
        """What the destination, or the way to it, said last."""
        self.failing_since: datetime | None = None
        """Since when nothing gets through; None while it does."""
        self.unreached = False
        """It could not be spoken to when we began, and nothing has got through since."""
        self._answered = False  # something was, since we began
        self._until: dict[str | None, float] = {}
        """The ends of `waits` on the monotonic clock: a wall clock that jumps must not end a vendor's wait."""
        self._name = name
        self._now = now
        self._monotonic = monotonic
        self._chance = chance

    # --- what it means for the next message

    def silence(self, tick: float) -> float | None:
        """For how many seconds of the monotonic clock the whole destination must be silent. None: until somebody acts."""
        if self.paused or self.silenced:
            return None
        if (until := self._until.get(None)) is not None:
            if until > tick:
                return until - tick
            del self._until[None], self.waits[None]
        if self.breaker.open_until is not None and tick < self.breaker.open_until:
            return self.breaker.open_until - tick
        return 0.0

    def asked(self, tick: float) -> dict[str, float]:
        """Return the channels whose network asked for a wait, and until when on the monotonic clock."""
        return {channel: until for channel, until in self._until.items() if channel is not None and until > tick}

    @property
    def probing(self) -> bool:
        """It looks ill: one attempt at a time finds out whether it still is."""
        return self.breaker.open_until is not None

    # --- what teaches it

    def heed(self, wait: Wait) -> None:
        """Keep a wait. None is ever shortened."""
        if wait.until is None:
            self.paused = self.paused or wait
            return
        until = self._monotonic() + (wait.until - self._now()).total_seconds()
        if until > self._until.get(wait.channel, 0.0):
            self.waits[wait.channel], self._until[wait.channel] = wait, until

    def pause(self, wait: Wait) -> None:
        """Keep a wait for a person, and tell of it once."""
        if not self.paused:
            _log.error(
                "a destination is paused: put it right, then run `crmbridge reload`",
                extra={"destination": self._name, "reason": wait.reason},
            )
        self.heed(wait)

    def learn(self, decisions: Sequence[Decision]) -> None:
        """Take what attempts say of the destination, and the silence they ask for."""
        signs = [one.healthy for one in decisions if one.healthy is not None]
        if any(signs):
            self.breaker = self.breaker.succeeded()
        elif signs:
            was_open = self.probing
            self.breaker = self.breaker.failed(self._monotonic(), self._chance())
            if self.probing and not was_open:
                _log.warning("a destination looks ill; one probe at a time from now on", extra={"destination": self._name})
        for decision in decisions:
            if decision.wait is not None:
                (self.pause if decision.wait.until is None else self.heed)(decision.wait)

    def ended(self, decision: Decision, now: datetime) -> None:
        """Remember how an attempt ended."""
        if decision.settlement.outcome == "delivered" or decision.healthy:
            self._answered, self.unreached, self.last_failure, self.failing_since = True, False, "", None
        elif decision.settlement.outcome not in _OF_THE_MESSAGE:
            self.last_failure, self.failing_since = decision.settlement.error, self.failing_since or now

    def reached(self) -> None:
        """Note that the destination is well: it answered a look that was no message."""
        self.breaker, self.unreached, self.last_failure, self.failing_since = Breaker(), False, "", None

    def not_reached(self, reason: str, now: datetime) -> None:
        """Note that the destination did not answer a look that was no message. Answers to messages count more."""
        if not self._answered:
            self.unreached, self.last_failure, self.failing_since = True, reason, now
