"""The CRM asked directly, beside the polls: backfill, audit, state, fields; and doctor and send-test, before anything runs."""

import contextlib
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from flow.daemon import until
from standins.hubspot import CLIENT_SECRET as HUBSPOT_SECRET
from standins.hubspot import REFRESH, Hubspot
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, Salesforce

from crmbridge.testing import ScriptedServer, answer


def fine(said):
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def asked(daemon, *arguments):
    return json.loads(fine(daemon.cli(*arguments, "-o", "json")))


@pytest.fixture
def crm(tmp_path):
    """A CRM's table with three deals: of last month, yesterday and an hour ago."""
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.sqlite", isolation_level=None)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE deal (id INTEGER PRIMARY KEY, name TEXT, stage TEXT, changed TEXT, gone INTEGER DEFAULT 0)")
        for id, hours in ((1, 24 * 30), (2, 24), (3, 1)):
            put(made, id, f"Deal {id}", "won", hours)
        yield made


def put(crm, id, name, stage, hours=0.0):
    stamp = (datetime.now(timezone.utc) - timedelta(hours=hours)).isoformat(timespec="seconds")
    crm.execute("INSERT OR REPLACE INTO deal (id, name, stage, changed) VALUES (?, ?, ?, ?)", (id, name, stage, stamp))


@pytest.fixture
def bridge(daemon, crm):
    table = {"table": "deal", "changed": "changed", "deleted": "gone", "url": "https://crm.example.com/deals/{id}"}
    records = {"Deal": {"fields": {"name": "internal", "stage": "internal"}}}
    source = {"type": "sql", "sqlite": "crm.sqlite", "every": "1s", "overlap": 5, "tables": {"Deal": table}, "records": records}
    daemon.keep("sink")
    daemon.config["sources"]["crm"] = source
    daemon.config["destinations"]["sink"]["max_age"] = "off"
    daemon.config["rules"][0] |= {"match": {"stage": {"becomes": "won"}}}
    daemon.write()
    return daemon


def started(bridge):
    bridge.start()
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    return bridge


def test_a_backfill_says_once_what_was_there_before(bridge, crm, networks):
    """Of a time, as if each record were new; what is said is not said again, by a second one or by the live poll; the cursor stays."""
    started(bridge)
    cursor = bridge.ask("state_show", source="crm")["cursor"]
    dry = asked(bridge, "backfill", "crm", "--since", "7d", "--dry-run")
    assert (dry["records"], dry["messages"]) == (2, 2)
    assert sorted(one["text"] for one in dry["examples"]) == ["Deal 2 signed", "Deal 3 signed"]
    assert networks.said_at_the_sink == []

    assert fine(bridge.cli("backfill", "crm", "--since", "7d", "--until", "2h", "-y")).endswith("1 queued\n")
    bridge.quiet()
    assert networks.said_at_the_sink == ["Deal 2 signed"]
    assert fine(bridge.cli("backfill", "crm", "--since", "7d", "-y")).endswith("1 queued\n")
    bridge.quiet()
    assert sorted(networks.said_at_the_sink) == ["Deal 2 signed", "Deal 3 signed"]
    assert fine(bridge.cli("backfill", "crm", "--since", "7d", "-y")) == "2 records lead to 0 messages not said yet\n"
    assert json.loads(bridge.ask("state_show", source="crm")["cursor"])["tables"].keys() == json.loads(cursor)["tables"].keys()

    put(crm, 3, "Deal 3", "open")
    put(crm, 4, "Deal 4", "open")
    until(lambda: bridge.ask("explain", name="crm/Deal/4")["records"], "changes are seen as before")
    put(crm, 4, "Deal 4", "won")
    until(lambda: "Deal 4 signed" in networks.said_at_the_sink, "and said")
    assert asked(bridge, "backfill", "crm", "--since", "7d", "--dry-run")["messages"] == 0, "what was said live is said"


