"""A circuit breaker for one destination. Pure: time is an argument, in seconds of a monotonic clock.

Closed, everything goes. After THRESHOLD failures in a row it opens and nothing goes; when its time is up it is half
open, and exactly one attempt goes as a probe: success closes it, failure opens it for longer.
https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

THRESHOLD: Final = 5
_FIRST, _LONGEST = 5.0, 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state after some attempts; every method gives a new one."""

    failures: int = 0
    open_until: float | None = None

    def allows(self, now: float, under_way: int) -> int:
        """How many more attempts may begin while `under_way` are; a large number when closed."""
        if self.open_until is None:
            return 1_000_000
        return 1 if now >= self.open_until and under_way == 0 else 0

    def succeeded(self) -> Breaker:
        """Count an attempt that a healthy destination answered."""
        return Breaker()

    def failed(self, now: float, chance: float) -> Breaker:
        """Count an attempt that failed. `chance` (0 to 1) spreads the probes of many daemons."""
        if self.open_until is not None and now < self.open_until:
            return self  # an attempt that began before it opened says nothing new
        failures = self.failures + 1
        if failures < THRESHOLD:
            return replace(self, failures=failures)
        pause = min(_LONGEST, _FIRST * 2.0 ** min(failures - THRESHOLD, 16))
        return Breaker(failures, now + pause * (0.5 + 0.5 * chance))
