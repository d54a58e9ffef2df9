"""What the store promises, whatever database is behind it.

A method is one transaction. When it returns, its work is durable; when it raises, it has changed nothing. Exceptions are
the orders of a person (`hold`, `release`, `drop`, `drop_older`), which are a transaction for each MAX_ORDER deliveries: what
is done stays done, and a repeat goes on from there. Every method may be awaited from any task of the running loop.
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
    async def accept(self, source: str, headers: Mapping[str, str], query: str, body: bytes, now: datetime) -> InboxRow:
        """Store a verified request, before its sender is answered."""

    async def waiting(self, source: str, after: int, limit: int) -> list[InboxRow]:
        """List a source's requests behind `after` that wait for interpretation, in order of arrival."""

    async def position(self, source: str) -> SourcePosition:
        """Read how far a source was read."""

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

    async def walk_ended(self, source: str, record_type: str, *, compared: bool, now: datetime) -> None:
        """Note that a walk through a record type came to its end."""

    async def record(self, batch: Batch, now: datetime) -> int:
        """Record a batch of at most MAX_BATCH entries, and return how many deliveries were new. Raises Conflict, Gone."""

    # what ended the process before
    async def crashed(self, requests: Sequence[int], records: Sequence[RecordRef], deliveries: Sequence[int], now: datetime) -> None:
        """Count what was worked on when the process ended, and put aside what did it too often.

        Of these deliveries no request was out, so that they are queued again.
        """

    async def suspects(self) -> dict[RecordRef, int]:
        """Return the records during whose interpretation the process ended, and how often it did."""

    async def acquit(self, record: RecordRef) -> None:
        """Forget that the process ended while a record was interpreted."""

    async def put_aside(self) -> dict[tuple[str, str], bytes]:
        """Return the records that were put aside and are not mended: what was seen of each, by source and `type/id`."""

    # publisher
    async def lease(self, destination: str, *, now: datetime, limit: int, per_lane: int, skip: Sequence[str], after: str = "") -> Lease:
        """Mark up to `limit` due deliveries of a destination as sending: at most `per_lane` of a lane, none of the channels in `skip`.

        Lanes have their turn from the one behind `after`. A delivery waits while its record has an earlier one open in its lane.
        """

    async def settle(self, settlements: Sequence[Settlement], waits: Sequence[Wait], now: datetime) -> None:
        """Record how attempts ended, with the waits that the network asked for."""

    async def interrupted(self, destination: str | None = None) -> list[Delivery]:
        """List the deliveries whose attempt nobody saw end; of all destinations if none is named."""

    async def waits(self) -> list[Wait]:
        """List the waits of all destinations and channels."""

    async def end_pause(self, destination: str) -> bool:
        """End the wait of a destination for a person. Returns whether there was one."""

    async def doubted(self, destination: str, now: datetime, limit: int) -> tuple[list[Doubted], datetime | None]:
        """List the messages in doubt to be looked for at `now`, and when the next one is due (None: no other)."""

    async def looked(self, delivery: Delivery, again_at: datetime | None, now: datetime) -> None:
        """Record that a message was not found: look again at `again_at`, or leave it to a person (None)."""

    async def spent(self, destination: str, since: datetime) -> int:
        """Count the messages that were published since an instant."""

    # people
    async def select(
        self, states: Sequence[State], selection: Selection, *, limit: int = 100, oldest: bool = False, after: int = 0
    ) -> list[Delivery]:
        """List open, dead or unsaid deliveries: the newest first, or the oldest first behind the number `after`."""

    async def count(self, states: Sequence[State], selection: Selection) -> int:
        """Count the deliveries that an order would touch."""

    async def hold(self, selection: Selection, reason: str, now: datetime, most: int | None = None) -> int:
        """Let queued deliveries wait for a person, and return how many did not before.

        As with every order: no further transaction begins once `most` are done.
        """

    async def release(self, selection: Selection, now: datetime, most: int | None = None) -> int:
        """Queue held deliveries, and return how many there were. Their age goes on from where it stood still."""

    async def drop(self, states: Sequence[State], selection: Selection, reason: str, now: datetime, most: int | None = None) -> int:
        """Leave deliveries unsaid for good, and return how many there were."""

    async def drop_older(self, selection: Selection, reason: str, now: datetime) -> int:
        """Leave queued deliveries unsaid that have a newer queued one of the same rule, step, channel and record."""

    async def delivery(self, name: str) -> tuple[Delivery, list[Attempt]] | None:
        """Find a delivery by its number or key, with its failed attempts."""

    async def requeue(self, delivery: Delivery, message: Message, now: datetime, reason: str = "") -> bool:
        """Queue a dead or unknown delivery with `message`. Returns whether it was still one."""

    async def confirm(self, delivery: Delivery, receipt: Receipt, reason: str, now: datetime) -> bool:
        """Record that an unknown delivery is published, with its receipt. Returns whether it was still unknown."""

    async def retract(self, key: str, now: datetime) -> None:
        """Record that a published message was taken back."""

    async def pauses(self) -> list[Pause]:
        """List a person's pauses."""

    async def pause(self, pause: Pause) -> None:
        """Record a person's pause. The first reason stands."""

    async def resume(self, kind: PauseKind, name: str) -> bool:
        """End a person's pause. Returns whether there was one."""

    async def failed_requests(self, limit: int = 100, after: int = 0) -> list[tuple[InboxRow, str]]:
        """List the requests that wait for a person, behind the number `after`, in order, each with its error."""

    async def failed_request(self, id: int) -> tuple[InboxRow, str] | None:
        """Find a request that waits for a person, with its error."""

    async def retry_request(self, id: int) -> bool:
        """Let a request be interpreted again. Returns whether it waited for a person."""

    async def drop_request(self, id: int) -> bool:
        """Remove a request. Returns whether it waited for a person."""

    async def event(self, id: str) -> ChangeEvent | None:
        """Find a change by its id."""

    async def events_after(self, seq: int, limit: int) -> list[Journalled]:
        """List changes behind a number, in order."""

    async def events_since(self, since: datetime, limit: int) -> list[Journalled]:
        """List the journal from an instant of recording, in order."""

    async def events_of(self, record: RecordRef, limit: int) -> list[Journalled]:
        """List what the journal has of a record, newest first."""

    async def repeats_of(self, id: str, limit: int) -> list[Repeat]:
        """List what was taken for a repeat, of every record with this id, the latest first."""

    async def records_named(self, id: str, limit: int) -> list[RecordRef]:
        """Find every known record with this id, whatever its source and type."""

    async def snapshots_with(self, words: str, after: RecordRef | None, limit: int) -> tuple[dict[RecordRef, Snapshot], RecordRef | None]:
        """Find among the next `limit` records behind `after` those that hold `words` (casefolded) anywhere.

        Returns them with their snapshots, and the last record that was looked at: None at the end.
        """

    async def deliveries_of(self, record: RecordRef, limit: int) -> list[Delivery]:
        """List the deliveries about a record, newest first."""

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Find the keys under which something was accepted or published before."""

    async def receipts_named(self, remote_id: str) -> list[str]:
        """Return the keys of what a network calls `remote_id`."""

    async def last_event(self) -> int:
        """Return the number of the newest change, 0 if there is none."""

    async def published(self, selection: Selection, limit: int = 100, below: int | None = None) -> list[Published]:
        """List what was published and not taken back, the highest number first. `since` and `until` mean the publication."""

    async def overview(self) -> Overview:
        """Count what waits, and read how far each source was read."""

    # alerts
    async def alerts(self) -> dict[str, datetime]:
        """Return the troubles that people were told of, with since when."""

    async def told(self, begun: Mapping[str, datetime], ended: Sequence[str], alert: NewDelivery | None, now: datetime) -> None:
        """Record which troubles began and ended, with the one message that tells people of them."""

    # upkeep
    async def purge(self, retention: Retention, now: datetime, limit: int = 500) -> int:
        """Remove at most `limit` rows of each kind that are past their time; returns how many went."""

    async def forget(self, record: RecordRef) -> dict[str, int]:
        """Remove all that is stored of a record; returns the rows by table. Raises StoreError while something of it is being published."""

    async def recent(self, since: datetime) -> list[tuple[str, str, str, datetime, bool]]:
        """List what was accepted since an instant, at most some thousands: (rule, destination, channel, accepted, held by a surge)."""

    async def identity(self) -> tuple[str, int] | None:
        """Read which instance this database belongs to, and how often it was started."""

    async def identify(self, instance: str, epoch: int) -> None:
        """Make the database belong to an instance, from this start on."""

    async def shift(self, by: timedelta, now: datetime) -> int:
        """Move every instant by `by` (negative: the clock was set back), so that each wait lasts as long as it was meant to.

        Returns how many rows were moved.
        """

    async def backup(self, path: Path) -> None:
        """Copy the database as it is now into a file that does not exist yet (mode 0600)."""

    async def probe(self) -> None:
        """Write and forget: raises StoreError while the database refuses writes."""

    def close(self) -> None: ...
