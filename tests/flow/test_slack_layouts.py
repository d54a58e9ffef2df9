"""Layouts that nobody here wrote, from YAML to Slack's stand-in: every valid one arrives unchanged, every other is refused by `lint`.

The vectors hold at most one broken limit each; what they call valid is not always shown in a message, and then a note says so.
"""

import json

import pytest
import yaml
from flow.daemon import inside
from flow.wire.keys_of_slack import Slack

from crmbridge.config.load import load
from crmbridge.errors import ConfigError


def lines(vectors, name):
    return [json.loads(line) for line in (vectors / "slack-blocks" / f"{name}.jsonl").read_text("utf-8").splitlines()]


def configured(layouts):
    """The configuration that tells a change with each of the layouts."""
    document = yaml.safe_load(Slack.YAML)
    document["destinations"] = {"wins": document["destinations"]["wins"] | {"surge": "off"}}
    document["rules"][0]["publish"] = [{"id": f"s{number}", "to": "wins", "text": "x", "blocks": one} for number, one in enumerate(layouts)]
    return document


def test_every_valid_layout_arrives_unchanged(vectors, tmp_path):
    wanted = [one["blocks"] for one in lines(vectors, "valid")]
    with Slack(tmp_path) as stage:
        stage.document(configured(wanted))
        stage.start().change()
        stage.publish("wins", within=120.0)
        sent = [one.json()["blocks"] for one in stage.posts()]
    assert len(sent) == len(wanted) >= 49
    assert [json.dumps(one) for one in sent] == [json.dumps(one) for one in wanted]


def test_every_broken_limit_is_refused_where_it_is_written(vectors, tmp_path):
    missed = []
    path = tmp_path / "crmbridge.yaml"
    for one in lines(vectors, "invalid"):
        path.write_text(yaml.safe_dump(configured([one["blocks"]]), sort_keys=False).replace("$slack", "http://127.0.0.1:1"), "utf-8")
        try:
            load(path, secrets=False)
        except ConfigError as error:
            found = error.problems
        else:
            found = []
        if not any(
            problem.path.startswith("rules[0].publish[0].blocks") and problem.line and "https://docs.slack.dev/" in problem.message
            for problem in found
        ):
            missed.append(one["name"])
    assert missed == []


SHOWN = [{"type": "section", "text": {"type": "mrkdwn", "text": "*{{ record.name }}*"}}]
HEADED = [{"type": "header", "text": {"type": "plain_text", "text": "{{ record.name }}"}}]


def asked(tmp_path, layout, *arguments, stdin="", name="Parkers", **rule):
    """What a verb says of one rule with a layout."""
    document = configured([layout])
    document["rules"][0] |= rule
    path = tmp_path / "crmbridge.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False).replace("$slack", "http://127.0.0.1:1"), "utf-8")
    change = {"source": "crm", "record": "Deal", "fields": {"name": name, "stage": "won"}}
    return inside([*arguments, "-c", str(path)], stdin or json.dumps(change))


def test_lint_names_the_place_in_the_file(tmp_path):
    layout = [*SHOWN, {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]
    said = asked(tmp_path, layout, "lint", "--examples")
    (line,) = [one for one in said.stdout.splitlines() if "151 characters" in one]
    text = (tmp_path / "crmbridge.yaml").read_text("utf-8").splitlines()
    number = int(line.split(":")[1])
    assert text[number - 1].strip().startswith("text: xxx")
    assert "rules[0].publish[0].blocks[1].text.text: 151 characters, Slack takes at most 150 (header block: https://docs.slack.dev/" in line
    assert said.returncode == 3


def test_lint_refuses_what_is_too_long_whatever_is_filled_in(tmp_path):
    layout = [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151 + "{{ record.name }}"}}]
    said = asked(tmp_path, layout, "lint", "--examples")
    assert said.returncode == 3
    assert "blocks[0].text.text: 151 characters at least, whatever is filled in; Slack takes at most 150" in said.stdout


