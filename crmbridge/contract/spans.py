"""Spans of time as the configuration writes them: `30s`, `5m`, `6h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(raw: Any) -> timedelta:
    """Read a duration: `30s`, `5m`, `6h` or `7d`. Raises PydanticCustomError."""
    if isinstance(raw, timedelta):
        return raw
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", raw.strip()) if isinstance(raw, str) else None
    if not match or int(match[1]) == 0:
        raise PydanticCustomError("duration", "a duration is written like 30s, 5m, 6h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def show_duration(value: timedelta) -> str:
    """Write a duration in the largest unit that fits. This is the inverse of `parse_duration`."""
    seconds = int(value.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(show_duration),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"}),
]


def _or_off(raw: Any) -> timedelta | Literal["off"]:
    if raw == "off":
        return "off"
    try:
        return parse_duration(raw)
    except PydanticCustomError:
        raise PydanticCustomError("age", "a duration is written like 30s, 5m, 6h or 7d; or write off") from None


DurationOrOff = Annotated[
    timedelta | Literal["off"],
    PlainValidator(_or_off),
    PlainSerializer(lambda value: value if value == "off" else show_duration(value)),
    WithJsonSchema({"type": "string", "pattern": "^([1-9][0-9]*[smhd]|off)$"}),
]


def every(said: timedelta | Literal["off"] | None, otherwise: timedelta | None) -> timedelta | None:
    """Return the interval that somebody set: None for `off`, and `otherwise` if nothing was set."""
    return otherwise if said is None else said if isinstance(said, timedelta) else None
