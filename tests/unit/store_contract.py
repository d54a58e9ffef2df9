"""What every store must do, whatever database is behind it. Inherit it with a `make` that opens one."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from shared import NOW

from crmbridge.errors import StoreError
from crmbridge.model import (
    ChangeEvent,
    Channel,
    Cursor,
    Kind,
    LastBody,
    Literal,
    Message,
    Receipt,
    RecordRef,
    Repeat,
    Same,
    State,
    Value,
    Why,
    event_id,
)
from crmbridge.store.interface import (
    Aside,
    Batch,
    Conflict,
    Entry,
    Journalled,
    Known,
    NewDelivery,
    Pause,
    PauseKind,
    Retention,
    Scope,
    Settlement,
    Snapshot,
    SourcePosition,
    Wait,
    Waiting,
)

RECORD = RecordRef("crm", "Opportunity", "006")


def event(revision=1, record=RECORD, **fields):
    fields = fields or {"Name": "Parkers", "Amount": Decimal("1.50"), "Empty": None}
    return ChangeEvent(
        id=event_id(record, revision, fields),
        source=record.source,
        record_type=record.type,
        record_id=record.id,
        revision=revision,
        kind=Kind.UPDATED,
        occurred_at=NOW,
        fields=fields,
        before={"Name": "Old"},
    )


def message(destination="out", channel="#a", record=RECORD, thread=None, text="hello"):
    return Message(
        destination=destination,
        channel=Channel(channel, "A") if channel else None,
        rule="r",
        step="s",
        text=(Literal(text), Value("<x>")),
        record=record,
        occurred_at=NOW,
        thread=thread,
    )


def entry(key="k1", revision=1, record=RECORD, error="", **options) -> Entry:
    """An event with one delivery; the snapshot is left alone, for it is not what these tests are about."""
    return Entry(
        record=record,
        event=event(revision, record),
        deliveries=[NewDelivery(key=key, message=message(record=record, **options), error=error)],
    )


def batch(*entries, **more) -> Batch:
    return Batch(source="crm", entries=entries, **more)


def other(number) -> RecordRef:
    return RecordRef("crm", "Opportunity", str(number))


async def lease(store, *, now=NOW, limit=10, per_lane=100, skip=(), after="", destination="out"):
    return await store.lease(destination, now=now, limit=limit, per_lane=per_lane, skip=skip, after=after)


def settled(delivery, state, outcome="x", **more) -> Settlement:
    return Settlement(delivery=delivery, state=state, outcome=outcome, **more)


class StoreContract:
    """The suite."""

    def make(self, folder: Any) -> Any:
        """Open the store that lives in `folder`; opening again finds what was stored."""
        raise NotImplementedError

    @pytest.fixture
    async def store(self, tmp_path):
        store = self.make(tmp_path)
        yield store
        store.close()

    # --- intake

    async def test_the_inbox_keeps_order_until_closed(self, store):
        """What was accepted waits, in order, until what it led to is recorded."""
        rows = [await store.accept("crm", {"h": "v"}, "q=1", bytes([number]), NOW) for number in range(3)]

        assert [row.body for row in await store.waiting("crm", 0, 10)] == [b"\0", b"\1", b"\2"]
        assert [rows[2].id] == [row.id for row in await store.waiting("crm", rows[1].id, 10)]
        assert await store.waiting("erp", 0, 10) == []

        await store.record(batch(closed=[rows[0].id], failed={rows[1].id: "no id"}), NOW)

        assert [rows[2].id] == [row.id for row in await store.waiting("crm", 0, 10)]
        assert [(rows[1].id, "no id")] == [(row.id, reason) for row, reason in await store.failed_requests()]

    async def test_failed_requests_wait_for_a_person(self, store):
        """Retry puts one back in the inbox; drop removes it; neither touches one that waits."""
        rows = [await store.accept("crm", {}, "", b"x", NOW) for _ in range(3)]
        await store.record(batch(failed={rows[0].id: "a", rows[1].id: "b"}), NOW)

        assert await store.retry_request(rows[0].id)
        assert await store.drop_request(rows[1].id)
        assert not await store.drop_request(rows[2].id)
        assert [rows[0].id, rows[2].id] == [row.id for row in await store.waiting("crm", 0, 10)]

    async def test_a_snapshot_carries_the_revision_it_was_computed_from(self, store):
        """Two interpreters of one record: the second one conflicts and changes nothing."""
        first = Entry(record=RECORD, snapshot=Snapshot(1, "v1", False, {"A": Decimal("1.0")}), assumed=None)
        await store.record(batch(first), NOW)
        assert {RECORD: Snapshot(1, "v1", False, {"A": Decimal(1)})} == (await store.known([RECORD, other(9)])).snapshots

        with pytest.raises(Conflict):
            await store.record(batch(first, entry()), NOW)
        with pytest.raises(Conflict):
            await store.record(batch(Entry(record=RECORD, snapshot=Snapshot(9, None, False, {}), assumed=8)), NOW)
        assert await store.last_event() == 0

        await store.record(batch(Entry(record=RECORD, snapshot=Snapshot(2, None, True, {}), assumed=1)), NOW)
        assert {RECORD: Snapshot(2, None, True, {})} == (await store.known([RECORD])).snapshots

    async def test_a_cursor_moves_only_with_what_it_has_passed(self, store):
        """One transaction: a batch that fails leaves the cursor where it was."""
        await store.record(batch(position=SourcePosition(Cursor("1"), False, NOW)), NOW)
        conflicting = Entry(record=RECORD, snapshot=Snapshot(2, None, False, {}), assumed=None)
        await store.record(batch(conflicting), NOW)
        with pytest.raises(Conflict):
            await store.record(batch(conflicting, position=SourcePosition(Cursor("2"), True, NOW)), NOW)

        assert SourcePosition(Cursor("1"), False, NOW) == await store.position("crm")
        assert SourcePosition() == await store.position("other")

    async def test_observations_are_remembered_by_source(self, store):
        """A redelivery without a vendor version is known by its id."""
        await store.record(batch(Entry(record=RECORD, observation_id="a")), NOW)

        assert (await store.known([], "crm", ["a", "b"])).observations == {"a": NOW}
        assert (await store.known([], "other", ["a"])).observations == {}

    async def test_what_told_of_a_record_last(self, store):
        """The newest stands, until something else told of the record or it is put aside; who does not ask is not told."""
        body, later = LastBody("d", 2, NOW), LastBody("e", 0, NOW + timedelta(seconds=1))
        await store.record(batch(bodies={RECORD: body, other(2): body, other(3): None}), NOW)
        await store.record(batch(bodies={RECORD: later}), NOW)
        asked = [RECORD, other(2), other(3)]
        assert {RECORD: later, other(2): body} == (await store.known(asked, "crm", [], True)).bodies
        assert (await store.known(asked)).bodies == {}
        await store.record(batch(bodies={RECORD: None}), NOW)
        assert {other(2): body} == (await store.known(asked, "crm", [], True)).bodies

    async def test_repeats_are_counted(self, store):
        """One row for what was repeated of a record, with the last time; found by the record's id alone, the latest first."""
        by_id, by_bytes = (Repeat(RECORD, same, "x", NOW, NOW, 2) for same in Same)
        await store.record(batch(repeats=[by_id, by_bytes, replace(by_id, record=other(2))]), NOW)
        again = replace(by_id, first_at=NOW + timedelta(hours=1), last_at=NOW + timedelta(hours=2), count=1)
        await store.record(batch(repeats=[again]), NOW)
        assert [replace(again, count=3), by_bytes] == await store.repeats_of(RECORD.id, 10)
        assert [replace(again, count=3)] == await store.repeats_of(RECORD.id, 1)
        assert (await store.forget(RECORD))["repeats"] == 2
        assert await store.repeats_of(RECORD.id, 10) == []
        assert [replace(by_id, record=other(2))] == await store.repeats_of(other(2).id, 10)

    async def test_the_journal_keeps_values_exactly(self, store):
        """Types survive, and the same change is one row."""
        one = event()
        await store.record(batch(Entry(record=RECORD, event=one)), NOW)
        await store.record(batch(Entry(record=RECORD, event=one)), NOW)

        assert one == await store.event(one.id)
        assert [Journalled(1, one, False, NOW)] == await store.events_after(0, 10)
        assert await store.last_event() == 1

    # --- outbox

    async def test_a_delivery_is_accepted_once_by_its_key(self, store):
        """Also when only its receipt is left."""
        assert await store.record(batch(entry("k")), NOW) == 1
        assert await store.record(batch(entry("k", revision=2)), NOW) == 0

        (one,) = (await lease(store)).deliveries
        await store.settle([settled(one, State.DELIVERED, receipt=Receipt(remote_id="1"))], [], NOW)
        await store.purge(Retention(delivered=timedelta(0)), NOW + timedelta(seconds=1))

        assert None is await store.delivery("k")
        assert await store.record(batch(entry("k", revision=3)), NOW) == 0

    async def test_a_lease_marks_and_counts(self, store):
        """What is leased is `sending`, durable before the request, and is not leased twice."""
        await store.record(batch(entry("k")), NOW)

        (one,) = (await lease(store)).deliveries
        assert (State.SENDING, 1, "k", message()) == (one.state, one.attempts, one.key, one.message)
        assert list((await lease(store)).deliveries) == []
        assert [found.key for found in await store.interrupted()] == ["k"]

    async def test_an_earlier_open_delivery_of_its_record_holds_back(self, store):
        """queued, sending and unknown hold back; dead and delivered do not; another record is not concerned."""
        await store.record(batch(entry("a"), entry("b", revision=2), entry("c", record=other(1))), NOW)

        first = await lease(store)
        assert [one.key for one in first.deliveries] == ["a", "c"]
        assert list((await lease(store)).deliveries) == []

        await store.settle([settled(first.deliveries[0], State.UNKNOWN)], [], NOW)
        assert list((await lease(store)).deliveries) == []
        (unknown,) = await store.select([State.UNKNOWN], Scope())
        assert await store.drop([State.UNKNOWN], Scope(ids=[unknown.id]), "by hand", NOW) == 1
        assert [one.key for one in (await lease(store)).deliveries] == ["b"]

    async def test_a_delayed_head_holds_back_its_followers_only(self, store):
        """A backoff of one record is no backoff of the lane."""
        await store.record(batch(entry("a"), entry("b", revision=2), entry("c", record=other(1))), NOW)
        (a, c) = (await lease(store)).deliveries
        later = NOW + timedelta(minutes=5)
        await store.settle([settled(a, State.QUEUED, due=later), settled(c, State.QUEUED, due=NOW)], [], NOW)

        found = await lease(store)
        assert [one.key for one in found.deliveries] == ["c"]
        assert later == found.next_due
        assert [one.key for one in (await lease(store, now=later)).deliveries] == ["a"]

    async def test_lanes_take_turns(self, store):
        """A full lane does not starve the others, and a resting one is passed over."""
        entries = [entry(f"a{n}", record=other(n), channel="#a") for n in range(5)]
        entries += [entry(f"b{n}", record=other(10 + n), channel="#b") for n in range(2)]
        entries += [entry("none", record=other(20), channel=None)]
        await store.record(batch(*entries), NOW)

        assert [one.key for one in (await lease(store, per_lane=1)).deliveries] == ["none", "a0", "b0"]
        assert [one.key for one in (await lease(store, per_lane=1, after="#a")).deliveries] == ["b1", "a1"]
        assert list((await lease(store, skip=["#a"])).deliveries) == []
        assert [one.key for one in (await lease(store, limit=2)).deliveries] == ["a2", "a3"]
        assert list((await lease(store, destination="other")).deliveries) == []

    async def test_settling_keeps_attempts_and_receipts(self, store):
        """Every attempt without a receipt is a row; an uncounted one does not count."""
        await store.record(batch(entry("k")), NOW)
        (one,) = (await lease(store)).deliveries
        await store.settle([settled(one, State.QUEUED, "rate_limited", error="slow down", due=NOW, counted=False)], [], NOW)
        (two,) = (await lease(store)).deliveries
        assert two.attempts == 1
        await store.settle([settled(two, State.QUEUED, "transient", error="refused", due=NOW)], [], NOW)
        (three,) = (await lease(store)).deliveries
        assert (three.attempts, three.last_error) == (2, "refused")
        await store.settle([settled(three, State.DELIVERED, "delivered", receipt=Receipt(remote_id="9", url="u", extra={"c": 1}))], [], NOW)

        delivery, attempts = await store.delivery("k")
        assert Receipt(remote_id="9", url="u", extra={"c": 1}) == delivery.receipt
        assert [(one.number, one.outcome, one.error) for one in attempts] == [(1, "transient", "refused")]
        assert [one.delivery.key for one in await store.published(Scope())] == ["k"]

    async def test_a_reply_finds_the_first_of_its_thread(self, store):
        """Threads belong to channel and record, across rules."""
        await store.record(
            batch(entry("a", thread="t"), entry("b", revision=2, thread="t"), entry("c", revision=3, thread="t", channel="#b")), NOW
        )
        (a, c) = (await lease(store)).deliveries
        assert (a.parent, c.parent) == (None, None)
        await store.settle([settled(a, State.DELIVERED, receipt=Receipt(remote_id="root"))], [], NOW)

        (b,) = (await lease(store)).deliveries
        assert Receipt(remote_id="root") == b.parent

    async def test_what_a_message_replies_to_is_frozen_at_its_first_attempt(self, store):
        """A repeat is the same to the byte, or an idempotent network would call it a conflict."""
        await store.record(batch(entry("late", thread="t", error="no"), entry("a", revision=2, thread="t")), NOW)
        (a,) = (await lease(store)).deliveries
        await store.settle([settled(a, State.QUEUED, "unknown", due=NOW)], [], NOW)
        (dead,) = await store.select([State.DEAD], Scope())
        await store.requeue(dead, message(thread="t"), NOW)
        (late,) = (await lease(store)).deliveries
        await store.settle([settled(late, State.DELIVERED, receipt=Receipt(remote_id="root"))], [], NOW)

        (again,) = (await lease(store)).deliveries
        assert (again.key, again.parent) == ("a", None)

    async def test_a_thread_goes_on_where_its_head_is_gone(self, store):
        """Neither the head nor what replied to it is answered any more; the message that found out is the head."""
        later = NOW + timedelta(seconds=1)
        await store.record(batch(entry("root", 1, thread="t")), NOW)
        (root,) = (await lease(store)).deliveries
        await store.settle([settled(root, State.DELIVERED, receipt=Receipt(remote_id="1"))], [], NOW)
        await store.record(batch(entry("reply", 2, thread="t"), entry("elsewhere", 3, thread="t", channel="#b")), NOW)
        reply, elsewhere = (await lease(store)).deliveries
        done = settled(elsewhere, State.DELIVERED, receipt=Receipt(remote_id="9"))
        await store.settle([settled(reply, State.DELIVERED, receipt=Receipt(remote_id="2")), done], [], later)
        await store.record(batch(entry("late", 4, thread="t")), NOW)
        (late,) = (await lease(store)).deliveries
        assert late.parent == Receipt(remote_id="1")
        await store.settle([settled(late, State.QUEUED, "head_gone", due=NOW, anew=True)], [], NOW)

        (anew,) = (await lease(store)).deliveries
        assert (anew.key, anew.parent) == ("late", None)
        await store.settle([settled(anew, State.DELIVERED, receipt=Receipt(remote_id="3"))], [], NOW)
        await store.record(batch(entry("next", 5, thread="t"), entry("there", 6, thread="t", channel="#b")), NOW)
        following, there = (await lease(store)).deliveries
        assert (following.parent, there.parent) == (Receipt(remote_id="3"), Receipt(remote_id="9"))

    async def test_who_finds_out_late_that_a_head_is_gone_replies_to_the_new_one(self, store):
        """A dead letter that is tried again holds its old head; the thread has gone on without it."""
        await store.record(batch(entry("root", 1, thread="t")), NOW)
        (root,) = (await lease(store)).deliveries
        await store.settle([settled(root, State.DELIVERED, receipt=Receipt(remote_id="1"))], [], NOW)
        await store.record(batch(entry("old", 2, thread="t")), NOW)
        (old,) = (await lease(store)).deliveries
        await store.settle([settled(old, State.DEAD, "rejected")], [], NOW)
        await store.record(batch(entry("new", 3, thread="t")), NOW)
        (new,) = (await lease(store)).deliveries
        await store.settle([settled(new, State.DELIVERED, receipt=Receipt(remote_id="2", alone=True), anew=True)], [], NOW)
        (dead,) = await store.select([State.DEAD], Scope())
        await store.requeue(dead, dead.message, NOW)

        (again,) = (await lease(store)).deliveries
        assert again.parent == Receipt(remote_id="1")
        await store.settle([settled(again, State.QUEUED, "head_gone", due=NOW, anew=True)], [], NOW)
        (again,) = (await lease(store)).deliveries
        assert again.parent == Receipt(remote_id="2")
        (published,) = [one.delivery for one in await store.published(Scope()) if one.delivery.key == "new"]
        assert published.parent is None

    async def test_waits_are_never_shortened(self, store):
        """The vendor's instant is not undercut, and a pause for a person stays."""
        soon, late = NOW + timedelta(seconds=5), NOW + timedelta(seconds=50)

        def wait(until, channel=None):
            return Wait(destination="out", channel=channel, until=until, reason="r", since=NOW)

        for until in (late, soon):
            await store.settle([], [wait(until)], NOW)
        assert [late] == [one.until for one in await store.waits()]
        await store.settle([], [wait(None), wait(soon, "#a")], NOW)
        await store.settle([], [wait(late)], NOW)
        assert {(None, None), (None, late), ("#a", soon)} == {(one.channel, one.until) for one in await store.waits()}

        assert await store.end_pause("out")
        assert {one.channel: one.until for one in await store.waits()} == {None: late, "#a": soon}

    async def test_people_retry_drop_and_confirm(self, store):
        """Only what is dead or unknown can be ordered about, and what was confirmed is never sent again."""
        await store.record(batch(entry("dead", error="cannot"), entry("q", record=other(1)), entry("u", record=other(2))), NOW)
        (dead,) = await store.select([State.DEAD], Scope())
        assert (dead.reason, dead.last_error) == ("unrenderable", "cannot")
        assert await store.requeue(dead, message(text="now it can"), NOW)
        assert not await store.requeue(dead, message(), NOW)

        leased = {one.key: one for one in (await lease(store)).deliveries}
        assert leased["dead"].message.text[0].text == "now it can"
        await store.settle([settled(leased["u"], State.UNKNOWN)], [], NOW)
        assert await store.drop([State.DEAD], Scope(ids=[leased["q"].id]), "no", NOW) == 0
        assert await store.confirm(leased["u"], Receipt(remote_id="", url="u"), "found by hand", NOW)
        assert await store.record(batch(entry("u", revision=9, record=other(2))), NOW) == 0

    async def test_overview_counts(self, store):
        """Status reads partial indexes, not a million delivered rows."""
        await store.accept("crm", {}, "", b"x", NOW)
        await store.record(batch(entry("a"), entry("b", record=other(1)), entry("d", record=other(2), error="no")), NOW)
        await lease(store, limit=1)

        facts = await store.overview()
        assert facts.counts("out") == {"queued": 1, "sending": 1, "dead": 1}
        assert [(one.why, one.count) for one in facts.tallies if one.state is State.DEAD] == [(Why.UNRENDERABLE, 1)]
        assert facts.destinations == {"out"}
        assert facts.inbox == [Waiting("crm", False, False, 1, NOW)]
        assert facts.oldest == {"out": NOW}

    async def test_what_waits_for_a_person_is_counted_by_its_reason(self, store):
        """By the first word of it; doubts that the destination is still asked about apart from those of a person."""
        kinds = {"a": "surge", "b": "surge", "c": "by hand: later", "d": "cap: 3 per_day"}
        new = [
            NewDelivery(key=key, message=message(record=other(n)), state=State.HELD, reason=why)
            for n, (key, why) in enumerate(kinds.items())
        ]
        await store.record(batch(*(Entry(record=one.message.record, deliveries=[one]) for one in new)), NOW)
        for key, look in (("u", NOW), ("v", None)):
            await store.record(batch(entry(key, record=other(ord(key)))), NOW)
            (one,) = (await lease(store)).deliveries
            unknown = Settlement(delivery=one, state=State.UNKNOWN, outcome="unknown", reason="it may be", doubt_from=NOW, look_at=look)
            await store.settle([unknown], [], NOW)

        found = {(one.state, one.why, one.looked_for): one.count for one in (await store.overview()).tallies}
        assert found == {
            (State.HELD, Why.SURGE, False): 2,
            (State.HELD, Why.BY_HAND, False): 1,
            (State.HELD, Why.CAP, False): 1,
            (State.UNKNOWN, None, True): 1,
            (State.UNKNOWN, None, False): 1,
        }

    async def test_retention_leaves_what_is_open(self, store):
        """Journal and delivered go in their time; open and dead deliveries, their changes, receipts and snapshots stay."""
        await store.record(batch(entry("a"), entry("d", record=other(2), error="no"), Entry(record=other(3), observation_id="o")), NOW)
        repeats = [Repeat(RECORD, Same.BYTES, "x", NOW, NOW)]
        await store.record(batch(bodies={RECORD: LastBody("d", 0, NOW)}, repeats=repeats), NOW)
        (a,) = (await lease(store)).deliveries
        await store.settle([settled(a, State.DELIVERED, receipt=Receipt(remote_id="1"))], [], NOW)
        none = Retention(journal=timedelta(0), delivered=timedelta(0), observations=timedelta(0))

        assert await store.purge(none, NOW - timedelta(seconds=1)) == 0
        assert await store.purge(none, NOW + timedelta(seconds=1)) == 5
        assert await store.purge(none, NOW + timedelta(seconds=1)) == 0
        assert None is await store.delivery("a")
        (dead,) = await store.select([State.DEAD], Scope())
        assert await store.event(dead.event_id)
        assert Known({}, {}) == await store.known([RECORD], "crm", ["o"], True)
        assert await store.repeats_of(RECORD.id, 10) == []

    async def test_many_at_once(self, store):
        """Concurrent callers share commits and do not disturb each other."""
        rows = await asyncio.gather(*(store.accept("crm", {}, "", str(number).encode(), NOW) for number in range(200)))

        assert len({row.id for row in rows}) == 200
        assert len(await store.waiting("crm", 0, 1000)) == 200

    async def test_everything_survives_reopening(self, tmp_path):
        """Durable means durable."""
        store = self.make(tmp_path)
        await store.accept("crm", {}, "", b"x", NOW)
        await store.record(batch(entry("k")), NOW)
        await lease(store)
        store.close()

        store = self.make(tmp_path)
        assert [one.key for one in await store.interrupted()] == ["k"]
        assert len(await store.waiting("crm", 0, 10)) == 1
        store.close()

    # --- people steer

    async def test_hold_and_release(self, store):
        """Held ones are not leased; released, they go out, and their age stood still meanwhile."""
        said = replace(message(record=other(1)), expires_at=NOW + timedelta(minutes=10))
        await store.record(batch(Entry(record=said.record, event=event(1, other(1)), deliveries=[NewDelivery(key="a", message=said)])), NOW)
        assert await store.hold(Scope(rule="r"), "by hand", NOW) == 1
        assert (await lease(store)).deliveries == []
        (held,) = await store.select([State.HELD], Scope(reason="by"))
        assert held.reason == "by hand"

        later = NOW + timedelta(hours=5)
        assert await store.release(Scope(ids=[held.id]), later) == 1
        (leased,) = (await lease(store, now=later)).deliveries
        assert leased.expires_at == NOW + timedelta(hours=5, minutes=10)

    async def test_held_ones_hold_back_only_replies_in_their_thread(self, store):
        """A reply before what it replies to would make no sense; other messages go on."""
        await store.record(batch(entry("root", 1, thread="t")), NOW)
        await store.hold(Scope(), "by hand", NOW)
        await store.record(batch(entry("other", 2), entry("reply", 3, thread="t")), NOW)
        (other_one,) = (await lease(store)).deliveries
        assert other_one.key == "other"
        await store.settle([settled(other_one, State.DELIVERED, receipt=Receipt(remote_id="1"))], [], NOW)
        await store.release(Scope(), NOW)
        assert [one.key for one in (await lease(store)).deliveries] == ["root"]

    async def test_nothing_replies_to_what_was_taken_back(self, store):
        """The next message of the thread begins it anew."""
        await store.record(batch(entry("root", 1, thread="t")), NOW)
        (root,) = (await lease(store)).deliveries
        await store.settle([settled(root, State.DELIVERED, receipt=Receipt(remote_id="7"))], [], NOW)
        await store.retract("root", NOW)
        await store.record(batch(entry("next", 2, thread="t")), NOW)
        (following,) = (await lease(store)).deliveries
        assert following.parent is None

    async def test_what_is_too_old_dies_at_its_lease(self, store):
        """It is told, and a person may still say it; nothing is written merely because time passes."""
        said = replace(message(), expires_at=NOW + timedelta(minutes=1))
        await store.record(batch(Entry(record=said.record, event=event(), deliveries=[NewDelivery(key="a", message=said)])), NOW)
        found = await lease(store, now=NOW + timedelta(minutes=2))

        assert ([one.key for one in found.deliveries], [one.key for one in found.expired]) == ([], ["a"])
        (dead,) = await store.select([State.DEAD], Scope())
        assert dead.reason == "expired"
        assert await store.requeue(dead, dead.message, NOW)
        assert [one.key for one in (await lease(store, now=NOW + timedelta(days=1))).deliveries] == ["a"]

    async def test_scopes(self, store):
        """Each part narrows; counting and choosing agree."""
        await store.record(batch(entry("a", record=other(1)), entry("b", record=other(2), channel="#b")), NOW)
        await store.record(batch(entry("c", record=other(3), destination="two")), NOW + timedelta(hours=1))
        scopes = {
            Scope(): ["c", "b", "a"],
            Scope(destination="two"): ["c"],
            Scope(channel="#b"): ["b"],
            Scope(record=str(other(1))): ["a"],
            Scope(since=NOW + timedelta(minutes=1)): ["c"],
            Scope(until=NOW + timedelta(minutes=1)): ["b", "a"],
            Scope(rule="other"): [],
        }
        for scope, keys in scopes.items():
            assert keys == [one.key for one in await store.select([State.QUEUED], scope)], scope
            assert len(keys) == await store.count([State.QUEUED], scope)
        assert [one.key for one in await store.select([State.QUEUED], Scope(), oldest=True, limit=2)] == ["a", "b"]

    async def test_only_the_newest_after_a_pause(self, store):
        """Of each record, rule, step and channel; others stay."""
        entries = [entry(f"k{n}", n + 1, other(n % 2)) for n in range(6)]
        await store.record(batch(*entries, entry("elsewhere", 9, other(0), channel="#b")), NOW)
        assert await store.drop_older(Scope(destination="out"), "newer", NOW) == 4
        assert {"k4", "k5", "elsewhere"} == {one.key for one in await store.select([State.QUEUED], Scope())}

    async def test_a_paused_rule_is_not_leased(self, store):
        """And a pause outlives the process."""
        await store.record(batch(entry("a")), NOW)
        await store.pause(Pause(kind=PauseKind.RULE, name="r", reason="wrong words", since=NOW))
        assert (await lease(store)).deliveries == []
        assert [(one.kind, one.name, one.reason) for one in await store.pauses()] == [("rule", "r", "wrong words")]
        assert await store.resume(PauseKind.RULE, "r")
        assert not await store.resume(PauseKind.RULE, "r")
        assert len((await lease(store)).deliveries) == 1

    async def test_lost_answers_wait_for_their_look(self, store):
        """Due ones are given out with when the doubt began; after a look they wait again, or for a person."""
        await store.record(batch(entry("a")), NOW)
        (one,) = (await lease(store)).deliveries
        soon = NOW + timedelta(seconds=2)
        await store.settle([settled(one, State.UNKNOWN, "unknown", doubt_from=NOW, look_at=soon)], [], NOW)
        assert ([], soon) == await store.doubted("out", NOW, 10)
        (doubted,), later = await store.doubted("out", soon, 10)
        assert (doubted.delivery.key, doubted.since, doubted.looks, later) == ("a", NOW, 0, None)

        await store.looked(doubted.delivery, soon + timedelta(seconds=5), soon)
        (again,), _ = await store.doubted("out", soon + timedelta(seconds=5), 10)
        assert again.looks == 1
        await store.looked(again.delivery, None, soon)
        assert await store.doubted("out", soon + timedelta(days=1), 10) == ([], None)
        assert await store.confirm(again.delivery, Receipt(remote_id="7"), "found", soon)
        assert (await store.delivery("a"))[0].state is State.DELIVERED

    async def test_from_what_a_network_calls_it(self, store):
        """To what we know; what was taken back is not published any more."""
        await store.record(batch(entry("a")), NOW)
        (one,) = (await lease(store)).deliveries
        await store.settle([settled(one, State.DELIVERED, receipt=Receipt(remote_id="1699.1", url="https://x.example/1"))], [], NOW)
        assert await store.receipts_named("1699.1") == ["a"]
        assert await store.spent("out", NOW) == 1
        assert await store.spent("out", NOW + timedelta(seconds=1)) == 0
        assert len(await store.published(Scope(rule="r", since=NOW))) == 1
        await store.retract("a", NOW)
        assert await store.published(Scope(rule="r", since=NOW)) == []

    async def test_a_record_and_its_journal(self, store):
        """Newest first; found by its id alone; forgotten whole, except while something of it is being published."""
        await store.record(batch(entry("a", 1), Entry(record=RECORD, snapshot=Snapshot(1, None, False, {"A": "x"}))), NOW)
        await store.record(batch(entry("b", 2)), NOW)
        assert [one.event.revision for one in await store.events_of(RECORD, 10)] == [2, 1]
        assert [one.key for one in await store.deliveries_of(RECORD, 10)] == ["b", "a"]
        assert await store.records_named("006", 10) == [RECORD]
        assert [one.event.revision for one in await store.events_since(NOW, 10)] == [1, 2]
        assert {"a"} == await store.known_keys(["a", "z"])
        await lease(store)
        with pytest.raises(StoreError, match="being published"):
            await store.forget(RECORD)
        for one in await store.interrupted():
            await store.settle([settled(one, State.DELIVERED, receipt=Receipt(remote_id="1"))], [], NOW)
        await store.record(Batch(source=RECORD.source, entries=(), aside=[Aside(RECORD, b"seen", "odd")]), NOW)
        await store.crashed([], [RECORD], [], NOW)
        gone = await store.forget(RECORD)
        assert gone == {"receipts": 1, "deliveries": 2, "events": 2, "aside": 1, "repeats": 0, "snapshots": 1}
        assert (await store.put_aside(), await store.suspects()) == ({}, {})
        assert await store.records_named("006", 10) == []

    async def test_records_by_what_they_hold(self, store):
        """A page at a time, each record once, whatever the case and whatever JSON makes of the words."""
        named = ["Parkers", 'The "Müller" Ltd', "PARKERS HOME", "Acme\\x"]
        for number, name in enumerate(named):
            ref = RecordRef("crm", "Opportunity", f"{number:03}")
            await store.record(batch(Entry(record=ref, snapshot=Snapshot(1, None, False, {"Name": name}))), NOW)

        async def with_it(words, limit):
            found, after, pages = [], None, 0
            while pages == 0 or after is not None:
                page, after = await store.snapshots_with(words, after, limit)
                found += [ref.id for ref in page]
                pages += 1
            return found, pages

        assert await with_it("parkers", 10) == (["000", "002"], 1)
        assert await with_it("parkers", 2) == (["000", "002"], 3)
        assert (await with_it('"müller"', 10))[0] == ["001"]
        assert (await with_it("acme\\x", 10))[0] == ["003"]
        assert await with_it("nobody", 3) == ([], 2)
        page, _ = await store.snapshots_with("acme", None, 10)
        assert page == {RecordRef("crm", "Opportunity", "003"): Snapshot(1, None, False, {"Name": "Acme\\x"})}

    async def test_people_are_told_once(self, store):
        """A trouble that lasts is known; its message waits like any other."""
        await store.told({"disk": NOW}, [], NewDelivery(key="alert", message=message()), NOW)
        await store.told({"disk": NOW + timedelta(hours=1)}, [], None, NOW)
        assert await store.alerts() == {"disk": NOW}
        await store.told({}, ["disk"], None, NOW)
        assert await store.alerts() == {}
        assert [one.key for one in await store.select([State.QUEUED], Scope())] == ["alert"]

    async def test_a_clock_that_was_set_back(self, store):
        """What waited five seconds waits five seconds."""
        await store.record(batch(entry("a")), NOW)
        (one,) = (await lease(store)).deliveries
        await store.settle([settled(one, State.QUEUED, "transient", due=NOW + timedelta(seconds=5))], [], NOW)
        back = NOW - timedelta(days=1)
        await store.shift(timedelta(days=-1), back)
        assert (await lease(store, now=back)).next_due == back + timedelta(seconds=5)

    async def test_a_backup_is_a_database(self, store, tmp_path):
        """Of its owner only, and never over something."""
        await store.record(batch(entry("a")), NOW)
        (tmp_path / "copy").mkdir()
        await store.backup(tmp_path / "copy" / "store.db")
        assert (tmp_path / "copy" / "store.db").stat().st_mode & 0o777 == 0o600
        with pytest.raises(StoreError, match="File exists"):
            await store.backup(tmp_path / "copy" / "store.db")
        copy = self.make(tmp_path / "copy")
        assert [one.key for one in await copy.select([State.QUEUED], Scope())] == ["a"]
        copy.close()
