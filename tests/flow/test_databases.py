"""A CRM in a database, as Django keeps it: wins, deletions and changes without a stamp are told once each, on every kind of database."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest
from flow.daemon import until

CRM = Path(__file__).with_name("crms") / "with_django.py"
WON = "{{ record.name }} is won: {{ record.amount | money('EUR') }}, {{ record.closes | default('no day') }}"
RULES = [
    {"id": "won", "match": {"won": {"becomes": True}}, "says": WON},
    {"id": "renamed", "match": {"name": {"changed": True}}, "says": "{{ before.name }} is {{ record.name }}"},
    {"id": "gone", "event": ["deleted"], "says": "{{ record.name }} is gone"},
]


@pytest.fixture(params=["sqlite", *(pytest.param(one, marks=pytest.mark.xdist_group(one)) for one in ("postgres", "mariadb"))])
def crm(request, tmp_path):
    """An empty database: its address for Django, and what a source is told."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path / 'crm.sqlite'}", {"sqlite": "crm.sqlite"}
    address = request.getfixturevalue(request.param)
    name, url = f"django{os.getpid()}", urlsplit(address)
    if request.param == "postgres":
        with psycopg.connect(address, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
            admin.execute("ALTER ROLE crm RESET search_path")
    else:
        admin = pymysql.connect(host=url.hostname, port=url.port, user=url.username)
        admin.cursor().execute(f"CREATE DATABASE {name}")
        admin.close()
    there = address.rpartition("/")[0] + f"/{name}"
    return there, {"mysql" if request.param == "mariadb" else "postgres": there}


def test_what_django_does_is_told_once(crm, daemon, tmp_path):
    """With nothing said of truth, nor of deletions but how soon they are looked for."""
    address, where = crm

    def press(*buttons):
        subprocess.run([sys.executable, CRM, address, *buttons], check=True, timeout=60)

    press("make")
    daemon.config["sources"] = {
        "crm": {
            "type": "sql",
            **where,
            "every": "1s",
            "tables": {"Deal": {"table": "crm_deal", "changed": "updated_at", "deletes_every": "1s", "compare": "1s"}},
            "records": {"Deal": {"fields": {"name": "internal", "won": "internal", "amount": "money", "closes": "internal"}}},
        }
    }
    daemon.config["destinations"] = {"out": {"type": "file", "path": "out.jsonl"}}
    daemon.config["rules"] = [
        {
            "id": rule["id"],
            "when": {"source": "crm", "record": "Deal", "event": rule.get("event", ["created", "updated"])},
            "match": rule.get("match", {}),
            "publish": [{"to": "out", "text": rule["says"]}],
        }
        for rule in RULES
    ]
    daemon.write()
    out = tmp_path / "out.jsonl"

    def said():
        return sorted(json.loads(line)["text"] for line in out.read_text("utf-8").splitlines()) if out.exists() else []

    daemon.start()
    until(lambda: daemon.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    expected = []
    for button, words in (
        ("win:1", "Deal 1 is won: €250,000.50, 2026-12-01"),
        ("rename:2", "Deal 2 is Renamed"),
        ("delete:3", "Deal 3 is gone"),
        ("add:", "New is won: €1, no day"),
    ):
        press(button)
        expected.append(words)
        until(lambda: len(said()) >= len(expected), f"{words} is said: {said()}")
        assert said() == sorted(expected)
    looked = daemon.ask("status")["sources"][0]["polled_at"]
    until(lambda: daemon.ask("status")["sources"][0]["polled_at"] > looked, "another poll, with another walk")
    assert said() == sorted(expected)
    assert not daemon.ask("status")["troubles"]
    assert daemon.stop() == 0


def test_an_audit_finds_what_no_poll_can_see(daemon, tmp_path):
    """Deleted rows, and rows that changed without their stamp, where nothing looks for them; and it says what it cannot see."""
    crm = sqlite3.connect(tmp_path / "crm.sqlite", isolation_level=None)
    crm.execute("CREATE TABLE deal (id INTEGER PRIMARY KEY, name TEXT, at TEXT)")
    crm.executemany("INSERT INTO deal VALUES (?, ?, '2026-01-01 10:00:00')", [(id, f"Deal {id}") for id in range(1, 6)])
    crm.execute("INSERT INTO deal VALUES (9, 'New', '2026-01-02 10:00:00')")
    table = {"table": "deal", "changed": "at", "deletes_every": "off", "compare": "off"}
    daemon.config["sources"] = {
        "crm": {
            "type": "sql",
            "sqlite": "crm.sqlite",
            "every": "1s",
            "tables": {"Deal": table},
            "records": {"Deal": {"fields": {"name": "internal"}}},
        }
    }
    daemon.config["destinations"] = {"out": {"type": "file", "path": "out.jsonl"}}
    daemon.config["rules"] = [
        {"id": "any", "when": {"source": "crm", "record": "Deal"}, "publish": [{"to": "out", "text": "{{ record.name }}"}]}
    ]
    daemon.write()
    daemon.start()
    until(lambda: daemon.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    well = daemon.cli("audit", "crm")
    assert (well.returncode, "; 0 are known here otherwise" in well.stdout) == (0, True), well.stdout
    assert "This cannot see:\n  what changed and changed back between two looks" in well.stdout

    crm.execute("DELETE FROM deal WHERE id = 1")
    crm.execute("UPDATE deal SET name = 'Renamed' WHERE id = 2")
    found = daemon.cli("audit", "crm", "-o", "json")
    missing = {one["record"]: one["why"] for one in json.loads(found.stdout)["missing"]}
    assert (found.returncode, missing) == (
        1,
        {"crm/Deal/1": "it is gone there, and that was not seen", "crm/Deal/2": "not seen since it changed: name"},
    )
    said = daemon.cli("backfill", "crm", "--since", "900d", "--dry-run").stdout
    assert "1 of them changed without a newer stamp: no poll tells of those" in said
    crm.execute("UPDATE deal SET name = 'Newer', at = '2026-01-01 10:00:01' WHERE id = 3")
    said = daemon.cli("backfill", "crm", "--since", "900d", "--dry-run").stdout
    assert "1 of them differ from what is known here, and are not said" in said
    crm.close()
    assert daemon.stop() == 0