def test_a_backfill_never_says_twice(bridge, crm, networks):
    """Not what a poll is about to say, not for a field that is new in the configuration, not when something else changed since."""
    started(bridge)
    put(crm, 3, "Deal 3", "open")
    until(lambda: bridge.ask("explain", name="crm/Deal/3")["records"][0]["now"]["stage"] == "open", "it is open")
    put(crm, 3, "Deal 3", "won")
    until(lambda: networks.said_at_the_sink == ["Deal 3 signed"], "it is said")
    put(crm, 3, "Deal three", "won")
    until(lambda: bridge.ask("explain", name="crm/Deal/3")["records"][0]["now"]["name"] == "Deal three", "it is renamed")
    assert "1 queued" in fine(bridge.cli("backfill", "crm", "--since", "7d", "-y"))
    bridge.quiet()
    assert networks.said_at_the_sink == ["Deal 3 signed", "Deal 2 signed"]

    bridge.config["sources"]["crm"]["records"]["Deal"]["fields"]["gone"] = "internal"
    bridge.config["sources"]["crm"]["every"] = "1h"
    bridge.write()
    fine(bridge.cli("reload"))
    put(crm, 2, "Deal two", "won", hours=20)
    put(crm, 1, "Deal 1", "open")
    said = fine(bridge.cli("backfill", "crm", "--since", "7d", "-y"))
    assert said.startswith("3 records lead to 0 messages")
    bridge.quiet()
    assert networks.said_at_the_sink == ["Deal 3 signed", "Deal 2 signed"]


def test_a_backfill_keeps_its_pace(bridge, crm, networks, monkeypatch):
    """No more messages at once than may go in a minute."""
    waited = []
    monkeypatch.setattr("crmbridge.cli.sources.time", SimpleNamespace(sleep=lambda seconds: waited.append(round(seconds))))
    started(bridge)
    said = bridge.cli("backfill", "crm", "--since", "90d", "--rate", "1", "-y")
    assert "3 queued" in fine(said)
    bridge.quiet()
    assert waited == [60, 60]
    assert len(networks.said_at_the_sink) == 3


def test_a_new_field_is_no_loss(bridge, crm):
    """An audit compares what is known of a record, and no more."""
    started(bridge)
    bridge.config["sources"]["crm"]["records"]["Deal"]["fields"]["gone"] = "internal"
    bridge.config["sources"]["crm"]["every"] = "1h"
    bridge.write()
    fine(bridge.cli("reload"))
    assert "; 0 are known here otherwise" in fine(bridge.cli("audit", "crm", "--since", "90d"))


def test_many_who_move_a_cursor_leave_one_poller(bridge, crm):
    """And a cursor that is not this source's is refused at once."""
    started(bridge)
    refused = bridge.cli("state", "set", "crm", "--cursor", "rubbish", "-y")
    assert (refused.returncode, "cannot be read" in refused.stderr) == (1, True)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: bridge.admin("POST", "/api/v1/state_set", '{"source": "crm", "since": "1d"}')[0], range(8)))
        bridge.cli("reload")
    assert set(answers) == {200}
    before = bridge.ask("status")["sources"][0]["read"]
    time.sleep(3.5)
    polls = metric(bridge, 'crmbridge_polls_total{outcome="ok",source="crm"}')
    time.sleep(3)
    assert metric(bridge, 'crmbridge_polls_total{outcome="ok",source="crm"}') - polls <= 5
    assert before is not None


def metric(bridge, name):
    text = bridge.admin("GET", "/metrics")[1]
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name)))


def test_an_audit_names_what_was_missed(bridge, crm):
    """A row whose stamp lies behind all that was read is what no poll finds."""
    started(bridge)
    assert fine(bridge.cli("audit", "crm")).startswith("2 records changed by their stamps; 0 are known")
    put(crm, 2, "Deal 2", "lost", hours=10)
    put(crm, 5, "Deal 5", "won", hours=20)
    crm.execute("UPDATE deal SET gone = 1 WHERE id = 3")
    found = bridge.cli("audit", "crm", "--since", "7d", "-o", "json")
    assert found.returncode == 1
    assert {one["record"]: one["why"] for one in json.loads(found.stdout)["missing"]} == {
        "crm/Deal/2": "not seen since it changed: stage",
        "crm/Deal/5": "never seen",
        "crm/Deal/3": "its deletion was not seen",
    }
    assert "crmbridge state set crm --since 7d" in found.stderr


def test_reading_on_from_elsewhere_finds_what_was_missed(bridge, crm, networks):
    """And says nothing of what did not change; also back to a cursor that was shown."""
    started(bridge)
    before = bridge.ask("state_show", source="crm")["cursor"]
    put(crm, 5, "Deal 5", "won", hours=20)
    assert bridge.cli("state", "set", "crm").returncode == 2
    fine(bridge.cli("state", "set", "crm", "--since", "2d", "-y"))
    until(lambda: networks.said_at_the_sink == ["Deal 5 signed"], "it is read")
    assert fine(bridge.cli("audit", "crm")).startswith("3 records changed by their stamps; 0 are known")
    fine(bridge.cli("state", "set", "crm", "--cursor", before, "-y"))
    bridge.stop()
    assert asked(bridge, "state", "show", "crm")["baselined"] is True
    fine(bridge.cli("state", "set", "crm", "--since", "2d", "-y"))
    assert bridge.cli("state", "set", "nobody", "--since", "2d", "-y").returncode == 2


