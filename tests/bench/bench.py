"""What crmbridge costs per event, beside the least program that does the same durable work (floor.py), in one run.

    python tests/bench/bench.py [--seconds 3] [--rounds 5] [--quick] [--flat]

Driver, sink and what is measured are processes of their own on 127.0.0.1, in temporary folders. Rounds interleave, and
every figure is a median over the rounds. One line of JSON goes to standard output, progress to standard error.
Exit code 1 if any event did not arrive exactly once: figures of a run that lost something mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import http.client
import importlib.metadata
import json
import os
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEY = base64.b64encode(bytes(range(32))).decode()
FREE = "surge: off, max_age: off"  # a load test is a flood, and its events are as old as this file
RATE = 200  # events per second while acknowledgements are timed
WARM_UP = 300  # events before anything is counted
_PER_SECOND = 6000  # requests that the driver prepares per second of closed loop: more than any system here can take
_TICKS = os.sysconf("SC_CLK_TCK")

_FIELDS = """Name: public, StageName: internal, Amount: {type: number}, CurrencyIsoCode: internal, CloseDate: {type: date},
        Probability: internal, Type: internal, LeadSource: internal, NextStep: internal, Description: internal, OwnerId: internal,
        OwnerName: internal, OwnerEmail: internal, AccountId: internal, AccountName: public, CampaignId: internal,
        ForecastCategory: internal, FiscalYear: internal, IsClosed: internal, IsWon: internal, CreatedDate: {type: datetime},
        LastModifiedDate: {type: datetime}, Region: internal"""
_TEXT = "{{ record.AccountName }} signed {{ record.Name }}: {{ record.Amount }} {{ record.CurrencyIsoCode }}, won by {{ record.OwnerName }}"
_CHANNEL = "channel: {for: record.AccountId, title: record.AccountName}, "


def configuration(port: int, destination: str, *, chirp: bool, rules: int) -> str:
    """crmbridge.yaml: one signed webhook source, one destination, and `rules` rules of which one applies."""
    step = f'{{to: out, {_CHANNEL if chirp else ""}text: "{_TEXT}"}}'
    other = "".join(
        f"  - id: other{n}\n    when: {{source: crm, record: Opportunity, event: deleted}}\n    match: {{StageName: Closed Won}}\n"
        f"    publish: [{step}]\n"
        for n in range(rules - 1)
    )
    return f"""crmbridge: 1
store: {{path: crmbridge.db}}
server: {{listen: "127.0.0.1:{port}"}}
sources:
  crm:
    type: webhook
    signature: {{scheme: standard-webhooks, secret: {{file: key}}}}
    map: {{record_type: body.type, record_id: body.id, fields: body.record, occurred_at: body.at}}
    records:
      Opportunity:
        fields: {{{_FIELDS}}}
destinations:
  out: {destination}
rules:
{other}  - id: won
    when: {{source: crm, record: Opportunity}}
    match: {{StageName: Closed Won}}
    publish: [{step}]
