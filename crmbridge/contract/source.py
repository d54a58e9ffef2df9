"""What a source may be able to do; it implements what its vendor can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from crmbridge.contract.calls import Maybe
from crmbridge.model import Cursor, FieldType, Observation, Page

CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
"""Headers that prove who sends. They are never stored, so that `parse` does not see them."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request as it arrived: raw bytes, header names in lower case, the first of repeated headers, the query still encoded.

    `headers`, `body` and `received_at` are stored, and `parse` sees them; all else is for the door alone.
    """

    headers: Mapping[str, str]
    body: bytes
    query: str
    """What stands behind the ? of the address. It is never stored: some senders show a secret there."""
    received_at: datetime
    path: str = ""
    """What stands behind /hooks/<source>/ in the address: a secret, for senders that can prove nothing else. It is never stored."""
    method: str = "POST"
    address: str = ""
    """Path and query as they were asked for, still encoded: some senders sign them. It is never stored."""
    repeated: frozenset[str] = frozenset()
    """The names of headers that came more than once, in lower case."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a webhook's sender is answered."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    """More headers of the answer, for a handshake."""


@runtime_checkable
class Source(Protocol):
    """A CRM that can be read."""

    def check(self) -> Maybe[None]:
        """Log in and prove that every configured field can be read; raises SourceError saying what is missing."""

    def poll(self, cursor: Cursor | None) -> Maybe[Page]:
        """One page of records changed at or after `cursor`; None reads from the very beginning.

        Raises SourceError; the core then asks again with the same cursor after a backoff.
        """

    def close(self) -> Maybe[None]:
        """Release connections; safe to call twice."""


@runtime_checkable
class WebhookSource(Protocol):
    """A CRM that calls us."""

    def verify(self, request: WebhookRequest) -> None:
        """Prove the sender and the form, on raw bytes; raises InvalidRequest (InvalidSignature)."""

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        """The observations in a verified request; raises ValueError saying what could not be read."""

    def reply(self, accepted: bool) -> Reply:
        """The answer this sender wants: once stored, or when we cannot store now."""


@runtime_checkable
class Greeting(Protocol):
    """A source whose senders ask first whether somebody listens: a handshake, for which nothing is stored."""

    def greet(self, request: WebhookRequest) -> Reply | None:
        """The answer to a handshake, short and never HTML; None where the request is none. Raises InvalidRequest.

        Asked before `verify`, and for GET and HEAD, which are always handshakes: without an answer they are refused with 405.
        """


@runtime_checkable
class Discreet(Protocol):
    """A source whose senders show a secret elsewhere than in CREDENTIALS, in the query or in the path."""

    def storable(self, request: WebhookRequest) -> WebhookRequest:
        """A verified request without that secret; `parse` gets this one."""


@runtime_checkable
class Rereading(Protocol):
    """A source that can read single records whole: what its webhooks name, as it is now."""

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Maybe[Sequence[Observation]]:
        """These records, in any order, without those that are gone or out of sight. Raises SourceError."""


@runtime_checkable
class Rewindable(Protocol):
    """A source that can be read from any instant on: for `backfill`, `audit` and `state set`."""

    def since(self, moment: datetime) -> Maybe[Cursor]:
        """The cursor from which `poll` reads what changed at `moment` or later. Raises SourceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How one record type may be gone through, besides being polled."""

    ids_every: timedelta | None
    """How often all ids are listed, for what was deleted; None: never."""
    rows_every: timedelta | None
    """How often all records are compared, for what changed without its stamp; None: never."""
    most_ids: int
    """With more records than this ids are not listed."""
    most_rows: int
    """With more records than this they are not compared."""
    certain: bool = True
    """A walk meets everything that is there all the time. Else what lacks is gone only once it lacks twice in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a walk through all records of a type."""

    ids: Sequence[str]
    observations: Sequence[Observation] = ()
    """Of the same records, if they are compared."""
    bookmark: str | None = None
    """Where the next stretch begins; None: this was the last."""


@runtime_checkable
class Walking(Protocol):
    """A source that can go through all that there is: for what no stamp tells of."""

    def walks(self) -> Mapping[str, Walk]:
        """By record type."""

    def walk(self, record_type: str, bookmark: str | None, rows: bool) -> Maybe[Stretch]:
        """The stretch from `bookmark` on; None is the beginning. `rows`: with whole records, not with their ids alone.

        A record that is there all the time stands in one of them, if the walk is `certain`.

        Raises SourceError; the walk then begins anew later.
        """


@runtime_checkable
class Acknowledging(Protocol):
    """A source that forgets what it was asked to: a queue at the vendor."""

    def ack(self, cursor: Cursor) -> Maybe[None]:
        """What was read up to `cursor` is recorded here for good, and may go. Raises SourceError; then it comes again."""


@runtime_checkable
class Streaming(Protocol):
    """A source that keeps a connection open and yields pages as they come, instead of being polled."""

    def pages(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        """Pages behind `cursor`, for ever. Raises SourceError; it is called again with the last recorded cursor after a backoff."""


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
        """The owner first. Raises SourceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """One field of a record type, as the vendor describes it."""

    name: str
    """As it is written under `fields:`."""
    label: str
    type: FieldType
    choices: Mapping[str, str] = field(default_factory=dict)
    """For a picklist: labels by value."""
    required: bool | None = None
    """Whether every record has a value there; None if the vendor does not say."""


@runtime_checkable
class Describing(Protocol):
    """A source that says which record types and fields there are."""

    def schema(self, record_type: str) -> Maybe[Sequence[FieldInfo]]:
        """The fields that this login may read. Raises SourceError, also for a type that is not there."""


@runtime_checkable
class Baseline(Protocol):
    """A source that can enumerate what exists, so that a first start learns it silently."""

    def enumerates(self) -> bool:
        """True if `poll(None)` and its following pages yield every record there is."""
