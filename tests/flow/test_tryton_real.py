"""A daemon beside a real Tryton: every change is journalled once with its old values, and said once on Chirp.

It writes to that Tryton: by its API, and to its tables for what an API cannot time. Use one that holds nothing else.
"""

import base64
import collections
import contextlib
import json
import os
import sqlite3
import time
from dataclasses import dataclass

import psycopg
import pytest
import requests
from flow.daemon import until
from shared import need

from connectors.sources.tryton import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.model import Choice, FieldSpec, FieldType

# One group, for one of them takes the user's company away for a moment.
pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.xdist_group("tryton")]

MODEL = "sale.opportunity"
WAVE = 500
NEEDED = ("URL", "DATABASE", "KEY", "USER", "PASSWORD", "SQL")
COMMAND = 'eval "$(sh examples/tryton-to-chirp/tryton.sh up /tmp/tryton)" (one minute; it needs PostgreSQL, and brings Tryton 8.2)'
FIELDS = {"description": "internal", "state": "internal", "amount": "number", "party.rec_name": "internal", "employee.rec_name": "internal"}


@dataclass
class Change:
    """What must stand in the journal."""

    kind: str
    description: str
    before: str | None


class Tryton:
    """Writes as users do, and remembers what must be told."""

    def __init__(self):
        given = {name: os.environ.get(f"CRMBRIDGE_TRYTON_{name}", "") for name in NEEDED}
        need(all(given.values()), "a real Tryton", COMMAND)
        self.url, self.database, self.key = given["URL"].rstrip("/"), given["DATABASE"], given["KEY"]
        self.sql, self.user = given["SQL"], given["USER"]
        self.wanted = collections.defaultdict(list)
        self.http = requests.Session()
        self.base = f"{self.url}/{self.database}"
        found = self.rpc("common.db.login", given["USER"], {"password": given["PASSWORD"]}, "en")
        self.session = base64.b64encode(f"{given['USER']}:{found[0]}:{found[1]}".encode()).decode()
        (employee,) = self.rest("GET", "company.employee?f=id&s=1")
        party = self.rest("GET", "party.party?f=name")[-1]["id"]
        (company,) = self.rest("GET", "company.company?f=currency&s=1")
        self.defaults = {"party": party, "employee": employee["id"], "company": company["id"], "currency": company["currency"]}

    def rpc(self, method, *params):
        headers = {"Authorization": f"Session {self.session}"} if "login" not in method else {}
        answer = self.http.post(f"{self.base}/rpc/", json={"id": 1, "method": method, "params": params}, headers=headers, timeout=60)
        answer.raise_for_status()
        assert "error" not in answer.json(), answer.text[:500]
        return answer.json()["result"]

    def rest(self, verb, path, body=None):
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = self.http.request(verb, f"{self.base}/rest/model/{path}", json=body, headers=headers, timeout=60)
        assert answer.ok, (verb, path, answer.text[:500])
        return answer.json() if answer.content else None

    # --- changes

    def create(self, *descriptions):
        """In one transaction."""
        rows = [{**self.defaults, "description": one} for one in descriptions]
        ids = self.rpc(f"model.{MODEL}.create", rows, {})
        for id, one in zip(ids, descriptions, strict=True):
            self.wanted[id].append(Change("created", one, None))
        return ids

    def update(self, id, description):
        self.rest("PUT", f"{MODEL}/{id}", {"description": description})
        self.must(id, description)

    def update_all(self, ids, description):
        """In one transaction of Tryton's: one stamp."""
        self.rpc(f"model.{MODEL}.write", ids, {"description": description}, {})
        for id in ids:
            self.must(id, description)

    def delete(self, id):
        """Tryton wants it cancelled first, which is a change of its own."""
        self.rest("POST", f"{MODEL}/{id}/cancel", {})
        self.rest("DELETE", f"{MODEL}/{id}")
        last = self.wanted[id][-1].description
        self.wanted[id] += [Change("updated", last, last), Change("deleted", last, last)]

    def must(self, id, description):
        self.wanted[id].append(Change("updated", description, self.wanted[id][-1].description))

    @contextlib.contextmanager
    def transaction(self):
        """One on Tryton's database; its stamps are those of its beginning, as Tryton's own are."""
        with psycopg.connect(self.sql, autocommit=True) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            yield connection

    def write(self, connection, id, description):
        """What Tryton's own write leaves: the record, and its row in the history."""
        found = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'sale_opportunity__history' AND column_name <> '__id'"
        )
        columns = ", ".join(f'"{name}"' for (name,) in found.fetchall())
        statement = f"""
            WITH changed AS (
                UPDATE sale_opportunity SET description = %s, write_date = CURRENT_TIMESTAMP WHERE id = %s RETURNING {columns}
            ) INSERT INTO sale_opportunity__history ({columns}) SELECT {columns} FROM changed"""
        connection.execute(statement, (description, id))
        self.must(id, description)


