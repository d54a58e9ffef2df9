"""What a source saw, and what changed. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from crmbridge.model.encoding import dump_json, load_json
from crmbridge.model.moments import from_us, to_us
from crmbridge.model.values import Fields, dump_fields, load_fields

Cursor = NewType("Cursor", str)
"""How far a source has been read. It is opaque to the core, and its source writes and versions it."""


class ChangeKind(StrEnum):
    """What happened to a record."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, order=True)
class RecordRef:
    """The name of one record of one configured source."""

    source: str
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}/{self.type}/{self.id}"

    @property
    def inner(self) -> str:
        """The name of the record within its source."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A request to which its sender gives no name.

    It is a repeat only if the same bytes come again, with nothing else of the record in between.
    """

    digest: str
    item: int
    """The index of the item in the request."""
    received_at: datetime
    repeats_within: timedelta
    """For how long its sender tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a source saw of one record. A field that is missing from `fields` was not looked at; it did not change."""

    record_type: str
    record_id: str
    fields: Fields
    occurred_at: datetime
    created: bool = False
    """The source itself says that the record is new."""
    existed: bool = False
    """The record is older than what this source has read already. So it is not new, though unseen: someone gave us access to it."""
    partial: bool = False
    """It names a record, and perhaps what changed in it. The whole record must be read (Rereading) before rules look at it."""
    deleted: bool = False
    merged_into: str | None = None
    version: str | None = None
    """The vendor's version or modification stamp: a number, an ISO 8601 instant, or any sortable text."""
    observation_id: str | None = None
    """The sender's own name for this observation, the same whenever it is sent again."""
    body: Unnamed | None = None
    """The request that it was sent in, where the sender gives neither version nor id."""
    before: Fields | None = None
    actor: str | None = None
    url: str | None = None
    unreadable: str = ""
    """The reason why its source could not read the row. `fields` then show what was seen of the row, and no rule looks at it."""


def dump_observation(one: Observation) -> bytes:
    """Write an observation as JSON, so that it can be put aside. Raises TypeError for what cannot be written."""
    facts = {name: getattr(one, name) for name in _FACTS}
    before = dump_fields(one.before) if one.before is not None else None
    whole = {**facts, "fields": dump_fields(one.fields), "before": before, "occurred_at": to_us(one.occurred_at)}
    if one.body:
        whole["body"] = [one.body.digest, one.body.item, to_us(one.body.received_at), one.body.repeats_within.total_seconds()]
    return dump_json(whole).encode()


def load_observation(body: bytes) -> Observation:
    """Read what `dump_observation` wrote. Raises ValueError for anything else."""
    try:
        raw = load_json(body)
        before = load_fields(raw["before"]) if raw["before"] is not None else None
        facts = {name: raw[name] for name in _FACTS}
        sent = _load_body(*raw["body"]) if "body" in raw else None
        return Observation(fields=load_fields(raw["fields"]), before=before, body=sent, occurred_at=from_us(raw["occurred_at"]), **facts)
    except (KeyError, TypeError) as error:
        raise ValueError(f"what was seen of it cannot be read: {error!r}") from None


def _load_body(digest: str, item: int, received_at: int, seconds: float) -> Unnamed:
    return Unnamed(digest, item, from_us(received_at), timedelta(seconds=seconds))


_FACTS = (
    *("record_type", "record_id", "created", "existed", "partial", "deleted", "merged_into"),
    *("version", "observation_id", "actor", "url", "unreadable"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The result of one read of a source."""

    observations: tuple[Observation, ...]
    cursor: Cursor
    has_more: bool
    learning: bool = False
    """The records may have existed long before this first read, as in a table that was just added. They are learnt silently."""
    delayed: bool = False
    """The records were written down some time after they changed, as in an export. The age of their stamps tells nothing about a clock."""
    lacking: Mapping[str, Collection[str]] = field(default_factory=dict)
    """For the record types that were looked at: the configured fields that do not exist, or no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent:
    """One change to one record, as rules see it. `before` holds only those old values that are known."""

    id: str
    source: str
    record_type: str
    record_id: str
    revision: int
    kind: ChangeKind
    occurred_at: datetime
    fields: Fields
    before: Fields
    actor: str | None = None
    url: str | None = None

    @property
    def record(self) -> RecordRef:
        return RecordRef(self.source, self.record_type, self.record_id)


def digest(*parts: str) -> str:
    """Name `parts` by 32 hex digits: half of a SHA-256 over their length-prefixed UTF-8."""
    prefixed = [b"%d:%b" % (len(data), data) for part in parts for data in (part.encode(),)]
    return hashlib.sha256(b"".join(prefixed)).hexdigest()[:32]


def event_id(record: RecordRef, revision: int, fields: Fields) -> str:
    """Name one change. The name is the same by poll, webhook, redelivery and replay. A -> B -> A makes three names."""
    return digest(record.source, record.type, record.id, str(revision), dump_fields(fields))


def idempotency_key(event: str, rule: str, step: str, generation: int = 0) -> str:
    """Name one delivery for ever. A destination that takes keys publishes each name once."""
    return digest(event, rule, step, str(generation))
