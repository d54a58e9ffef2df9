"""The parts of a daemon as tasks: each begins, ends and fails alone. One that fails is begun again, after longer and longer waits."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

_log = logging.getLogger(__name__)
_FIRST, _LONGEST = 1.0, 60.0  # seconds before a part that failed is begun again


@dataclass(frozen=True, slots=True)
class Fault:
    """How a part failed last, and how often it did."""

    what: str
    at: datetime
    count: int


class Parts:
    """Named tasks."""

    def __init__(
        self, now: Callable[[], datetime], describe: Callable[[BaseException], str], chance: Callable[[], float] = random.random
    ) -> None:
        """`chance` (0 to 1) spreads the waits."""
        self.faults: dict[str, Fault] = {}
        """By the name of the part."""
        self._now = now
        self._describe = describe
        self._chance = chance
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work()` until it returns, as often as it takes."""
        self._tasks[name] = asyncio.create_task(self._supervised(name, work), name=name)

    async def _supervised(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                return await work()
            except Exception as error:
                failures += 1
                self.faults[name] = Fault(self._describe(error), self._now(), failures)
                _log.critical("a part of crmbridge failed and is begun again", exc_info=error, extra={"part": name, "times": failures})
                await asyncio.sleep(min(_LONGEST, _FIRST * 2.0 ** min(failures - 1, 8)) * (0.5 + 0.5 * self._chance()))

    async def end(self, name: str) -> None:
        """Cancel a part and wait for its end."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait({task})

    async def end_all(self) -> None:
        """Every part that is left, one after the other."""
        for name in list(self._tasks):
            await self.end(name)
