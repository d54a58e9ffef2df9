"""Instants as people read them: all in one form, in the time zone of the configuration. JSON keeps them in UTC."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from crmbridge.cli.common import written
from crmbridge.model import local_moment


def moment(written: str | None) -> str:
    """Show an instant of an answer, like `2026-11-30 23:11:50 CET`. Empty for none."""
    return local_moment(datetime.fromisoformat(written), _zone()) if written else ""


def _zone() -> tzinfo:
    """Return the time zone of the verb's configuration, read once. It is UTC if the configuration names no existing zone."""
    context = click.get_current_context(silent=True)
    path = context.params.get("path") if context else None
    if context is None or not isinstance(path, Path):
        return timezone.utc
    if "crmbridge.zone" not in context.meta:
        context.meta["crmbridge.zone"] = zone_of(path)
    found: tzinfo = context.meta["crmbridge.zone"]
    return found


def zone_of(path: Path) -> tzinfo:
    """Return the time zone that a configuration names, even if other parts of it are wrong."""
    data = written(path)
    name = data.get("timezone") if isinstance(data, dict) else None
    try:
        return ZoneInfo(name) if isinstance(name, str) else timezone.utc
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone.utc
