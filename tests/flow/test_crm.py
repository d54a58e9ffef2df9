"""A real daemon beside each vendor's stand-in: what changes there is said once, by webhook or poll, through kills; secrets stay secret."""

from datetime import datetime, timezone

import pytest
import requests
from flow.daemon import until
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, HOOK_PATH, ORGANIZATION, TYPE, WORDS, Salesforce


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
    until(lambda: "the login is refused" in bridge.ask("status")["sources"][0]["state"], "it is shown")
    assert networks.said_at_the_sink == []
    salesforce.refusing = False
    until(lambda: networks.said_at_the_sink == ["Parkers signed"], "it is said in the end", 40)
