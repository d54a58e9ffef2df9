"""A daemon between a source that numbers and sinks that count, and what must hold at the end of every run."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Self

import requests
from flow.daemon import HOOK_SECRET, STILL, Daemon, until
from flow.proofs.source import mark

HERE = Path(__file__).parent
LEAST = 1000  # a run that moved fewer proves nothing
LANES = 100  # Slack takes one message a second for each channel
SURGE: dict[str, object] = {"surge": "off"}
"""What every rule here says of bursts: these runs are one long burst."""


def configuration(port: int, destinations: dict[str, dict[str, object]]) -> dict[str, object]:
    """A rule for each bucket of numbers, with a Slack channel of its own, so that the pace of one lets a thousand through."""
    channels = {"slack": "#c{}", "chirp": {"for": "record.bucket", "title": "record.bucket"}}

    def rule(lane: str) -> dict[str, object]:
        publish = [{"to": name, "channel": channels.get(one["type"]), "text": "{{ record.name }}"} for name, one in destinations.items()]
        for step in publish:
            if isinstance(step["channel"], str):
                step["channel"] = step["channel"].format(lane)
            elif step["channel"] is None:
                del step["channel"]
        return {"id": f"bucket-{lane}", "when": {"source": "crm", "record": "Deal"}, "match": {"bucket": lane}, "publish": publish, **SURGE}

    crm = {
        "type": "webhook",
        "signature": {"scheme": "hmac-sha256", "secret": {"file": "secrets/hook"}, "header": "X-Signature"},
        "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body.fields", "version": "body.version"},
        "records": {"Deal": {"fields": {"name": "public", "bucket": "public"}}},
    }
    return {
        "crmbridge": 1,
        "store": {"path": "data/crmbridge.db"},
        "server": {"listen": f"127.0.0.1:{port}"},
        "log": {"level": "warning"},
        "sources": {"crm": crm},
        "destinations": destinations,
        "rules": [rule(f"{number:03d}") for number in range(LANES)],
    }


def keyed(port: int) -> dict[str, object]:
    """A webhook destination: idempotent by its key."""
    return {"type": "webhook", "url": f"http://127.0.0.1:{port}/in", "secret": {"file": "secrets/sink.secret"}}


def counted(port: int, **more: object) -> dict[str, object]:
    """A Slack destination: it has no key."""
    return {"type": "slack", "token": {"file": "secrets/slack.token"}, "api_url": f"http://127.0.0.1:{port}/", **more}


class Listener:
    """A program of this folder that prints the port it listens on: a process of its own. A context manager."""

    def __init__(self, program: str, *options: object) -> None:
        self.process = subprocess.Popen([sys.executable, str(HERE / program), *map(str, options)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def get(self, path: str):
        """What it says of itself."""
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=STILL).json()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Sink(Listener):
    """A counting sink."""

    def __init__(self, kind: str, *options: object) -> None:
        super().__init__("sink.py", kind, *options)

    def counts(self) -> dict[str, object]:
        """What it saw so far."""
        return self.get("/counts")


class Proxy(Listener):
    """A proxy before a sink that loses answers by `chance`."""

    def __init__(self, port: int, chance: float, seed: int) -> None:
        super().__init__("proxy.py", port, chance, seed)

    @property
    def cuts(self) -> int:
        """Answers lost."""
        return self.get("/cuts")


class Source:
    """The numbering source in a process of its own. A context manager."""

    def __init__(self, daemon: Daemon, rate: float, least: int = LEAST) -> None:
        options = {"port": daemon.port, "secret": HOOK_SECRET, "lanes": LANES, "rate": rate, "least": least}
        command = [sys.executable, str(HERE / "source.py"), *(f"--{name}={value}" for name, value in options.items())]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish(self) -> dict[str, object]:
        """Begin nothing new, finish what is begun; every number was taken in. It gives up by itself when nothing is taken in."""
        said, _ = self.process.communicate()
        facts = json.loads(said)
        assert facts["acknowledged"] == facts["begun"], facts
        return facts

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Bridge(Daemon):
    """A daemon with a keyed and a counted sink, or whatever `destinations` say."""

    def __init__(self, folder: Path, destinations: dict[str, dict[str, object]]) -> None:
        super().__init__(folder)
        self.config = configuration(self.port, destinations)
        self.write()

    def recorded(self) -> int:
        """How many changes it has journalled."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/data/crmbridge.db?mode=ro", uri=True)) as store:
            return store.execute("SELECT count(*) FROM events").fetchone()[0]

    def sending(self, destination: str) -> int:
        """After a kill: how many attempts it had begun at a destination, read from a copy of its database."""
        with tempfile.TemporaryDirectory() as name:
            for one in (self.folder / "data").glob("crmbridge.db*"):
                if not one.name.endswith(("-shm", ".sock")):
                    shutil.copy(one, name)
            with contextlib.closing(sqlite3.connect(Path(name) / "crmbridge.db")) as copy:
                query = "SELECT count(*) FROM deliveries WHERE state = 'sending' AND destination = ?"
                return copy.execute(query, (destination,)).fetchone()[0]


def judge(name: str, n: int, said: dict[str, int]) -> tuple[int, int]:
    """(lost, doubled) of the numbers 0 to n - 1 at one sink; what nobody sent is neither, and must not be there."""
    wanted = {mark(number) for number in range(n)}
    assert not said.keys() - wanted, f"{name} was told what nobody sent: {sorted(said.keys() - wanted)[:5]}"
    assert n >= LEAST, f"only {n} events were moved: nothing is proved"
    return len(wanted - said.keys()), sum(count - 1 for count in said.values())


def posts(daemon: Daemon) -> dict[str, int]:
    """What the embedded feed shows, and how often: the marks of all its posts."""
    return Counter(re.search(r"ev-\d{8}", text)[0] for text in daemon.feed_posts())


def nothing_is_dead(daemon: Daemon) -> None:
    """No message gave up, and none is in doubt."""
    status = daemon.ask("status")
    assert sum(one["dead"] + one["unknown"] for one in status["destinations"]) == 0, status["destinations"]
    assert not [one for one in status["inbox"] if one["failed"]], status["inbox"]


def cycles(daemon: Bridge, source: Source, count: int, end, seed: int) -> None:
    """`count` times: let it run for up to a second from its first sign of life, then `end` it and start it again."""
    chance = random.Random(seed)
    for _ in range(count):
        time.sleep(chance.uniform(0.0, 1.0))
        end()
        daemon.spawn()
        until_up(daemon)


def until_up(daemon: Daemon) -> None:
    """Until it answers at all."""

    def up() -> bool:
        assert daemon.process.poll() is None, daemon.output[-4000:]
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{daemon.url}/healthz", timeout=STILL).ok
        return False

    until(up, "the daemon answers")
