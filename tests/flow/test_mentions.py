"""A rule names a person by e-mail address: from YAML to Slack's wire, with the scopes that takes; elsewhere it is the plain value."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from flow.daemon import inside
from flow.wire.keys_of_slack import Slack

from crmbridge.testing import ScriptedServer

ASK = "Ask {{ record.note | mention }}"
LAYOUT = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Owner* {{ record.note | mention }}"}}]


def workspace(people, scopes="chat:write,channels:history,users:read,users:read.email"):
    """Slack's stand-in: its people by address; without the scope for it nobody is told."""
    granted = scopes.split(",")

    def answer(exchange):
        method = urlsplit(exchange.path).path.rpartition("/")[2]
        said = {"ok": True, "channel": "C1", "ts": "1.000100", "url": "https://acme.slack.com/"}
        if method == "users.lookupByEmail":
            (address,) = parse_qs(urlsplit(exchange.path).query)["email"]
            said = {"ok": True, "user": {"id": people[address]}} if address in people else {"ok": False, "error": "users_not_found"}
            if "users:read.email" not in granted:
                said = {"ok": False, "error": "missing_scope", "needed": "users:read.email", "provided": scopes}
        exchange.reply(200, json.dumps(said).encode(), {"Content-Type": "application/json", "X-OAuth-Scopes": scopes})

    return ScriptedServer(answer)


def configured(*steps, **wins):
    document = yaml.safe_load(Slack.YAML)
    document["destinations"] = {
        "wins": {"type": "slack", "token": "xoxb-one", "channel": "C1", "api_url": "$team/api/", "surge": "off"} | wins,
        **{name: one for name, one in document["destinations"].items() if name == "out"},
    }
    document["rules"][0]["publish"] = list(steps)
    return document


@pytest.mark.parametrize(
    ("people", "scopes", "text"),
    [
        ({"ann.lee@acme.example": "U012"}, "chat:write,users:read,users:read.email", "<@U012>"),
        ({}, "chat:write,users:read,users:read.email", "Ann.Lee"),
        ({"ann.lee@acme.example": "U012"}, "chat:write", "Ann.Lee"),
    ],
    ids=["known", "unknown", "not allowed"],
)
def test_a_person_is_named_in_texts_and_layouts(tmp_path, people, scopes, text):
    with Slack(tmp_path) as stage:
        team = stage.server("team", workspace(people, scopes))
        stage.document(configured({"id": "a", "to": "wins", "text": ASK}, {"id": "b", "to": "wins", "text": "x", "blocks": LAYOUT}))
        stage.start().change(note="Ann.Lee@Acme.example")
        stage.publish("wins", within=30.0)
        first, second = [one.json() for one in team.seen if one.path.endswith("chat.postMessage")]
        assert first["text"] == f"Ask {text}"
        assert second["blocks"] == [{"type": "section", "text": {"type": "mrkdwn", "text": f"*Owner* {text}"}}]
        assert sum("lookupByEmail" in one.path for one in team.seen) == 1
        assert stage.outbox() == []


def test_elsewhere_it_is_the_plain_value(tmp_path):
    with Slack(tmp_path) as stage:
        stage.server("team", workspace({}))
        stage.document(configured({"to": "out", "text": ASK}))
        stage.start().change(note="ann.lee@acme.example")
        assert stage.texts() == ["Ask ann.lee@acme.example"]
        (note,) = [one for one in stage.config.notes if "mention" in one.message]
        assert (note.path, note.message) == (
            "rules[0].publish[0].text",
            "out notifies nobody: what `| mention` names is there as a word",
        )


def at(tmp_path, server, *steps, **wins):
    path = tmp_path / "crmbridge.yaml"
    text = yaml.safe_dump(configured(*steps, **wins), sort_keys=False)
    path.write_text(text.replace("$team", server.url).replace("$sink", server.url), "utf-8")
    return str(path)


def test_doctor_says_which_scope_a_rule_lacks(tmp_path):
    with workspace({}, "chat:write,channels:history") as team:
        step = {"to": "wins", "text": "x"}
        assert inside(["doctor", "wins", "-c", at(tmp_path, team, step)]).returncode == 0
        said = inside(["doctor", "wins", "-c", at(tmp_path, team, step | {"text": ASK}), "-o", "json"])
    lacking = {one["what"]: one["problem"] for one in json.loads(said.stdout) if not one["ok"]}
    assert set(lacking) == {"right of wins: users:read", "right of wins: users:read.email"}
    assert "`| mention` names nobody" in lacking["right of wins: users:read.email"]
    assert "the token's scopes are channels:history, chat:write" in lacking["right of wins: users:read.email"]
    assert said.returncode == 1


def test_the_manifest_follows_the_rules(tmp_path):
    with workspace({}) as team:
        for step, wins, extra in (
            ({"text": "x"}, {}, []),
            ({"text": "x", "channel": "#deals"}, {}, ["channels:read"]),
            ({"text": "x", "blocks": LAYOUT}, {"channel": "#wins"}, ["channels:read", "users:read", "users:read.email"]),
        ):
            said = inside(["manifest", "-c", at(tmp_path, team, {"to": "wins"} | step, **wins)])
            scopes = yaml.safe_load(said.stdout)["oauth_config"]["scopes"]["bot"]
            assert sorted(scopes) == sorted(["chat:write", "channels:history", *extra])
        unknown = inside(["manifest", "nothing", "-c", at(tmp_path, team, {"to": "wins", "text": "x"})])
    assert unknown.returncode == 2
    assert "a manifest goes with wins" in unknown.stderr


def test_a_beginning_brings_its_manifest(tmp_path):
    said = inside(["init", str(tmp_path / "new"), "--crm", "webhook", "--network", "slack", "--defaults"])
    assert said.returncode == 0, said.stderr
    written = yaml.safe_load((tmp_path / "new" / "slack-app-manifest.yaml").read_text("utf-8"))
    assert written["oauth_config"]["scopes"]["bot"] == ["chat:write", "channels:read", "channels:history"]
