"""The daemon's own pulse: do the clocks agree, and does the loop go round? It is looked at once a second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from crmbridge.troubles.facts import Happened

CLOCK_JUMP: Final = 5.0
"""The seconds by which wall and monotonic clock may differ between two looks."""
HELD: Final = 1.0
"""The seconds by which a look may be late. A later one is told of: nobody was answered in the meantime."""


class Pulse:
    """A comparison of two looks at the clocks."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self.clock: Happened | None = None
        """The last jump of the wall clock."""
        self.loop: Happened | None = None
        """When the loop was last held up, and for how long."""
        self._now = now
        self._monotonic = monotonic
        self._wall, self._tick = now(), monotonic()

    def reset(self) -> None:
        """Begin anew at this moment."""
        self._wall, self._tick = self._now(), self._monotonic()

    def look(self, expected: float) -> timedelta:
        """Look at the clocks `expected` seconds after the last look. Return by how much the wall clock jumped, mostly not at all."""
        wall, tick = self._now(), self._monotonic()
        passed = tick - self._tick
        drift = (wall - self._wall).total_seconds() - passed
        self._wall, self._tick = wall, tick
        if passed - expected > HELD:
            self.loop = Happened("", f"{passed - expected:.1f} s", wall, self.loop.count + 1 if self.loop else 1)
        if abs(drift) <= CLOCK_JUMP:
            return timedelta(0)
        self.clock = Happened(
            "", f"{'ahead' if drift > 0 else 'back'} by {abs(drift):.0f} s", wall, self.clock.count + 1 if self.clock else 1
        )
        return timedelta(seconds=drift)
