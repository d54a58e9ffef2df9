"""What a source may be able to do. A source implements what its vendor can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from crmbridge.contract.calls import Maybe
from crmbridge.model import Cursor, FieldType, Observation, Page

CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
"""The headers that prove who sends. They are never stored, so `parse` does not see them."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request as it arrived: raw bytes, header names in lower case, the first of repeated headers, the query still encoded.

    `headers`, `body` and `received_at` are stored, and `parse` sees them. Everything else is seen only by the door.
    """

    headers: Mapping[str, str]
    body: bytes
    query: str
    """The part of the address after the `?`. It is never stored: some senders show a secret there."""
    received_at: datetime
    path: str = ""
    """The part of the address after /hooks/<source>/: a secret, for senders that can prove nothing else. It is never stored."""
    method: str = "POST"
    address: str = ""
    """Path and query as they were requested, still encoded: some senders sign them. It is never stored."""
    repeated: frozenset[str] = frozenset()
    """The names of headers that came more than once, in lower case."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a webhook's sender."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the answer, for a handshake."""


@runtime_checkable
class Source(Protocol):
    """A CRM that can be read."""

    def check(self) -> Maybe[None]:
        """Log in and prove that every configured field can be read. Raises SourceError that says what is missing."""

    def poll(self, cursor: Cursor | None) -> Maybe[Page]:
        """Read one page of records that changed at or after `cursor`. None reads from the very beginning.

        Raises SourceError. The core then asks again with the same cursor after a backoff.
        """

    def close(self) -> Maybe[None]:
        """Release connections; safe to call twice."""


@runtime_checkable
class WebhookSource(Protocol):
    """A CRM that calls us."""

    def verify(self, request: WebhookRequest) -> None:
        """Prove the sender and the form of a request, on raw bytes. Raises InvalidRequest (InvalidSignature)."""

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        """Return the observations in a verified request. Raises ValueError that says what could not be read."""

    def reply(self, accepted: bool) -> Reply:
        """Return the answer that this sender wants: `accepted` once the request is stored, otherwise when it cannot be stored now."""


@runtime_checkable
class Greeting(Protocol):
    """A source whose senders first ask, in a handshake, whether somebody listens. Nothing is stored for a handshake."""

    def greet(self, request: WebhookRequest) -> Reply | None:
        """Answer a handshake, with a short body that is never HTML. Return None if the request is no handshake. Raises InvalidRequest.

        The door asks this before `verify`, and for every GET and HEAD, which are always handshakes: one that gets no answer here is
        refused with 405.
        """


@runtime_checkable
class Discreet(Protocol):
    """A source whose senders show a secret in the query or in the path, outside the headers in CREDENTIALS."""

    def storable(self, request: WebhookRequest) -> WebhookRequest:
        """Return a verified request without that secret. `parse` gets this one."""


@runtime_checkable
class Rereading(Protocol):
    """A source that can read single records whole, as they are now: those that its webhooks name."""

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Maybe[Sequence[Observation]]:
        """Read these records, in any order. Leave out those that are gone or out of sight. Raises SourceError."""


@runtime_checkable
class Rewindable(Protocol):
    """A source that can be read from any instant on, for `backfill`, `audit` and `state set`."""

    def since(self, moment: datetime) -> Maybe[Cursor]:
        """Return the cursor from which `poll` reads what changed at `moment` or later. Raises SourceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How all records of one type can be gone through, besides being polled."""

    ids_every: timedelta | None
    """How often all ids are listed, to find deleted records. None: never."""
    rows_every: timedelta | None
    """How often all records are compared, to find changes that left their stamp as it was. None: never."""
    most_ids: int
    """If there are more records than this, their ids are not listed."""
    most_rows: int
    """If there are more records than this, they are not compared."""
    certain: bool = True
    """Whether a walk surely meets every record that is there all the time. If not, a record is gone only if two walks in a row miss it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a walk through all records of a type."""

    ids: Sequence[str]
    observations: Sequence[Observation] = ()
    """The observations of the same records, if they are compared."""
    bookmark: str | None = None
    """Where the next stretch begins. None: this was the last one."""


@runtime_checkable
class Walking(Protocol):
    """A source that can go through all records there are, to find changes that no stamp tells of."""

    def walks(self) -> Mapping[str, Walk]:
        """Return how each record type can be walked through, by its name."""

    def walk(self, record_type: str, bookmark: str | None, rows: bool) -> Maybe[Stretch]:
        """Read the stretch that begins at `bookmark`; None is the beginning. With `rows` it holds whole records, else only their ids.

        If the walk is `certain`, each record that is there all the time stands in one of the stretches.

        Raises SourceError. The walk then begins anew later.
        """


@runtime_checkable
class Acknowledging(Protocol):
    """A source that drops what was read once it is told to: a queue at the vendor."""

    def ack(self, cursor: Cursor) -> Maybe[None]:
        """Tell the vendor that everything up to `cursor` is recorded here for good, and may be dropped.

        Raises SourceError. The vendor then sends it again.
        """


@runtime_checkable
class Streaming(Protocol):
    """A source that keeps a connection open and yields pages as they arrive, instead of being polled."""

    def pages(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        """Yield the pages behind `cursor`, for ever.

        Raises SourceError. The core then calls this again after a backoff, with the last recorded cursor.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person of a record's team."""

    name: str
    email: str | None = None
    role: str | None = None


@runtime_checkable
class Teams(Protocol):
    """A source that knows who works on a record: its owner and its team."""

    def members(self, record_type: str, id: str) -> Maybe[Sequence[Member]]:
        """Return the people who work on a record, the owner first. Raises SourceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """One field of a record type, as the vendor describes it."""

    name: str
    """Its name as it is written under `fields:`."""
    label: str
    type: FieldType
    choices: Mapping[str, str] = field(default_factory=dict)
    """For a picklist: the labels by value."""
    required: bool | None = None
    """Whether every record has a value in this field. None if the vendor does not say."""


@runtime_checkable
class Describing(Protocol):
    """A source that says which record types and fields there are."""

    def schema(self, record_type: str) -> Maybe[Sequence[FieldInfo]]:
        """Return the fields that this login may read. Raises SourceError, also for a record type that does not exist."""


@runtime_checkable
class Baseline(Protocol):
    """A source that can list every record there is, so that a first start learns all of them silently."""

    def enumerates(self) -> bool:
        """Say whether `poll(None)` and the pages after it yield every record there is."""
