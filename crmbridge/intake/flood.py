"""The flood guard: of many messages of one rule in one share, the first go out, one summary says so, and the rest waits for a person.

Pure but for its own memory; time is an argument, in seconds of any clock that does not jump.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from crmbridge.rules.rule import Surge

ALL: Final = "*"
"""In place of a channel: all channels of a destination that a rule makes from records."""
WIDER: Final = 10
"""So many times `over` may go to all of those together: each record has a channel of its own, and an import has many records."""
_MOST_SHARES, _FORGOTTEN = 10_000, 3600.0  # windows kept; seconds after which one is forgotten when there are more


class Share(NamedTuple):
    """What is counted: one rule's messages to one channel of one destination."""

    rule: str
    destination: str
    channel: str


class Admission(Enum):
    """What becomes of one more message."""

    GO = "go"
    FIRST_HELD = "first held"  # a flood begins
    HELD = "held"


@dataclass(slots=True)
class _Window:
    accepted: deque[float] = field(default_factory=deque)
    flooding: bool = False


class FloodGuard:
    """Counts what was accepted in each share's window, held messages too: a flood ends when fewer come, not when they are held."""

    def __init__(self) -> None:
        self._windows: dict[Share, _Window] = {}

    def remember(self, earlier: Iterable[tuple[Share, float, bool]]) -> None:
        """Take over what was accepted before a restart, oldest first: share, when, whether this guard held it."""
        for share, at, held in earlier:
            window = self._windows.setdefault(share, _Window())
            window.accepted.append(at)
            window.flooding = held

    def trial(self, now: float) -> Trial:
        """Admissions that count only if they are kept: a batch may have to be interpreted again."""
        return Trial(self, now)

    def window(self, share: Share, surge: Surge, now: float) -> tuple[int, bool]:
        """How many were accepted within the window that ends now, and whether a flood was under way."""
        window = self._windows.get(share)
        if window is None:
            return 0, False
        since = now - surge.per.total_seconds()
        while window.accepted and window.accepted[0] <= since:
            window.accepted.popleft()
        if not window.accepted:
            del self._windows[share]
        return len(window.accepted), window.flooding

    def keep(self, share: Share, surge: Surge, now: float, count: int, *, flooding: bool) -> None:
        """`count` messages were accepted now."""
        window = self._windows.setdefault(share, _Window())
        window.accepted.extend([now] * count)
        while len(window.accepted) > surge.over:  # more than that tells nothing more
            window.accepted.popleft()
        window.flooding = flooding
        if len(self._windows) > _MOST_SHARES:
            self._windows = {share: window for share, window in self._windows.items() if window.accepted[-1] > now - _FORGOTTEN}


class Trial:
    """The admissions of one batch."""

    def __init__(self, guard: FloodGuard, now: float) -> None:
        self._guard = guard
        self._now = now
        self._shares: dict[Share, tuple[Surge, int, int, bool]] = {}  # accepted before, accepted in this batch, flooding

    def admit(self, share: Share, surge: Surge) -> Admission:
        """One more message."""
        if (counted := self._shares.get(share)) is None:
            before, flooding = self._guard.window(share, surge, self._now)
            counted = (surge, before, 0, flooding)
        _, before, here, flooding = counted
        over = before + here >= surge.over
        self._shares[share] = (surge, before, here + 1, over)
        if not over:
            return Admission.GO
        return Admission.HELD if flooding else Admission.FIRST_HELD

    def keep(self) -> None:
        """Keep the admissions: the batch is recorded."""
        for share, (surge, _, here, flooding) in self._shares.items():
            self._guard.keep(share, surge, self._now, here, flooding=flooding)
