"""What a sender sends again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from crmbridge.model.changes import RecordRef


@dataclass(frozen=True, slots=True)
class LastBody:
    """The last request that told of a record, where its sender gives neither version nor id."""

    digest: str
    item: int
    """The index of the item that told of the record."""
    received_at: datetime


class Same(StrEnum):
    """The mark by which a repeat was recognised."""

    ID = "id"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repeat: what a sender said of a record again, and what was therefore not looked at."""

    record: RecordRef
    same: Same
    name: str
    """The sender's id, or the digest of the body."""
    first_at: datetime
    """When the original came."""
    last_at: datetime
    count: int = 1
