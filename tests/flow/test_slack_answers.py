"""What Slack answers, from the wire to what people read; and a webhook that is not Slack's."""

import json

import pytest
import yaml
from flow.daemon import inside
from flow.wire.keys_of_slack import Slack

from crmbridge.testing import ScriptedServer, answer


def configured(**wins):
    document = yaml.safe_load(Slack.YAML)
    document["destinations"] = {"wins": {"type": "slack", "surge": "off"} | wins}
    return document


@pytest.mark.parametrize(("status", "body"), [(200, b'{"success": true}'), (204, b""), (200, b"ok")])
def test_a_webhooks_yes_is_published_once(tmp_path, status, body):
    """As a chat server that is compatible with Slack says it: seven copies within a minute, or a dead letter, once."""
    with Slack(tmp_path) as stage:
        hook = stage.server("hook", ScriptedServer(answer(status, body)))
        stage.document(configured(webhook_url="$hook/hooks/x"))
        stage.start().change()
        stage.publish("wins", within=120.0)
        assert stage.outbox() == []
        assert len(hook.seen) == 1


def test_slacks_own_words_stand_in_the_dead_letter(tmp_path):
    said = {
        "ok": False,
        "error": "invalid_blocks",
        "errors": ["must be less than 151 characters [json-pointer:/blocks/0/text]"],
        "response_metadata": {"messages": ["[ERROR] failed to match all allowed schemas [json-pointer:/blocks/0/text]"]},
    }
    with Slack(tmp_path) as stage:
        stage.server("refusing", ScriptedServer(answer(200, said)))
        stage.document(configured(token="t", channel="C1", api_url="$refusing/"))
        stage.start().change()
        stage.publish("wins")
        (dead,) = stage.outbox()
    assert dead.reason == "rejected: invalid_blocks"
    assert "must be less than 151 characters [json-pointer:/blocks/0/text]" in dead.last_error
    assert "[ERROR] failed to match all allowed schemas" in dead.last_error


def test_a_strangers_webhook_is_refused_where_its_address_is_known(tmp_path):
    path = tmp_path / "crmbridge.yaml"
    (tmp_path / "hook").write_text("https://chat.acme.example/hooks/canary-of-the-hook")
    path.write_text(yaml.safe_dump(configured(webhook_url={"file": "hook"})), "utf-8")
    assert inside(["lint", "-c", str(path)]).returncode == 0
    said = inside(["lint", "--secrets", "-c", str(path), "-o", "json"])
    (problem,) = json.loads(said.stdout)["problems"]
    assert problem["path"] == "destinations.wins.webhook_url"
    assert "type: webhook" in problem["message"]
    assert said.returncode == 3
    assert inside(["doctor", "-c", str(path)]).returncode == 3
    assert "canary" not in said.stdout + said.stderr
