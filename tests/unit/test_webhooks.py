"""The door for webhooks: stored before it is answered, interpreted in order, and nothing stops it."""

import asyncio
import contextlib
import time
from dataclasses import replace

import pytest
from shared import NOW
from test_interpreter import Part, seen

from crmbridge.contract import Reply, Setting, WebhookRequest
from crmbridge.errors import InvalidSignature, SourceError, StoreError
from crmbridge.hooks import Hook, HookOptions, Map
from crmbridge.http import VendorRefused
from crmbridge.intake import desk as module
from crmbridge.intake.webhooks import Webhooks
from crmbridge.model import Reading, RecordRef
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Batch, Entry, Snapshot


class Sender:
    """A webhook source whose bodies are `RECORD=VALUE`."""

    def verify(self, request):
        if request.body == b"forged":
            raise InvalidSignature

    def parse(self, request):
        text = request.body.decode()
        if "=" not in text:
            raise ValueError(f"cannot read {text}")
        if text == "crash=":
            raise KeyError("a bug of the connector")
        record, value = text.split("=")
        return [seen(record, observation_id=f"{record}{value}", S=value)]

    def reply(self, accepted):
        return Reply(202 if accepted else 503)


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield store
    store.close()


class Door:
    """Webhooks that run for the length of a block."""

    def __init__(self, store, **others):
        self.store = store
        self.part = Part(store)
        sources = {"crm": Sender()} | others
        self.webhooks = Webhooks(store, self.part.interpreter, sources, metrics=self.part.metrics, now=lambda: NOW)

    async def post(self, text, name="crm"):
        return (await self.webhooks.receive(name, WebhookRequest({"h": "v"}, text.encode(), "", NOW))).status

    async def __aenter__(self):
        self.task = asyncio.create_task(self.webhooks.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def quiet(self):
        """Nothing waits any more."""
        end = time.monotonic() + 60
        while any(not one.failed for one in (await self.store.overview()).inbox):
            assert time.monotonic() < end
            assert not self.task.done(), self.task.exception()
            await asyncio.sleep(0.005)

    async def failed(self):
        return [reason for _, reason in await self.store.failed_requests()]


@pytest.fixture
def door(store):
    return Door(store)


async def test_the_answer_comes_after_the_commit(door, store):
    """2xx means durable: some senders never try again."""
    real, stored = store.accept, asyncio.Event()

    async def accept(*args):
        await stored.wait()
        return await real(*args)

    store.accept = accept
    posting = asyncio.create_task(door.post("1=a"))
    await asyncio.sleep(0.05)
    assert not posting.done()
    stored.set()
    assert await posting == 202
    assert [row.body for row in await store.waiting("crm", 0, 10)] == [b"1=a"]


async def test_what_cannot_be_stored_is_asked_for_again(door, store):
    """503, as this sender wants it; nothing is half taken."""

    async def accept(*_):
        raise StoreError("the disk is full")

    store.accept, real = accept, store.accept
    assert await door.post("1=a") == 503
    store.accept = real
    async with door:
        assert await door.post("1=b") == 202
        await door.quiet()
    assert await door.part.said() == ["b"]
    assert door.part.metrics.registry.get_sample_value("crmbridge_received_total", {"source": "crm", "status": "503"}) == 1


async def test_strangers_leave_nothing(door, store):
    """A bad signature and an unknown hook store nothing."""
    with pytest.raises(InvalidSignature):
        await door.post("forged")
    with pytest.raises(Exception, match="no such hook") as caught:
        await door.webhooks.receive("other", WebhookRequest({}, b"1=a", "", NOW))

    assert caught.value.status == 404
    assert await store.waiting("crm", 0, 10) == []


async def test_more_than_memory_holds(door, store, monkeypatch):
    """What does not fit waits in the inbox, and all is interpreted in order."""
    monkeypatch.setattr(module, "_IN_MEMORY", 7)
    monkeypatch.setattr(module, "_BATCH", 5)
    for n in range(40):
        await door.post(f"1={n}")
    async with door:
        for n in range(40, 120):
            await door.post(f"1={n}")
            if n % 9 == 0:
                await asyncio.sleep(0.003)
        await door.quiet()
    assert [str(n) for n in range(120)] == await door.part.said()


async def test_what_an_earlier_process_took_in(door, store):
    """The inbox is read before anything new."""
    for n in range(3):
        await store.accept("crm", {}, "", f"1={n}".encode(), NOW)
    await door.post("1=3")
    async with door:
        await door.quiet()
    assert await door.part.said() == ["0", "1", "2", "3"]


async def test_a_broken_request_is_kept_and_its_neighbours_go_on(door, store):
    """With its reason, for a person; also where a connector has a bug, or its source is no longer configured."""
    for text in ("1=a", "nonsense", "2=b", "crash=", "3=c"):
        await door.post(text)
    await store.accept("gone", {}, "", b"1=a", NOW)
    async with door:
        await door.quiet()

    assert await door.part.said() == ["a", "b", "c"]
    first, second, third = await door.failed()
    assert first == "cannot read nonsense"
    assert "KeyError" in second
    assert third == "no webhook source named gone is configured"


async def test_a_poisonous_observation_is_kept_and_its_neighbours_go_on(door, store):
    """What no part foresaw must not end the daemon, which would meet it again at its next start."""
    real = door.part.interpreter.engine.running

    def running(event, outcome):
        if event.fields["S"] == "poison":
            raise OverflowError("date value out of range")
        return real(event, outcome)

    door.part.interpreter.engine.running = running
    for text in ("1=a", "2=poison", "3=c", "1=d"):
        await door.post(text)
    async with door:
        await door.quiet()
        await door.post("4=e")
        await door.quiet()

    assert await door.part.said() == ["a", "c", "d", "e"]
    (reason,) = await door.failed()
    assert "OverflowError" in reason


async def test_the_store_is_waited_for(door, store, monkeypatch):
    """While it refuses, nothing is lost and nothing is marked as failed."""
    real, refusals = store.record, iter([1, 1])
    monkeypatch.setattr(module.asyncio, "sleep", lambda _, sleep=asyncio.sleep: sleep(0.01))

    async def record(batch, now):
        if next(refusals, None):
            raise StoreError("the disk is full")
        return await real(batch, now)

    store.record = record
    await door.post("1=a")
    async with door:
        await door.quiet()
    assert (await door.part.said(), await door.failed()) == (["a"], [])


async def test_a_failed_request_is_tried_again(door, store):
    """After a person asked: also while something else is being interpreted at that moment."""
    await door.post("nonsense")
    async with door:
        await door.quiet()
        ((row, _),) = await store.failed_requests()
        door.webhooks.sources["crm"].parse = lambda request: [seen("9", S=request.body.decode())]
        real = store.record

        async def record(batch, now):
            store.record = real
            await store.retry_request(row.id)
            door.webhooks.look_again()
            return await real(batch, now)

        store.record = record
        await door.post("busy")
        await door.quiet()
    assert await door.part.said() == ["busy", "nonsense"]
    assert await door.failed() == []


async def test_looking_again_repeats_nothing(door, store, monkeypatch):
    """Requests at hand that were read from the inbox already are not interpreted twice."""
    monkeypatch.setattr(module, "_IN_MEMORY", 4)
    for n in range(12):
        await door.post(f"{n}=x")
    async with door:
        await door.quiet()
        door.webhooks.look_again()
        await door.post("99=y")
        await door.quiet()
    assert len(await door.part.said()) == 13
    assert door.part.count("repeated") == 0
    assert (await store.known([RecordRef("crm", "Deal", "99")])).snapshots


async def fields_of(store, *ids):
    known = (await store.known([RecordRef("far", "Deal", id) for id in ids])).snapshots
    return [known[ref].fields["S"] for id in ids if (ref := RecordRef("far", "Deal", id)) in known]


class Pointing(Sender):
    """A source whose webhooks only name records; `records` is what its CRM holds, None that it cannot be read."""

    def __init__(self):
        self.records = {}
        self.asked = []

    def parse(self, request):
        return [replace(one, partial=True, observation_id=None) for one in super().parse(request)]

    def fetch_many(self, record_type, ids):
        self.asked.append((record_type, tuple(ids)))
        if self.records is None:
            raise SourceError("maintenance")
        return [seen(id, S=self.records[id]) for id in ids if id in self.records]


async def test_what_a_webhook_names_is_read_whole(store):
    """Once for a batch; a record that is gone leaves nothing and stops nothing."""
    far = Pointing()
    door = Door(store, far=far)
    far.records = {"1": "c", "2": "z"}
    for text in ("1=", "2=", "1=", "3="):
        await door.post(text, "far")
    async with door:
        await door.quiet()
    assert far.asked == [("Deal", ("1", "2", "3"))]
    assert await fields_of(store, "1", "2", "3") == ["c", "z"]


class Hooked(Hook):
    """A source of the kit whose webhooks carry ids alone, and that can read its CRM."""

    def __init__(self):
        where = Map(record_type={"value": "Deal"}, record_id="item", items="body", kind=None)
        super().__init__(HookOptions(signature={"scheme": "none"}, map=where), Setting(name="far"), Reading(), rereads=True)
        self.asked = []

    def fetch_many(self, record_type, ids):
        self.asked.append((record_type, tuple(ids)))
        return [seen(id, S=f"read {id}") for id in ids if id != "3"]


async def test_ids_alone_are_read_whole_by_a_source_of_the_kit(store):
    """A map without fields names records; one that is gone meanwhile leaves nothing, and no request fails."""
    far = Hooked()
    door = Door(store, far=far)
    await door.post('["1", "2"]', "far")
    await door.post('["2", "3"]', "far")
    async with door:
        await door.quiet()
    assert far.asked == [("Deal", ("1", "2", "3"))]
    assert await fields_of(store, "1", "2", "3") == ["read 1", "read 2"]
    assert await door.failed() == []


async def test_a_crm_that_cannot_be_read_holds_up_no_other(store, monkeypatch):
    """Its webhooks wait, the others are interpreted; afterwards nothing is missing."""
    monkeypatch.setattr(module, "backoff", lambda failures, chance: 0.02)
    far = Pointing()
    door = Door(store, far=far)
    far.records = None
    await door.post("1=", "far")
    async with door:
        for n in range(3):
            await door.post(f"{n}=near")
        end = time.monotonic() + 60
        while len(await door.part.said()) < 3 or len(far.asked) < 3:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        assert (door.webhooks.desks["far"].failures > 0, door.webhooks.desks["far"].last_error) == (True, "maintenance")
        assert len(await store.waiting("far", 0, 10)) == 1
        far.records = {"1": "at last"}
        await door.quiet()
        assert door.webhooks.desks["far"].failures == 0
    assert await door.part.said() == ["near", "near", "near"]
    assert await fields_of(store, "1") == ["at last"]


async def test_what_the_crm_never_shows_fails_alone(store):
    """A person finds it among the dead; the requests before and behind it are interpreted."""
    far = Pointing()
    door = Door(store, far=far)
    far.records = {str(n): "x" for n in range(6)}
    real = far.fetch_many

    def fetch_many(record_type, ids):
        if "3" in ids:
            raise VendorRefused("invalid ID field: 3", 400)
        return real(record_type, ids)

    far.fetch_many = fetch_many
    for n in range(6):
        await door.post(f"{n}=", "far")
    async with door:
        await door.quiet()
    assert await door.failed() == ["the CRM refuses to show it: invalid ID field: 3"]
    assert await fields_of(store, *far.records) == ["x"] * 5


async def test_a_burst_is_read_in_bites(store, monkeypatch):
    """What was read once is not asked for again when a later bite fails."""
    monkeypatch.setattr(module, "backoff", lambda failures, chance: 0.01)
    monkeypatch.setattr(module, "_AT_ONCE", 10)
    far = Pointing()
    door = Door(store, far=far)
    far.records = {str(n): "x" for n in range(35)}
    real, fails = far.fetch_many, iter([False, False, True, True, False, False])

    def fetch_many(record_type, ids):
        if next(fails):
            raise SourceError("slow")
        return real(record_type, ids)

    far.fetch_many = fetch_many
    for n in range(35):
        await door.post(f"{n}=", "far")
    async with door:
        await door.quiet()
    assert [len(ids) for _, ids in far.asked] == [10, 10, 10, 5]
    assert len(await fields_of(store, *far.records)) == 35


class Polled(Pointing):
    """One that is polled from the beginning too."""

    def check(self):
        """Nothing is wrong."""

    def poll(self, cursor):
        """Nobody polls here."""

    def close(self):
        """Nothing is open."""

    def enumerates(self):
        return True


async def test_whether_a_record_is_new_only_a_poll_knows(store):
    """One that was not seen before is left to it, at once; one that is known is told."""
    far, helped = Polled(), []
    door = Door(store, far=far)
    door.webhooks._unseen = helped.append
    door.webhooks.desks["far"]._unseen = helped.append
    far.records = {"1": "a"}
    await door.post("1=", "far")
    async with door:
        await door.quiet()
        assert (helped, await fields_of(store, "1")) == (["far"], [])
        await store.record(
            Batch(source="far", entries=[Entry(record=RecordRef("far", "Deal", "1"), snapshot=Snapshot(0, None, False, {"S": "b"}))]), NOW
        )
        await door.post("1=", "far")
        await door.quiet()
    assert (helped, await fields_of(store, "1")) == (["far"], ["a"])


async def test_what_proved_the_sender_is_not_kept(door, store):
    """Nobody needs it any more, and a backup would hold it."""
    headers = {"authorization": "Bearer canary", "cookie": "canary", "x-other": "kept"}
    await door.webhooks.receive("crm", WebhookRequest(headers, b"1=a", "", NOW))
    (row,) = await store.waiting("crm", 0, 1)
    assert row.headers == {"x-other": "kept"}


@pytest.mark.parametrize("address", ["/hooks/crm/canary", "/hooks/crm?code=canary", "/hooks/crm"])
async def test_an_address_that_proxies_tell_is_not_kept(address, door, store):
    """Its last part or its query may be the secret of any source, and a proxy repeats it in a header of its own."""
    path, _, query = address.removeprefix("/hooks/crm").partition("?")
    headers = {"x-original-uri": address, "referer": f"https://bridge.example.com{address}", "x-other": "kept"}
    await door.webhooks.receive("crm", WebhookRequest(headers, b"1=a", query, NOW, path.strip("/"), address=address))
    (row,) = await store.waiting("crm", 0, 1)
    assert row.headers == ({"x-other": "kept"} if "canary" in address else headers)
