"""What the store promises, whatever database is behind it. Every method is one whole transaction.

A method that returns has made its work durable; one that raises has changed nothing. All of them may be awaited
from any task of the running loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from crmbridge.model import ChangeEvent, Cursor, Delivery, Fields, LastBody, Message, Receipt, RecordRef, Repeat, State, Why
from crmbridge.store.ledger import Ledger

MAX_BATCH = 200
"""Events in one `record`, at most: a larger transaction would make every other writer wait."""


MAX_ORDER = 1000
"""Deliveries that one order of a person touches in one transaction."""


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A verified webhook request that waits for interpretation, or a record that was put aside and is tried again."""

    id: int
    source: str
    received_at: datetime
    headers: Mapping[str, str]
    query: str
    body: bytes
    record: str | None = None
    """`type/id` of a record that was put aside; `body` is then the observation."""
    crashes: int = 0
    """How often the process ended while it was interpreted."""
    revision: int = 0
    """For a record: what was known of it when it was put aside."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much of one kind is in the inbox of one source."""

    source: str
    failed: bool
    """Nobody can interpret it: it waits for a person."""
    records: bool
    """They are records that were put aside, not webhook requests."""
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """How many open or dead deliveries of a destination are alike."""

    destination: str
    state: State
    why: Why | None
    """Of a held or dead one."""
    looked_for: bool
    """For unknown ones: the destination is still being asked."""
    count: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one instant, counted."""

    tallies: Sequence[Tally]
    oldest: Mapping[str, datetime]
    """When the oldest queued delivery of each destination was accepted."""
    inbox: Sequence[Waiting]
    sources: Mapping[str, SourcePosition]

    def counts(self, destination: str) -> dict[str, int]:
        """Its deliveries by state."""
        found: dict[str, int] = {}
        for one in self.tallies:
            if one.destination == destination:
                found[one.state.value] = found.get(one.state.value, 0) + one.count
        return found

    @property
    def destinations(self) -> set[str]:
        """Those that have a delivery which is open or dead."""
        return {one.destination for one in self.tallies}


@dataclass(frozen=True, slots=True)
class Aside:
    """A record that cannot be interpreted, as it was seen."""

    record: RecordRef
    seen: bytes
    reason: str
    revision: int = 0
    """Of the record as it was known then: once it has moved on, what was put aside is no news."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A record as last seen. Revision 0: learnt silently, no change yet."""

    revision: int
    version: str | None
    deleted: bool
    fields: Fields


@dataclass(frozen=True, slots=True)
class Known:
    """What is known already of some records and observations."""

    snapshots: dict[RecordRef, Snapshot]
    observations: dict[str, datetime]
    """The ids that were seen before, and when."""
    bodies: dict[RecordRef, LastBody] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """How far a source has been read."""

    cursor: Cursor | None = None
    baselined: bool = False
    polled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A message as it enters the outbox: queued, held for a person, or dead with `error` if it could not be rendered."""

    key: str
    message: Message
    error: str = ""
    state: State = State.QUEUED
    reason: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one observation led to."""

    record: RecordRef
    snapshot: Snapshot | None = None
    """The record from now on; None leaves it."""
    assumed: int | None = None
    """The revision that `snapshot` was computed from; None if there was no snapshot."""
    event: ChangeEvent | None = None
    stale: bool = False
    """`event` is journalled as refused: it is older than what is known."""
    deliveries: Sequence[NewDelivery] = ()
    observation_id: str | None = None
    fresh: bool = True
    """False: `event` is in the journal already; its rules are run again (replay)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Everything that one step of interpretation records, at once or not at all."""

    source: str
    entries: Sequence[Entry]
    closed: Sequence[int] = ()
    """Inbox rows that are done with."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """Inbox rows that nobody can interpret, with the reason."""
    aside: Sequence[Aside] = ()
    """What nobody can interpret of what was read: it is kept for a person, and the rest goes on."""
    needed: Sequence[int] = ()
    """Inbox rows without which nothing of this is true any more: a newer state has ended them meanwhile. Then Gone is raised."""
    mended: Sequence[RecordRef] = ()
    """Records that were put aside before, and of which a newer state is recorded now."""
    bodies: Mapping[RecordRef, LastBody | None] = field(default_factory=dict)
    """What told of these records last; None: something else by now."""
    repeats: Sequence[Repeat] = ()
    position: SourcePosition | None = None


class Gone(Exception):
    """An inbox row that was needed is not there any more."""


class Conflict(Exception):
    """A snapshot has another revision than was assumed: interpret again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Deliveries that are now `sending`, and when the next one of the destination is due (None: nothing waits)."""

    deliveries: Sequence[Delivery]
    next_due: datetime | None
    expired: Sequence[Delivery] = ()
    """Those that were too old to be said: they are dead letters now."""
    unreadable: Mapping[int, str] = field(default_factory=dict)
    """Numbers of those whose row cannot be read, with the reason: they are dead letters now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended."""

    delivery: Delivery
    state: State
    outcome: str
    """One word for logs and metrics: delivered, transient, rate_limited, auth_failed, rejected, head_gone, unknown, interrupted."""
    reason: str = ""
    error: str = ""
    due: datetime | None = None
    counted: bool = True
    """False: certainly refused before anything happened, so it is not one of the delivery's attempts."""
    receipt: Receipt | None = None
    doubt_from: datetime | None = None
    """For an unknown outcome: when the attempt began."""
    look_at: datetime | None = None
    """For an unknown outcome: when to look for the message at the destination; None leaves it to a person."""
    anew: bool = False
    """What the delivery's thread hangs on is gone: the thread begins anew with this delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which deliveries a person means; None and an empty list restrict nothing."""

    ids: Sequence[int] = ()
    destination: str | None = None
    channel: str | None = None
    rule: str | None = None
    record: str | None = None
    """As `source/type/id`."""
    reason: str | None = None
    """The beginning of the reason for its state."""
    since: datetime | None = None
    until: datetime | None = None
    """Accepted in this time, `until` not included."""

    @property
    def everything(self) -> bool:
        """True if nothing is restricted."""
        return self == Scope()


