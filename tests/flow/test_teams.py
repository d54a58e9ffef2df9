"""Microsoft Teams, from YAML to what a workflow's trigger gets and answers, and what people read of it."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from flow.daemon import inside
from flow.wire import networks
from flow.wire.keys_of_teams import CARD, INVOKE, SHOWN, Teams

from crmbridge.testing import ScriptedServer, answer

CANARY = "canary-of-the-sig"


def configured(*steps, **team):
    """The configuration that tells a change in these steps."""
    document = yaml.safe_load(Teams.YAML)
    document["destinations"] = {"team": document["destinations"]["team"] | {"surge": "off"} | team}
    document["rules"][0]["publish"] = [{"id": f"s{number}", "to": "team", "text": "x"} | one for number, one in enumerate(steps or [{}])]
    return document


def changed(*way, to):
    """The card with one part replaced."""
    made = copy.deepcopy(CARD)
    *before, last = way
    holder = made
    for key in before:
        holder = holder[key]
    holder[last] = to
    return made


def asked(tmp_path, *arguments, steps, stdin="", name="Parkers", team=None, **rule):
    """What a verb says of one rule."""
    document = configured(*steps, **(team or {}))
    document["rules"][0] |= rule
    path = tmp_path / "crmbridge.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False).replace("$teams", "http://127.0.0.1:1"), "utf-8")
    change = {"source": "crm", "record": "Deal", "fields": {"name": name, "stage": "won"}}
    return inside([*arguments, "-c", str(path)], stdin or json.dumps(change))


def test_lint_names_the_place_in_the_file(tmp_path):
    said = asked(tmp_path, "lint", "--examples", steps=[{"card": changed("body", 1, "type", to="FactsSet")}])
    (line,) = [one for one in said.stdout.splitlines() if "FactsSet" in one]
    text = (tmp_path / "crmbridge.yaml").read_text("utf-8").splitlines()
    assert text[int(line.split(":")[1]) - 1].strip() == "- type: FactsSet"
    assert 'rules[0].publish[0].card.body[1].type: there is no "FactsSet" in a card; did you mean "FactSet"?' in line
    assert "https://adaptivecards.io/" in line
    assert said.returncode == 3


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (changed("version", to="1.6"), "card.version: Teams shows cards up to version 1.5"),
        (changed("actions", 0, "type", to="Action.Submit"), "card.actions[0].type: cards from a webhook have no Action.Submit"),
        (changed("body", 0, "size", to="{{ record.name }}"), "card.body[0].size: takes no words of a record"),
        (changed("body", 0, "text", to="x" * 28_000 + "{{ record.name }}"), "card: 28"),
        (changed("body", 0, "text", to="{{ record.nam }}"), "record.nam is not among the configured fields"),
        ({"body": []}, "card: has no `type`: with the type AdaptiveCard"),
    ],
)
def test_lint_refuses_what_teams_would_not_show(tmp_path, card, words):
    said = asked(tmp_path, "lint", "--examples", steps=[{"card": card}])
    assert words in said.stdout
    assert said.returncode == 3


def test_lint_says_what_a_workflow_cannot_do(tmp_path):
    steps = [{"on_update": "edit"}, {"thread": "record"}, {"channel": "General"}, {"blocks": [{"type": "divider"}]}]
    steps += [{"media": {"url": "https://a.example/x.png", "alt": "x"}}, {"subject": "x"}]
    said = asked(tmp_path, "lint", "--examples", "-o", "json", steps=steps)
    assert [(one["path"], one["message"]) for one in json.loads(said.stdout)["problems"]] == [
        ("rules[0].publish[0].on_update", "team cannot change what it has published"),
        ("rules[0].publish[1].thread", "team has no threads"),
        ("rules[0].publish[2].channel", "team posts to one place only: leave `channel` out"),
        ("rules[0].publish[3].blocks", "team knows no blocks: its layouts stand under `card`"),
        ("rules[0].publish[4].media", "team shows no pictures"),
        ("rules[0].publish[5].subject", "team has no subjects"),
    ]


def test_lint_notes_what_no_record_may_choose(tmp_path):
    steps = [{"text": "[Open]({{ record.name }})"}, {"card": changed("body", 0, "text", to="<at>{{ record.name }}</at>")}]
    steps.append({"text": "Ask {{ record.note | mention }}"})
    said = asked(tmp_path, "lint", "--examples", "-o", "json", steps=steps)
    notes = {one["path"]: one["message"] for one in json.loads(said.stdout)["notes"]}
    assert said.returncode == 0
    assert "links nowhere" in notes["rules[0].publish[0]"]
    assert "names nobody" in notes["rules[0].publish[1].card.body[0].text"]
    assert "notifies nobody" in notes["rules[0].publish[2].text"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_render_shows_the_card_as_it_would_go_out(tmp_path, form):
    said = asked(tmp_path, "render", "-", "-o", form, steps=[{"card": CARD}], name="<*A*>")
    assert said.returncode == 0
    shown = {name: value for name, value in SHOWN.items() if name != "fallbackText"}  # that is the step's text
    if form == "json":
        (one,) = json.loads(said.stdout)["messages"]
        assert (one["card"], one["blocks"], one["faults"]) == (shown, None, [])
    else:
        assert "    card:\n" in said.stdout
        assert '"text": "**<\\u200b∗A∗>** & Co"' in said.stdout


LONG = changed("body", 0, "text", to="{{ record.name }}" * 20)


def test_render_and_test_fail_where_the_card_would_be_refused(tmp_path):
    said = asked(tmp_path, "render", "-", steps=[{"card": LONG}], name="x" * 1_500)
    assert said.returncode == 1
    assert "refused: card: 3" in said.stdout

    def case(name):
        return [{"given": {"record": {"name": name, "stage": "won"}}, "expect": [{"to": "team"}]}]

    assert asked(tmp_path, "test", steps=[{"card": LONG}], tests=case("Parkers")).returncode == 0
    said = asked(tmp_path, "test", steps=[{"card": LONG}], tests=case("x" * 1_500))
    assert said.returncode == 4
    assert "and the workflow can post 27648: it would take the card and fail behind our back" in said.stdout


def test_a_card_that_does_not_fit_costs_only_its_own_step(tmp_path):
    with Teams(tmp_path) as stage:
        stage.document(configured({"card": LONG}, {"card": CARD}))
        stage.start().change(name="x" * 1_500)
        assert [one["body"][0]["size"] for one in stage.cards()] == ["Large"]
        (dead,) = stage.outbox()
    assert (dead.state.value, dead.reason, dead.message.step) == ("dead", "rejected: invalid_card", "s0")
    assert "https://learn.microsoft.com/" in dead.last_error


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "WorkflowTriggerIsNotEnabled", "turn it on in the Workflows app"),
        (401, "DirectApiAuthorizationRequired", "set *Who can trigger the flow?* to *Anyone*"),
        (404, "WorkflowNotFound", "make it anew"),
    ],
)
def test_a_workflow_that_is_of_no_use_pauses_and_loses_nothing(tmp_path, status, code, words):
    with Teams(tmp_path) as stage:
        shut = stage.server("shut", ScriptedServer(answer(status, {"error": {"code": code, "message": f"see {INVOKE}{CANARY}"}})))
        stage.document(configured(url=f"$shut{INVOKE}{CANARY}"))
        stage.start().change()
        stage.publish("team")
        (waiting,) = stage.outbox()
        assert len(shut.seen) == 1
    assert waiting.state.value == "queued"
    assert code in waiting.last_error
    assert words in waiting.last_error
    assert CANARY not in waiting.last_error


def test_what_was_accepted_is_said_to_be_no_more(daemon):
    """From a real daemon to the trigger: `explain` and `send-test` say that the workflow has it, and which run it is."""
    told = "accepted by the workflow and not posted yet: run 08584305523880001CU18 in its history tells what became of it"
    with networks.teams() as trigger:
        daemon.config["destinations"]["team"] = {"type": "teams", "url": f"{trigger.url}{INVOKE}{CANARY}"}
        daemon.keep("team")
        daemon.config["rules"][0]["publish"] = [{"to": "team", "text": "{{ record.name }} signed", "card": DAEMONS}]
        daemon.write()
        daemon.start()
        assert daemon.post(daemon.body(1)) == 202
        daemon.quiet()
        lines = daemon.cli("explain", "crm/Deal/1").stdout.splitlines()
        (number,) = [index for index, line in enumerate(lines) if "-> team: delivered" in line]
        assert [line.strip() for line in lines[number + 1 : number + 3]] == ['"Parkers signed"', told]
        assert len(trigger.seen) == 1
        said = daemon.cli("send-test", "team")
        assert "not posted yet: run 08584305523880002CU18" in said.stdout
        assert CANARY not in said.stdout + said.stderr + "".join(lines) + daemon.output


DAEMONS = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "**{{ record.name }}**"}]}


def test_an_address_that_is_not_microsoft_s_is_refused_where_it_is_known(tmp_path):
    (tmp_path / "url").write_text(f"https://acme.webhook.office.com/webhookb2/{CANARY}")
    team = {"url": {"file": "url"}}
    assert asked(tmp_path, "lint", steps=[{}], team=team).returncode == 0
    said = asked(tmp_path, "lint", "--secrets", "-o", "json", steps=[{}], team=team)
    (problem,) = json.loads(said.stdout)["problems"]
    assert problem["path"] == "destinations.team.url"
    assert "which Microsoft has retired" in problem["message"]
    assert said.returncode == 3
    assert CANARY not in said.stdout + said.stderr


def test_its_page_says_the_limits_that_the_code_has():
    page = (Path(__file__).parents[2] / "connectors" / "destinations" / "teams" / "README.md").read_text("utf-8")
    from connectors.destinations.teams.destination import LENGTH
    from connectors.destinations.teams.layout.check import MOST

    assert f"at most {LENGTH:,} bytes, a card {MOST:,}" in " ".join(page.split())
