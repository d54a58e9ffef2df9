"""A real daemon beside a vendor that withholds a right: it is named with what is lost, all else is told, and it is given again."""

import json

import pytest
from flow.daemon import until
from flow.test_crm import on_time
from standins.hubspot import CLIENT_SECRET as HUBSPOT_SECRET
from standins.hubspot import REFRESH, Hubspot
from standins.odoo import DATABASE, MODEL, PASSWORD, USER, Odoo
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, TYPE, WORDS, Salesforce

RIGHT = "right_missing"


class Bridge:
    """A daemon that reads one CRM, publishes at the sink, and tells of troubles there."""

    def __init__(self, daemon, networks, crm, secrets, source, record_type, match, text):
        self.daemon, self.networks, self.crm = daemon, networks, on_time(crm)
        for name, secret in secrets.items():
            (daemon.folder / "secrets" / name).write_text(secret + "\n")
        daemon.keep("sink")
        daemon.config["sources"]["crm"] = {"every": "1s", **source}
        daemon.config["alerts"] = {"to": "sink", "after": "1s"}
        step = {"to": "sink", "text": text}
        daemon.config["rules"] = [{"id": "won", "when": {"source": "crm", "record": record_type}, "match": match, "publish": [step]}]
        daemon.write()
        self.id = crm.create(title="Parkers")

    def start(self):
        self.daemon.start()
        until(lambda: self.daemon.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
        on_time(self.crm)

    def told(self, *words):
        """Whether a message holds all of these."""
        return any(all(word in one for word in words) for one in self.networks.said_at_the_sink)

    def troubles(self):
        return {(one["code"], one["about"]): one for one in self.daemon.ask("status")["troubles"]}

    def doctor(self):
        """What it found wrong, and its exit code."""
        said = self.daemon.cli("doctor", "crm", "-o", "json")
        found = {one["what"]: one["problem"] for one in json.loads(said.stdout) if not one["ok"]}
        shown = self.daemon.cli("doctor", "crm")
        assert (shown.returncode, all(one in shown.stdout for one in found)) == (said.returncode, True)
        return found, said.returncode

    def names(self, right, lost):
        """Everything that is for people says what lacks and what is lost; then it is given, and all is well."""
        until(lambda: (RIGHT, "crm") in self.troubles(), f"it is found: {self.troubles()}")
        trouble = self.troubles()[RIGHT, "crm"]
        assert (trouble["severity"], trouble["count"]) == ("warning", 1)
        assert (right in trouble["what"], lost in trouble["what"]) == (True, True), trouble
        shown = self.daemon.cli("status")
        assert (shown.returncode, right in shown.stdout, lost in shown.stdout) == (1, True, True)
        assert 'crmbridge_trouble{about="crm",code="right_missing",severity="warning"} 1.0' in self.daemon.admin("GET", "/metrics")[1]
        until(lambda: self.told(right, lost), "people are told")
        found, code = self.doctor()
        ((what, problem),) = found.items()
        assert (code, right in what, lost in problem) == (1, True, True), found

    def gives(self, right):
        self.crm.give(right)
        assert self.daemon.cli("reload").returncode == 0
        until(lambda: not self.troubles(), f"it is over: {self.troubles()}")
        assert self.doctor() == ({}, 0)
        until(lambda: self.told(f"Over: {RIGHT} crm"), "people are told that it is over")
        assert sum("lacks a right" in one for one in self.networks.said_at_the_sink) == 1


def test_an_odoo_user_who_may_not_read_what_was_tracked(daemon, networks):
    """Of four changes between two polls three are missed: that is said, and the last is told; with the right all four are."""
    right = "read mail.tracking.value (ir.model.access)"
    source = {
        "type": "odoo",
        "database": DATABASE,
        "user": USER,
        "password": {"file": "secrets/odoo"},
        "records": {MODEL: {"fields": {"name": "internal", "x_stage": "internal"}}},
    }
    with Odoo() as crm:
        crm.withdraw(right)
        match, text = {"x_stage": {"changed": True}}, "{{ record.name }} is {{ record.x_stage }}"
        bridge = Bridge(daemon, networks, crm, {"odoo": PASSWORD}, source | {"url": crm.url}, MODEL, match, text)
        bridge.start()
        bridge.names("mail.tracking.value", "only the last is told")

        def change(*stages):
            crm.open_models.discard(MODEL)  # no poll comes between
            for stage in stages:
                on_time(crm)
                crm.update(bridge.id, stage=stage)
            crm.open_models.add(MODEL)

        change("moved", "proposition", "moved", "won")
        until(lambda: bridge.told("Parkers is Won"), "the last one is told")
        assert [one for one in networks.said_at_the_sink if "Parkers" in one] == ["Parkers is Won"]
        until(lambda: bridge.troubles().keys() == {(RIGHT, "crm")}, "it is read again")
        bridge.gives(right)
        change("open", "moved", "proposition", "won")
        until(lambda: sum("Parkers" in one for one in networks.said_at_the_sink) == 5, f"all are told: {networks.said_at_the_sink}")


def test_a_hubspot_token_without_a_scope(daemon, networks):
    """Who owns a deal is not known; what becomes of it is told."""
    right = "crm.objects.owners.read"
    source = {
        "type": "hubspot",
        "oauth": {"client_id": "app", "client_secret": {"file": "secrets/client"}, "refresh_token": {"file": "secrets/refresh"}},
        "overlap": 10,
        "searches_per_second": 1000,
        "records": {"deals": {"fields": {"dealname": "internal", "dealstage": "internal"}}},
    }
    with Hubspot() as crm:
        crm.withdraw(right)
        secrets = {"client": HUBSPOT_SECRET, "refresh": REFRESH}
        match, text = {"dealstage": {"becomes": "won"}}, "{{ record.dealname }} signed"
        bridge = Bridge(daemon, networks, crm, secrets, source | {"api_url": crm.url}, "deals", match, text)
        bridge.start()
        bridge.names(right, "who owns a record and works on it is not known")
        crm.update(bridge.id, stage="won")
        until(lambda: bridge.told("Parkers signed"), "it is told all the same")
        bridge.gives(right)


@pytest.fixture
def salesforce():
    with Salesforce() as crm:
        yield crm


@pytest.fixture
def org(daemon, networks, salesforce):
    source = {
        "type": "salesforce",
        "url": salesforce.url,
        "login": {"flow": "client_credentials", "client_id": {"file": "secrets/key"}, "client_secret": {"file": "secrets/client"}},
        "deletes_every": 1,
        "records": {TYPE: {"fields": dict.fromkeys(WORDS.values(), "internal")}},
    }
    secrets = {"key": CLIENT_ID, "client": CLIENT_SECRET}
    match, text = {"StageName": {"becomes": "won"}}, "{{ record.Name }} signed"
    return Bridge(daemon, networks, salesforce, secrets, source, TYPE, match, text)


def test_a_salesforce_user_without_a_field_that_is_configured(org, salesforce):
    """Nothing of the object is told without it: that is an error of the source, which names field, right and loss."""
    salesforce.hidden_fields.add("stage")
    org.daemon.start()
    until(lambda: ("source_never_read", "crm") in org.troubles(), f"it is found: {org.troubles()}")
    shown = org.daemon.cli("status").stdout
    for word in ("StageName", "field-level security", "nothing of it is told"):
        assert word in shown
    found, code = org.doctor()
    assert code == 1
    assert "this login may not read StageName" in found["right of crm: field-level security of Opportunity"]
    assert "nothing of Opportunity is told" in found["right of crm: field-level security of Opportunity"]
    salesforce.hidden_fields.clear()
    until(lambda: not org.troubles(), f"it is over: {org.troubles()}", moved=org.troubles)
    assert org.doctor() == ({}, 0)


def test_a_salesforce_user_without_a_field_that_an_ability_needs(org, salesforce):
    """Who owns an opportunity is not known; what becomes of it is told."""
    right = "Owner of Opportunity (Read on User, field-level security of its Email)"
    salesforce.withdraw(right)
    org.start()
    org.names(right, "who works on a record is not known")
    salesforce.update(org.id, stage="won")
    until(lambda: org.told("Parkers signed"), "it is told all the same")
    org.gives(right)
