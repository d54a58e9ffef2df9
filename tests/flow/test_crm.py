"""A real daemon beside each vendor's stand-in: what changes there is said once, by webhook or poll, through kills; secrets stay secret."""

import json
import time
from dataclasses import replace
from datetime import datetime, timezone

import pytest
import requests
from flow.daemon import until
from standins.hubspot import CLIENT_SECRET as HUBSPOT_SECRET
from standins.hubspot import HOOK, REFRESH, Hubspot
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, HOOK_PATH, ORGANIZATION, TYPE, WORDS, Salesforce

from crmbridge.testing import hang


def on_time(crm):
    """The stand-in's clock is ours from now on."""
    crm.now = datetime.now(timezone.utc)
    return crm


@pytest.fixture
def salesforce():
    with Salesforce() as crm:
        yield on_time(crm)


@pytest.fixture
def bridge(daemon, salesforce):
    for name, secret in (("key", CLIENT_ID), ("client", CLIENT_SECRET), ("path", HOOK_PATH)):
        (daemon.folder / "secrets" / name).write_text(secret + "\n")
    daemon.keep("sink")
    daemon.config["sources"]["crm"] = {
        "type": "salesforce",
        "url": salesforce.url,
        "login": {"flow": "client_credentials", "client_id": {"file": "secrets/key"}, "client_secret": {"file": "secrets/client"}},
        "outbound": {"organization_id": ORGANIZATION, "path": {"file": "secrets/path"}},
        "every": "1s",
        "deletes_every": 1,
        "records": {TYPE: {"fields": dict.fromkeys(WORDS.values(), "internal")}},
    }
    when = {"source": "crm", "record": TYPE}
    step = {"to": "sink", "text": "{{ record.Name }} signed"}
    daemon.config["rules"] = [{"id": "won", "when": when, "match": {"StageName": {"becomes": "won"}}, "publish": [step]}]
    daemon.write()
    return daemon


def called(bridge, request, path=None):
    where = f"{bridge.url}/hooks/crm/{path or request.path}"
    return requests.post(where, data=request.body, headers=dict(request.headers), timeout=10)


def test_a_deal_in_salesforce_is_told_once(bridge, salesforce, networks):
    """Called and polled, killed and restarted in between; a stranger's call is refused."""
    ids = [salesforce.create(title=f"Deal {n}") for n in range(3)]
    bridge.start()
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    logins = salesforce.logins

    on_time(salesforce).told()
    salesforce.update(ids[0], stage="won")
    (message,) = salesforce.told()
    answer = called(bridge, message)
    assert (answer.status_code, b"<Ack>true</Ack>" in answer.content) == (200, True)
    assert called(bridge, message, "wrong").status_code == 401
    assert requests.post(f"{bridge.url}/hooks/crm", data=message.body, timeout=10).status_code == 401
    until(lambda: networks.said_at_the_sink == ["Deal 0 signed"], "it is said")
    bridge.quiet()  # and recorded: what a kill leaves open is sent again, under its key

    bridge.kill()
    on_time(salesforce)
    salesforce.update(ids[1], stage="won")
    bridge.start()
    for _ in range(2):
        called(bridge, message)
    until(lambda: len(networks.said_at_the_sink) == 2, "what changed meanwhile is said too")
    assert salesforce.logins == logins, "the token outlived the kill"
    assert bridge.ask("status")["sources"][0]["url"] == "/hooks/crm"
    bridge.quiet()
    assert sorted(networks.said_at_the_sink) == ["Deal 0 signed", "Deal 1 signed"]
    for secret in (CLIENT_ID, CLIENT_SECRET, HOOK_PATH, "canary-token"):
        assert secret not in bridge.output


def test_a_crm_that_is_away_is_shown_and_comes_back(bridge, salesforce, networks):
    """What webhooks named waits; `status` says why, and nothing is lost."""
    id = salesforce.create()
    bridge.start()
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    salesforce.refusing = True
    salesforce.revoke()
    on_time(salesforce).told()
    salesforce.update(id, stage="won")
    (message,) = salesforce.told()
    assert called(bridge, message).status_code == 200
    until(lambda: "the login is refused" in bridge.ask("status")["sources"][0]["words"], "it is shown")
    assert networks.said_at_the_sink == []
    salesforce.refusing = False
    until(lambda: networks.said_at_the_sink == ["Parkers signed"], "it is said in the end")


