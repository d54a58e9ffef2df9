"""How a connector's methods are called: plain ones in threads of their own, async ones on the loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar, cast

T = TypeVar("T")
Maybe: TypeAlias = T | Awaitable[T]


class Caller:
    """Calls one connector's methods: `async def` on the loop, `def` in threads that belong to this connector alone.

    So a connector that hangs holds up nobody else. Context variables travel into the thread.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._executor = ThreadPoolExecutor(max(1, threads), thread_name_prefix=name)
        self._is_async: dict[Callable[..., Any], bool] = {}

    async def __call__(self, method: Callable[..., Maybe[T]], *args: Any) -> T:
        function = getattr(method, "__func__", method)
        if (is_async := self._is_async.get(function)) is None:
            is_async = self._is_async[function] = inspect.iscoroutinefunction(method)
        if is_async:
            return await cast("Awaitable[T]", method(*args))
        context = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(self._executor, lambda: context.run(method, *args))
        return cast("T", result)

    def close(self) -> None:
        """Take no more calls; a call that hangs is left to its thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)
