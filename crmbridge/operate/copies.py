"""Backups as folders of copies. They are made whole or not at all, with a manifest, and verified read only, without a daemon."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from crmbridge import __version__
from crmbridge.db import Database
from crmbridge.errors import CrmbridgeError
from crmbridge.schema import Schema, log_of
from crmbridge.store.sqlite import SCHEMA

MANIFEST: Final = "backup.json"
FORM: Final = 1
"""The version of the manifest's format."""
_MAGIC: Final = b"SQLite format 3\0"
_LONGEST: Final = 64 * 1024  # bytes of a manifest
_PART: Final = 1024 * 1024
_NAMED: Final = 3  # rows that are named for each kind of damage


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The content of a backup's manifest. `files` holds the size and SHA-256 of each database, by its name."""

    made: datetime
    version: str
    instance: str
    scheduled: bool
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """The size of all databases in bytes."""
        return sum(size for size, _ in self.files.values())


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What a folder holds, and what is wrong with it."""

    folder: Path
    made: datetime | None = None
    version: str = ""
    instance: str = ""
    databases: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {
            "folder": str(self.folder),
            "ok": not self.wrong,
            "made": self.made.isoformat() if self.made else None,
            "version": self.version,
            "instance": self.instance,
            "databases": self.databases,
            "wrong": self.wrong,
            "notes": self.notes,
        }


# --- making


async def make(databases: Mapping[str, Database], target: Path, *, instance: str, now: datetime, scheduled: bool = False) -> Made:
    """Copy `databases`, by the names of their files, into the new folder `target`. The folder appears whole or not at all.

    Raises CrmbridgeError; then nothing of the copy is left.
    """
    draft = drafts(target.parent, instance) / target.name
    await asyncio.to_thread(_begin, draft, target)
    try:
        for name, database in databases.items():
            await database.backup(draft / name)
        schemas = [one.schema for one in databases.values()]
        return await asyncio.to_thread(_finish, draft, target, list(databases), schemas, instance, now, scheduled)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(draft.parent)
        raise


def drafts(folder: Path, instance: str) -> Path:
    """Name the folder beside the backups where one daemon keeps those that are unfinished or being removed.

    What a kill leaves there is worth nothing.
    """
    return folder / f".crmbridge-{instance[:12]}.part"


def _begin(draft: Path, target: Path) -> None:
    try:
        if os.path.lexists(target):
            raise CrmbridgeError(f"{target}: is there already; name a folder that does not exist yet")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if draft.parent.exists():
            shutil.rmtree(draft.parent)
        draft.parent.mkdir(mode=0o700)
        draft.mkdir(mode=0o700)
    except OSError as error:
        raise CrmbridgeError(f"{error.filename or target}: {error.strerror}; name a folder that this user may make") from error


def _finish(
    draft: Path, target: Path, names: Sequence[str], schemas: Sequence[Schema], instance: str, now: datetime, scheduled: bool
) -> Made:
    """Put the copies on the disk for good, write the manifest, verify everything, and give the backup its final name."""
    try:
        files = {name: ((draft / name).stat().st_size, _digest(draft / name)) for name in names}
        made = Made(made=now, version=__version__, instance=instance, scheduled=scheduled, files=files)
        for name in names:
            _put_on_disk(draft / name)
        _write(draft / MANIFEST, made)
        _put_on_disk(draft)
        if wrong := verify(draft, schemas).wrong:
            raise CrmbridgeError(f"the copy cannot be used, and is not kept: {'; '.join(wrong)}")
        draft.rename(target)
        draft.parent.rmdir()
        _put_on_disk(target.parent)
    except OSError as error:
        raise CrmbridgeError(f"{error.filename or target}: {error.strerror}") from error
    return made


def _write(path: Path, made: Made) -> None:
    said = {
        "form": FORM,
        "crmbridge": made.version,
        "made": made.made.astimezone(timezone.utc).isoformat(timespec="seconds"),
        "instance": made.instance,
        "scheduled": made.scheduled,
        "databases": {name: {"size": size, "sha256": digest} for name, (size, digest) in made.files.items()},
    }
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(said, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _put_on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.hexdigest()


def remove(backup: Path, instance: str) -> None:
    """Remove a backup that is no longer kept. It is moved away first, so that half a backup never looks like one. Raises OSError."""
    gone = drafts(backup.parent, instance)
    if gone.exists():
        shutil.rmtree(gone)
    gone.mkdir(mode=0o700)
    backup.rename(gone / backup.name)
    shutil.rmtree(gone)


# --- reading


def manifest(folder: Path) -> Made | None:
    """Read the manifest of a backup. Return None if there is none. Raises ValueError if it cannot be read."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            raw = json.loads(file.read(_LONGEST))
        if raw["form"] != FORM:
            raise ValueError(f"its form is {raw['form']!r}, and this crmbridge knows {FORM}")
        files = {str(name): (int(one["size"]), str(one["sha256"])) for name, one in raw["databases"].items()}
        if strange := [name for name in files if Path(name).name != name or name in ("", ".", "..")]:
            raise ValueError(f"{strange[0]!r} is no name of a file beside it")
        made = datetime.fromisoformat(raw["made"]).astimezone(timezone.utc)
        return Made(
            made=made, version=str(raw["crmbridge"]), instance=str(raw["instance"]), scheduled=raw["scheduled"] is True, files=files
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"what it says is incomplete ({error})") from None
    except OSError as error:
        raise ValueError(error.strerror) from error


