"""A real `crmbridge run` in a folder of its own, and loopback stand-ins of the networks it speaks to."""

import contextlib
import functools
import hashlib
import hmac
import http.client
import io
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import requests
import yaml

from crmbridge.cli import main
from crmbridge.publisher.decide import LOOKS
from crmbridge.testing import ScriptedServer

CRMBRIDGE = Path(sys.executable).with_name("crmbridge")
HOOK_SECRET = "hook-s3cret-c4nary"
SECRETS = {
    "hook": HOOK_SECRET,
    "slack.token": "xoxb-c4nary-slack",
    "x.consumer_key": "c4nary-ck",
    "x.consumer_secret": "c4nary-cs",
    "x.access_token": "c4nary-at",
    "x.access_token_secret": "c4nary-ats",
    "sink.secret": "whsec_YzRuYXJ5LXNpbmstc2VjcmV0LTI0Yg==",
}
NOWHERE = "http://127.0.0.1:1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


STILL = 60.0  # seconds without any sign of progress, after which what is waited for will not come on a busy machine either


def until(condition, what, seconds=STILL, *, moved=None):
    """Wait for `condition()`, and give what it gave.

    `moved` says how far the work is that leads there. The seconds count from its last change: a busy machine is slow, and only
    what stands still has failed.
    """
    end, far = time.monotonic() + seconds, moved and moved()
    while True:
        if found := condition():
            return found
        if moved and (now := moved()) != far:
            end, far = time.monotonic() + seconds, now
        assert time.monotonic() < end, f"{'nothing moved' if moved else 'not'} within {seconds:g} s: {what}; {far or ''}"
        time.sleep(0.05)