"""


# --- processes --------------------------------------------------------------------------------


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, bytes]:
    """One GET; raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def end(process: subprocess.Popen[Any]) -> None:
    """SIGTERM, and SIGKILL if that does not help."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """A running sink's port."""
    process = subprocess.Popen([sys.executable, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        end(process)
        if process.stdout:
            process.stdout.close()


def counts(port: int) -> dict[str, Any]:
    """What the sink has counted."""
    return dict(json.loads(get(port, "/counts")[1]))


class Running:
    """A system under test: its process and what the kernel says of it."""

    def __init__(self, command: list[str], folder: Path, port: int) -> None:
        self.port = port
        began = time.monotonic()
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, stderr=log, stdout=log)
        try:
            self._ready(began, folder)
        except BaseException:
            end(self.process)
            raise
        self.start = time.monotonic() - began

    def _ready(self, began: float, folder: Path) -> None:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if get(self.port, "/readyz")[0] == 200:
                    return
            if self.process.poll() is not None or time.monotonic() - began > 60:
                raise RuntimeError(f"it did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.005)

    def cpu(self) -> float:
        """CPU seconds used so far."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / _TICKS

    def memory(self) -> float:
        """Proportional set size in MB."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no Pss in smaps_rollup")


@contextlib.contextmanager
def daemon(folder: Path, destination: str, *, chirp: bool = False, rules: int = 1) -> Iterator[Running]:
    """crmbridge, from the command line as anyone runs it."""
    port = free_port()
    (folder / "key").write_text(f"whsec_{KEY}\n")
    (folder / "crmbridge.yaml").write_text(configuration(port, destination, chirp=chirp, rules=rules))
    command = [str(Path(sys.executable).with_name("crmbridge")), "run", "-c", "crmbridge.yaml"]
    running = Running(command, folder, port)
    try:
        yield running
    finally:
        end(running.process)


@contextlib.contextmanager
def floor(folder: Path, sink_port: int) -> Iterator[Running]:
    """floor.py."""
    port = free_port()
    running = Running([sys.executable, str(HERE / "floor.py"), "floor.db", str(port), str(sink_port), KEY], folder, port)
    try:
        yield running
    finally:
        end(running.process)


_next_event = 0


def drive(port: int, *, count: int, seconds: float = 60.0, rate: float = 0.0, running: Running | None = None) -> dict[str, Any]:
    """Run the driver; adds the peak memory of `running` meanwhile."""
    global _next_event
    options = {"port": port, "key": KEY, "count": count, "seconds": seconds, "rate": rate, "connections": 16, "first": _next_event}
    _next_event += count
    command = [sys.executable, str(HERE / "driver.py"), *(f"--{name}={value}" for name, value in options.items())]
    peak = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            time.sleep(0.1)
            if running:
                peak = max(peak, running.memory())
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError("the driver failed")
    return {**json.loads(output), "peak": peak}


# --- measurements -----------------------------------------------------------------------------


class Lost(Exception):
    """Not every event arrived exactly once."""


def arrived(sink_port: int, sent: int) -> dict[str, Any]:
    """Wait until the sink has all of them; raises Lost."""
    until = time.monotonic() + 120
    while (found := counts(sink_port))["events"] < sent and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.1)
    found = counts(sink_port)
    if not found["requests"] == found["ids"] == found["events"] == sent:
        raise Lost(f"{sent} events were acknowledged, and the sink has {found}")
    return found


def to_webhook(running: Running, sink_port: int, seconds: float, *, fixed: bool = True) -> dict[str, float]:
    """Everything that is measured from webhook to webhook, on a fresh process."""
    idle = running.memory()
    get(sink_port, "/reset")
    arrived(sink_port, drive(running.port, count=WARM_UP)["accepted"])
    get(sink_port, "/reset")
    cpu = running.cpu()
    driven = drive(running.port, count=int(seconds * _PER_SECOND), seconds=seconds, running=running)
    found = arrived(sink_port, driven["accepted"])
    cpu = running.cpu() - cpu
    figures = {
        "start_s": running.start,
        "idle_mb": idle,
        "load_mb": max(driven["peak"], running.memory()),
        "per_s": driven["accepted"] / (found["last"] - driven["first"]),
        "intake_per_s": driven["accepted"] / (driven["last"] - driven["first"]),
        "cpu_ms": cpu * 1000 / driven["accepted"],
        "events": driven["accepted"],
    }
    if fixed:
        get(sink_port, "/reset")
        timed = drive(running.port, count=int(seconds * RATE), seconds=seconds, rate=RATE)
        arrived(sink_port, timed["accepted"])
        figures |= {"ack_p50_ms": timed["p50_ms"], "ack_p99_ms": timed["p99_ms"]}
    return figures


