"""What a daemon knows of its own parts: enums, counts and instants. Words are for people, and nothing decides by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from crmbridge.contract import Right
from crmbridge.intake.doubts import Doubt
from crmbridge.intake.poller import Cause
from crmbridge.store.interface import Pause, Tally, Waiting


class SourceState(StrEnum):
    """How it goes with a source."""

    LISTENING = "listening"  # it calls us
    STARTING = "starting"  # it was not read yet
    LEARNING = "learning"  # what exists is being learnt
    READING = "reading"
    FAILING = "failing"


class DestinationState(StrEnum):
    """How it goes with a destination."""

    OK = "ok"
    STARTING = "starting"
    SILENT = "silent"  # nothing may be said at all: adopt, shadow
    PAUSED = "paused"  # by a person
    REFUSED = "refused"  # it does not know us
    WAITING = "waiting"  # it asked for silence until an instant
    ILL = "ill"  # one probe at a time
    FAILING = "failing"
    UNREACHED = "unreached"  # it could not be spoken to since we began
    GONE = "gone"  # it is no longer configured


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """One source, which may be polled, or call us, or both."""

    name: str
    type: str
    state: SourceState
    words: str = ""
    polled: bool = False
    hook: bool = False
    every: timedelta = timedelta(0)
    began: datetime
    """Since when this process reads it."""
    polled_at: datetime | None = None
    """The last good poll, of an earlier process too."""
    read: int = 0
    failures: int = 0
    cause: Cause | None = None
    error: str = ""
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    lacking: Sequence[Right] = ()
    """What its login is not let to do, though a promise needs it."""
    unreadable: str = ""
    """Why what its webhooks name cannot be read."""
    unreadable_since: datetime | None = None
    expect: timedelta | None = None
    """It should be heard of this often."""
    heard_at: datetime | None = None
    """When something came from it last."""
    repeated: int = 0
    """What it said once more since we began, and what was therefore not looked at."""
    refused: int = 0
    """Webhooks that were refused since one was accepted."""
    refusal: str = ""
    refused_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFacts:
    """One destination, with what waits for it."""

    name: str
    type: str
    state: DestinationState
    words: str = ""
    since: datetime | None = None
    fault: str = ""
    failure: str = ""
    """What it, or the way to it, said last."""
    until: datetime | None = None
    """When a silence that it asked for ends."""
    oldest_queued: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """Open and dead deliveries by state."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that was seen, and when last."""

    about: str
    what: str
    at: datetime
    count: int = 1


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """One database file."""

    name: str
    refusing: str
    full: bool


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """The backups that are made by themselves."""

    folder: str
    made: datetime | None
    """The last good one."""
    size: int
    failure: str = ""
    since: datetime | None = None
    """Since when none succeeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything at one instant."""

    now: datetime
    late: timedelta
    """What waits longer without a reason is a trouble."""
    sources: Sequence[SourceFacts] = ()
    destinations: Sequence[DestinationFacts] = ()
    inbox: Sequence[Waiting] = ()
    tallies: Sequence[Tally] = ()
    pauses: Sequence[tuple[Pause, int]] = ()
    """What people silenced, and how many messages wait behind that."""
    undecided: Sequence[Happened] = ()
    """Rules whose conditions could not be decided lately."""
    doubts: Sequence[Doubt] = ()
    """What is odd about what sources say."""
    reload_error: str = ""
    changed_files: Sequence[str] = ()
    """Files of the configuration that are not what was loaded."""
    secrets: Sequence[str] = ()
    """Secrets that cannot be read any more, and why."""
    mute: str = ""
    shadow: bool = False
    databases: Sequence[DatabaseFacts] = ()
    free: int | None = None
    """Bytes left on the disk of the databases."""
    backup: BackupFacts | None = None
    clock: Happened | None = None
    loop: Happened | None = None
    parts: Sequence[Happened] = ()
    """Parts of this process that failed and were begun again."""
    unclean: Happened | None = None
    """The last process ended in the midst of its work."""
    heartbeat: str = ""
    """Why the last sign of life was not taken."""
    alerts_to: str | None = None
    alerts_waiting: datetime | None = None
    """Since when a message to who looks after us waits."""