def test_what_may_be_configured(bridge, crm):
    """Names, types and a value, from the CRM itself."""
    crm.execute("ALTER TABLE deal ADD amount REAL DEFAULT 8.5")
    found = {one["name"]: one for one in asked(bridge, "fields", "crm")["Deal"]}
    assert (found["name"]["sample"], found["stage"]["sample"]) == ("Deal 1", "won")
    assert {one["name"]: one["type"] for one in found.values()} == {"name": "text", "stage": "text", "amount": "number"}
    assert "name" in fine(bridge.cli("fields", "crm", "Deal"))
    assert bridge.cli("fields", "nobody").returncode == 2


def test_a_shadow_queues_nothing_and_shows_what_it_recorded(bridge, crm, networks):
    """What is ordered under it would be said later, when nobody thinks of it."""
    bridge.start("--shadow")
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    for order in (["backfill", "crm"], ["replay"]):
        assert "1 queued" not in bridge.cli(*order, "--since", "7d", "-y").stdout
    refused = bridge.cli("backfill", "crm", "--since", "7d", "-y")
    assert (refused.returncode, "--shadow" in refused.stderr) == (1, True)
    put(crm, 3, "Deal 3", "open")
    until(lambda: bridge.ask("explain", name="crm/Deal/3")["records"][0]["now"]["stage"] == "open", "it is seen")
    put(crm, 3, "Deal 3", "won")
    until(lambda: asked(bridge, "queue", "list", "--state", "shadow")["count"] == 1, "it is recorded")
    assert asked(bridge, "queue", "list", "--state", "shadow")["deliveries"][0]["text"] == "Deal 3 signed"
    assert networks.said_at_the_sink == []