def to_chirp(running: Running, database: Path, seconds: float) -> dict[str, float]:
    """From webhook to the embedded feed: its posts are counted in its database."""

    def posted() -> tuple[int, float]:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as feed:
            count, last = feed.execute("SELECT count(*), max(published_at) FROM post").fetchone()
            return count, (last or 0) / 1e6

    def complete(sent: int) -> float:
        until = time.monotonic() + 120
        while posted()[0] < sent and time.monotonic() < until:
            time.sleep(0.1)
        count, last = posted()
        if count != sent:
            raise Lost(f"{sent} events were acknowledged, and the feed has {count} posts")
        return last

    warm = drive(running.port, count=WARM_UP)["accepted"]
    complete(warm)
    cpu = running.cpu()
    driven = drive(running.port, count=int(seconds * _PER_SECOND), seconds=seconds)
    last = complete(warm + driven["accepted"]) - (time.time() - time.monotonic())
    return {"per_s": driven["accepted"] / (last - driven["first"]), "cpu_ms": (running.cpu() - cpu) * 1000 / driven["accepted"]}


def ceilings(seconds: float) -> dict[str, float]:
    """Driver against sink: what they manage with nothing between them, and what each costs."""
    with sink() as port:
        before = counts(port)["cpu"]
        driven = drive(port, count=int(seconds * 5 * _PER_SECOND), seconds=seconds)
        found = arrived(port, driven["accepted"])
    return {
        "driver_to_sink_per_s": driven["accepted"] / (driven["last"] - driven["first"]),
        "driver_cpu_us": driven["cpu"] * 1e6 / driven["accepted"],
        "sink_cpu_us": (found["cpu"] - before) * 1e6 / driven["accepted"],
    }


def destination_webhook(port: int) -> str:
    """The webhook destination's configuration."""
    return f'{{type: webhook, url: "http://127.0.0.1:{port}/sink", secret: {{file: key}}, {FREE}}}'


def headline(seconds: float, rounds: int) -> dict[str, Any]:
    """The daemon and the floor, in turn."""
    found: dict[str, list[dict[str, float]]] = {"crmbridge": [], "floor": [], "chirp": [], "ceilings": []}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        with sink() as port:
            for name in ("crmbridge", "floor") if number % 2 == 0 else ("floor", "crmbridge"):
                with temporary() as folder:
                    system = daemon(folder, destination_webhook(port)) if name == "crmbridge" else floor(folder, port)
                    with system as running:
                        found[name].append(to_webhook(running, port, seconds))
                        say(f"  {name}: {found[name][-1]['per_s']:.0f}/s, {found[name][-1]['cpu_ms']:.3f} ms CPU per event")
        with temporary() as folder, daemon(folder, f"{{type: chirp, {FREE}}}", chirp=True) as running:
            found["chirp"].append(to_chirp(running, folder / "chirp.db", seconds))
            say(f"  chirp: {found['chirp'][-1]['per_s']:.0f}/s")
        found["ceilings"].append(ceilings(min(seconds, 2.0)))
    figures: dict[str, Any] = {name: medians(runs) for name, runs in found.items()}
    figures["crmbridge"]["runs_per_s"] = [round(one["per_s"]) for one in found["crmbridge"]]
    figures["floor"]["runs_per_s"] = [round(one["per_s"]) for one in found["floor"]]
    pairs = zip(found["crmbridge"], found["floor"], strict=True)
    figures["ratio_to_floor"] = round(statistics.median(ours["per_s"] / least["per_s"] for ours, least in pairs), 3)
    return figures


def flatness(seconds: float, rounds: int, events: tuple[int, int] = (1_000, 200_000)) -> dict[str, Any]:
    """The same load on a small and a large store, and with one rule and a thousand."""
    cases: dict[str, list[dict[str, float]]] = {}
    with temporary() as small, temporary() as large, temporary() as plain, sink() as port:
        for folder, count in ((small, events[0]), (large, events[1])):
            say(f"storing {count} events")
            asyncio.run(fill(folder / "crmbridge.db", count))
        shapes = [(f"{events[0]}_events", small, 1), (f"{events[1]}_events", large, 1), ("1_rule", plain, 1), ("1000_rules", plain, 1000)]
        for number in range(rounds):
            for name, folder, rules in shapes if number % 2 == 0 else shapes[::-1]:
                with daemon(folder, destination_webhook(port), rules=rules) as running:
                    cases.setdefault(name, []).append(to_webhook(running, port, seconds, fixed=False))
                    say(f"  {name}: {cases[name][-1]['per_s']:.0f}/s, {cases[name][-1]['cpu_ms']:.3f} ms CPU per event")
    figures: dict[str, Any] = {name: medians(runs) for name, runs in cases.items()}
    for name, one, other in (("events", f"{events[1]}_events", f"{events[0]}_events"), ("rules", "1000_rules", "1_rule")):
        pairs = list(zip(cases[one], cases[other], strict=True))
        figures[f"{name}_cpu_ratio"] = round(statistics.median(a["cpu_ms"] / b["cpu_ms"] for a, b in pairs), 3)
        figures[f"{name}_speed_ratio"] = round(statistics.median(a["per_s"] / b["per_s"] for a, b in pairs), 3)
    return figures