@pytest.fixture
def tryton():
    return Tryton()


@pytest.fixture
def source(tryton):
    """The source by itself, with a model that keeps history and one that keeps none."""
    options = CONNECTOR.options(url=tryton.url, database=tryton.database, key=tryton.key, deletes_every=0)
    spec = {MODEL: dict.fromkeys(FIELDS, FieldSpec()), "party.party": {"name": FieldSpec()}}
    made = CONNECTOR.build(options, Setting(name="crm", records=spec))
    yield made
    made.close()


def read(source, cursor):
    """One poll to its end: what it saw, and where it stands."""
    page = source.poll(cursor)
    seen = list(page.observations)
    while page.has_more:
        page = source.poll(page.cursor)
        seen += page.observations
    return seen, page.cursor


@pytest.fixture
def bridge(daemon, tryton):
    (daemon.folder / "secrets" / "tryton").write_text(tryton.key + "\n")
    daemon.keep("feed")
    daemon.config["sources"]["crm"] = {
        "type": "tryton",
        "url": tryton.url,
        "database": tryton.database,
        "key": {"file": "secrets/tryton"},
        "every": "2s",
        "overlap": 30,
        "page": 100,
        "deletes_every": 2,
        "records": {MODEL: {"fields": FIELDS}},
    }
    text = "{{ event.record_id }} {{ event.kind }} {{ record.description }}"
    place = {"to": "feed", "channel": {"for": "event.record_id", "title": "event.record_id"}}
    common = {"when": {"source": "crm", "record": MODEL}, "surge": "off"}  # a thousand within one second are what is asked for
    daemon.config["rules"] = [
        common | {"id": "made", "when": common["when"] | {"event": "created"}, "publish": [place | {"text": text}]},
        common
        | {
            "id": "changed",
            "when": common["when"] | {"event": ["updated", "deleted"]},
            "publish": [place | {"text": text + " (before: {{ before.description }})"}],
        },
    ]
    daemon.write()
    return daemon