def test_fields_of_every_kind_of_source(bridge, daemon):
    """Also where the CRM calls us, and where there is nothing to show a sample of."""
    bridge.config["sources"]["crm"] = {
        "type": "webhook",
        "signature": {"scheme": "none"},
        "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"},
    }
    bridge.config["rules"] = []
    bridge.write()
    said = bridge.cli("fields", "crm", "Deal")
    assert (said.returncode, "its CRM calls us" in said.stderr) == (1, True)
    with Hubspot() as crm:
        crm.create(title="Parkers")
        oauth = {"client_id": "app", "client_secret": HUBSPOT_SECRET, "refresh_token": REFRESH}
        records = {"deals": {"fields": {"dealname": "internal"}}}
        bridge.config["sources"]["crm"] = {"type": "hubspot", "oauth": oauth, "api_url": crm.url, "records": records}
        bridge.write()
        found = {one["name"]: one for one in asked(bridge, "fields", "crm")["deals"]}
    assert (found["dealname"]["sample"], found["dealstage"]["choices"]["won"]) == ("Parkers", "Closed Won")
    with Salesforce() as crm:
        crm.create(title="Parkers")
        login = {"flow": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        records = {"Opportunity": {"fields": {"Name": "internal"}}}
        bridge.config["sources"]["crm"] = {"type": "salesforce", "url": crm.url, "login": login, "records": records}
        bridge.write()
        found = {one["name"]: one for one in asked(bridge, "fields", "crm")["Opportunity"]}
        id = next(iter(crm.rows))
        crm.rows[id].team = ["2"]
        assert [one["role"] for one in asked(bridge, "team", f"crm/Opportunity/{id}")] == ["owner", "Sales"]
        assert "Susan Vale" in fine(bridge.cli("team", f"crm/Opportunity/{id}"))
        assert bridge.cli("team", "crm/Opportunity").returncode == 2
    assert found["StageName"]["label"] == "StageName label"


NESTED = {
    "id": 7, "at": "2026-11-30T12:00:00Z", "name": "Parkers", "open": True, "value": {"amount": 8.5, "currency": {"code": "EUR"}},
    "owner": None, "tags": ["a", "b"], "people": [{"name": "Ann"}],
}  # fmt: skip


@pytest.fixture
def api(bridge):
    """A source of `type: rest` whose API has one record, with others in it; `fields` are configured."""

    def configured(*fields):
        types = {"Deal": {"path": "/deals", "changed": "at"}}
        records = {"Deal": {"fields": dict.fromkeys(fields, "internal")}}
        auth = {"scheme": "bearer", "token": "literal-token"}
        bridge.config["sources"]["crm"] = {"type": "rest", "url": server.url, "auth": auth, "types": types, "records": records}
        bridge.config["rules"] = []
        bridge.write()
        return bridge

    with ScriptedServer(answer(200, [NESTED])) as server:
        yield configured


def test_fields_within_fields(api):
    """By the paths and types that one would configure; a list of records is none."""
    found = asked(api("name"), "fields", "crm", "Deal")["Deal"]
    assert {one["name"]: (one["type"], one["sample"]) for one in found} == {
        "id": ("number", "7"),
        "at": ("text", "2026-11-30T12:00:00Z"),
        "name": ("text", "Parkers"),
        "open": ("boolean", "true"),
        "value.amount": ("number", "8.5"),
        "value.currency.code": ("text", "EUR"),
        "owner": ("any", None),
        "tags": ("set", "a, b"),
    }


def test_the_paths_that_are_named_can_be_read(api):
    """Each of them: none is a field that no record has."""
    bridge = api("name")
    paths = [one["name"] for one in asked(bridge, "fields", "crm", "Deal")["Deal"]]
    assert [one["note"] for one in asked(api(*paths), "doctor", "crm") if one["what"] == "source crm (rest)"] == [""]


def test_a_doctor_says_which_field_may_be_misspelt(api):
    """Where it looked and what is there; one record without it proves nothing."""
    bridge = api("titel", "value.amount")
    words = "a field may be misspelt: Deal: none of 1 records has titel; the first has at, id, name, open, owner, people, tags, value"
    (found,) = [one for one in asked(bridge, "doctor", "crm") if one["what"] == "source crm (rest)"]
    assert (found["ok"], found["note"]) == (True, words)
    said = bridge.cli("doctor", "crm")
    assert f"fine    source crm (rest): {words}" in said.stdout.splitlines()
    assert "misspelt" not in said.stderr


def test_a_doctor_goes_on_to_the_end(bridge):
    """Whatever is wrong with one thing, the others are looked at."""
    bridge.config["sources"]["crm"]["sqlite"] = "gone.sqlite"
    records = {"deals": {"fields": {"owner.nme": "internal"}}}
    bridge.config["sources"]["other"] = {"type": "hubspot", "token": "literal-token", "records": records}
    bridge.write()
    found = json.loads(bridge.cli("doctor", "-o", "json").stdout)
    names = ["source crm (sql)", "source other (hubspot)", "destination sink (webhook)"]
    assert [(one["what"], one["ok"]) for one in found[1:]] == list(zip(names, [False, False, True], strict=True))
    assert "owner.nme" in found[2]["problem"]


def test_a_doctor_looks_everywhere(bridge, networks, tmp_path):
    """Each thing by its name with what is wrong, and nothing is published."""
    said = fine(bridge.cli("doctor"))
    assert [line.split()[0] for line in said.splitlines()] == ["fine"] * 4
    assert "right of crm: SELECT on all columns of deal: changes" in said
    (tmp_path / "crm.sqlite").rename(tmp_path / "elsewhere.sqlite")
    found = bridge.cli("doctor", "-o", "json")
    assert found.returncode == 1
    (bad,) = [one for one in json.loads(found.stdout) if not one["ok"]]
    assert bad["what"] == "source crm (sql)"
    assert "crm.sqlite" in bad["problem"]
    assert networks.said_at_the_sink == []


def test_a_test_message_goes_out_at_once(daemon, networks):
    """Past the queue, without a daemon; the public hears one only if it is meant."""
    daemon.keep("sink", "brand", "feed")
    assert "published" in fine(daemon.cli("send-test", "sink", "--text", "hello"))
    assert networks.said_at_the_sink == ["hello"]
    assert daemon.cli("send-test", "brand").returncode == 1
    assert networks.said_on_x == []
    fine(daemon.cli("send-test", "brand", "-y"))
    assert len(networks.said_on_x) == 1
    assert "not published" in daemon.cli("send-test", "feed", "--channel", "test").stderr
    daemon.start()
    fine(daemon.cli("send-test", "feed", "--channel", "test", "--text", "hello feed"))
    assert daemon.feed_posts() == ["hello feed"]
    assert daemon.cli("send-test", "nobody").returncode == 2
