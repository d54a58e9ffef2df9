"""Polls out of turn: at once, but not again and again for webhooks that name what no poll may see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

APART: Final = 2.0
"""Seconds between two polls of one source out of turn."""


class Soon:
    """Asks for polls; `poll` begins one of the source that it is given."""

    def __init__(self, poll: Callable[[str], None]) -> None:
        self._poll = poll
        self._due: dict[str, float] = {}
        """When each source was, or will be, polled out of turn."""

    def __call__(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        last = self._due.get(name, 0.0)
        if last > loop.time():
            return  # one is due already
        self._due[name] = max(loop.time(), last + APART)
        loop.call_at(self._due[name], self._poll, name)
