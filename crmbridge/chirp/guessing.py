"""How long a guess at a password waits, and whose turn it is when many passwords are checked.

Nobody is shut out by the guesses of others: waits count for one login from one origin. A device that has signed this login in before is
counted by itself. Everything else that looks like guessing only stands further back in the queue.

Source: https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import heapq
import hmac
import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final

from crmbridge.errors import CrmbridgeError

Rank = tuple[int, int, int]
"""How suspicious a try is; lower is less. An unknown device, wrong guesses at the login, wrong guesses from the origin."""


class BusyError(CrmbridgeError):
    """Too many passwords wait to be checked, and this one looked most like a guess."""


class Guesses:
    """Counts of tries that did not succeed."""

    FREE: Final = 5
    """The number of tries without a wait."""
    LONGEST: Final = timedelta(minutes=15)
    KEPT: Final = timedelta(days=1)
    """How long a count lasts without a new try."""
    _MOST: Final = 100_000  # counts that are remembered; beyond that, the oldest is forgotten

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, ...], tuple[int, datetime]] = OrderedDict()

    def begin(self, login: str, origin: str, device: str, now: datetime) -> float:
        """Count a try before its outcome is known, so that many at once cannot slip past. Return the seconds to wait; 0 means go on.

        `device` names a device that is known to have signed this login in. It is empty for any other device.
        """
        own = _own(login, origin, device)
        count, last = self._count(own, now)
        if count >= self.FREE:
            wait = min(timedelta(seconds=2 ** min(count - self.FREE, 20)), self.LONGEST)
            if (left := (last + wait - now).total_seconds()) > 0:
                return left
        for name in (own, *_others(login, origin)):
            self._set(name, self._count(name, now)[0] + 1, now)
        while len(self._counts) > self._MOST:
            self._counts.popitem(last=False)
        return 0.0

    def rank(self, login: str, origin: str, device: str, now: datetime) -> Rank:
        """Return how much a try that has begun looks like a guess. The try itself is not counted."""
        at_login, from_place = (max(0, self._count(name, now)[0] - 1) for name in _others(login, origin))
        return (0 if device else 1, 0 if device else at_login, 0 if device else from_place)

    def right(self, login: str, origin: str, device: str, now: datetime) -> None:
        """Record that the password was right. Its login and origin start anew, and nobody is charged for the try."""
        self._counts.pop(_own(login, origin, device), None)
        self._uncharge(_others(login, origin), now)

    def unchecked(self, login: str, origin: str, device: str, now: datetime) -> None:
        """Record that the try was turned away before it was checked, so it was no guess."""
        self._uncharge((_own(login, origin, device), *_others(login, origin)), now)

    def _uncharge(self, names: Sequence[tuple[str, ...]], now: datetime) -> None:
        for name in names:
            count, last = self._count(name, now)
            if count > 1:
                self._counts[name] = (count - 1, last)
            else:  # a count of nothing is removed, so that it pushes nobody's count out
                self._counts.pop(name, None)

    def _set(self, name: tuple[str, ...], count: int, now: datetime) -> None:
        self._counts[name] = (count, now)
        self._counts.move_to_end(name)

    def _count(self, name: tuple[str, ...], now: datetime) -> tuple[int, datetime]:
        count, last = self._counts.get(name, (0, now))
        return (count, last) if now - last < self.KEPT else (0, now)


def _own(login: str, origin: str, device: str) -> tuple[str, ...]:
    return ("device", login, device) if device else ("try", login, origin)


def _others(login: str, origin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return ("login", login), ("origin", origin)


# --- known devices ------------------------------------------------------------------------------


def device_mark(login: str, nonce: str, secret: str) -> str:
    """Make the mark that a browser keeps to show that it signed this login in: `nonce.proof`. It is worth nothing for another login."""
    return f"{nonce}.{_proof(login, nonce, secret)}"


def known_device(mark: str, login: str, secrets: Sequence[str]) -> str:
    """Return the device's nonce if its mark is ours and belongs to this login. Else return an empty text."""
    nonce, _, proof = mark.partition(".")
    given = proof.encode("utf-8", "replace")
    return nonce if nonce and any(hmac.compare_digest(given, _proof(login, nonce, one).encode()) for one in secrets) else ""


def _proof(login: str, nonce: str, secret: str) -> str:
    key = hmac.digest(secret.encode(), b"chirp known device", hashlib.sha256)
    made = hmac.digest(key, f"{nonce}\n{login}".encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


# --- the queue ------------------------------------------------------------------------------------


class Checking:
    """A queue for slow work in one thread of its own, the least suspicious first. If too much waits, the most suspicious is turned away."""

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chirp passwords")
        self._numbers = itertools.count()
        self._waiting: list[tuple[Rank, int, asyncio.Future[Any], Callable[[], Any]]] = []
        self._working = False

    async def do(self, rank: Rank, work: Callable[[], Any]) -> Any:
        """Do `work` when its turn comes, and return its result. Raises BusyError."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        heapq.heappush(self._waiting, (rank, next(self._numbers), done, work))
        if len(self._waiting) > self._most:
            last = max(self._waiting, key=lambda one: one[:2])
            self._waiting.remove(last)
            heapq.heapify(self._waiting)
            if not last[2].done():
                last[2].set_exception(BusyError())
        self._next()
        return await done

    def _next(self) -> None:
        while self._waiting and not self._working:
            _, _, done, work = heapq.heappop(self._waiting)
            if not done.done():  # the one who asked may have gone
                self._working = True
                running = asyncio.get_running_loop().run_in_executor(self._thread, work)
                running.add_done_callback(lambda finished, done=done: self._finished(finished, done))  # type: ignore[misc]

    def _finished(self, finished: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
        self._working = False
        if not done.done():
            if finished.cancelled():
                done.cancel()
            elif error := finished.exception():
                done.set_exception(error)
            else:
                done.set_result(finished.result())
        self._next()

    def close(self) -> None:
        """Release the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
