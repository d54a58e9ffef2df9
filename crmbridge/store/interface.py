"""What the store promises, whatever database is behind it. Every method is one whole transaction.

A method that returns has made its work durable; one that raises has changed nothing. All of them may be awaited
from any task of the running loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from crmbridge.model import ChangeEvent, Cursor, Delivery, Fields, Message, Receipt, RecordRef, State

MAX_BATCH = 200
"""Events in one `record`, at most: a larger transaction would make every other writer wait."""


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A verified webhook request that waits for interpretation."""

    id: int
    source: str
    received_at: datetime
    headers: Mapping[str, str]
    query: str
    body: bytes


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
    observations: set[str]


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """How far a source has been read."""

    cursor: Cursor | None = None
    baselined: bool = False
    polled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A message as it enters the outbox: queued, or dead with `error` if it could not be rendered."""

    key: str
    message: Message
    error: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Everything that one step of interpretation records, at once or not at all."""

    source: str
    entries: Sequence[Entry]
    closed: Sequence[int] = ()
    """Inbox rows that are done with."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """Inbox rows that nobody can interpret, with the reason."""
    position: SourcePosition | None = None


class Conflict(Exception):
    """A snapshot has another revision than was assumed: interpret again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Deliveries that are now `sending`, and when the next one of the destination is due (None: nothing waits)."""

    deliveries: Sequence[Delivery]
    next_due: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended."""

    delivery: Delivery
    state: State
    outcome: str
    """One word for logs and metrics: delivered, transient, rate_limited, auth_failed, rejected, unknown, interrupted."""
    reason: str = ""
    error: str = ""
    due: datetime | None = None
    counted: bool = True
    """False: certainly refused before anything happened, so it is not one of the delivery's attempts."""
    receipt: Receipt | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things stay. Receipts and snapshots stay for ever, so that no replay says anything twice."""

    journal: timedelta = timedelta(days=30)
    delivered: timedelta = timedelta(days=90)
    observations: timedelta = timedelta(days=30)


class Store(Protocol):
    """crmbridge's own database."""

    # intake
    async def accept(self, source: str, headers: Mapping[str, str], query: str, body: bytes, now: datetime) -> InboxRow: ...
    async def waiting(self, after: int, limit: int) -> list[InboxRow]: ...
    async def position(self, source: str) -> SourcePosition: ...
    async def known(self, records: Sequence[RecordRef], source: str = "", observations: Sequence[str] = ()) -> Known:
        """The records as last seen, and which of a source's observation ids were seen before."""

    async def record(self, batch: Batch, now: datetime) -> int:
        """Record a batch of at most MAX_BATCH entries; returns how many deliveries were new. Raises Conflict."""

    # publisher
    async def lease(self, destination: str, *, now: datetime, limit: int, per_lane: int, skip: Sequence[str], after: str = "") -> Lease:
        """Mark up to `limit` due deliveries as sending: at most `per_lane` of a lane, none of the channels in `skip`,
        lanes in turn from the one behind `after`, and never one whose record has an earlier one open in its lane."""

    async def settle(self, settlements: Sequence[Settlement], waits: Sequence[Wait], now: datetime) -> None: ...
    async def interrupted(self) -> list[Delivery]: ...
    async def waits(self) -> list[Wait]: ...
    async def end_pause(self, destination: str) -> bool: ...

    # people
    async def deliveries(
        self, state: State, *, destination: str | None = None, rule: str | None = None, limit: int = 100, oldest: bool = False
    ) -> list[Delivery]:
        """Deliveries in one open or dead state: the newest first, or the oldest."""

    async def delivery(self, name: str) -> tuple[Delivery, list[Attempt]] | None: ...
    async def requeue(self, delivery: Delivery, message: Message, now: datetime, reason: str = "") -> bool: ...
    async def drop(self, delivery: Delivery, reason: str, now: datetime) -> bool: ...
    async def confirm(self, delivery: Delivery, receipt: Receipt, reason: str, now: datetime) -> bool: ...
    async def failed_requests(self, limit: int = 100) -> list[tuple[InboxRow, str]]: ...
    async def failed_request(self, id: int) -> tuple[InboxRow, str] | None: ...
    async def retry_request(self, id: int) -> bool: ...
    async def drop_request(self, id: int) -> bool: ...
    async def event(self, id: str) -> ChangeEvent | None: ...
    async def events_after(self, seq: int, limit: int) -> list[tuple[int, ChangeEvent, bool]]: ...
    async def last_event(self) -> int: ...
    async def published(self, limit: int = 100) -> list[Published]:
        """What went out last, newest first."""

    async def overview(self) -> dict[str, Any]: ...

    # upkeep
    async def purge(self, retention: Retention, now: datetime, limit: int = 500) -> int:
        """Remove at most `limit` rows of each kind that are past their time; returns how many went."""

    async def probe(self) -> None:
        """Write and forget: raises StoreError while the database refuses writes."""

    def close(self) -> None: ...
