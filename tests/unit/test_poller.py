"""The poller: its cursor moves with what it passed, failures are waited out, and a first start is silent."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import NOW
from test_interpreter import Part, seen

from crmbridge.errors import SourceError, StoreError
from crmbridge.intake import poller as module
from crmbridge.intake.poller import Poller, backoff, interval
from crmbridge.model import Cursor, Page
from crmbridge.store import SqliteStore


class Crm:
    """A source whose pages are given; what it was asked is kept."""

    def __init__(self, *pages, enumerates=True):
        self.given = list(pages)
        self.asked = []
        self.closed = 0
        self._enumerates = enumerates

    def enumerates(self):
        return self._enumerates

    def check(self):
        pass

    def poll(self, cursor):
        self.asked.append(cursor)
        page = self.given.pop(0) if self.given else Page(observations=(), cursor=cursor or Cursor("0"), has_more=False)
        if isinstance(page, Exception):
            raise page
        return page

    def close(self):
        self.closed += 1


def page(cursor, *values, more=False, **facts):
    return Page(observations=tuple(seen(record, S=value) for record, value in values), cursor=Cursor(cursor), has_more=more, **facts)


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield store
    store.close()


@pytest.fixture
def part(store):
    return Part(store)


def make(part, crm, **more):
    return Poller(
        "crm",
        crm,
        every=timedelta(seconds=30),
        store=part.store,
        interpreter=part.interpreter,
        metrics=part.metrics,
        now=lambda: NOW,
        **more,
    )


async def test_a_baseline_is_silent_then_changes_speak(part):
    """Over several pages, and over a restart in the middle of it."""
    crm = Crm(page("1", ("a", "old"), more=True), SourceError("down"))
    with pytest.raises(SourceError):
        await make(part, crm).poll_once()
    assert ((at := await part.store.position("crm")).cursor, at.baselined) == ("1", False)

    crm = Crm(page("2", ("b", "old")), page("3", ("a", "old"), ("b", "news"), ("c", "created")))
    poller = make(part, crm)
    await poller.poll_once()
    assert (crm.asked, await part.said(), (await part.store.position("crm")).baselined) == (["1"], [], True)
    await poller.poll_once()
    assert await part.said() == ["news", "created"]
    assert [one.event.kind.value for one in await part.store.events_after(0, 10)] == ["updated", "created"]
    assert (poller.state.read, poller.state.failures, poller.state.last_success, poller.state.baselined) == (4, 0, NOW, True)


async def test_a_source_that_cannot_enumerate_speaks_from_the_start(part):
    """First sight, old value unknown: an update, not a creation."""
    await make(part, Crm(page("1", ("a", "x")), enumerates=False)).poll_once()

    assert await part.said() == ["x"]
    assert [one.event.kind.value for one in await part.store.events_after(0, 10)] == ["updated"]


async def test_a_part_that_is_added_later_is_learnt(part):
    """A new table of an old source: what exists in it is not news; nor does it end the others' speech."""
    await make(part, Crm(page("1"))).poll_once()
    await make(part, Crm(page("2", ("t", "old"), learning=True, more=True), page("3", ("a", "created")))).poll_once()

    assert await part.said() == ["created"]
    await make(part, Crm(page("4", ("t", "news")))).poll_once()
    assert await part.said() == ["created", "news"]


async def test_a_failed_record_asks_for_the_same_page_again(part):
    """The cursor of what could not be stored is forgotten."""
    await make(part, Crm(page("1"))).poll_once()

    async def refuse(*_):
        raise StoreError("the disk is full")

    real, part.store.record = part.store.record, refuse
    crm = Crm(page("2", ("a", "x")), page("2", ("a", "x")))
    with pytest.raises(StoreError):
        await make(part, crm).poll_once()
    part.store.record = real
    await make(part, crm).poll_once()

    assert crm.asked == ["1", "1"]
    assert await part.said() == ["x"]


class Clock:
    """Records what is slept, and ends the poller after so many."""

    def __init__(self, count):
        self.slept = []
        self.count = count
        self.done = asyncio.Event()

    async def sleep(self, seconds):
        self.slept.append(round(seconds, 2))
        if len(self.slept) >= self.count:
            self.done.set()
            await asyncio.Event().wait()


async def run(poller, monkeypatch, count):
    clock = Clock(count)
    monkeypatch.setattr(module.asyncio, "sleep", clock.sleep)
    monkeypatch.setattr(module, "rest", lambda woken, seconds: clock.sleep(seconds))
    task = asyncio.create_task(poller.run())
    await asyncio.wait_for(clock.done.wait(), 60)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return clock.slept