def test_lint_notes_what_a_message_does_not_show(tmp_path):
    said = asked(tmp_path, [{"type": "alert", "text": {"type": "plain_text", "text": "x"}}], "lint", "--examples")
    assert said.returncode == 0
    assert "blocks[0]: Slack shows in modals what an alert block says, and not in a message of ours" in said.stdout


def test_lint_notes_what_long_words_of_a_record_would_come_to(tmp_path):
    said = asked(tmp_path, [*HEADED, *SHOWN], "lint", "--examples", "-o", "json")
    (one,) = json.loads(said.stdout)["layouts_too_long"]
    assert (one["step"], said.returncode) == ("s0", 0)
    assert one["fault"].startswith("blocks[0].text.text: 255 characters, Slack takes at most 150")
    assert "would refuse its layout: blocks[0].text.text" in asked(tmp_path, HEADED, "lint", "--examples").stdout


def test_lint_points_from_an_id_to_a_mention(tmp_path):
    layout = [{"type": "section", "text": {"type": "mrkdwn", "text": "<@{{ record.note }}>"}}]
    said = asked(tmp_path, layout, "lint", "--examples", "-o", "json")
    (note,) = [one for one in json.loads(said.stdout)["notes"] if "mention" in one["message"]]
    assert note["path"] == "rules[0].publish[0].blocks[0].text.text"
    assert note["message"].startswith("`<@{{ ... }}>` names nobody")
    assert "| mention" in note["message"]
    said = asked(tmp_path, SHOWN, "lint", "--examples", "-o", "json", publish=[{"to": "wins", "text": "Ask <@{{ record.note }}>"}])
    (note,) = [one for one in json.loads(said.stdout)["notes"] if "mention" in one["message"]]
    assert note["path"] == "rules[0].publish[0]"


@pytest.mark.parametrize("form", ["text", "json"])
def test_render_shows_the_layout_as_it_would_go_out(tmp_path, form):
    said = asked(tmp_path, SHOWN, "render", "-", "-o", form, name="<*Parkers*>")
    assert said.returncode == 0
    if form == "json":
        (one,) = json.loads(said.stdout)["messages"]
        assert one["blocks"] == [{"type": "section", "text": {"type": "mrkdwn", "text": "*&lt;∗Parkers∗&gt;*"}}]
    else:
        assert '"text": "*&lt;∗Parkers∗&gt;*"' in said.stdout


def test_render_fails_where_the_layout_would_be_refused(tmp_path):
    said = asked(tmp_path, HEADED, "render", "-", name="x" * 151)
    assert said.returncode == 1
    assert "refused: blocks[0].text.text: 151 characters, Slack takes at most 150" in said.stdout


def test_a_rules_test_fails_where_the_layout_would_be_refused(tmp_path):
    def case(name):
        return [{"given": {"record": {"name": name, "stage": "won"}}, "expect": [{"to": "wins"}]}]

    assert asked(tmp_path, HEADED, "test", tests=case("Parkers")).returncode == 0
    said = asked(tmp_path, HEADED, "test", tests=case("x" * 151))
    assert said.returncode == 4
    assert "blocks[0].text.text: 151 characters, Slack takes at most 150" in said.stdout


def test_a_layout_that_does_not_fit_costs_only_its_own_step(tmp_path):
    """Published, it is a dead letter that names the place, the limit and the page; the other step is said."""
    with Slack(tmp_path) as stage:
        stage.document(configured([HEADED, SHOWN]))
        stage.start().change(name="x" * 151)
        assert [one.json()["blocks"][0]["type"] for one in stage.posts()] == ["section"]
        (dead,) = stage.outbox()
    assert (dead.state.value, dead.reason, dead.message.step) == ("dead", "rejected: invalid_blocks", "s0")
    assert "blocks[0].text.text: 151 characters, Slack takes at most 150 (header block: https://docs.slack.dev/" in dead.last_error
