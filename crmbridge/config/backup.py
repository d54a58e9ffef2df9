"""The shape of `backup`: where backups go, when one is made, how many are kept."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options


def _clock_time(raw: Any) -> time:
    if isinstance(raw, time):
        return raw
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", raw) if isinstance(raw, str) else None
    if not match:
        raise PydanticCustomError("clock_time", "a time of day is written like 03:00 or 23:30")
    return time(int(match[1]), int(match[2]))


ClockTime = Annotated[
    time,
    BeforeValidator(_clock_time),
    PlainSerializer(lambda value: f"{value:%H:%M}"),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]


class KeepModel(Options):
    """How many scheduled backups are kept: the newest of a day, the newest of a week. The others go once a new one is verified."""

    daily: int = Field(7, description="Of so many days.", ge=1, le=3660)
    weekly: int = Field(4, description="Of so many weeks, Monday to Sunday.", ge=0, le=520)


class BackupModel(Options):
    """A copy of the databases each day, verified before older ones are removed: `crmbridge backup --verify`, `restore`."""

    folder: str = Field(
        description="Where they go, each as a folder of its own; relative to this file. Another disk: what is beside the databases is lost "
        "with them.",
        min_length=1,
    )
    at: ClockTime = Field(
        time(3), description="When, in `timezone`. One that was missed, because crmbridge did not run, is made at its start."
    )
    keep: KeepModel = Field(KeepModel(), description=KeepModel.__doc__)