class PauseKind(StrEnum):
    """What a person's pause silences."""

    ALL = "all"
    DESTINATION = "destination"
    RULE = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Silence that a person ordered. It outlives restarts and reloads."""

    kind: PauseKind
    name: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Doubted:
    """A delivery whose answer was lost, to be looked for at its destination."""

    delivery: Delivery
    since: datetime
    looks: int
    """How often it was looked for already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Silence towards a destination, or one channel of it. `until` None: until a person acts."""

    destination: str
    channel: str | None
    until: datetime | None
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that ended without a receipt."""

    number: int
    ended_at: datetime
    outcome: str
    error: str


@dataclass(frozen=True, slots=True)
class Published:
    """A delivery that ended with a receipt."""

    delivery: Delivery
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Journalled:
    """A change in the journal, under its number; `stale` ones were refused as older than what was known."""

    seq: int
    event: ChangeEvent
    stale: bool
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things stay. Receipts and snapshots stay for ever, so that no replay says anything twice."""

    journal: timedelta = timedelta(days=30)
    delivered: timedelta = timedelta(days=90)
    observations: timedelta = timedelta(days=30)
    orders: timedelta = timedelta(days=365)


class Store(Ledger, Protocol):
    """crmbridge's own database."""

    # intake
    async def accept(self, source: str, headers: Mapping[str, str], query: str, body: bytes, now: datetime) -> InboxRow: ...
    async def waiting(self, source: str, after: int, limit: int) -> list[InboxRow]: ...
    async def position(self, source: str) -> SourcePosition: ...
    async def known(self, records: Sequence[RecordRef], source: str = "", observations: Sequence[str] = (), bodies: bool = False) -> Known:
        """The records as last seen, and which of a source's observation ids were seen before; `bodies`: what told of them last, too."""

    async def ids_of(self, source: str, record_type: str, after: str, limit: int) -> list[str]:
        """The ids of records of a type that are not deleted as far as we know, behind `after`, in order."""

    async def walked(self, source: str) -> set[tuple[str, bool]]:
        """The record types that were walked through to the end once; True: comparing whole records, False: by their ids."""

    async def walk_ended(self, source: str, record_type: str, *, compared: bool, now: datetime) -> None: ...
    async def record(self, batch: Batch, now: datetime) -> int:
        """Record a batch of at most MAX_BATCH entries; returns how many deliveries were new. Raises Conflict."""

    # what ended the process before
    async def crashed(self, requests: Sequence[int], records: Sequence[RecordRef], deliveries: Sequence[int], now: datetime) -> None:
        """The process ended while these were worked on; of the deliveries no request was out, so that they are queued again.

        Requests and deliveries that did it too often are put aside.
        """

    async def suspects(self) -> dict[RecordRef, int]:
        """Records during whose interpretation the process ended, and how often."""

    async def acquit(self, record: RecordRef) -> None: ...
    async def put_aside(self) -> dict[tuple[str, str], bytes]:
        """The records that were put aside and not mended yet: what was seen of each, by source and `type/id`."""

    # publisher
    async def lease(self, destination: str, *, now: datetime, limit: int, per_lane: int, skip: Sequence[str], after: str = "") -> Lease:
        """Mark up to `limit` due deliveries as sending: at most `per_lane` of a lane, none of the channels in `skip`,
        lanes in turn from the one behind `after`, and never one whose record has an earlier one open in its lane."""

    async def settle(self, settlements: Sequence[Settlement], waits: Sequence[Wait], now: datetime) -> None: ...
    async def interrupted(self, destination: str | None = None) -> list[Delivery]:
        """Deliveries whose attempt nobody saw end; of all destinations if none is named."""

    async def waits(self) -> list[Wait]: ...
    async def end_pause(self, destination: str) -> bool: ...
    async def doubted(self, destination: str, now: datetime, limit: int) -> tuple[list[Doubted], datetime | None]:
        """What is to be looked for at `now`, and when the next is (None: nothing)."""

    async def looked(self, delivery: Delivery, again_at: datetime | None, now: datetime) -> None:
        """It was not found: look again at `again_at`, or leave it to a person."""

    async def spent(self, destination: str, since: datetime) -> int:
        """How many messages were published since an instant."""

    # people
    async def select(
        self, states: Sequence[State], scope: Scope, *, limit: int = 100, oldest: bool = False, after: int = 0
    ) -> list[Delivery]:
        """Open or dead deliveries: the newest first, or the oldest; of the oldest those behind the number `after`."""

    async def count(self, states: Sequence[State], scope: Scope) -> int: ...
    async def hold(self, scope: Scope, reason: str, now: datetime, most: int | None = None) -> int:
        """Queued ones wait for a person; returns how many did not before.

        As every order: at most MAX_ORDER in one transaction, and no further one once `most` are done.
        """

    async def release(self, scope: Scope, now: datetime, most: int | None = None) -> int:
        """Held ones are queued; their age goes on from where it stood still."""

    async def drop(self, states: Sequence[State], scope: Scope, reason: str, now: datetime, most: int | None = None) -> int:
        """They are left unsaid for good."""

    async def drop_older(self, scope: Scope, reason: str, now: datetime) -> int:
        """Queued ones that have a newer one of the same rule, step, channel and record are left unsaid."""

    async def delivery(self, name: str) -> tuple[Delivery, list[Attempt]] | None: ...
    async def requeue(self, delivery: Delivery, message: Message, now: datetime, reason: str = "") -> bool: ...
    async def confirm(self, delivery: Delivery, receipt: Receipt, reason: str, now: datetime) -> bool: ...
    async def retract(self, key: str, now: datetime) -> None:
        """The published message was taken back."""

    async def pauses(self) -> list[Pause]: ...
    async def pause(self, pause: Pause) -> None: ...
    async def resume(self, kind: PauseKind, name: str) -> bool: ...
    async def failed_requests(self, limit: int = 100, after: int = 0) -> list[tuple[InboxRow, str]]:
        """What waits for a person, behind the number `after`, in order."""

    async def failed_request(self, id: int) -> tuple[InboxRow, str] | None: ...
    async def retry_request(self, id: int) -> bool: ...
    async def drop_request(self, id: int) -> bool: ...
    async def event(self, id: str) -> ChangeEvent | None: ...
    async def events_after(self, seq: int, limit: int) -> list[Journalled]: ...
    async def events_since(self, since: datetime, limit: int) -> list[Journalled]:
        """The journal from an instant of recording, in order."""

    async def events_of(self, record: RecordRef, limit: int) -> list[Journalled]:
        """What the journal has of a record, newest first."""

    async def repeats_of(self, id: str, limit: int) -> list[Repeat]:
        """What was taken for a repeat of every record with this id, the latest first."""

    async def records_named(self, id: str, limit: int) -> list[RecordRef]:
        """Every known record with this id, whatever its source and type."""

    async def snapshots_with(self, words: str, after: RecordRef | None, limit: int) -> tuple[dict[RecordRef, Snapshot], RecordRef | None]:
        """Of the next `limit` records behind `after`, those that hold `words` (casefolded) anywhere; and the last one, None at the end."""

    async def deliveries_of(self, record: RecordRef, limit: int) -> list[Delivery]:
        """What was said of a record or waits to be, newest first."""

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Those under which something was accepted or published before."""

    async def receipts_named(self, remote_id: str) -> list[str]:
        """The keys of what a network calls `remote_id`."""

    async def last_event(self) -> int: ...
    async def published(self, scope: Scope, limit: int = 100, below: int | None = None) -> list[Published]:
        """What went out and was not taken back, the highest number first; `since` and `until` of the scope mean the publication."""

    async def overview(self) -> Overview: ...

    # alerts
    async def alerts(self) -> dict[str, datetime]: ...
    async def told(self, begun: Mapping[str, datetime], ended: Sequence[str], message: NewDelivery | None, now: datetime) -> None:
        """People are told of troubles that began and of those that ended, in one message, once."""

    # upkeep
    async def purge(self, retention: Retention, now: datetime, limit: int = 500) -> int:
        """Remove at most `limit` rows of each kind that are past their time; returns how many went."""

    async def forget(self, record: RecordRef) -> dict[str, int]:
        """Remove all that is stored of a record, by table. Raises StoreError while something of it is being published."""

    async def recent(self, since: datetime) -> list[tuple[str, str, str, datetime, bool]]:
        """(rule, destination, channel, accepted, held by a surge) of what was accepted since an instant, at most some thousands."""

    async def identity(self) -> tuple[str, int] | None:
        """Which instance this database belongs to, and how often it was started."""

    async def identify(self, instance: str, epoch: int) -> None: ...
    async def shift(self, by: timedelta, now: datetime) -> int:
        """The clock was set back `by` (negative): what was to happen in so and so long still is. Returns how much was moved."""

    async def backup(self, path: Path) -> None:
        """A copy of the database as it is now, in a file that does not exist yet (mode 0600)."""

    async def probe(self) -> None:
        """Write and forget: raises StoreError while the database refuses writes."""

    def close(self) -> None: ...
