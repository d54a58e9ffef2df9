"""Troubles of every kind, provoked one by one on a real daemon: each in status, in the metrics and in an alert, and each can be ended."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests
from flow.daemon import CRMBRIDGE, NOWHERE, Daemon, until
from flow.test_proof_clock import faketime
from flow.test_proof_disk import MB, fill, small_disk

from crmbridge.testing import ScriptedServer
from crmbridge.troubles.trouble import Code, Severity, Trouble

ODD = Path(__file__).with_name("odd")
SOON = 40.0  # seconds in which a trouble is seen, told and over, on a busy machine too
NOTES = {"paused", "shadow"}


def configuration(ops, beat):
    """An odd source that is polled and calls, an odd destination, and who is told."""
    return {
        "sources": {
            "odd": {
                "type": "odd",
                "every": "1s",
                "records": {"Deal": {"fields": {"name": "internal", "stage": "internal", "none": "internal"}}},
            }
        },
        "destinations": {
            "out": {"type": "odd", "on_unknown": "hold", "surge": "off"},
            "ops": {"type": "webhook", "url": f"{ops.url}/ops", "secret": {"file": "secrets/sink.secret"}},
        },
        "alerts": {"to": "ops", "after": "1s", "late": "2s", "heartbeat": {"file": "secrets/beat"}},
        "rules": [{"id": "told", "when": {"source": "odd", "record": "Deal"}, "publish": [{"to": "out", "text": "{{ record.name }}"}]}],
    }


def family(code, about):
    """What people are told that it is over."""
    return Trouble(code=Code(code), severity=Severity.ERROR, about=about, what="", do="").name


class Watched:
    """A daemon with an odd source and an odd destination, and somebody who is told of troubles."""

    def __init__(self, folder, ops):
        self.ops = ops
        self.daemon = Daemon(folder)
        self.folder = folder
        (folder / "secrets" / "beat").write_text(f"{ops.url}/beat\n")
        self.daemon.config |= configuration(ops, ops)
        self.daemon.environment = {"PYTHONPATH": str(ODD)}
        self.behave()
        self.daemon.write()
        self.told = []

    def behave(self, **what):
        """`odd_poll="fail"`, `out_publish="auth"`; what is not named is well-behaved."""
        draft = self.folder / "behaviour.new"
        draft.write_text(json.dumps({name.replace("_", ".", 1): told for name, told in what.items()}))
        draft.replace(self.folder / "behaviour.json")

    def rule(self, **changes):
        self.daemon.config["rules"][0] |= changes
        self.daemon.write()

    def hear(self, name, **_):
        """A webhook about a deal of that name."""
        return requests.post(f"{self.daemon.url}/hooks/odd", data=name.encode(), timeout=10).status_code

    # --- what is wrong

    def codes(self):
        return {(one["code"], one["about"]) for one in self.daemon.ask("status")["troubles"]}

    def alerts(self):
        return [one.json()["data"]["text"] for one in list(self.ops.seen) if one.path == "/ops"]

    def provoked(self, code, about, *others):
        """The trouble is there: in status with exit code 1, in the metrics, in an alert; nothing else is but `others`."""
        until(lambda: (code, about) in self.codes(), f"{code} {about}: {self.codes()}", SOON)
        said = self.daemon.cli("status", "-o", "json")
        found = {one["code"]: one for one in json.loads(said.stdout)["troubles"]}
        assert found.keys() - {code, *others} == set(), found
        assert found[code]["do"]
        assert found[code]["since"]
        assert (said.returncode, code in NOTES) in ((1, False), (0, True)), code
        assert self.daemon.cli("status").returncode == said.returncode
        severity = found[code]["severity"]
        assert f'crmbridge_trouble{{about="{about}",code="{code}",severity="{severity}"}}' in self.daemon.admin("GET", "/metrics")[1]
        self.told.append(code)
        if code not in NOTES:
            until(lambda: self.is_told(code, about, found[code]["what"]), f"{code} is told: {self.alerts()}", SOON)

    def is_told(self, code, about, what):
        """Since it was last over; where one thing is unwell in several ways, one of them is enough."""
        name = family(code, about)
        alerts = self.alerts()
        last = max((index for index, one in enumerate(alerts) if f"Over: {name}" in one), default=-1)
        words = re.escape(what.partition(":")[0].partition(" since ")[0]) if name.startswith(code) else f"The {name} "
        pattern = re.sub(r"\d[\d.\\]*", r"[\\d.]+ ?", words)  # how many, and for how long, may have changed since
        return any(re.search(pattern, one) for one in alerts[max(last, 0) :])

    def over(self, code, about):
        """It is over, and people are told that too; all is well then."""
        until(lambda: not self.codes(), f"{code} is over: {self.codes()}", SOON)
        assert self.daemon.cli("status").returncode == 0
        if code not in NOTES:
            name = f"Over: {family(code, about)}"
            until(lambda: any(name in one for one in self.alerts()), f"{name}: {self.alerts()}", SOON)

    @contextlib.contextmanager
    def trouble(self, code, about="", *others):
        """Provoke it before this block, end it within."""
        self.provoked(code, about, *others)
        yield
        self.over(code, about)

    def fine(self, *arguments):
        said = self.daemon.cli(*arguments)
        assert said.returncode == 0, said.stdout + said.stderr


@pytest.fixture
def ops():
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def watched(tmp_path, ops):
    one = Watched(tmp_path, ops)
    with one.daemon:
        yield one


def test_a_well_daemon_has_no_trouble(watched):
    watched.daemon.start()
    watched.hear("Parkers")
    watched.daemon.quiet()
    assert watched.codes() == set()
    assert watched.daemon.cli("status").returncode == 0
    assert watched.daemon.admin("GET", "/readyz") == (200, "ready\n")


def test_sources(watched):
    """Those that are polled."""
    watched.behave(odd_poll="fail")
    watched.daemon.start()
    with watched.trouble("source_never_read", "odd"):
        assert watched.daemon.admin("GET", "/readyz")[1] == "ready\ndegraded: 1 trouble, see `crmbridge status`\n"
        watched.behave()
    for how, code in (("fail", "source_failing"), ("login", "source_login"), ("limited", "source_limited"), ("raise", "source_faulty")):
        watched.behave(odd_poll=how)
        with watched.trouble(code, "odd"):
            watched.behave()
    watched.behave(odd_rights="refuse")
    watched.fine("reload")
    with watched.trouble("right_missing", "odd"):
        watched.behave()
        watched.fine("reload")
    watched.behave(odd_poll="hold 3")
    watched.provoked("loop_held", "")
    watched.behave()
    time.sleep(1.5)  # the poll that holds it may just have begun
    watched.fine("status", "--seen")
    watched.over("loop_held", "")
    watched.behave(odd_poll="unreadable")
    with watched.trouble("records_aside", "odd"):
        watched.behave()
        watched.fine("dead", "drop", "--all", "--yes")
    watched.daemon.config["sources"]["odd"]["expect"] = "2s"
    watched.daemon.write()
    watched.fine("reload")
    with watched.trouble("source_quiet", "odd"):
        watched.behave(odd_poll="bring")
    assert len(watched.told) == 9


def test_webhooks_and_rules(watched):
    """What comes in by the door."""
    watched.daemon.config["sources"]["signed"] = {
        "type": "webhook",
        "signature": {"scheme": "hmac-sha256", "secret": {"file": "secrets/hook"}, "header": "X-Signature"},
        "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body.fields", "version": "body.version"},
    }
    watched.daemon.config["rules"].append(
        {"id": "torn", "when": {"source": "signed", "record": "Deal"}, "if": "record.name > 3", "publish": [{"to": "out", "text": "x"}]}
    )
    watched.daemon.write()
    watched.daemon.start()
    url = watched.daemon.url
    signed = {"hook": f"{url}/hooks/signed"}

    def post(body, **headers):
        watched.daemon.url = url
        import hashlib
        import hmac

        from flow.daemon import HOOK_SECRET

        signature = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Signature": signature, "Content-Type": "application/json"} | headers
        return requests.post(signed["hook"], data=body, headers=headers, timeout=10).status_code

    body = watched.daemon.body(1, 1, name="4", stage="x")
    for _ in range(3):
        assert post(body, **{"X-Signature": "0" * 64}) == 401
    with watched.trouble("hook_refused", "signed"):
        assert post(body) == 202
        watched.daemon.quiet()
        watched.fine("status", "--seen")  # the rule cannot compare a text with a number
    assert post(b'{"id": 7}') == 202
    with watched.trouble("requests_failed", "signed"):
        watched.fine("dead", "drop", "--all", "--yes")
    assert post(watched.daemon.body(2, 1, name="Parkers")) == 202
    with watched.trouble("rule_undecided", "torn"):
        watched.fine("status", "--seen")
    watched.behave(odd_fetch="fail")
    watched.hear("partial 1")
    watched.provoked("hook_unreadable", "odd", "requests_late")
    watched.provoked("requests_late", "odd", "hook_unreadable")
    watched.behave()
    watched.over("hook_unreadable", "odd")
    assert len(watched.told) == 5


def test_what_sources_say(watched, tmp_path):
    """Values, fields and stamps that are odd, where no single record is to blame."""
    crm = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
    crm.execute("CREATE TABLE deal (id INTEGER PRIMARY KEY, stage TEXT, at TEXT)")

    def write(id, ago, stage="open"):
        at = (datetime.now(timezone.utc) - ago).strftime("%Y-%m-%d %H:%M:%S")
        crm.execute("INSERT OR REPLACE INTO deal VALUES (?, ?, ?)", (id, stage, at))

    hour = timedelta(hours=1)
    for id in range(12):
        write(id, 9 * hour)
    watched.daemon.config["sources"] |= {
        "books": {
            "type": "sql",
            "sqlite": "books.db",
            "every": "1s",
            "tables": {"Deal": {"table": "deal", "changed": "at", "deletes_every": "1s", "compare": "off"}},
            "records": {"Deal": {"fields": {"stage": "internal"}}},
        },
        "shop": {
            "type": "webhook",
            "signature": {"scheme": "none"},
            "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body", "version": "body.version"},
            "records": {"Deal": {"fields": {"amount": "money"}}},
        },
    }
    watched.daemon.write()
    watched.daemon.start()
    until(lambda: {one["state"] for one in watched.daemon.ask("status")["sources"]} == {"reading", "listening"}, "all is learnt")
    url = f"{watched.daemon.url}/hooks/shop"
    assert requests.post(url, json={"id": 1, "version": 1, "amount": "250.000"}, timeout=10).status_code == 202
    with watched.trouble("field_unread", "shop/Deal.amount"):
        watched.fine("status", "--seen")
    crm.execute("ALTER TABLE deal RENAME COLUMN stage TO state")
    with watched.trouble("field_gone", "books/Deal.stage"):
        crm.execute("ALTER TABLE deal RENAME COLUMN state TO stage")
    crm.execute("CREATE TABLE kept AS SELECT * FROM deal")
    crm.execute("DELETE FROM deal")
    with watched.trouble("walk_failing", "books/Deal"):
        crm.execute("INSERT INTO deal SELECT * FROM kept")
    for id in range(3):
        write(id, 8 * hour, stage=f"local {id}")
        polled = watched.daemon.ask("status")["sources"]
        until(lambda: watched.daemon.ask("status")["sources"] != polled, "another poll")  # noqa: B023
        time.sleep(1.5)
    with watched.trouble("stamps_behind", "books"):
        write(4, 0 * hour, stage="now")
    write(5, -2 * hour, stage="then")
    with watched.trouble("stamps_ahead", "books"):
        watched.fine("status", "--seen")
    crm.close()
    assert len(watched.told) == 5


def test_destinations(watched):
    """How each may fail, and what then waits."""
    watched.behave(out_check="fail")
    watched.daemon.start()
    with watched.trouble("destination_unreached", "out"):
        watched.behave()
        watched.hear("one")
    watched.behave(out_publish="auth")
    watched.hear("two")
    with watched.trouble("destination_refused", "out"):
        watched.behave()
        watched.fine("resume", "out")
    watched.behave(out_publish="limited")
    watched.hear("three")
    with watched.trouble("destination_limited", "out", "destination_late"):
        watched.behave()
    watched.behave(out_publish="transient")
    watched.hear("four")
    with watched.trouble("destination_failing", "out", "destination_late"):
        watched.behave()
    watched.behave(out_publish="transient")
    for number in range(6):
        watched.hear(f"five {number}")
    with watched.trouble("destination_ill", "out"):
        watched.behave()
    watched.behave(out_limits="raise")
    watched.hear("six")
    with watched.trouble("destination_faulty", "out", "destination_late"):
        watched.behave()
    watched.daemon.quiet()
    watched.behave(out_limits="slow")
    watched.daemon.stop()
    watched.daemon.start()
    watched.hear("seven")
    watched.hear("eight")
    with watched.trouble("destination_late", "out"):
        watched.fine("queue", "drop", "--destination", "out", "--yes")
    assert len(watched.told) == 7


def test_messages(watched):
    """Dead, held and doubtful ones."""
    watched.daemon.start()

    def change(**rule):
        watched.rule(**rule)
        watched.fine("reload")

    watched.behave(out_publish="reject")
    watched.hear("one")
    with watched.trouble("dead_rejected", "out"):
        watched.behave()
        watched.fine("dead", "retry", "--all", "--yes")
    watched.behave(out_publish="unknown")
    watched.hear("two")
    with watched.trouble("unknown", "out", "destination_failing"):
        watched.behave()
        (unknown,) = watched.daemon.ask("unknown_list")["deliveries"]
        watched.fine("unknown", "resolve", str(unknown["id"]), "--resend")
    change(publish=[{"to": "out", "text": "{{ record.none }}"}])
    watched.hear("three")
    with watched.trouble("dead_unrenderable", "out"):
        change(publish=[{"to": "out", "text": "{{ record.name }}"}])
        watched.fine("dead", "retry", "--all", "--yes")
    change(mode="draft")
    watched.hear("four")
    with watched.trouble("held_draft", "out"):
        change(mode="live")
        watched.fine("queue", "release", "--all", "--yes")
    change(surge={"over": 1, "per": "1h"})
    for name in ("five", "six"):
        watched.hear(name)
    with watched.trouble("held_surge", "out"):
        watched.fine("queue", "drop", "--all", "--yes")
    change(surge="off")
    watched.fine("pause", "out", "--reason", "lunch")
    watched.provoked("paused", "out")
    watched.hear("seven")
    with watched.trouble("pause_forgotten", "out", "destination_late"):
        watched.fine("queue", "hold", "--destination", "out", "--yes")
        watched.fine("resume", "out")
        watched.provoked("held_by_hand", "out")
        watched.fine("queue", "release", "--all", "--yes")
    change(publish=[{"to": "out", "text": "{{ record.name }}", "max_age": "1s"}])
    watched.fine("pause", "out", "--reason", "lunch")
    watched.hear("eight")
    watched.daemon.ask("status")
    time.sleep(1.2)  # it grows too old
    watched.fine("resume", "out")
    with watched.trouble("dead_expired", "out"):
        watched.fine("dead", "drop", "--all", "--yes")
    watched.daemon.config["destinations"]["out"]["cap"] = {"per_day": 0}
    change(publish=[{"to": "out", "text": "{{ record.name }}"}])
    watched.hear("nine")
    with watched.trouble("held_cap", "out"):
        del watched.daemon.config["destinations"]["out"]["cap"]
        watched.daemon.write()
        watched.fine("reload")
        watched.fine("queue", "release", "--all", "--yes")
    assert len(watched.told) == 10


def test_orders_and_configuration(watched):
    """What people do, or forget to do."""
    watched.daemon.start()
    good = watched.daemon.path.read_text()
    watched.daemon.path.write_text(good + "# a remark\n")
    with watched.trouble("config_changed"):
        watched.fine("reload")
    watched.daemon.path.write_text(good.replace("to: out", "to: nobody"))
    assert watched.daemon.cli("reload").returncode == 1
    with watched.trouble("reload_refused"):
        watched.daemon.path.write_text(good)
        watched.fine("reload")
    secret = watched.folder / "secrets" / "sink.secret"
    kept = secret.read_text()
    secret.unlink()
    until(lambda: ("secret_unreadable", "ops.secret") in watched.codes(), "the secret is missed", SOON)
    assert watched.daemon.cli("status").returncode == 1
    secret.write_text(kept)  # the alert itself needs it
    until(lambda: not watched.codes(), f"it is back: {watched.codes()}", SOON)
    (watched.folder / "secrets" / "beat").write_text(f"{NOWHERE}/beat\n")
    watched.fine("reload")
    with watched.trouble("heartbeat_failed"):
        (watched.folder / "secrets" / "beat").write_text(f"{watched.ops.url}/beat\n")
        watched.fine("reload")
    watched.fine("pause", "ops", "--reason", "holidays")
    watched.behave(odd_poll="login")
    until(lambda: ("alerts_unheard", "ops") in watched.codes(), "nobody is told", SOON)
    watched.behave()
    watched.fine("resume", "ops")
    until(lambda: not watched.codes(), f"somebody is told: {watched.codes()}", SOON)
    watched.behave(out_publish="transient")
    watched.hear("one")
    until(lambda: watched.daemon.destination("out")["queued"] == 1, "it waits")
    watched.daemon.stop()
    left = watched.daemon.config["destinations"].pop("out")
    watched.daemon.config["rules"] = []
    watched.daemon.write()
    watched.daemon.start()
    with watched.trouble("destination_gone", "out"):
        watched.fine("queue", "drop", "--destination", "out", "--yes")
    watched.daemon.stop()
    watched.daemon.config["destinations"]["out"] = left
    watched.daemon.write()
    watched.daemon.start("--shadow")
    watched.provoked("shadow", "")


def test_a_database_that_is_not_ours(watched):
    """Adopted, with what may have been said before."""
    watched.behave(out_publish="transient")
    watched.daemon.start()
    watched.hear("one")
    until(lambda: watched.daemon.destination("out")["queued"] == 1, "it waits")
    watched.fine("backup", str(watched.folder / "copy"))
    watched.daemon.stop()
    watched.behave()
    command = [CRMBRIDGE, "restore", watched.folder / "copy", "--yes", "-c", watched.daemon.path]
    subprocess.run(command, env=os.environ | watched.daemon.environment, check=True, capture_output=True)
    watched.daemon.start()
    until(lambda: ("adopt", "") in watched.codes(), f"it is silent: {watched.codes()}", SOON)
    assert watched.daemon.cli("status").returncode == 1
    watched.fine("adopt", "--yes")
    with watched.trouble("held_adopted", "out"):
        watched.fine("queue", "release", "--all", "--yes")


def test_the_machine(tmp_path, ops):
    """A small disk, a full one, one that is read only."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    with small_disk(tmp_path / "disk") as remount:
        watched = Watched(folder, ops)
        watched.daemon.config["store"] = {"path": str(tmp_path / "disk" / "crmbridge.db")}
        watched.daemon.config["admin"] = {"listen": str(folder / "data" / "crmbridge.sock")}
        (folder / "data").mkdir()
        watched.daemon.write()
        with watched.daemon:
            watched.daemon.start()
            watched.provoked("disk_low", "")
            fill(tmp_path / "disk")
            watched.behave(odd_poll="bring")  # something must be written for it to be noticed
            until(lambda: ("disk_full", "crmbridge.db") in watched.codes(), f"it is full: {watched.codes()}", SOON)
            assert watched.daemon.cli("status").returncode == 1
            (tmp_path / "disk" / "ballast").unlink()
            until(lambda: {code for code, _ in watched.codes()} == {"disk_low"}, f"there is room: {watched.codes()}", SOON)
            with contextlib.closing(sqlite3.connect(tmp_path / "disk" / "crmbridge.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # somebody else holds it
                until(lambda: ("database_refuses", "crmbridge.db") in watched.codes(), f"it refuses: {watched.codes()}", SOON)
                assert watched.daemon.cli("status").returncode == 1
                other.execute("ROLLBACK")
            watched.behave()
            until(lambda: {code for code, _ in watched.codes()} == {"disk_low"}, f"it is well: {watched.codes()}", SOON)
            remount(f"size={400 * MB}")
            watched.over("disk_low", "")


@pytest.mark.clock
def test_the_clock(watched):
    """It jumps, and a source that says nothing is missed."""
    shown = watched.folder / "shown"
    shown.write_text("+0")
    watched.daemon.environment |= {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(shown),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    watched.daemon.config["sources"]["odd"]["every"] = "20s"
    watched.daemon.write()
    watched.daemon.start()
    until(lambda: watched.daemon.ask("status")["sources"][0]["polled_at"], "it was read")
    shown.write_text("+1200")
    until(lambda: {code for code, _ in watched.codes()} == {"clock_jumped", "source_stalled"}, "the source is missed", SOON)
    assert watched.daemon.cli("status").returncode == 1
    until(lambda: ("source_stalled", "odd") not in watched.codes(), "it is read again", SOON)
    watched.provoked("clock_jumped", "")
    watched.fine("status", "--seen")
    watched.over("clock_jumped", "")


def test_what_ends_the_process(watched):
    """Three times, and then never again; everything else is told."""
    watched.daemon.start()
    watched.behave(out_publish="die")
    watched.hear("a message to die of")
    for _ in range(3):
        until(lambda: watched.daemon.process.poll() is not None, "it ends", SOON)
        watched.daemon.start() if _ == 2 else watched.daemon.spawn()
    watched.provoked("dead_quarantined", "out", "ended_uncleanly")
    watched.provoked("ended_uncleanly", "", "dead_quarantined")
    watched.behave()
    watched.hear("an honest one")
    watched.daemon.quiet()
    watched.hear("die of a request")
    for _ in range(3):
        until(lambda: watched.daemon.process.poll() is not None, "it ends", SOON)
        watched.daemon.start() if _ == 2 else watched.daemon.spawn()
    watched.provoked("requests_failed", "odd", "dead_quarantined", "ended_uncleanly")
    watched.fine("dead", "drop", "--all", "--yes")
    watched.fine("status", "--seen")
    watched.over("requests_failed", "odd")
