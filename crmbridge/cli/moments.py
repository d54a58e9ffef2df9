"""Instants as people read them: all in one form, in the zone that the configuration names. JSON keeps them in UTC."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from crmbridge.cli.common import written


def moment(written: str | None) -> str:
    """An instant that an answer holds, like `2026-11-30 23:11:50 CET`; empty for none."""
    return f"{datetime.fromisoformat(written).astimezone(_zone()):%Y-%m-%d %H:%M:%S %Z}" if written else ""


def _zone() -> tzinfo:
    """The zone of the verb's configuration, read once; UTC where it names none that there is."""
    context = click.get_current_context(silent=True)
    path = context.params.get("path") if context else None
    if context is None or not isinstance(path, Path):
        return timezone.utc
    if "crmbridge.zone" not in context.meta:
        context.meta["crmbridge.zone"] = zone_of(path)
    found: tzinfo = context.meta["crmbridge.zone"]
    return found


def zone_of(path: Path) -> tzinfo:
    """The zone that a configuration names, also where other things in it are wrong."""
    data = written(path)
    name = data.get("timezone") if isinstance(data, dict) else None
    try:
        return ZoneInfo(name) if isinstance(name, str) else timezone.utc
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone.utc
