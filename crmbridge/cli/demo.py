"""demo: the whole of crmbridge on this machine. A story happens in a sample CRM; the real source reads it, the real rules
tell it, and the real feed publishes it. Slack and X are shown on the console.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import click

from crmbridge.cli.common import Failure, shipped
from crmbridge.cli.daemon import loop_factory
from crmbridge.cli.terminal import say
from crmbridge.config.load import load
from crmbridge.store.terms import Selection
from crmbridge.telemetry import configure_logging

FILES: Final = ("crmbridge.yaml", "crm.sql", "story.sql")
_BEAT: Final = re.compile(r"^-- after ([0-9.]+) s: (.+)$", re.MULTILINE)
_NEVER: Final = datetime.min.replace(tzinfo=timezone.utc)
_SETTLED: Final = 15.0  # the longest time in seconds that the last messages may take


def story_folder() -> Path:
    """Return the folder of the Parkers example: beside the package in a checkout, inside it in an installed wheel."""
    return shipped("_examples/parkers", "examples/parkers", FILES[0], "the example that the demo runs is")


@dataclass(frozen=True, slots=True)
class Beat:
    """One step of the story."""

    after: float
    """The seconds to wait after the step before."""
    words: str
    sql: str


def read_story(text: str) -> list[Beat]:
    """Read the steps of story.sql."""
    parts = _BEAT.split(text)[1:]
    return [Beat(float(after), words.strip(), sql.strip()) for after, words, sql in zip(parts[::3], parts[1::3], parts[2::3], strict=True)]


@click.command()
@click.option("--seconds", type=click.FloatRange(min=1), help="End by itself after so many seconds, with a summary.")
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Make an editable folder there, which `crmbridge run` accepts."
)
def demo(seconds: float | None, keep: Path | None) -> None:
    """See the whole thing on this machine: a sample CRM, rules, the feed in the browser.

    Exit code 0 only if everything that the story led to was published.
    """
    configure_logging(level="warning", style="text")
    with _folder(keep) as folder, asyncio.Runner(loop_factory=loop_factory()) as runner:
        _furnish(folder)
        good = runner.run(_live(folder, seconds))
        if keep:
            say(f"\nYours to edit: {folder}\n  crmbridge run -c {folder / 'crmbridge.yaml'}")
    if not good:
        raise Failure("not everything was published")


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="crmbridge-demo-") as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise Failure(f"{keep} is not empty; give a folder that is new", 2)
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.absolute()


def _furnish(folder: Path) -> None:
    for name in FILES:
        shutil.copy(story_folder() / name, folder / name)
    with contextlib.closing(sqlite3.connect(folder / "crm.db")) as crm:
        crm.executescript((folder / "crm.sql").read_text("utf-8"))
    readme = story_folder() / "README.md"
    if readme.exists():
        shutil.copy(readme, folder / readme.name)


async def _live(folder: Path, seconds: float | None) -> bool:
    from crmbridge.app import App

    config = load(folder / "crmbridge.yaml")
    app = App(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    end = time.monotonic() + seconds if seconds else None
    await app.start(listen=_free(config.model.server.listen))
    running = asyncio.create_task(app.run())
    try:
        await _welcome(app)
        await _baselined(app)
        published = await _tell(folder, app, stop, end)
        await _linger(stop, end)
        return published
    finally:
        summary = await _summary(app)
        app.stop()
        await running
        say("\nSummary", nl=False, bold=True)
        say(summary)


def _free(listen: str) -> str:
    """Return the configured address, or any free port of its host if that one is taken."""
    import socket

    host, _, port = listen.rpartition(":")
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return listen


async def _welcome(app: Any) -> None:
    feed = app.feed
    for login, name in (("susan", "Susan Novak"), ("priya", "Priya Shah"), ("tom", "Tom Becker")):
        await feed.add_user(login, name, None)
    await feed.follow("susan", "crm/A-100", "Parkers")
    say("crmbridge demo", nl=False, bold=True)
    say(": a small CRM, its rules, and the feed of its company.\n")
    say("Susan once sold to Parkers. She follows the Parkers channel. Read as Susan (this link works once):")
    say("  ", nl=False)
    say(app.server.url + await feed.one_time_link("susan"), underline=True)
    say()


async def _baselined(app: Any) -> None:
    """Wait until the sample CRM's past is learnt silently. The story begins after that."""
    for name in app.config.sources:
        while not (await app.store.position(name)).baselined:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _tell(folder: Path, app: Any, stop: asyncio.Event, end: float | None) -> bool:
    beats = read_story((folder / "story.sql").read_text("utf-8"))
    # A short demo tells the same story faster.
    whole = sum(beat.after for beat in beats)
    left = end - time.monotonic() - 4 if end else whole
    pace = min(1.0, max(left, 1.0) / whole)
    with contextlib.closing(sqlite3.connect(folder / "crm.db", isolation_level=None)) as crm:
        for beat in beats:
            if await _stopped(stop, beat.after * pace):
                return False
            say(f"in the CRM: {beat.words}", fg="cyan")
            crm.executescript(beat.sql)
    told = datetime.now(timezone.utc)
    deadline = time.monotonic() + _SETTLED
    while time.monotonic() < deadline and not stop.is_set():
        await asyncio.sleep(0.2)
        facts = await _facts(app)
        if facts.read_at > told and not facts.open:
            return facts.delivered > 0 and not facts.dead
    return False


async def _linger(stop: asyncio.Event, end: float | None) -> None:
    if end is None:
        say("\nThe story is told. The feed stays open until you press Ctrl-C.")
        await stop.wait()
    else:
        await _stopped(stop, end - time.monotonic())


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for `seconds`. Return True if the wait was cut short."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(0.0, seconds))
    return stop.is_set()


@dataclass(frozen=True, slots=True)
class _Facts:
    changes: int
    open: int
    dead: int
    by_destination: dict[str, int]
    slowest: float
    read_at: datetime

    @property
    def delivered(self) -> int:
        return sum(self.by_destination.values())


async def _facts(app: Any) -> _Facts:
    status = await app.status()
    published = await app.store.published(Selection(), 10_000)
    return _Facts(
        changes=await app.store.last_event(),
        open=sum(one[state] for one in status["destinations"] for state in ("queued", "sending", "held", "unknown")),
        dead=sum(one["dead"] for one in status["destinations"]),
        by_destination=dict(Counter(one.delivery.message.destination for one in published)),
        slowest=max(((one.published_at - one.delivery.message.occurred_at).total_seconds() for one in published), default=0.0),
        read_at=min([(await app.store.position(name)).polled_at or _NEVER for name in app.config.sources]),
    )


async def _summary(app: Any) -> str:
    facts = await _facts(app)
    where = ", ".join(f"{count} to {name}" for name, count in sorted(facts.by_destination.items())) or "none"
    lines = [
        f" at {datetime.now(timezone.utc).astimezone():%H:%M:%S}",
        f"  changes in the CRM    {facts.changes}",
        f"  messages published    {facts.delivered}: {where}",
        f"  slowest, from the change in the CRM to the post: {facts.slowest:.1f} s",
    ]
    if facts.open or facts.dead:
        lines.append(f"  NOT published: {facts.open} open, {facts.dead} dead")
    return "\n".join(lines)
