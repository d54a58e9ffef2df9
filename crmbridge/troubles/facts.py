"""What a daemon knows of its own parts: enums, counts and instants. The words in it are for people, and no code decides by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from crmbridge.contract import Right
from crmbridge.intake.doubts import Doubt
from crmbridge.intake.poller import Cause
from crmbridge.store.terms import Pause, Tally, Waiting


class SourceState(StrEnum):
    """The state of a source."""

    LISTENING = "listening"  # it calls crmbridge
    STARTING = "starting"  # it was not read yet
    LEARNING = "learning"  # its existing records are being learnt
    READING = "reading"
    FAILING = "failing"


class DestinationState(StrEnum):
    """The state of a destination."""

    OK = "ok"
    STARTING = "starting"
    SILENT = "silent"  # nothing at all may be published: adopt, shadow
    PAUSED = "paused"  # by a person
    REFUSED = "refused"  # it refuses the login
    WAITING = "waiting"  # it asked for silence until an instant
    ILL = "ill"  # one probe at a time
    FAILING = "failing"
    UNREACHED = "unreached"  # it could not be reached since this process began
    GONE = "gone"  # it is no longer configured


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """One source, which may be polled, or call crmbridge, or both."""

    name: str
    type: str
    state: SourceState
    words: str = ""
    polled: bool = False
    hook: bool = False
    every: timedelta = timedelta(0)
    began: datetime
    """Since when this process reads the source."""
    polled_at: datetime | None = None
    """The last good poll, perhaps by an earlier process."""
    read: int = 0
    failures: int = 0
    cause: Cause | None = None
    error: str = ""
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    lacking: Sequence[Right] = ()
    """The rights that its login lacks, though a promise needs them."""
    unreadable: str = ""
    """The reason why records that its webhooks name cannot be read."""
    unreadable_since: datetime | None = None
    expect: timedelta | None = None
    """How often something should come from it at least."""
    heard_at: datetime | None = None
    """When something came from it last."""
    repeated: int = 0
    """How often it sent something again since this process began, which was therefore not looked at."""
    refused: int = 0
    """The number of webhooks that were refused since one was accepted."""
    refusal: str = ""
    refused_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFacts:
    """One destination, with the deliveries that wait for it."""

    name: str
    type: str
    state: DestinationState
    words: str = ""
    since: datetime | None = None
    fault: str = ""
    failure: str = ""
    """The last failure that it, or the way to it, reported."""
    until: datetime | None = None
    """The end of a silence that it asked for."""
    oldest_queued: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """The numbers of open and dead deliveries by state."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that was seen, and when it was seen last."""

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
    """The backups that are made on schedule."""

    folder: str
    made: datetime | None
    """When the last good one was made."""
    size: int
    failure: str = ""
    since: datetime | None = None
    """Since when no backup succeeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a daemon knows of its parts, at one instant."""

    now: datetime
    late: timedelta
    """How long something may wait without a reason before it is a trouble."""
    sources: Sequence[SourceFacts] = ()
    destinations: Sequence[DestinationFacts] = ()
    inbox: Sequence[Waiting] = ()
    tallies: Sequence[Tally] = ()
    pauses: Sequence[tuple[Pause, int]] = ()
    """What people paused, each with the number of messages that wait behind it."""
    undecided: Sequence[Happened] = ()
    """Rules whose conditions could not be decided lately."""
    doubts: Sequence[Doubt] = ()
    """What is odd about what sources report."""
    reload_error: str = ""
    changed_files: Sequence[str] = ()
    """Files of the configuration that differ from what was loaded."""
    secrets: Sequence[str] = ()
    """Secrets that can no longer be read, each with the reason."""
    mute: str = ""
    shadow: bool = False
    databases: Sequence[DatabaseFacts] = ()
    free: int | None = None
    """Free bytes on the disk of the databases."""
    backup: BackupFacts | None = None
    clock: Happened | None = None
    loop: Happened | None = None
    parts: Sequence[Happened] = ()
    """Parts of this process that failed and were begun again."""
    unclean: Happened | None = None
    """The last process ended in the middle of its work."""
    heartbeat: str = ""
    """The reason why the last heartbeat was not taken."""
    alerts_to: str | None = None
    alerts_waiting: datetime | None = None
    """Since when the oldest alert waits."""
