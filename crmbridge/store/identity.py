"""Whose database is this? A restored, cloned or rolled-back one must not speak: what it would say was said long ago, or is said elsewhere.

Beside the database lies a small file with the same instance id and a counter that both take one further at each start. If they do
not agree, or the database is not the very file that was written last, somebody has put another one in its place. What this cannot
see: a whole disk that was cloned, its identity included.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_MACHINE = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Marker:
    """What the file beside the database says."""

    instance: str
    epoch: int
    inode: int
    machine: str


def mark_file(database: Path) -> Path:
    """Where the marker of a database lies."""
    return database.with_name(database.name + ".instance")


def read(database: Path) -> Marker | None:
    """Read the marker beside a database; None if there is none that can be read."""
    try:
        raw: Any = json.loads(mark_file(database).read_text("utf-8"))
        return Marker(str(raw["instance"]), int(raw["epoch"]), int(raw["inode"]), str(raw["machine"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(database: Path, instance: str, epoch: int) -> None:
    """Put the marker there, whole or not at all."""
    marker = Marker(instance, epoch, database.stat().st_ino, machine())
    target = mark_file(database)
    draft = target.with_name(target.name + ".new")
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(asdict(marker)).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(target)


def machine() -> str:
    """Return this machine's id, empty where it has none."""
    try:
        return _MACHINE.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def new_instance() -> str:
    """Make a name for a database that has none."""
    return uuid.uuid4().hex


def objection(stored: tuple[str, int] | None, marker: Marker | None, inode: int, here: str) -> str:
    """Why a database must not speak; empty if it may. `stored`: instance and epoch that it holds itself. Pure."""
    if stored is None:
        return ""  # new, or from before there were identities
    instance, epoch = stored
    if marker is None:
        return "its .instance file is missing: it was restored from a backup or copied here"
    if marker.instance != instance:
        return "it belongs to another instance than the one that ran here last"
    if marker.epoch > epoch:
        return "it is older than the one that ran here last: it was rolled back"
    if marker.machine and here and marker.machine != here:
        return "it comes from another machine, where its crmbridge may still run"
    if marker.inode != inode:
        return "another file was put in its place"
    return ""
