"""Answers about the vendor that seldom change: descriptions of records, names of stages and people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
FRESH: Final = 600.0
"""The seconds for which an answer is believed."""


class Kept(Generic[T]):
    """Answers of a vendor by name. Each is asked for once for all threads, and believed for some minutes.

    A request that fails changes nothing: the earlier answer stays.
    """

    def __init__(self, ask: Callable[[str], T], *, seconds: float = FRESH, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask the vendor with `ask(name)`, and believe its answer for `seconds` by `clock`, which may be set back."""
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.RLock()
        self._known: dict[str, tuple[float, T]] = {}

    def get(self, name: str = "", *, afresh: bool = False) -> T:
        """Return the answer called `name`. With `afresh` the vendor is asked even if it is known. Raises what `ask` raises."""
        with self._lock:
            if not afresh and name in self._known:
                at, known = self._known[name]
                if 0 <= self._clock() - at < self._seconds:
                    return known
            found = self._ask(name)
            self._known[name] = self._clock(), found
            return found

    def last(self, name: str = "") -> T | None:
        """Return the last answer called `name`, however old, without asking the vendor."""
        found = self._known.get(name)
        return found[1] if found else None

    def forget(self) -> None:
        """Forget all answers, so that each is asked for anew."""
        with self._lock:
            self._known.clear()