async def fill(path: Path, count: int) -> None:
    """Store `count` delivered events through the store's own interface; durability is not what this is about."""
    from crmbridge.model import ChangeEvent, ChangeKind, Literal, Message, Receipt, RecordRef, State, Value, digest, event_id
    from crmbridge.store.sqlite import SqliteStore
    from crmbridge.store.terms import MAX_BATCH, Batch, Entry, NewDelivery, Settlement, Snapshot

    now = datetime.now(timezone.utc)
    fields: dict[str, Any] = {f"Field{n}": f"a value of field {n} as a CRM holds it" for n in range(22)} | {"Amount": Decimal("245000.5")}

    def entry(number: int) -> Entry:
        record = RecordRef("crm", "Opportunity", f"old-{number:08d}")
        own = {**fields, "Name": record.id}
        event = ChangeEvent(
            id=event_id(record, 1, own),
            source="crm",
            record_type=record.type,
            record_id=record.id,
            revision=1,
            kind=ChangeKind.UPDATED,
            occurred_at=now,
            fields=own,
            before={},
        )
        text = (Value("Parkers"), Literal(" signed "), Value(record.id))
        message = Message(destination="out", channel=None, rule="won", step="out", text=text, record=record, occurred_at=now)
        new = NewDelivery(key=digest(event.id, "won", "out"), message=message)
        return Entry(record=record, snapshot=Snapshot(1, None, False, own), event=event, deliveries=[new], observation_id=record.id)

    store = SqliteStore(path, synchronous="OFF")
    try:
        for start in range(0, count, MAX_BATCH):
            entries = [entry(number) for number in range(start, min(start + MAX_BATCH, count))]
            await store.record(Batch(source="crm", entries=entries), now)
            lease = await store.lease("out", now=now, limit=MAX_BATCH, per_lane=MAX_BATCH, skip=[])
            ended = [
                Settlement(delivery=one, state=State.DELIVERED, outcome="delivered", receipt=Receipt(remote_id=one.key))
                for one in lease.deliveries
            ]
            await store.settle(ended, [], now)
    finally:
        store.close()


def medians(runs: list[dict[str, float]]) -> dict[str, Any]:
    """The median of each figure, with as many digits as it can bear."""
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {name: round(value, 3) if value < 100 else round(value) for name, value in figures.items()}


def versions() -> dict[str, str]:
    """What the figures belong to."""
    packages = {name: importlib.metadata.version(name) for name in ("crmbridge", "aiohttp", "uvloop", "pydantic", "jinja2")}
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "kernel": platform.release(), **packages}


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """A folder that does not stay."""
    with tempfile.TemporaryDirectory(prefix="crmbridge-bench-") as folder:
        yield Path(folder)


def say(words: str) -> None:
    """Progress."""
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round: it proves that the bench runs, not how fast anything is")
    parser.add_argument("--flat", action="store_true", help="instead: is the cost flat in stored events and in rules?")
    given = parser.parse_args()
    seconds, rounds = (0.5, 1) if given.quick else (given.seconds, given.rounds)
    load = os.getloadavg()
    try:
        stored = (200, 1_000) if given.quick else (1_000, 200_000)
        figures = flatness(seconds, rounds, stored) if given.flat else headline(seconds, rounds)
    except Lost as error:
        say(f"lost: {error}")
        raise SystemExit(1) from None
    facts = {"seconds": seconds, "rounds": rounds, "cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()}
    print(json.dumps({**figures, **facts, "versions": versions()}))


if __name__ == "__main__":
    main()