def inside(arguments, stdin=""):
    """The command line in this process: a process of its own takes most of a second to begin."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with mock.patch.multiple(sys, argv=["crmbridge", *map(str, arguments)], stdin=io.StringIO(stdin), stdout=out, stderr=err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def _discreet(said):
    """No secret stands in what a daemon logs at DEBUG or a verb prints, whatever the test was about."""
    assert not (found := [name for name, secret in SECRETS.items() if secret in said]), f"secrets were printed: {found}"


class Networks:
    """Slack, X and a signed endpoint, each counting what it saw."""

    def __init__(self, delay=0.0):
        numbers = itertools.count(1)

        def slack(exchange):
            time.sleep(delay)
            if exchange.path == "/auth.test":
                said = {"url": "https://acme.slack.com/"}
            else:
                said = {"channel": "C1", "ts": f"{1_700_000_000 + next(numbers)}.000100"}
            exchange.reply(200, json.dumps({"ok": True} | said).encode(), {"Content-Type": "application/json"})

        def x(exchange):
            time.sleep(delay)
            data = json.dumps({"data": {"id": str(next(numbers)), "text": ""}}).encode()
            exchange.reply(201 if exchange.command == "POST" else 200, data, {"Content-Type": "application/json"})

        self.slack, self.x, self.sink = ScriptedServer(slack), ScriptedServer(x), ScriptedServer()
        self._all = contextlib.ExitStack()

    def __enter__(self):
        for one in (self.slack, self.x, self.sink):
            self._all.enter_context(one)
        return self

    def __exit__(self, *_):
        self._all.close()

    @property
    def said_on_slack(self):
        return [one.json()["text"] for one in list(self.slack.seen) if one.path == "/chat.postMessage"]

    @property
    def said_on_x(self):
        return [one.json()["text"] for one in list(self.x.seen) if one.method == "POST"]

    @property
    def said_at_the_sink(self):
        return [one.json()["data"]["text"] for one in list(self.sink.seen)]

    @property
    def keys_at_the_sink(self):
        return [one.headers["webhook-id"] for one in list(self.sink.seen)]


def configuration(port, networks=None):
    """A webhook source, four destinations and one rule for all of them."""
    slack, x, sink = (networks.slack.url, networks.x.url, networks.sink.url) if networks else (NOWHERE,) * 3
    return {
        "crmbridge": 1,
        "store": {"path": "data/crmbridge.db"},
        "server": {"listen": f"127.0.0.1:{port}"},
        "log": {"level": "debug"},
        "sources": {
            "crm": {
                "type": "webhook",
                "signature": {"scheme": "hmac-sha256", "secret": {"file": "secrets/hook"}, "header": "X-Signature"},
                "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body.fields", "version": "body.version"},
                "records": {"Deal": {"fields": {"name": "public", "stage": "public", "note": "internal"}}},
            }
        },
        "destinations": {
            "wins": {"type": "slack", "token": {"file": "secrets/slack.token"}, "channel": "#wins", "api_url": slack},
            "brand": {
                "type": "twitter",
                "audience": "public",
                "on_unknown": "resend",
                "api_url": x,
                **{
                    name: {"file": f"secrets/x.{name}"}
                    for name in ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
                },
            },
            "feed": {"type": "chirp"},
            "sink": {"type": "webhook", "url": f"{sink}/in", "secret": {"file": "secrets/sink.secret"}},
        },
        "rules": [
            {
                "id": "won",
                "when": {"source": "crm", "record": "Deal"},
                "match": {"stage": "won"},
                "publish": [
                    {"to": "wins", "text": "{{ record.name }} signed"},
                    {"to": "brand", "text": "{{ record.name | truncate(80) }} signed"},
                    {
                        "to": "feed",
                        "channel": {"for": "event.record_id", "title": "record.name"},
                        "text": "{{ record.name | truncate(4000) }} signed",
                    },
                    {"to": "sink", "text": "{{ record.name }} signed"},
                ],
            }
        ],
    }


class Daemon:
    """One folder with its configuration, and the process that runs with it, if one does. A context manager."""

    def __init__(self, folder, networks=None, **changes):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.path = folder / "crmbridge.yaml"
        self.config = configuration(self.port, networks) | changes
        self.process = None
        self.environment = {}
        (folder / "secrets").mkdir()
        for name, value in SECRETS.items():
            (folder / "secrets" / name).write_text(value + "\n")
            (folder / "secrets" / name).chmod(0o600)
        self.write()

    def write(self, text=None):
        """The configuration as it is in `self.config`, or any text."""
        config = json.loads(json.dumps(self.config).replace('"secrets/', f'"{self.folder}/secrets/'))
        self.path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True) if text is None else text)

    def keep(self, *destinations):
        """Speak to these destinations only."""
        self.config["destinations"] = {name: self.config["destinations"][name] for name in destinations}
        for rule in self.config["rules"]:
            rule["publish"] = [step for step in rule["publish"] if step["to"] in destinations]
        self.write()
        return self

    # --- the process

    @property
    def output(self):
        return (self.folder / "output").read_text("utf-8", "replace")

    def spawn(self, *options):
        with (self.folder / "output").open("ab") as output:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen([CRMBRIDGE, "run", "-c", self.path, *options], stdout=output, stderr=output, env=environment)
        return self

    def start(self, *options):
        return self.spawn(*options).until_ready()

    def until_ready(self):
        until(self._ready, f"the daemon is ready:\n{self.output[-2000:]}")
        return self

    def _ready(self):
        assert self.process.poll() is None, self.output[-4000:]
        with contextlib.suppress(requests.ConnectionError):
            # The admin socket is the last to open.
            return requests.get(f"{self.url}/readyz", timeout=STILL).status_code == 200 and self._answers()

    def _answers(self):
        with contextlib.suppress(OSError):
            return self.ask("status")

    def kill(self):
        """As a power cut does, but for the page cache."""
        self.process.kill()
        self.process.wait(STILL)

    def stop(self):
        """Ask it to end; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, problem, *_):
        if self.process and self.process.poll() is None:
            self.kill()
        if problem is None and (self.folder / "output").exists():
            _discreet(self.output)

    # --- asking

    def cli(self, *arguments, stdin=""):
        """A verb with this configuration; `run` as a process of its own."""
        command = [*arguments, "-c", str(self.path)]
        if arguments[0] == "run":
            return subprocess.run([CRMBRIDGE, *command], capture_output=True, text=True, timeout=STILL, check=False)
        said = inside(command, stdin)
        _discreet(said.stdout + said.stderr)
        return said

    def admin(self, method, path, body=None):
        """Over the admin socket, or at its address: (status, body)."""

        class Unix(http.client.HTTPConnection):
            def connect(inner):
                inner.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                inner.sock.settimeout(STILL)
                inner.sock.connect(self.config.get("admin", {}).get("listen", str(self.folder / "data" / "crmbridge.sock")))

        door, headers = self.config.get("admin", {}), {}
        if "token" in door:
            connection = http.client.HTTPConnection(*door["listen"].split(":"), timeout=STILL)
            headers["Authorization"] = f"Bearer {(self.folder / door['token']['file']).read_text().strip()}"
        else:
            connection = Unix("admin")
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ask(self, verb, **arguments):
        status, body = self.admin("POST", f"/api/v1/{verb}", json.dumps(arguments))
        assert status == 200, body
        return json.loads(body)

    def destination(self, name):
        return next(one for one in self.ask("status")["destinations"] if one["name"] == name)

    def waiting(self, looked_for=()):
        """How much waits: requests, and deliveries of each destination; what is in doubt too at those where it is `looked_for`."""
        status = self.ask("status")
        if any(one["code"] == "database_refuses" for one in status["troubles"]):
            return (True,)  # nothing could be counted at that moment, so nothing is known of what waits
        requests = sum(one["count"] for one in status["inbox"] if not one["failed"])
        doubts = (one["unknown"] for one in status["destinations"] if one["name"] in looked_for)
        return requests, *(one["queued"] + one["sending"] for one in status["destinations"]), *doubts

    def quiet(self, looked_for=()):
        """Wait until nothing waits: no request, no delivery. It may take what it takes, but something moves within a minute.

        Between the last two looks for a lost answer lies a minute in which nothing does.
        """
        waiting = functools.partial(self.waiting, looked_for)
        patience = STILL + (LOOKS[-1].total_seconds() if looked_for else 0)
        until(lambda: not any(waiting()), f"quiet; it began with {self.ask('status')}", patience, moved=waiting)

    # --- sending

    def body(self, id=1, version=1, **fields):
        return json.dumps({"id": id, "version": version, "fields": {"name": "Parkers", "stage": "won", **fields}}).encode()

    def post(self, body, **headers):
        """A signed webhook; returns the status."""
        signature = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Signature": signature, "Content-Type": "application/json", **headers}
        return requests.post(f"{self.url}/hooks/crm", data=body, headers=headers, timeout=STILL).status_code

    def raw(self, data, wait=15.0):
        """Bytes as they are; the status line's number, or None if the connection was closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            answer = b""
            while b"\r\n" not in answer and (piece := connection.recv(4096)):
                answer += piece
        return int(answer.split()[1]) if answer else None

    # --- reading the feed

    def feed_pages(self):
        """The words of every channel's page, read as a person who signed in by a one-time link."""
        if "susan" not in self.cli("chirp", "user", "list").stdout:
            made = self.cli("chirp", "user", "add", "susan", "--password", "correct horse battery")
            assert made.returncode == 0, made.stderr
        link = self.cli("chirp", "user", "link", "susan")
        assert link.returncode == 0, link.stderr
        with requests.Session() as browser:
            page = browser.get(link.stdout.strip(), timeout=STILL)
            proof = re.search(r'name="proof" value="([^"]*)"', page.text)[1]
            assert browser.post(link.stdout.strip(), data={"proof": proof}, timeout=STILL).status_code == 200
            listed = browser.get(f"{self.url}/chirp/channels", timeout=STILL).text
            codes = dict.fromkeys(re.findall(r'href="/chirp/c/([^"/?#]+)"', listed))
            return [re.sub(r"<[^>]*>", "", browser.get(f"{self.url}/chirp/c/{code}", timeout=STILL).text) for code in codes]

    def feed_posts(self):
        """Texts of all posts in the feed's database."""
        import sqlite3

        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/data/chirp.db?mode=ro", uri=True)) as feed:
            return ["".join(words for _, words in json.loads(text)) for (text,) in feed.execute("SELECT text FROM post ORDER BY id")]
