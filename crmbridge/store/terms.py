"""In what terms the store is spoken to: what is recorded, selected, leased and settled, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from crmbridge.model import ChangeEvent, Cursor, Delivery, Fields, LastBody, Message, Receipt, RecordRef, Repeat, State, Why

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
class AlreadyKnown:
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
class Selection:
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
        return self == Selection()


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
