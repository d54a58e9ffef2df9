"""What the store promises, whatever database is behind it. Every method is one whole transaction.

A method that returns has made its work durable; one that raises has changed nothing. All of them may be awaited
from any task of the running loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from crmbridge.model import ChangeEvent, Delivery, Message, Receipt, RecordRef, Repeat, State
from crmbridge.store.ledger import Ledger
from crmbridge.store.terms import (
    AlreadyKnown,
    Attempt,
    Batch,
    Doubted,
    InboxRow,
    Journalled,
    Lease,
    NewDelivery,
    Overview,
    Pause,
    PauseKind,
    Published,
    Retention,
    Selection,
    Settlement,
    Snapshot,
    SourcePosition,
    Wait,
)


class Store(Ledger, Protocol):
    """crmbridge's own database."""

    # intake
    async def accept(self, source: str, headers: Mapping[str, str], query: str, body: bytes, now: datetime) -> InboxRow: ...
    async def waiting(self, source: str, after: int, limit: int) -> list[InboxRow]: ...
    async def position(self, source: str) -> SourcePosition: ...
    async def known(
        self, records: Sequence[RecordRef], source: str = "", observations: Sequence[str] = (), bodies: bool = False
    ) -> AlreadyKnown:
        """Return the snapshots of records, and which of a source's observation ids were seen before.

        `bodies`: also which unnamed request told of each record last.
        """

    async def ids_of(self, source: str, record_type: str, after: str, limit: int) -> list[str]:
        """List the ids of a type's records behind `after`, in order, without those that are deleted as far as we know."""

    async def walked(self, source: str) -> set[tuple[str, bool]]:
        """Return the record types that were walked through once. True: whole records were compared; False: their ids alone."""

    async def walk_ended(self, source: str, record_type: str, *, compared: bool, now: datetime) -> None: ...
    async def record(self, batch: Batch, now: datetime) -> int:
        """Record a batch of at most MAX_BATCH entries; returns how many deliveries were new. Raises Conflict."""

    # what ended the process before
    async def crashed(self, requests: Sequence[int], records: Sequence[RecordRef], deliveries: Sequence[int], now: datetime) -> None:
        """Count what was worked on when the process ended, and put aside what did it too often.

        Of these deliveries no request was out, so that they are queued again.
        """

    async def suspects(self) -> dict[RecordRef, int]:
        """Return the records during whose interpretation the process ended, and how often it did."""

    async def acquit(self, record: RecordRef) -> None: ...
    async def put_aside(self) -> dict[tuple[str, str], bytes]:
        """Return the records that were put aside and are not mended: what was seen of each, by source and `type/id`."""

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
        """List the messages in doubt to be looked for at `now`, and when the next one is due (None: no other)."""

    async def looked(self, delivery: Delivery, again_at: datetime | None, now: datetime) -> None:
        """Record that a message was not found: look again at `again_at`, or leave it to a person (None)."""

    async def spent(self, destination: str, since: datetime) -> int:
        """How many messages were published since an instant."""

    # people
    async def select(
        self, states: Sequence[State], selection: Selection, *, limit: int = 100, oldest: bool = False, after: int = 0
    ) -> list[Delivery]:
        """Open or dead deliveries: the newest first, or the oldest; of the oldest those behind the number `after`."""

    async def count(self, states: Sequence[State], selection: Selection) -> int: ...
    async def hold(self, selection: Selection, reason: str, now: datetime, most: int | None = None) -> int:
        """Queued ones wait for a person; returns how many did not before.

        As every order: at most MAX_ORDER in one transaction, and no further one once `most` are done.
        """

    async def release(self, selection: Selection, now: datetime, most: int | None = None) -> int:
        """Held ones are queued; their age goes on from where it stood still."""

    async def drop(self, states: Sequence[State], selection: Selection, reason: str, now: datetime, most: int | None = None) -> int:
        """They are left unsaid for good."""

    async def drop_older(self, selection: Selection, reason: str, now: datetime) -> int:
        """Queued ones that have a newer one of the same rule, step, channel and record are left unsaid."""

    async def delivery(self, name: str) -> tuple[Delivery, list[Attempt]] | None: ...
    async def requeue(self, delivery: Delivery, message: Message, now: datetime, reason: str = "") -> bool: ...
    async def confirm(self, delivery: Delivery, receipt: Receipt, reason: str, now: datetime) -> bool: ...
    async def retract(self, key: str, now: datetime) -> None:
        """Record that a published message was taken back."""

    async def pauses(self) -> list[Pause]: ...
    async def pause(self, pause: Pause) -> None: ...
    async def resume(self, kind: PauseKind, name: str) -> bool: ...
    async def failed_requests(self, limit: int = 100, after: int = 0) -> list[tuple[InboxRow, str]]:
        """List the requests that wait for a person, behind the number `after`, in order, each with its error."""

    async def failed_request(self, id: int) -> tuple[InboxRow, str] | None: ...
    async def retry_request(self, id: int) -> bool: ...
    async def drop_request(self, id: int) -> bool: ...
    async def event(self, id: str) -> ChangeEvent | None: ...
    async def events_after(self, seq: int, limit: int) -> list[Journalled]: ...
    async def events_since(self, since: datetime, limit: int) -> list[Journalled]:
        """List the journal from an instant of recording, in order."""

    async def events_of(self, record: RecordRef, limit: int) -> list[Journalled]:
        """List what the journal has of a record, newest first."""

    async def repeats_of(self, id: str, limit: int) -> list[Repeat]:
        """List what was taken for a repeat, of every record with this id, the latest first."""

    async def records_named(self, id: str, limit: int) -> list[RecordRef]:
        """Every known record with this id, whatever its source and type."""

    async def snapshots_with(self, words: str, after: RecordRef | None, limit: int) -> tuple[dict[RecordRef, Snapshot], RecordRef | None]:
        """Of the next `limit` records behind `after`, those that hold `words` (casefolded) anywhere; and the last one, None at the end."""

    async def deliveries_of(self, record: RecordRef, limit: int) -> list[Delivery]:
        """List the deliveries about a record, newest first."""

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Those under which something was accepted or published before."""

    async def receipts_named(self, remote_id: str) -> list[str]:
        """Return the keys of what a network calls `remote_id`."""

    async def last_event(self) -> int: ...
    async def published(self, selection: Selection, limit: int = 100, below: int | None = None) -> list[Published]:
        """List what was published and not taken back, the highest number first. `since` and `until` mean the publication."""

    async def overview(self) -> Overview: ...

    # alerts
    async def alerts(self) -> dict[str, datetime]: ...
    async def told(self, begun: Mapping[str, datetime], ended: Sequence[str], alert: NewDelivery | None, now: datetime) -> None:
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
        """Move every instant by `by` (negative: the clock was set back), so that each wait lasts as long as it was meant to.

        Returns how many rows were moved.
        """

    async def backup(self, path: Path) -> None:
        """Copy the database as it is now into a file that does not exist yet (mode 0600)."""

    async def probe(self) -> None:
        """Write and forget: raises StoreError while the database refuses writes."""

    def close(self) -> None: ...
