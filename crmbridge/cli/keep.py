"""backup, restore, adopt, forget: the care for databases. install-files: the files that belong beside them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from crmbridge.cli.common import (
    Failure,
    ask_daemon,
    call,
    config_option,
    optional_config_option,
    output_option,
    required,
    shipped,
    show,
)
from crmbridge.cli.moments import moment
from crmbridge.cli.terminal import say
from crmbridge.config.load import load
from crmbridge.model import counted


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--verify", is_flag=True, help="Read the backup in FOLDER, and say what is in it and whether it can be restored. Needs no daemon."
)
@optional_config_option
@output_option
def backup(folder: Path, verify: bool, path: Path | None, output: str) -> None:
    """Copy the databases, as they are at one moment, into a new FOLDER. The daemon goes on. `--verify` looks at one that is there."""
    if verify:
        found = _verified(folder)
        show(found, output, _verdict)
        if not found["ok"]:
            raise SystemExit(1)
        return
    answer = ask_daemon(required(path), "backup", folder=str(folder.absolute()))
    show(answer, output, lambda _: [f"{', '.join(answer['files'])} in {answer['folder']}, verified"])


def _verified(folder: Path) -> dict[str, Any]:
    """Verify a backup. Return what it holds, and what is wrong with it. Raises Failure if there is none."""
    from crmbridge.chirp.feed import SCHEMA as FEED
    from crmbridge.operate.copies import MANIFEST, verify
    from crmbridge.store.sqlite import SCHEMA as STORE

    if not folder.is_dir():
        raise Failure(f"{folder}: no such folder")
    if not list(folder.glob("*.db")) and (inner := list(folder.glob(f"*/{MANIFEST}"))):
        newest = max(inner, key=lambda one: one.stat().st_mtime_ns)
        raise Failure(f"{folder} is a folder of backups; the newest is {newest.parent}")
    return verify(folder, [STORE, FEED]).shown()


def _verdict(found: Mapping[str, Any]) -> Iterator[str]:
    """Describe a backup for people."""
    made = f"{moment(found['made'])}" if found["made"] else "nobody knows when"
    yield f"{found['folder']}: made {made}" + (f" by crmbridge {found['version']}" if found["version"] else "")
    for one in found["databases"]:
        rows = ", ".join(f"{name} {count:,}" for name, count in one["rows"].items() if count)
        yield f"  {one['name']}: {one['kind'] or 'unknown'}, schema {one['schema']}, {one['size']:,} bytes" + (f"; {rows}" if rows else "")
    if found["instance"]:
        yield f"  instance {found['instance']}"
    yield from (f"note: {one}" for one in found["notes"])
    yield from (f"wrong: {one}" for one in found["wrong"])
    yield "it cannot be restored" if found["wrong"] else f"it is whole: `crmbridge restore {found['folder']}` takes it"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
def restore(folder: Path, yes: bool, path: Path) -> None:
    """Put the databases of a backup in place of the present ones, which are kept beside them. No daemon may run. What
    `backup --verify` refuses is not taken."""
    config = load(path, secrets=False)
    pairs = [(folder / target.name, target) for target in (config.store_path, config.feed_path) if (folder / target.name).exists()]
    if not any(target == config.store_path for _, target in pairs):
        raise Failure(f"{folder} holds no {config.store_path.name}")
    _no_daemon(config.store_path)
    found = _verified(folder)
    if wrong := found["wrong"]:
        raise Failure(
            f"{folder} cannot be restored: {'; '.join(wrong)}. Take another backup; `crmbridge backup --verify FOLDER` looks at each"
        )
    for line in list(_verdict(found))[:-1]:
        say(line)
    for source, target in pairs:
        say(f"{source} -> {target}")
    if not yes:
        click.confirm("The present databases are moved aside. Restore?", abort=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for source, target in pairs:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for ending in ("", "-wal", "-shm"):
            present = target.with_name(target.name + ending)
            if present.exists():
                present.replace(target.with_name(f"{target.name}{ending}.before-{stamp}"))
        draft = target.with_name(target.name + ".new")
        shutil.copyfile(source, draft)
        draft.chmod(0o600)
        draft.replace(target)
    say("restored. Nothing is published before `crmbridge adopt`: what waits in it may have been said long ago")


def _no_daemon(store: Path) -> None:
    """Check that no process holds the database's lock. Raises Failure if one does."""
    import fcntl

    if not store.parent.exists():
        return  # a new machine

    try:
        descriptor = os.open(store.with_name(store.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(f"{store}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Failure("a crmbridge runs on this database: stop it first") from None
    finally:
        os.close(descriptor)


@click.command()
@click.option("--hold/--speak", default=True, help="What waits is held for a person (default), or said.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
def adopt(hold: bool, yes: bool, path: Path) -> None:
    """Go on with a database that was restored, copied or moved. Until then the daemon takes in changes and publishes nothing."""
    status = ask_daemon(path, "status")
    if status["mute"]:
        say(status["mute"])
        waiting = sum(one["queued"] for one in status["destinations"])
        say(f"{counted(waiting, 'message', 'wait')}, to be {'held for a person' if hold else 'SAID NOW, perhaps for the second time'}")
        if not yes:
            click.confirm("Is this the database to go on with, and does no other crmbridge run on a copy of it?", abort=True)
    answer = ask_daemon(path, "adopt", hold=hold)
    say(f"adopted; {answer['held']} held: `crmbridge queue list --state held`" if hold else "adopted")


@click.command()
@click.argument("record")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
def forget(record: str, yes: bool, path: Path) -> None:
    """Remove all that is stored of RECORD (source/type/id). What is published stays where it is."""
    found = call(path, "forget", record=record, dry_run=True)["gone"]
    say(f"{counted(found['events'], 'change')} and {counted(found['deliveries'], 'message')} about {record}")
    if not yes:
        click.confirm("remove them for good?", abort=True)
    gone = call(path, "forget", record=record)["gone"]
    say("removed: " + ", ".join(f"{count} {what}" for what, count in gone.items()))


_PROGRAM: Final = "/opt/crmbridge/bin/crmbridge"
"""The path of the program in the shipped unit."""
_NAMES: Final = {"crmbridge.yaml": "crmbridge.reference.yaml"}
"""New names for files that would stand where people keep their own."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Also over files that are there.")
def install_files(folder: Path, force: bool) -> None:
    """Write into FOLDER what belongs to this version: a systemd unit that starts this very program, compose file and Dockerfile, alert
    rules and a board, the JSON Schema, and the configuration with all its keys."""
    found = shipped("_config", "config", "crmbridge.service", "these files are")
    texts = {_NAMES.get(one.name, one.name): one.read_text(encoding="utf-8") for one in sorted(found.iterdir()) if one.is_file()}
    if not force and (there := [name for name in texts if (folder / name).exists()]):
        raise Failure(f"{folder} has {', '.join(there)} already; --force writes over them")
    program = Path(sys.argv[0]).absolute()
    program = program if program.name == "crmbridge" else Path(sys.executable).with_name("crmbridge")
    texts["crmbridge.service"] = texts["crmbridge.service"].replace(_PROGRAM, str(program))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        say(f"written: {folder / name}")
