"""Requests and answers that were recorded at a real Odoo 14: the stand-in answers them alike, and the source reads them as they are."""

import itertools
import json
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from standins.odoo import Odoo

from connectors.sources.odoo import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.model import Choice, FieldSpec
from crmbridge.testing import answer

LEAD = "crm.lead"
FIELDS = ("name", "stage_id", "expected_revenue", "probability", "user_id", "team_id", "partner_id", "active")


@pytest.fixture
def pairs(vectors):
    return {path.name[:2]: json.loads(path.read_text("utf-8")) for path in sorted((vectors / "odoo14-recorded").glob("*.json"))}


@pytest.fixture
def crm():
    with Odoo(database="odoo14", user="admin", password="REDACTED") as made:
        made.people = {2: ("Administrator", "admin@example.com")}
        made.logged_stages = ("stage_id",)
        made.now = datetime(2026, 11, 22, 4, 58, 10, tzinfo=timezone.utc)
        made._ids = itertools.count(1)
        yield made


@pytest.fixture
def source(crm, tmp_path):
    setting = Setting(name="crm", records={LEAD: {name: FieldSpec() for name in FIELDS}}, now=lambda: crm.now)
    made = CONNECTOR.build(CONNECTOR.options(url=crm.url, database="odoo14", user="admin", password="REDACTED", deletes_every=0), setting)
    yield made
    made.close()


def lived(crm, number):
    """What was done between the recorded readings."""
    match number:
        case "05":
            crm.create(title="Acme rollout", amount="120000", owner="2")
        case "07":
            crm.tick()
            crm.update("1", stage="proposition")
        case "14":
            crm.archive("1")
        case "17":
            crm.create(title="gone", owner="2")
        case "18":
            crm.delete("2")


def test_the_stand_in_answers_as_odoo_did(pairs, crm):
    """Seconds over microseconds, archived rows, the log, teams, what is gone: each reading, to the letter."""
    compared = 0
    for number, pair in pairs.items():
        lived(crm, number)
        params = pair["request"]["params"]
        if number not in ("04", "05", "07", "14", "17", "18"):
            assert crm.service(params) == pair["response"]["result"], number
            compared += 1
    assert compared == 13


def test_the_source_asks_as_odoo_was_asked(pairs, crm, source):
    """The login to the letter; a search in the same form."""
    crm.create(owner="2")
    source.poll(None)
    login, _, read = [seen.json() for seen in crm.requests][:3]
    assert login["params"] == pairs["02"]["request"]["params"]
    recorded = pairs["16"]["request"]
    assert (set(read), read["jsonrpc"], read["method"]) == (set(recorded), recorded["jsonrpc"], recorded["method"])
    ours, theirs = read["params"]["args"], recorded["params"]["args"]
    assert ours[:5] == theirs[:5]
    assert set(ours[6]["fields"]) == {*theirs[6]["fields"], "create_uid"}
    assert ours[6]["context"].items() >= theirs[6]["context"].items()
    assert [len(ours[5]), all(len(condition) == 3 for condition in ours[5][0])] == [1, True]


@pytest.mark.parametrize(
    ("number", "stage", "active"), [("06", ("1", "New"), True), ("08", ("3", "Proposition"), True), ("16", ("3", "Proposition"), False)]
)
def test_the_source_reads_what_odoo_answered(pairs, crm, source, number, stage, active):
    source.schema(LEAD)
    crm.then(answer(200, pairs[number]["response"]))
    (one,) = source.fetch_many(LEAD, ["1"])
    assert one.fields == {
        "name": "Acme rollout",
        "stage_id": Choice(*stage),
        "expected_revenue": Decimal(120000),
        "probability": Decimal(0),
        "user_id": Choice("2", "Administrator"),
        "team_id": Choice("1", "Sales"),
        "partner_id": Choice("7", "Acme GmbH"),
        "active": active,
    }
    assert (one.record_id, one.actor) == ("1", "Administrator")
    assert one.occurred_at == datetime(2026, 11, 22, 4, 58, 10 if number == "06" else 11, tzinfo=timezone.utc)


def test_the_log_as_odoo_answered_it(pairs, crm, source):
    """A new record whose stage changed before it was seen: how it was made, and what it is."""
    crm._ids = itertools.chain([99], crm._ids)
    crm.create(owner="2")
    page = source.poll(None)
    while page.has_more:
        page = source.poll(page.cursor)
    crm.create(owner="2")
    crm.tick()
    crm.update("1", stage="proposition")
    crm.then(answer(200, pairs["08"]["response"]))
    real = crm.method

    def method(model, name, given):
        """The two searches of the log get what was recorded, with what the recording did not ask for."""
        recorded = {"mail.message": "11", "mail.tracking.value": "12"}
        if name != "search_read" or model not in recorded:
            return real(model, name, given)
        rows = pairs[recorded[model]]["response"]["result"]
        return [row | {"res_id": 1} for row in rows]

    crm.method = method
    seen = source.poll(page.cursor).observations
    assert [(one.fields["stage_id"], one.occurred_at.second) for one in seen] == [
        (Choice("1", "New"), 10),
        (Choice("3", "Proposition"), 11),
    ]


def test_a_whole_life(pairs, crm, source):
    """The recorded story by the source's own polls: made, moved on, lost, gone."""
    seen, cursor = [], None
    for number in pairs:
        lived(crm, number)
        more = True
        while more:
            page = source.poll(cursor)
            cursor, more = page.cursor, page.has_more
            facts = [(one.record_id, one.deleted, one.fields.get("stage_id"), one.fields.get("active")) for one in page.observations]
            seen += [one for one in facts if one not in seen]
    new, proposition = Choice("1", "New"), Choice("3", "Proposition")
    assert seen == [
        ("1", False, new, True),
        ("1", False, proposition, True),
        ("1", False, proposition, False),
        ("2", False, new, True),
        ("2", True, None, None),
    ]
