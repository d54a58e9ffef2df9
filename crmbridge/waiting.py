"""How loops wait: until they are woken, and until the store answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from crmbridge.errors import StoreError

T = TypeVar("T")
_PATIENCE: Final = 1.0  # seconds between two tries


async def rest(woken: asyncio.Event, seconds: float) -> None:
    """Sleep until `woken` is set, for `seconds` at most. The event is left as it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # wait_for of Python 3.11 may swallow a cancellation
            await woken.wait()


async def until_stored(work: Callable[[], Awaitable[T]], unable: Callable[[StoreError], None]) -> T:
    """Do `work` until the store takes it; `unable` hears why it does not yet. Anything but a StoreError goes through."""
    while True:
        try:
            return await work()
        except StoreError as error:
            unable(error)
            await asyncio.sleep(_PATIENCE)