def verify(folder: Path, schemas: Sequence[Schema]) -> Verdict:
    """Verify that a backup can be restored: read everything in it, and write nothing. `schemas` are the kinds of databases we know."""
    verdict = Verdict(folder=folder)
    made = None
    try:
        made = manifest(folder)
        if made is None:
            verdict.notes.append(
                f"there is no {MANIFEST}: an earlier crmbridge made it, and whether a file was changed since cannot be told"
            )
    except ValueError as error:
        verdict.wrong.append(f"{MANIFEST} cannot be read: {error}")
    if made:
        verdict.made, verdict.version, verdict.instance = made.made, made.version, made.instance
    try:
        there = {one.name for one in folder.iterdir() if one.is_file() and not one.is_symlink() and _is_database(one)}
    except OSError as error:
        verdict.wrong.append(f"{folder} cannot be read: {error.strerror}")
        return verdict
    for name in sorted(there | (made.files.keys() if made else set())):
        if not (folder / name).is_file():
            verdict.wrong.append(f"{name} is missing")
            continue
        try:
            facts, wrong, notes = _database(folder / name, schemas)
        except OSError as error:
            verdict.wrong.append(f"{name}: {error.strerror}")
            continue
        verdict.databases.append(facts)
        verdict.wrong += [f"{name}: {one}" for one in [*wrong, *_differences(facts, made)]]
        verdict.notes += [f"{name}: {one}" for one in notes]
        if facts["kind"] == SCHEMA.name and made is None:
            verdict.instance = facts["instance"]
            verdict.made = datetime.fromtimestamp((folder / name).stat().st_mtime, timezone.utc)
    if not any(one["kind"] == SCHEMA.name for one in verdict.databases):
        verdict.wrong.append("the store is not in it: there is no database that holds what crmbridge has seen and said")
    return verdict


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _differences(facts: Mapping[str, Any], made: Made | None) -> Iterator[str]:
    """List how a database differs from what the manifest says."""
    if made is None:
        return
    if facts["name"] not in made.files:
        yield f"{MANIFEST} does not name it: it was put there later"
        return
    size, digest = made.files[facts["name"]]
    if facts["size"] != size:
        yield f"it has {facts['size']:,} bytes, and had {size:,} when it was made"
    elif facts["sha256"] != digest:
        yield "it was changed since it was made (SHA-256)"
    if facts["kind"] == SCHEMA.name and facts["instance"] != made.instance:
        yield f"it belongs to instance {facts['instance'] or 'none'}, and {MANIFEST} to {made.instance}"


def _database(path: Path, schemas: Sequence[Schema]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the facts of one database, what is wrong with it, and what people should know of it. Raises OSError."""
    facts: dict[str, Any] = {"name": path.name, "size": path.stat().st_size, "sha256": _digest(path)}
    facts |= {"kind": "", "schema": 0, "instance": "", "rows": {}}
    wrong: list[str] = []
    notes: list[str] = []
    log = log_of(path)
    if log.exists() and log.stat().st_size:
        wrong.append(f"somebody wrote to it where it lies: {log.name} holds changes that are not in it")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (facts["schema"],) = db.execute("PRAGMA user_version").fetchone()
            schema = next((one for one in schemas if one.application_id == application), None)
            if schema is None:
                return facts, ["it is not a database of crmbridge"], notes
            facts["kind"] = schema.name
            known = schema.steps()[-1][0]
            if facts["schema"] > known:
                wrong.append(f"a newer crmbridge wrote it (schema {facts['schema']}; this one knows {known}): install that version")
            elif facts["schema"] < known:
                notes.append(f"its schema is {facts['schema']}, this crmbridge has {known}: it is brought up to that when it begins")
            wrong += [one for (one,) in db.execute(f"PRAGMA integrity_check({_NAMED})") if one != "ok"]
            strays = db.execute("PRAGMA foreign_key_check").fetchmany(_NAMED)
            wrong += [f"a row of {table} belongs to one of {other} that is not there" for table, _, other, _ in strays]
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
            facts["rows"] = {name: _count(db, name) for name in sorted(names)}
            if "identity" in names and (row := db.execute("SELECT instance FROM identity").fetchone()):
                facts["instance"] = str(row[0])
    except sqlite3.Error as error:
        wrong.append(f"it is damaged: {error}")
    return facts, wrong, notes


def _count(db: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    return int(db.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0])  # noqa: S608  # nosec B608  # the name of a table in this file, quoted
