"""What a vendor says of itself, which changes seldom: descriptions of records, names of stages and people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
FRESH: Final = 600.0
"""Seconds that an answer is believed."""


class Kept(Generic[T]):
    """Answers by name: each is asked for once, for any number of threads, and believed for some minutes.

    One that fails is not kept, and the one before it stays.
    """

    def __init__(self, ask: Callable[[str], T], *, seconds: float = FRESH, clock: Callable[[], float] = time.monotonic) -> None:
        """`ask(name)` asks the vendor; `seconds`: how long its answer is believed, by `clock`, which may be set back."""
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.RLock()
        self._known: dict[str, tuple[float, T]] = {}

    def get(self, name: str = "", *, afresh: bool = False) -> T:
        """The answer; with `afresh` it is asked for whatever is known. Raises what `ask` raises."""
        with self._lock:
            if not afresh and name in self._known:
                at, known = self._known[name]
                if 0 <= self._clock() - at < self._seconds:
                    return known
            found = self._ask(name)
            self._known[name] = self._clock(), found
            return found

    def last(self, name: str = "") -> T | None:
        """What was answered last, however long ago, without asking."""
        found = self._known.get(name)
        return found[1] if found else None

    def forget(self) -> None:
        """Ask anew from now on."""
        with self._lock:
            self._known.clear()
