"""Instants as databases keep them: integers that count microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Return the microseconds since 1970-01-01 UTC. They are exact, unlike a float timestamp."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the instant in UTC that `to_us` counted."""
    return _EPOCH + timedelta(microseconds=microseconds)
