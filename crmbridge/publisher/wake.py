"""The sleep of a loop that others can wake."""

from __future__ import annotations

import asyncio
import contextlib


async def rest(woken: asyncio.Event, seconds: float) -> None:
    """Sleep until `woken` is set, for `seconds` at most; it is left as it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # wait_for of Python 3.11 may swallow a cancellation
            await woken.wait()
