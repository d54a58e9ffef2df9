"""Everything for the person on call, as JSON values, and the gauges. All of it but the gauges is pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from crmbridge.intake.change import Sighting
from crmbridge.telemetry import Metrics
from crmbridge.troubles.facts import DestinationFacts, DestinationState, Facts, SourceFacts
from crmbridge.troubles.find import failing
from crmbridge.troubles.trouble import Trouble

OPEN_STATES: Final = ("queued", "sending", "held", "unknown", "dead")
_STILL: Final = frozenset({DestinationState.PAUSED, DestinationState.REFUSED, DestinationState.SILENT})


def shown(facts: Facts, troubles: Sequence[Trouble]) -> dict[str, Any]:
    """Show sources, destinations, what waits and what is wrong. `ok` says that nothing needs anybody."""
    return {
        "ok": not failing(list(troubles)),
        "troubles": [one.shown() for one in troubles],
        "mute": facts.mute,
        "shadow": facts.shadow,
        "last_reload": facts.reload_error or "ok",
        "pauses": [
            {"kind": one.kind.value, "name": one.name, "reason": one.reason, "since": one.since.isoformat(), "waiting": waiting}
            for one, waiting in facts.pauses
        ],
        "backup": {"folder": facts.backup.folder, "made": _moment(facts.backup.made), "size": facts.backup.size} if facts.backup else None,
        "sources": [_source(one) for one in facts.sources],
        "destinations": [_destination(one) for one in facts.destinations],
        "inbox": [
            {"source": one.source, "failed": one.failed, "records": one.records, "count": one.count, "oldest": one.oldest.isoformat()}
            for one in facts.inbox
        ],
    }


def _source(one: SourceFacts) -> dict[str, Any]:
    found: dict[str, Any] = {"name": one.name, "type": one.type, "state": one.state.value, "words": one.words}
    if one.hook:
        found["url"] = f"/hooks/{one.name}"
    if one.polled:
        found |= {"polled_at": _moment(one.polled_at), "read": one.read, "every": one.every.total_seconds()}
    return found | {"heard_at": _moment(one.heard_at), "repeated": one.repeated, "since": one.began.isoformat()}


def _destination(one: DestinationFacts) -> dict[str, Any]:
    found = {"name": one.name, "type": one.type, "state": one.state.value, "words": one.words, "since": _moment(one.since)}
    return found | {"oldest_queued": _moment(one.oldest_queued), **{state: one.counts.get(state, 0) for state in OPEN_STATES}}


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def set_gauges(metrics: Metrics, facts: Facts, troubles: Sequence[Trouble]) -> None:
    """Set the gauges to the present facts."""
    metrics.begin([one.name for one in facts.sources], [one.name for one in facts.destinations], [*Sighting])
    for source in facts.sources:
        for waits in ("interpretation", "person"):
            found = [one for one in facts.inbox if one.source == source.name and one.failed == (waits == "person")]
            oldest = min((one.oldest for one in found), default=facts.now)
            metrics.inbox.labels(source.name, waits).set(sum(one.count for one in found))
            metrics.inbox_oldest.labels(source.name, waits).set((facts.now - oldest).total_seconds())
    for one in facts.destinations:
        metrics.oldest.labels(one.name).set((facts.now - (one.oldest_queued or facts.now)).total_seconds())
        metrics.paused.labels(one.name).set(one.state in _STILL)
        for state in OPEN_STATES:
            metrics.waiting.labels(one.name, state).set(one.counts.get(state, 0))
    if facts.backup and facts.backup.made:
        metrics.backup_made.set(facts.backup.made.timestamp())
        metrics.backup_size.set(facts.backup.size)
    metrics.troubles.clear()
    metrics.trouble_since.clear()
    for trouble in troubles:
        metrics.troubles.labels(trouble.code, trouble.severity, trouble.about).set(trouble.count)
        if trouble.since:
            metrics.trouble_since.labels(trouble.code, trouble.about).set(trouble.since.timestamp())