class Queue(Crm):
    """A vendor's queue, which forgets what it is told to."""

    def __init__(self, *pages):
        super().__init__(*pages, enumerates=False)
        self.acknowledged = []
        self.broken = False

    def ack(self, cursor):
        if self.broken:
            raise SourceError("the queue is away")
        self.acknowledged.append(cursor)


async def test_a_queue_forgets_only_what_is_recorded(part):
    """After the commit, never before; where that fails, what comes again is known by then."""
    queue = Queue(page("1", ("1", "a"), more=True), page("2", ("2", "b")))
    poller = make(part, queue)
    real, order = part.store.record, []

    async def record(batch, now):
        order.append(("recorded", list(queue.acknowledged)))
        return await real(batch, now)

    part.store.record = record
    await poller.poll_once()
    assert order == [("recorded", []), ("recorded", ["1"])]
    assert queue.acknowledged == ["1", "2"]

    part.store.record = lambda batch, now: failing()
    queue.given = [page("3", ("3", "c"))]
    with pytest.raises(StoreError):
        await poller.poll_once()
    assert queue.acknowledged == ["1", "2"]

    part.store.record = real
    queue.given, queue.broken = [page("3", ("3", "c"))], True
    with pytest.raises(SourceError):
        await poller.poll_once()
    queue.given, queue.broken = [page("3", ("3", "c"))], False
    await poller.poll_once()
    assert (queue.acknowledged, await part.said()) == (["1", "2", "3"], ["a", "b", "c"])


async def failing():
    raise StoreError("the disk is full")


class Stream(Crm):
    """A vendor that keeps a connection and says what comes."""

    async def pages(self, cursor):
        self.asked.append(cursor)
        for one in self.given.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one
        await asyncio.Event().wait()


async def test_a_stream_is_followed_from_where_it_was_recorded(part, monkeypatch):
    """Each page with its cursor; a connection that breaks is opened again there, after a backoff, and is shown meanwhile."""
    stream = Stream([page("1", ("1", "a")), page("2", ("2", "b")), SourceError("the connection broke")], [page("3", ("3", "c"))])
    poller = make(part, stream, chance=lambda: 1.0)
    real, slept = asyncio.sleep, []

    async def sleep(seconds):
        slept.append(seconds)
        await real(0.001)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    task = asyncio.create_task(poller.run())
    async with asyncio.timeout(60):
        while len(await part.said()) < 3:
            await real(0.005)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (stream.asked, slept) == ([None, "2"], [1.0])
    assert await part.said() == ["a", "b", "c"]


async def test_failures_back_off_and_are_forgotten(part, monkeypatch):
    """Each is counted and shown; the cursor stays; success begins anew; a bug of a source is a failure like any."""
    crm = Crm(page("1"), SourceError("down"), KeyError("bug"), SourceError("down"), page("2"), SourceError("again"))
    poller = make(part, crm, chance=lambda: 1.0)

    assert await run(poller, monkeypatch, 6) == [33.0, 1.0, 2.0, 4.0, 33.0, 1.0]
    assert crm.asked == [None, "1", "1", "1", "1", "2"]
    assert (poller.state.failures, poller.state.last_error) == (1, "again")
    assert part.metrics.registry.get_sample_value("crmbridge_polls_total", {"source": "crm", "outcome": "failed"}) == 4


async def test_the_vendors_own_instant_is_honoured(part, monkeypatch):
    """Never undercut; and where our backoff is longer, that one."""
    late, soon = NOW + timedelta(seconds=77), NOW - timedelta(seconds=5)
    crm = Crm(SourceError("limit", retry_at=late), SourceError("limit", retry_at=soon))

    assert await run(make(part, crm, chance=lambda: 1.0), monkeypatch, 2) == [77.0, 2.0]


async def test_closing(part):
    """Releases the source."""
    crm = Crm()
    await make(part, crm).close()

    assert crm.closed == 1


CHANCE = st.floats(0, 1)


@given(st.integers(1, 10_000), CHANCE)
def test_backoff_grows_to_its_limit(failures, chance):
    """Between half a second and five minutes, and never shorter after one more failure by the same chance."""
    assert 0.5 <= backoff(failures, chance) <= 300
    assert backoff(failures, chance) <= backoff(failures + 1, chance)


@given(st.integers(1, 10**7), CHANCE)
def test_intervals_are_spread_by_a_tenth(seconds, chance):
    """So that many daemons do not poll in step."""
    found = interval(timedelta(seconds=seconds), chance)
    assert 0.899 * seconds <= found <= 1.101 * seconds