def test_a_deal_in_hubspot_is_told_once(daemon, networks):
    """Signed and forged, called and polled, there and back again in one batch, through a kill."""
    with Hubspot() as crm:
        on_time(crm)
        for name, secret in (("client", HUBSPOT_SECRET), ("refresh", REFRESH)):
            (daemon.folder / "secrets" / name).write_text(secret + "\n")
        daemon.keep("sink")
        daemon.config["sources"]["crm"] = {
            "type": "hubspot",
            "oauth": {"client_id": "app", "client_secret": {"file": "secrets/client"}, "refresh_token": {"file": "secrets/refresh"}},
            "webhook": {"client_secret": {"file": "secrets/client"}, "url": HOOK},
            "api_url": crm.url,
            "every": "2s",
            "overlap": 10,
            "searches_per_second": 1000,
            "records": {"deals": {"fields": {"dealname": "internal", "dealstage": "internal"}}},
        }
        text = "{{ record.dealname }}: {{ record.dealstage }}"
        match = {"dealstage": {"changed": True}}
        when = {"source": "crm", "record": "deals"}
        daemon.config["rules"] = [{"id": "moved", "when": when, "match": match, "publish": [{"to": "sink", "text": text}]}]
        daemon.write()
        id = crm.create(title="Parkers", stage="open")
        daemon.start()
        until(lambda: daemon.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")

        on_time(crm).told()
        events = []
        for stage in ("won", "open"):
            crm.tick(0.01)
            crm.update(id, stage=stage)
            events += [event for request in crm.told() for event in json.loads(request.body)]
        both = crm.deliver(events)
        assert post(daemon, both).status_code == 204
        until(lambda: len(networks.said_at_the_sink) == 2, "there and back are two")
        assert networks.said_at_the_sink == ["Parkers: Closed Won", "Parkers: Appointment Scheduled"]

        assert post(daemon, both).status_code == 204
        assert post(daemon, replace(both, body=both.body.replace(b"won", b"wom"))).status_code == 401
        daemon.quiet()  # what a kill leaves open is sent again, under its key
        daemon.kill()
        on_time(crm)
        crm.update(id, stage="won")
        daemon.start()
        until(lambda: len(networks.said_at_the_sink) == 3, "a poll finds what no webhook told")
        daemon.quiet()
        assert networks.said_at_the_sink[2:] == ["Parkers: Closed Won"]
        for secret in (HUBSPOT_SECRET, REFRESH, "canary-token"):
            assert secret not in daemon.output


def post(daemon, request):
    return requests.post(f"{daemon.url}/hooks/crm", data=request.body, headers=dict(request.headers), timeout=10)


def test_an_end_does_not_wait_for_a_crm_that_does_not_answer(bridge, salesforce):
    """A thread that hangs in a vendor's call holds up nobody."""
    salesforce.create()
    bridge.start()
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    salesforce.server.default = hang
    asked = len(salesforce.requests)
    until(lambda: len(salesforce.requests) > asked, "a poll is under way")
    began = time.monotonic()
    assert bridge.stop() == 0
    assert time.monotonic() - began < 6


def test_webhooks_of_what_nobody_may_see_make_no_storm(bridge, salesforce):
    """Each names a record that no poll finds: a poll out of turn every other second, and no more."""
    bridge.config["sources"]["crm"]["every"] = "1h"
    bridge.write()
    salesforce.create()
    bridge.start()
    until(lambda: bridge.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
    on_time(salesforce)
    hidden = salesforce.create()
    salesforce.hide(hidden)
    asked = len([one for one in salesforce.requests if "ORDER" in one.path])
    message = salesforce.message([hidden])
    for _ in range(30):
        called(bridge, message)
        time.sleep(0.1)
    assert 1 <= len([one for one in salesforce.requests if "ORDER" in one.path]) - asked <= 4
