"""Pacing: at most so many publications in any so many seconds, for a destination and for each of its lanes.

Pure but for its own memory; time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque

from crmbridge.contract import Rate


class Pace:
    """When the next publication may begin, under a sliding window."""

    __slots__ = ("_begun", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._begun: deque[float] = deque(maxlen=rate.count)

    def ready_at(self, now: float) -> float:
        """Return the earliest instant, `now` or later, at which one more may begin."""
        if len(self._begun) < self._rate.count:
            return now
        return max(now, self._begun[0] + self._rate.seconds)

    def free(self, now: float) -> int:
        """How many may begin at `now`."""
        recent = sum(1 for begun in self._begun if begun + self._rate.seconds > now)
        return self._rate.count - recent

    def begin(self, now: float) -> None:
        """One begins."""
        self._begun.append(now)


class Paces:
    """The paces of a destination's lanes; lanes that have been quiet are forgotten."""

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._of: dict[str, Pace] = {}

    def begin(self, channel: str, now: float) -> None:
        """Count a publication to `channel` that begins."""
        if self._rate:
            self._of.setdefault(channel, Pace(self._rate)).begin(now)

    def resting(self, now: float) -> dict[str, float]:
        """Return the channels that may not publish at `now`, and when they may."""
        resting = {channel: at for channel, pace in self._of.items() if (at := pace.ready_at(now)) > now}
        if len(self._of) > 2 * len(resting) + 100:
            self._of = {channel: self._of[channel] for channel in resting}
        return resting

    @property
    def per_turn(self) -> int:
        """How many of one lane may begin at one instant."""
        return 1 if self._rate else 1_000_000
