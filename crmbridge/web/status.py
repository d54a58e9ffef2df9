"""What `status` and the metrics say of each source and destination, in words for the person on call. Pure but for the gauges."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from crmbridge.intake.desk import Desk
from crmbridge.intake.poller import Poller
from crmbridge.publisher.publisher import Publisher
from crmbridge.telemetry import Metrics

_STILL: Final = ("paused", "silent")
OPEN_STATES: Final = ("queued", "sending", "held", "unknown", "dead")


def source_status(
    name: str, type_: str, poller: Poller | None, desk: Desk | None, overview: Mapping[str, Any], since: datetime
) -> dict[str, Any]:
    """One source, which may be polled, or call us, or both. `since`: when this process began."""
    source: dict[str, Any] = {"name": name, "type": type_} | ({"url": f"/hooks/{name}"} if desk else {})
    unread = f"failing ({desk.failures}): what webhooks name cannot be read: {desk.last_error}" if desk and desk.failures else ""
    if poller is None:
        return source | {"state": unread or "listening"}
    known = overview["sources"].get(name, {})
    if unread:
        state = unread
    elif poller.state.failures:
        state = f"failing ({poller.state.failures}): {poller.state.last_error}"
    else:
        state = "reading" if known.get("baselined") else f"learning what exists: {poller.state.read} records so far"
    every = poller.every.total_seconds()
    return source | {
        "state": state,
        "polled_at": known.get("polled_at"),
        "read": poller.state.read,
        "every": every,
        "since": since.isoformat(),
    }


def destination_status(name: str, type_: str, publisher: Publisher | None, overview: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """One destination, with what waits for it; without a publisher it is being exchanged."""
    return {"name": name, "type": type_, "state": _state(publisher, now)} | _waiting(name, overview)


def removed_status(name: str, overview: Mapping[str, Any]) -> dict[str, Any]:
    """A destination that is no longer configured, for which something waits or died."""
    state = "not configured: put it back, and what waits goes out"
    return {"name": name, "type": "-", "state": state} | _waiting(name, overview)


def _waiting(name: str, overview: Mapping[str, Any]) -> dict[str, Any]:
    counts = {row["state"]: row["count"] for row in overview["deliveries"] if row["destination"] == name}
    return {"oldest_queued": overview["oldest"].get(name), **{state: counts.get(state, 0) for state in OPEN_STATES}}


def _state(publisher: Publisher | None, now: datetime) -> str:
    if publisher is None:
        return "starting"
    if publisher.halted:
        return publisher.halted
    if paused := publisher.paused:
        return f"paused: {paused.reason}; put it right, then `crmbridge resume {publisher.name}` or `reload`"
    wait = publisher.waits.get(None)
    if wait and wait.until and wait.until > now:
        return f"waits until {wait.until.isoformat(timespec='seconds')}: {wait.reason}"
    if publisher.breaker.open_until is not None:
        return f"looks ill, one probe at a time: {publisher.last_failure}"
    return f"failing: {publisher.last_failure}" if publisher.last_failure else "ok"


def set_gauges(metrics: Metrics, status: Mapping[str, Any]) -> None:
    """Bring the gauges up to what `status` says."""
    for one in status["destinations"]:
        metrics.paused.labels(one["name"]).set(one["state"].startswith(_STILL))
        for state in OPEN_STATES:
            metrics.waiting.labels(one["name"], state).set(one[state])
    degraded = {
        "paused_destination": sum(one["state"].startswith(_STILL) for one in status["destinations"]),
        "failing_source": sum(one["state"].startswith("failing") for one in status["sources"]),
        "failed_requests": sum(one["count"] for one in status["inbox"] if one["failed"]),
    }
    for kind, count in degraded.items():
        metrics.degraded.labels(kind).set(count)
