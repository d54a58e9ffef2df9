"""Events become messages: the index, the audiences, what happens when something cannot be said."""

from dataclasses import replace
from pathlib import Path

import pytest
from shared import NOW

from crmbridge.config.load import load
from crmbridge.model import Audience, ChangeEvent, Channel, FieldSpec, Kind, Sensitivity, idempotency_key, plain
from crmbridge.rules.engine import Engine
from crmbridge.rules.expression import compile_expression
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.rule import FixedChannel, RecordChannel, Rule, Step
from crmbridge.rules.template import compile_template


def expression(source):
    return compile_expression(source, fields=None, filters=FILTERS)


def step(text="{{ record.Name }}", **changes):
    facts = {"id": "s", "identity": "s", "destination": "out", "audience": Audience.COMPANY}
    return Step(**(facts | {"text": compile_template(text, fields=None, filters=FILTERS)} | changes))


def rule(*steps, **changes):
    facts = {
        "id": "r",
        "identity": "r",
        "source": "crm",
        "record": "Deal",
        "kinds": frozenset({Kind.UPDATED}),
        "clauses": (),
        "condition": None,
    }
    return Rule(**(facts | {"steps": steps or (step(),)} | changes))


def event(kind=Kind.UPDATED, record="Deal", **fields):
    return ChangeEvent(
        id="e",
        source="crm",
        record_type=record,
        record_id="7",
        revision=1,
        kind=kind,
        occurred_at=NOW,
        fields=fields or {"Name": "Parkers"},
        before={},
    )


def run(*rules, of=None, records=None):
    return Engine(rules, records or {}).run(of or event())


def test_only_rules_of_the_event_s_kind_are_looked_at():
    """A thousand rules cost what the matching ones cost: the evaluations are counted."""
    engine = Engine([rule(record=f"T{number}") for number in range(1000)] + [rule(), rule(kinds=frozenset({Kind.DELETED}))], {})

    assert len(engine.run(event()).rendered) == 1
    assert engine.evaluations == 1


def test_every_matching_rule_speaks_until_one_stops():
    """Silence by accident is the worse mistake: the first match does not end it."""
    rules = [rule(id="a", identity="a"), rule(id="b", identity="b", stop=True), rule(id="c", identity="c")]

    assert [one.message.rule for one in run(*rules).rendered] == ["a", "b"]


def test_one_rule_alone_is_still_stopped_by_those_before_it():
    """A replay of one rule says what it would have said."""
    rules = [rule(id="a", identity="a"), rule(id="b", identity="b", stop=True), rule(id="c", identity="c")]

    said = {name: [one.message.rule for one in Engine(rules, {}).run(event(), only=name).rendered] for name in "abc"}
    assert said == {"a": ["a"], "b": ["b"], "c": []}


def test_a_key_names_event_rule_and_step_for_ever():
    """A rename keeps the identity, so nothing is said again."""
    (one,) = run(rule(step(id="new", identity="old"), id="renamed", identity="first")).rendered

    assert one.key == idempotency_key("e", "first", "old")
    assert (one.message.rule, one.message.step) == ("renamed", "new")


def test_a_condition_must_be_true_or_false():
    """`if: record.Amount` would be true by accident."""
    outcome = run(rule(condition=expression("record.Name")))

    assert outcome.rendered == []
    assert outcome.verdicts[0].failed
    assert outcome.verdicts[0].reason == "the condition gives neither true nor false"


def test_what_cannot_be_said_does_not_stop_the_rest():
    """One step fails, its neighbours speak."""
    outcome = run(rule(step("{{ record.Nope }}"), step("fine", id="t", identity="t")))

    assert [plain(one.message.text) for one in outcome.rendered] == ["fine"]
    assert [one.step for one in outcome.unrenderable] == ["s"]
    assert "record.Nope is not known for this record" in outcome.unrenderable[0].error


def test_a_bug_in_a_filter_is_a_dead_letter_too():
    """Nothing that a rule does can stop a source."""
    broken = {**FILTERS, "upper": {}.__getitem__}
    text = compile_template("{{ record.Name | upper }}", fields=None, filters=broken)
    outcome = run(
        rule(replace(step(), text=text)),
        rule(id="c", identity="c", condition=compile_expression("record.Name | upper == 'x'", fields=None, filters=broken)),
    )

    assert "KeyError" in outcome.unrenderable[0].error
    assert outcome.verdicts[1].failed


