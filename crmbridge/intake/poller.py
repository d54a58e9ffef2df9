"""Polls come in: one page at a time, its cursor recorded with what it brought."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from crmbridge.contract import Acknowledging, Baseline, Caller, Entitled, Source, Streaming, Walking
from crmbridge.errors import FieldsGone, LoginRefused, SourceError, StoreError
from crmbridge.http import VendorRefused, describe
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.parts import Intake
from crmbridge.intake.rights import Rights
from crmbridge.intake.walker import Walker
from crmbridge.model import Page
from crmbridge.store.interface import Store
from crmbridge.store.terms import SourcePosition
from crmbridge.telemetry import Metrics
from crmbridge.waiting import rest

_log = logging.getLogger(__name__)
_FIRST_BACKOFF, _LONGEST_BACKOFF = 1.0, 300.0  # seconds
_LONG = timedelta(days=36_500)  # ago: nobody knows when this source was read last
_JITTER = 0.1  # of the interval, so that many daemons do not poll in step


class Cause(StrEnum):
    """Why a poll failed, as far as what helps depends on it."""

    LOGIN = "login"  # the CRM does not know us: a person must act
    LIMITED = "limited"  # the CRM asks us to wait
    STORE = "store"  # our own database
    FAULT = "fault"  # nobody foresaw it
    OTHER = "other"


@dataclass(slots=True)
class PollState:
    """What `status` says of a polled source."""

    failures: int = 0
    last_error: str = ""
    cause: Cause | None = None
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    last_success: datetime | None = None
    read: int = 0
    """Observations read since the start, for progress."""
    baselined: bool = False


def cause(error: Exception) -> Cause:
    """Tell what kind of failure an error is. Pure."""
    match error:
        case LoginRefused():
            return Cause.LOGIN
        case VendorRefused() if error.status in (401, 403):
            return Cause.LOGIN
        case VendorRefused() if error.status == 429:
            return Cause.LIMITED
        case SourceError() if error.retry_at is not None:
            return Cause.LIMITED
        case StoreError():
            return Cause.STORE
        case SourceError() | TimeoutError():
            return Cause.OTHER
    return Cause.FAULT


def backoff(failures: int, chance: float) -> float:
    """Seconds before poll number `failures` + 1 after failures in a row: exponential, half of it by `chance` (0 to 1)."""
    longest: float = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + 0.5 * chance)


def interval(every: timedelta, chance: float) -> float:
    """Seconds until the next poll: `every`, give or take a tenth by `chance` (0 to 1)."""
    return every.total_seconds() * (1 - _JITTER + 2 * _JITTER * chance)


class Poller:
    """Reads one source for ever. Waits run on the loop's monotonic clock, so a clock jump changes nothing."""

    def __init__(
        self,
        name: str,
        source: Source,
        *,
        every: timedelta,
        store: Store,
        interpreter: Interpreter,
        metrics: Metrics,
        now: Callable[[], datetime],
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
        caller: Caller | None = None,
        refusing: Callable[[], str] = lambda: "",
    ) -> None:
        """`refusing` gives the reason why nothing may be taken in just now; empty if it may."""
        self.name = name
        self.state = PollState()
        self.every = every
        self._source = source
        self._store = store
        self._interpreter = interpreter
        self._metrics = metrics
        self._now = now
        self._chance = chance
        self._refusing = refusing
        self._call = caller or Caller(f"source {name}", 1)
        self._wake = asyncio.Event()
        self._walker: Walker | None = None
        if isinstance(source, Walking):
            self._walker = Walker(
                name, source, store=store, interpreter=interpreter, now=now, call=self._call, monotonic=monotonic, poll=self._poll_for_walk
            )
        self.rights = Rights(name, source, call=self._call) if isinstance(source, Entitled) else None
        self._whole_at: datetime | None = None
        """When the last poll began that read all there was."""

    async def run(self) -> None:
        """Poll for ever; every failure is counted, shown and waited out."""
        checked = False
        while True:
            try:
                if not checked:
                    await self._check()
                    checked = True
                if self.rights and not self.state.failures:  # while it fails, that is what must be mended
                    await self.rights.look()
                if isinstance(self._source, Streaming):
                    await self.follow(self._source)
                else:
                    await self.poll_once()
                    await self.walk()
            except (SourceError, StoreError) as error:
                await asyncio.sleep(self._failed(error))
            except Exception as error:
                _log.exception("a source failed in an unforeseen way", extra={"source": self.name})
                await asyncio.sleep(self._failed(error))
            else:
                await rest(self._wake, interval(self.every, self._chance()))
                self._wake.clear()

    async def _check(self) -> None:
        """Check the source's configuration, so that a misspelt field is told at once. Raises SourceError.

        Fields that are gone are missed by the polls, which go on without them.
        """
        try:
            await self._call(self._source.check)
        except FieldsGone as error:
            _log.warning("configured fields are missing", extra={"source": self.name, "reason": str(error)})

    def nudge(self) -> None:
        """There is something to read: do not wait for the next poll. After a failure its wait stands."""
        self._wake.set()

    def look_again(self) -> None:
        """People have changed something: look at once, at the login's rights too."""
        if self.rights:
            self.rights.forget()
            self.nudge()

    async def poll_once(self, met: set[tuple[str, str]] | None = None) -> None:
        """Read and record pages until the source has no more; `met` gets the type and id of each record. Raises SourceError, StoreError."""
        position = await self._store.position(self.name)
        enumerates = isinstance(self._source, Baseline) and self._source.enumerates()
        more, begun = True, self._now()
        while more:
            if reason := self._refusing():
                raise StoreError(reason)
            page = await self._call(self._source.poll, position.cursor)
            more = page.has_more
            if met is not None:
                met.update((one.record_type, one.record_id) for one in page.observations)
            position = await self._take(page, position, enumerates)
        self._whole_at = begun
        self._succeeded(position)

    async def walk(self) -> None:
        """Look for what no stamp tells of, for a moment; not before what exists is learnt. Raises StoreError."""
        if self._walker and self.state.baselined and not self._refusing():
            await self._walker.go_on()

    async def _poll_for_walk(self) -> set[tuple[str, str]]:
        met: set[tuple[str, str]] = set()
        await self.poll_once(met)
        return met

    async def follow(self, source: Streaming) -> None:
        """Record pages as a stream brings them, until it ends. Raises SourceError, StoreError."""
        position = await self._store.position(self.name)
        async for page in source.pages(position.cursor):
            if reason := self._refusing():
                raise StoreError(reason)
            position = await self._take(page, position, enumerates=False)
            self._succeeded(position)
            if self.rights:
                await self.rights.look()

    async def _take(self, page: Page, position: SourcePosition, enumerates: bool) -> SourcePosition:
        """Record a page and its cursor in one; then the vendor may forget it."""
        learning = page.learning or (enumerates and not position.baselined)
        position = SourcePosition(page.cursor, position.baselined or not page.has_more, self._now())
        intake = Intake(
            source=self.name,
            observations=page.observations,
            position=position,
            learning=learning,
            unseen_is_new=enumerates and not learning,
            lacking=page.lacking,
            unseen_for=None if page.delayed else self._now() - self._whole_at if self._whole_at else _LONG,
        )
        await self._interpreter.take(intake)
        if isinstance(self._source, Acknowledging):
            await self._call(self._source.ack, page.cursor)
        self.state.read += len(page.observations)
        if learning and not page.has_more and position.baselined:
            _log.info(
                "baseline learnt: what exists is known, nothing of it was published",
                extra={"source": self.name, "records": self.state.read},
            )
            if self._walker:
                await self._walker.learnt()
        return position

    def _succeeded(self, position: SourcePosition) -> None:
        self.state.failures, self.state.last_error, self.state.last_success = 0, "", self._now()
        self.state.cause = self.state.failing_since = self.state.retry_at = None
        self.state.baselined = position.baselined
        self._metrics.polls.labels(self.name, "ok").inc()
        self._metrics.polled_at.labels(self.name).set(self._now().timestamp())

    def _failed(self, error: Exception) -> float:
        state = self.state
        state.failures += 1
        state.cause, state.failing_since = cause(error), state.failing_since or self._now()
        state.retry_at = error.retry_at if isinstance(error, SourceError) else None
        state.last_error = str(error) if isinstance(error, (SourceError, StoreError)) else describe(error)
        self._metrics.polls.labels(self.name, "failed").inc()
        pause = backoff(state.failures, self._chance())
        if isinstance(error, SourceError) and error.retry_at:
            pause = max(pause, (error.retry_at - self._now()).total_seconds())
        _log.warning(
            "a poll failed", extra={"source": self.name, "failures": state.failures, "again_in_s": round(pause), "reason": state.last_error}
        )
        return pause

    async def close(self) -> None:
        """Release the source."""
        await self._call(self._source.close)
        self._call.close()