def journal(bridge):
    """(record, kind, description, description before) of each event, in order."""
    with contextlib.closing(sqlite3.connect(f"file:{bridge.folder}/data/crmbridge.db?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT record_id, kind, fields, before FROM events ORDER BY seq").fetchall()
    return [
        (int(id), kind, json.loads(fields).get("description"), json.loads(before).get("description")) for id, kind, fields, before in rows
    ]


def wait(bridge, tryton):
    """Until as much is journalled as must be."""
    wanted = sum(map(len, tryton.wanted.values()))
    began = time.monotonic()
    until(lambda: len(journal(bridge)) >= wanted, f"{wanted} changes; {bridge.output[-1500:]}", moved=lambda: len(journal(bridge)))
    return round(time.monotonic() - began, 1)


def test_models_fields_and_people(source, tryton):
    """What is configured is checked, described, and who works on a record is known; what is not there is named."""
    source.check()
    infos = {one.name: one for one in source.schema(MODEL)}
    assert (infos["amount"].type, infos["state"].choices["lost"]) == (FieldType.NUMBER, "Lost")
    with pytest.raises(SourceError, match="no such model"):
        source.schema("Nonsense")
    (id,) = tryton.create("for its people")
    (member,) = source.members(MODEL, str(id))
    assert (member.role, bool(member.name)) == ("owner", True)
    seen, cursor = read(source, None)
    (one,) = [one for one in seen if one.record_id == str(id) and one.record_type == MODEL]
    assert one.fields["employee.rec_name"] == member.name
    assert isinstance(one.fields["state"], Choice)
    party = tryton.rest("POST", "party.party", {"name": "Nordlicht"})["id"]
    tryton.rest("PUT", f"party.party/{party}", {"name": "Nordlicht AG"})
    tryton.update(id, "changed")
    seen, cursor = read(source, cursor)
    told = [(one.record_type, one.fields, one.before, one.actor) for one in seen if one.record_id in (str(party), str(id))]
    assert ("party.party", {"name": "Nordlicht AG"}, None, "admin") in told
    tryton.rest("DELETE", f"party.party/{party}")
    assert [one for one in read(source, cursor)[0] if one.deleted and one.record_type == "party.party"] == [], "no history, no deletions"


def test_what_the_user_may_not_see_any_more_is_not_deleted(source, tryton):
    """A user who leaves a company sees none of its records; who comes back sees them, and nothing is new."""
    ids = [str(id) for id in tryton.create("a", "b")]
    cursor = read(source, None)[1]
    (me,) = tryton.rpc("model.res.user.search", [["login", "=", tryton.user]], 0, 1, None, {})
    (had,) = tryton.rpc("model.res.user.read", [me], ["companies", "company", "employees", "employee"], {})
    several = ("employees", "companies")
    left = {"employee": None, "company": None} | {name: [["remove", had[name]]] for name in several}
    tryton.rpc("model.res.user.write", [me], left, {})
    try:
        seen, cursor = read(source, cursor)
        assert [one for one in seen if one.record_type == MODEL and one.record_id in ids] == []
    finally:
        back = {"employee": had["employee"], "company": had["company"]} | {name: [["add", had[name]]] for name in several}
        tryton.rpc("model.res.user.write", [me], back, {})
    seen, cursor = read(source, cursor)
    assert {one.record_id for one in seen if one.record_type == MODEL} >= set(ids)
    assert not any(one.deleted for one in seen if one.record_id in ids)


@pytest.mark.timeout(600)
def test_every_change_is_journalled_once_and_said_once(bridge, tryton, figures):
    """Creations, updates between two polls, deletions, waves of 500, a kill, and a transaction that commits late."""
    (old,) = tryton.create("there before")
    tryton.wanted.clear()  # learnt silently
    tryton.wanted[old] = []
    bridge.start()
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt", 60)

    # A life while it runs, and what was there before.
    (one,) = tryton.create("one")
    for number in range(3):
        tryton.update(one, f"one {number}")
    tryton.wanted[old].append(Change("updated", "old 1", "there before"))
    tryton.rest("PUT", f"{MODEL}/{old}", {"description": "old 1"})
    wait(bridge, tryton)

    # Lives wholly between two polls: nobody reads meanwhile.
    bridge.kill()
    two, three = tryton.create("two", "three")
    for number in range(3):
        tryton.update(two, f"two {number}")
        tryton.update(three, f"three {number}")
        tryton.update(one, f"one again {number}")
    tryton.delete(two)
    tryton.delete(one)
    bridge.start()
    between = wait(bridge, tryton)

    # 500 with one stamp by Tryton itself, and 500 within one second, each in a transaction of its own; a kill while they are read.
    ids = tryton.create(*(f"wave {number}" for number in range(WAVE)))
    created = wait(bridge, tryton)
    began = time.monotonic()
    tryton.update_all(ids, "by Tryton")
    with tryton.transaction() as connection:
        for number, id in enumerate(ids):
            tryton.write(connection, id, f"within a second {number}")
        (spread,) = connection.execute(
            "SELECT EXTRACT(EPOCH FROM max(write_date) - min(write_date)) FROM sale_opportunity WHERE id = ANY(%s)", (ids,)
        ).fetchone()
    assert spread < 1, "this run shows less than it should"
    until(lambda: len(journal(bridge)) > sum(map(len, tryton.wanted.values())) - 2 * WAVE, "it reads them", 60)
    bridge.kill()
    bridge.start()
    wait(bridge, tryton)
    waves = round(time.monotonic() - began, 1)

    # A transaction that is open while later ones are read, and commits behind them.
    opened = time.monotonic()
    with tryton.transaction() as slow, slow.transaction():
        tryton.write(slow, three, "three, late")
        late = tryton.wanted[three].pop()
        time.sleep(1)
        for number in range(3):
            tryton.update(old, f"old during {number}")
        wait(bridge, tryton)
        time.sleep(5)
    opened = round(time.monotonic() - opened, 1)
    tryton.wanted[three].append(late)
    slow = wait(bridge, tryton)
    tryton.delete(three)
    wait(bridge, tryton)

    time.sleep(7)  # some polls more: nothing is told again
    bridge.quiet()
    found = journal(bridge)
    told = collections.defaultdict(list)
    for id, kind, description, before in found:
        told[id].append((kind, description, before))
    wanted = {id: [(each.kind, each.description, each.before) for each in changes] for id, changes in tryton.wanted.items()}
    assert dict(told) == wanted
    posts = bridge.feed_posts()
    said = [f"{id} {kind} {description}" + (f" (before: {before})" if kind != "created" else "") for id, kind, description, before in found]
    assert sorted(posts) == sorted(said)
    figures(
        "real Tryton",
        changes=len(found),
        records=len(wanted),
        posts=len(posts),
        missed=sum(map(len, wanted.values())) - len(found),
        doubled=len(posts) - len(set(posts)),
        within_a_second=f"{WAVE} in {float(spread):.2f} s",
        between_polls=f"{between} s",
        creation=f"{created} s",
        waves_with_a_kill=f"{waves} s",
        late_after=f"{opened} s",
        late_told=f"{slow} s",
    )
