"""Fields that a message cannot do without and that may be empty, or that hold HTML, are told of before the first message."""

import contextlib
import json
import sqlite3
from datetime import datetime, timezone

import pytest
from flow.daemon import until
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, Salesforce

RULES = {
    "plain": ({}, "{{ record.Name }} {{ record.Amount | money }}"),
    "asks": ({"Amount": {"exists": True}}, "{{ record.Name }} {{ record.Amount | money }}"),
    "stands-in": ({}, "{{ record.Name }} {{ record.Amount | money if record.Amount is not none else 'some money' }}"),
}


def rules(record_type, **match):
    return [
        {"id": id, "when": {"source": "crm", "record": record_type}, "match": {**match, **asked}, "publish": [{"to": "sink", "text": text}]}
        for id, (asked, text) in RULES.items()
    ]


def linted(daemon):
    """What `lint` notes, by rule and step; and as people read it."""
    said = daemon.cli("lint", "-o", "json")
    assert said.returncode == 0, said.stdout + said.stderr
    return {(one["rule"], one["step"]): one["empty"] for one in json.loads(said.stdout)["empty"]}, daemon.cli("lint").stdout


@pytest.fixture
def bridge(daemon, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.sqlite", isolation_level=None)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE deal (id INTEGER PRIMARY KEY, Name TEXT, Amount NUMERIC, changed TEXT)")
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        made.executemany("INSERT INTO deal VALUES (?, ?, ?, ?)", [(id, "Parkers", None if id < 3 else 7, now) for id in range(1, 6)])
    daemon.keep("sink")
    daemon.config["sources"]["crm"] = {
        "type": "sql",
        "sqlite": "crm.sqlite",
        "every": "1s",
        "tables": {"Deal": {"table": "deal", "changed": "changed"}},
        "records": {"Deal": {"fields": {"Name": "internal", "Amount": "number"}}},
    }
    daemon.config["rules"] = rules("Deal", Name="Parkers")
    daemon.write()
    return daemon


def test_the_records_that_were_seen_tell(bridge):
    """A running daemon knows how many of them have nothing there; a rule that asks first, or says what stands instead, is not named."""
    assert linted(bridge)[0] == {}, "nobody knows anything yet"
    bridge.start()
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    found, words = linted(bridge)

    assert found == {("plain", "sink"): {"Amount": "in 2 of 5 records"}}
    assert "the rule plain, step sink" in words
    assert "record.Amount (in 2 of 5 records)" in words


def test_a_rule_test_tells(bridge):
    """Somebody wrote that the field is empty there."""
    test = {"name": "no amount", "given": {"record": {"Name": "Parkers", "Amount": None}}, "expect": [{"to": "sink"}]}
    bridge.config["rules"][2]["tests"] = [test]
    bridge.write()

    assert linted(bridge)[0] == {("plain", "sink"): {"Amount": "in the test `no amount`"}}


def test_the_crm_tells_the_doctor_and_lint_remembers(daemon):
    """Salesforce describes which fields may be empty; `doctor` asks it, and `lint` needs no network afterwards."""
    with Salesforce() as crm:
        for name, secret in (("id", CLIENT_ID), ("secret", CLIENT_SECRET)):
            (daemon.folder / "secrets" / name).write_text(secret + "\n")
        daemon.keep("sink")
        daemon.config["sources"]["crm"] = {
            "type": "salesforce",
            "url": crm.url,
            "login": {"flow": "client_credentials", "client_id": {"file": "secrets/id"}, "client_secret": {"file": "secrets/secret"}},
            "records": {"Opportunity": {"fields": {"Name": "internal", "StageName": "internal", "Amount": "money", "Plan__c": "internal"}}},
        }
        texts = {"as-it-is": "{{ record.Plan__c | default('') }}x", "words": "{{ record.Plan__c | default('') | plain }}x"}
        when = {"source": "crm", "record": "Opportunity"}
        rich = [{"id": id, "when": when, "publish": [{"to": "sink", "text": text}]} for id, text in texts.items()]
        daemon.config["rules"] = rules("Opportunity", StageName="Won") + rich
        daemon.write()
        assert linted(daemon)[0] == {}
        said = daemon.cli("doctor", "crm", "-o", "json")
    found = {one["what"]: (one["ok"], one["note"]) for one in json.loads(said.stdout)}

    assert found["rule plain, step sink"] == (
        True,
        "a dead letter where record.Amount is empty, and the CRM lets it be: say `default`, or ask with `exists`",
    )
    assert [name for name in found if name.startswith("rule ")] == ["rule plain, step sink"]
    assert found["field Plan__c of crm/Opportunity"][1].startswith("holds HTML, and its tags would be said: write `Plan__c: {type: html}`")
    assert linted(daemon)[0] == {("plain", "sink"): {"Amount": "as the CRM lets it be"}}
