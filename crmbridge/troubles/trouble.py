"""One trouble: what is wrong, how bad it is, since when, what it is about, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a trouble is."""

    ERROR = "error"  # it waits for a person; people are told at once
    WARNING = "warning"  # it may end by itself; people are told when it lasts
    NOTE = "note"  # somebody wanted it so; it is shown, and nobody is told


class Code(StrEnum):
    """Every kind of trouble. A code never changes its meaning: dashboards and alert rules name it."""

    # sources
    SOURCE_NEVER_READ = "source_never_read"
    SOURCE_LOGIN = "source_login"
    SOURCE_LIMITED = "source_limited"
    SOURCE_FAILING = "source_failing"
    SOURCE_FAULTY = "source_faulty"
    SOURCE_STALLED = "source_stalled"
    SOURCE_QUIET = "source_quiet"
    RIGHT_MISSING = "right_missing"
    HOOK_REFUSED = "hook_refused"
    HOOK_UNREADABLE = "hook_unreadable"
    REQUESTS_LATE = "requests_late"
    REQUESTS_FAILED = "requests_failed"
    RECORDS_ASIDE = "records_aside"
    FIELD_UNREAD = "field_unread"
    FIELD_GONE = "field_gone"
    WALK_FAILING = "walk_failing"
    STAMPS_AHEAD = "stamps_ahead"
    STAMPS_BEHIND = "stamps_behind"
    # rules
    RULE_UNDECIDED = "rule_undecided"
    # destinations
    DESTINATION_UNREACHED = "destination_unreached"
    DESTINATION_REFUSED = "destination_refused"
    DESTINATION_LIMITED = "destination_limited"
    DESTINATION_FAILING = "destination_failing"
    DESTINATION_ILL = "destination_ill"
    DESTINATION_FAULTY = "destination_faulty"
    DESTINATION_LATE = "destination_late"
    DESTINATION_GONE = "destination_gone"
    # messages
    DEAD_REJECTED = "dead_rejected"
    DEAD_UNRENDERABLE = "dead_unrenderable"
    DEAD_EXPIRED = "dead_expired"
    DEAD_QUARANTINED = "dead_quarantined"
    HELD_SURGE = "held_surge"
    HELD_DRAFT = "held_draft"
    HELD_CAP = "held_cap"
    HELD_BY_HAND = "held_by_hand"
    HELD_ADOPTED = "held_adopted"
    UNKNOWN = "unknown"
    # people's orders
    PAUSED = "paused"
    PAUSE_FORGOTTEN = "pause_forgotten"
    SHADOW = "shadow"
    ADOPT = "adopt"
    # configuration
    RELOAD_REFUSED = "reload_refused"
    CONFIG_CHANGED = "config_changed"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105  # nosec B105  # the name of a trouble
    # the machine
    DISK_LOW = "disk_low"
    DISK_FULL = "disk_full"
    DATABASE_REFUSES = "database_refuses"
    BACKUP_FAILED = "backup_failed"
    CLOCK_JUMPED = "clock_jumped"
    LOOP_HELD = "loop_held"
    PART_FAILED = "part_failed"
    ENDED_UNCLEANLY = "ended_uncleanly"
    # telling people
    HEARTBEAT_FAILED = "heartbeat_failed"
    ALERTS_UNHEARD = "alerts_unheard"


_FAMILIES = {
    **dict.fromkeys(
        (
            *(Code.SOURCE_NEVER_READ, Code.SOURCE_LOGIN, Code.SOURCE_LIMITED),
            *(Code.SOURCE_FAILING, Code.SOURCE_FAULTY, Code.SOURCE_STALLED),
        ),
        "source",
    ),
    **dict.fromkeys(
        (
            *(Code.DESTINATION_UNREACHED, Code.DESTINATION_REFUSED, Code.DESTINATION_LIMITED),
            *(Code.DESTINATION_FAILING, Code.DESTINATION_ILL),
        ),
        "destination",
    ),
}
"""Codes for ways in which one and the same thing is unwell, by the name that they share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One trouble. `about` names a source, destination or rule; it is empty for the daemon itself."""

    code: Code
    severity: Severity
    about: str
    what: str
    """A sentence for people that says what is wrong."""
    do: str
    """The command that ends the trouble, or that shows what must be mended."""
    count: int = 1
    since: datetime | None = None
    """Since when the trouble is there. None until `Memory` fills it in."""

    @property
    def name(self) -> str:
        """The name of the trouble, the same as long as it lasts: a source that fails in one way and then in another fails all the time."""
        return f"{_FAMILIES.get(self.code, self.code)} {self.about}".rstrip()

    @property
    def failing(self) -> bool:
        """Whether the trouble needs somebody's attention."""
        return self.severity is not Severity.NOTE

    def shown(self) -> dict[str, Any]:
        """Return the trouble as JSON."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "about": self.about,
            "since": self.since.isoformat() if self.since else None,
            "count": self.count,
            "what": self.what,
            "do": self.do,
        }
