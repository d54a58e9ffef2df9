"""How a connector's methods are called: plain ones in threads of their own, async ones on the loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar, cast

T = TypeVar("T")
Maybe: TypeAlias = T | Awaitable[T]
LONGEST_READ: Final = 120.0
"""The longest time in seconds that a read of a source may take."""
LONGEST_ATTEMPT: Final = 30.0
"""The longest time in seconds that an attempt to publish may take."""


class Caller:
    """A caller of one connector's methods: `async def` on the loop, `def` in threads that belong to this connector alone.

    A connector that hangs therefore delays no other connector. Context variables travel into the thread.
    """

    def __init__(self, name: str, threads: int, within: float = LONGEST_READ) -> None:
        """Allow each call `within` seconds. Connectors have deadlines of their own; this limit is for a connector that breaks its own."""
        self.within = within
        self._executor = ThreadPoolExecutor(max(1, threads), thread_name_prefix=name)
        self._is_async: dict[Callable[..., Any], bool] = {}

    async def __call__(self, method: Callable[..., Maybe[T]], *args: Any, within: float | None = None) -> T:
        """Call `method` and return its result. `within` replaces this caller's own limit.

        Raises TimeoutError when the limit has passed, and whatever the method raises.
        """
        async with asyncio.timeout(self.within if within is None else within):
            return await self._called(method, args)

    async def _called(self, method: Callable[..., Maybe[T]], args: Sequence[Any]) -> T:
        function = getattr(method, "__func__", method)
        if (is_async := self._is_async.get(function)) is None:
            is_async = self._is_async[function] = inspect.iscoroutinefunction(method)
        if is_async:
            return await cast("Awaitable[T]", method(*args))
        context = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(self._executor, lambda: context.run(method, *args))
        return cast("T", result)

    def close(self) -> None:
        """Take no more calls. A call that hangs is left to its thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)
