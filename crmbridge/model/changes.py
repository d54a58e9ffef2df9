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
"""How far a source has been read: opaque to the core, versioned by its source."""


class ChangeKind(StrEnum):
    """What happened to a record."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, order=True)
class RecordRef:
    """Names one record of one configured source."""

    source: str
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}/{self.type}/{self.id}"

    @property
    def inner(self) -> str:
        """How it is called within its source."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A request that its sender names by nothing: only the same bytes again, with nothing else of the record between, are a repeat."""

    digest: str
    item: int
    """Which of its items."""
    received_at: datetime
    repeats_within: timedelta
    """How long its sender tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a source saw of one record. A field missing from `fields` was not looked at; it did not change."""

    record_type: str
    record_id: str
    fields: Fields
    occurred_at: datetime
    created: bool = False
    """The source itself says that the record is new."""
    existed: bool = False
    """It is older than what this source has read already, so that it is not new, though unseen: someone let us see it."""
    partial: bool = False
    """It names a record and perhaps what changed in it; the whole record must be read (Rereading) before rules look at it."""
    deleted: bool = False
    merged_into: str | None = None
    version: str | None = None
    """The vendor's version or modification stamp; a number, an ISO 8601 instant, or any sortable text."""
    observation_id: str | None = None
    """The sender's own name for it, the same whenever it is sent again."""
    body: Unnamed | None = None
    """What it was sent in, where the sender gives neither version nor id."""
    before: Fields | None = None
    actor: str | None = None
    url: str | None = None
    unreadable: str = ""
    """Why its source could not read the row; `fields` then say what was seen of it, and nobody interprets that."""


def dump_observation(one: Observation) -> bytes:
    """An observation as JSON, for one that is put aside. Raises TypeError for what cannot be written."""
    facts = {name: getattr(one, name) for name in _FACTS}
    before = dump_fields(one.before) if one.before is not None else None
    whole = {**facts, "fields": dump_fields(one.fields), "before": before, "occurred_at": to_us(one.occurred_at)}
    if one.body:
        whole["body"] = [one.body.digest, one.body.item, to_us(one.body.received_at), one.body.repeats_within.total_seconds()]
    return dump_json(whole).encode()


def load_observation(body: bytes) -> Observation:
    """The inverse of `dump_observation`. Raises ValueError for anything else."""
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
    """One read of a source."""

    observations: tuple[Observation, ...]
    cursor: Cursor
    has_more: bool
    learning: bool = False
    """These records may have existed long before they were read first, as in a table that was just added: learn them silently."""
    delayed: bool = False
    """They were written down some time after they changed, as in an export: the age of their stamps says nothing of a clock."""
    lacking: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Of the record types that were looked at: the configured fields that there are not, or no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent:
    """One change to one record, as rules see it. `before` holds only old values that are known."""

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
    """32 hex digits naming `parts`: half of a SHA-256 over their length-prefixed UTF-8."""
    prefixed = [b"%d:%b" % (len(data), data) for part in parts for data in (part.encode(),)]
    return hashlib.sha256(b"".join(prefixed)).hexdigest()[:32]


def event_id(record: RecordRef, revision: int, fields: Fields) -> str:
    """The name of one change: the same by poll, webhook, redelivery and replay; A -> B -> A is three."""
    return digest(record.source, record.type, record.id, str(revision), dump_fields(fields))


def idempotency_key(event: str, rule: str, step: str, generation: int = 0) -> str:
    """The name of one delivery for ever; a destination that takes keys publishes it once."""
    return digest(event, rule, step, str(generation))