def test_a_public_message_sees_only_public_fields():
    """Checked when the file is read, and again here: the record that it sees lacks the rest."""
    records = {
        ("crm", "Deal"): {
            "Name": FieldSpec(sensitivity=Sensitivity.PUBLIC),
            "Amount": FieldSpec(),
            "Margin": FieldSpec(sensitivity=Sensitivity.SECRET),
        }
    }
    seen = event(Name="Parkers", Amount="9", Margin="1", Unlisted="x")
    texts = {"public": Audience.PUBLIC, "company": Audience.COMPANY, "team": Audience.TEAM}
    for name in ("Amount", "Margin", "Unlisted"):
        for audience in texts.values():
            outcome = run(rule(step(f"{{{{ record.{name} }}}}", audience=audience)), of=seen, records=records)
            allowed = audience is not Audience.PUBLIC and name != "Margin"
            assert bool(outcome.rendered) is allowed, (name, audience)
    outcome = run(rule(step("{{ event.record_id }}", audience=Audience.PUBLIC)), of=seen, records=records)
    assert outcome.unrenderable


def test_without_configured_fields_nothing_is_public():
    """Every field of an undescribed record is internal."""
    assert run(rule(step(audience=Audience.PUBLIC))).unrenderable
    assert run(rule(step())).rendered


def test_channels_about_records_are_keyed_by_the_record():
    """Two accounts called Parkers are two channels; a title is only a label."""
    about = RecordChannel(expression("record.Account"), expression("record.Name"))
    keys = {run(rule(step(channel=about)), of=event(Name="Parkers", Account=id)).rendered[0].message.channel for id in ("1", "2")}

    assert keys == {Channel("crm/1", "Parkers"), Channel("crm/2", "Parkers")}
    for missing in ({"Name": "Parkers", "Account": None}, {"Name": "", "Account": "1"}):
        assert run(rule(step("x", channel=about)), of=event(**missing)).unrenderable


def test_fixed_channels_and_threads():
    """A thread belongs to the record."""
    (one,) = run(rule(step(channel=FixedChannel("#wins"), thread=True))).rendered

    assert (one.message.channel, one.message.thread) == (Channel("#wins"), "crm/Deal/7")


@pytest.mark.parametrize(
    ("link", "expected"),
    [("https://crm.example/7", "https://crm.example/7"), ("  ", None), ("javascript:alert(1)", ""), ("https://x y", ""), ("//x", "")],
)
def test_links_are_web_addresses(link, expected):
    """Anything else is refused before it reaches a page."""
    outcome = run(rule(step(link=compile_template(link, fields=None, filters=FILTERS))))

    if expected == "":
        assert outcome.unrenderable[0].error.endswith("link: it is not a web address")
    else:
        assert outcome.rendered[0].message.link == expected


def test_an_empty_text_is_not_published():
    """A template whose every branch is silent says nothing, and that is worth a look."""
    assert "nothing is left to say" in run(rule(step("{% if record.Name == 'x' %}y{% endif %}"))).unrenderable[0].error


def test_included_rules_hold_no_secrets_and_keep_their_places(tmp_path: Path):
    """Who writes rules needs no access to the main file."""
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "crmbridge.yaml").write_text(
        "crmbridge: 1\ninclude: [rules.d/*.yaml]\n"
        "sources: {crm: {type: webhook, signature: {scheme: none}, map: {record_type: {value: T}, record_id: body.id, fields: body}}}\n"
        "destinations: {out: {type: console}}\n"
    )
    text = "rules:\n  - {id: NAME, when: {source: crm, record: T}, publish: [{to: out, text: x}]}\n"
    for name in ("b", "a"):
        (tmp_path / "rules.d" / f"{name}.yaml").write_text(text.replace("NAME", name))

    assert [one.id for one in load(tmp_path / "crmbridge.yaml").rules] == ["a", "b"]

    (tmp_path / "rules.d" / "c.yaml").write_text("rules: [{id: a}]\ndestinations: {}\n")
    with pytest.raises(Exception, match=r"rules.d/c.yaml:2:1: destinations: is not a key here; there are rules"):
        load(tmp_path / "crmbridge.yaml")
