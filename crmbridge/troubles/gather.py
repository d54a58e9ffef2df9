"""The facts of sources and destinations, gathered from the parts that work for them."""

from __future__ import annotations

from datetime import datetime, timedelta

from crmbridge.intake.desk import Desk
from crmbridge.intake.poller import Poller
from crmbridge.intake.webhooks import Heard
from crmbridge.model import counted, times
from crmbridge.publisher.health import Health
from crmbridge.publisher.publisher import Publisher
from crmbridge.store.terms import Overview
from crmbridge.troubles.facts import DestinationFacts, DestinationState, SourceFacts, SourceState


def source(
    name: str,
    type_: str,
    poller: Poller | None,
    desk: Desk | None,
    heard: Heard | None,
    news: datetime | None,
    repeated: int,
    overview: Overview,
    began: datetime,
    expect: timedelta | None,
) -> SourceFacts:
    """Gather the facts of one source.

    `began`: since when this process reads it. `news`: when something of it was last new. `repeated`: how often it sent something again.
    """
    read = overview.sources.get(name)
    failing = poller.state.failures if poller else 0
    unread = desk.last_error if desk and desk.failures else ""
    if failing or unread:
        state = SourceState.FAILING
    elif poller is None:
        state = SourceState.LISTENING
    elif read is None:
        state = SourceState.STARTING
    else:
        state = SourceState.READING if read.baselined else SourceState.LEARNING
    words = ""
    if unread:
        words = f"what webhooks name cannot be read: {unread}"
    elif poller and failing:
        words = f"{times(failing)}: {poller.state.last_error}"
    elif poller and state is SourceState.LEARNING:
        words = f"what exists is being learnt: {counted(poller.state.read, 'record')} so far"
    heard_at = [at for at in (heard.accepted_at if heard else None, news) if at]
    return SourceFacts(
        name=name,
        type=type_,
        state=state,
        words=words,
        polled=poller is not None,
        hook=desk is not None,
        every=poller.every if poller else timedelta(0),
        began=began,
        polled_at=read.polled_at if read else None,
        read=poller.state.read if poller else 0,
        failures=failing,
        cause=poller.state.cause if poller else None,
        error=poller.state.last_error if poller else "",
        failing_since=poller.state.failing_since if poller else None,
        retry_at=poller.state.retry_at if poller else None,
        lacking=poller.rights.lacking if poller and poller.rights else (),
        unreadable=unread,
        unreadable_since=desk.failing_since if desk else None,
        expect=expect,
        heard_at=max(heard_at, default=None),
        repeated=repeated,
        refused=heard.refused if heard else 0,
        refusal=heard.refusal if heard else "",
        refused_since=heard.refused_since if heard else None,
    )


def destination(name: str, type_: str, publisher: Publisher | None, overview: Overview, now: datetime) -> DestinationFacts:
    """Gather the facts of one destination. Without a publisher, the destination is being exchanged."""
    oldest, counts = overview.oldest.get(name), overview.counts(name)
    if publisher is None:
        return DestinationFacts(name=name, type=type_, state=DestinationState.STARTING, oldest_queued=oldest, counts=counts)
    state, words, since, until = _state(name, publisher.health, now)
    return DestinationFacts(
        name=name,
        type=type_,
        state=state,
        words=words,
        since=since,
        fault=publisher.fault,
        failure=_failure(publisher.health),
        until=until,
        oldest_queued=oldest,
        counts=counts,
    )


def gone(name: str, overview: Overview) -> DestinationFacts:
    """Gather the facts of a destination that is no longer configured, but for which something waits or died."""
    words = "not configured: put it back, and what waits goes out"
    return DestinationFacts(
        name=name, type="-", state=DestinationState.GONE, words=words, oldest_queued=overview.oldest.get(name), counts=overview.counts(name)
    )


def _failure(health: Health) -> str:
    wait = health.waits.get(None)
    return (health.paused.reason if health.paused else "") or health.last_failure or (wait.reason if wait else "")


def _state(name: str, health: Health, now: datetime) -> tuple[DestinationState, str, datetime | None, datetime | None]:
    """Return the state of a destination, its words, since when it holds, and until when."""
    if health.silenced:
        state = DestinationState.PAUSED if health.silenced.by_hand else DestinationState.SILENT
        return state, health.silenced.words, health.silenced.since, None
    if paused := health.paused:
        words = f"{paused.reason}; put it right, then `crmbridge resume {name}` or `reload`"
        return DestinationState.REFUSED, words, paused.since, None
    wait = health.waits.get(None)
    if wait and wait.until and wait.until > now:
        return DestinationState.WAITING, f"until {wait.until.isoformat(timespec='seconds')}: {wait.reason}", wait.since, wait.until
    if health.probing:
        return DestinationState.ILL, f"one probe at a time: {health.last_failure}", health.failing_since, None
    if health.unreached:
        return DestinationState.UNREACHED, health.last_failure, health.failing_since, None
    if health.last_failure:
        return DestinationState.FAILING, health.last_failure, health.failing_since, None
    return DestinationState.OK, "", None, None
