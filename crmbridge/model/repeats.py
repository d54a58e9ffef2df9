"""What a sender says once more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from crmbridge.model.changes import RecordRef


@dataclass(frozen=True, slots=True)
class LastBody:
    """The request that told of a record last, where its sender gives neither version nor id."""

    digest: str
    item: int
    """Which of its items did."""
    received_at: datetime


class Same(StrEnum):
    """By what a repeat was known."""

    ID = "id"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a sender said of a record once more, and what was therefore not looked at."""

    record: RecordRef
    same: Same
    name: str
    """The sender's id, or the digest of the body."""
    first_at: datetime
    """When it was new."""
    last_at: datetime
    count: int = 1
