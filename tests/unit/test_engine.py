"""Events become messages: the index, the audiences, what happens when something cannot be said."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from shared import NOW

from crmbridge.config.load import load
from crmbridge.model import (
    Audience,
    ChangeEvent,
    ChangeKind,
    Channel,
    Choice,
    FieldSpec,
    FieldType,
    Literal,
    Message,
    Reading,
    RecordRef,
    Sensitivity,
    Unread,
    Value,
    dump_message,
    idempotency_key,
    load_message,
    plain,
)
from crmbridge.rules.engine import Decided, Engine, Rendered, RuleVerdict, Unrenderable, event_fact_readable, readable
from crmbridge.rules.expression import compile_expression
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.match import compile_match
from crmbridge.rules.rule import FixedChannel, Mode, RecordChannel, Rule, Step, Surge, rendered
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
        "kinds": frozenset({ChangeKind.UPDATED}),
        "clauses": (),
        "condition": None,
    }
    return Rule(**(facts | {"steps": steps or (step(),)} | changes))


def event(kind=ChangeKind.UPDATED, record="Deal", **fields):
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
    engine = Engine([rule(record=f"T{number}") for number in range(1000)] + [rule(), rule(kinds=frozenset({ChangeKind.DELETED}))], {})

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
    for name, account, words in (
        ("Parkers", None, "channel.for: record.Account is empty, so the channel has no name"),
        ("Parkers", "", "channel.for: record.Account is empty, so the channel has no name"),
        (None, "1", "channel.title: record.Name is empty, so the channel has no title"),
        ("", "1", "channel.title: record.Name is empty, so the channel has no title"),
    ):
        (one,) = run(rule(step("x", channel=about)), of=event(Name=name, Account=account)).unrenderable
        assert one.error == f"rule r, step s: {words}"

    def channel(name, account):
        return run(rule(step("x", channel=about)), of=event(Name=name, Account=account)).rendered[0].message.channel

    assert channel("Parkers", "caf\u00e9 ") == channel("Parkers", "cafe\u0301"), "one id, however it is written"
    assert channel(Choice("p", "Parkers"), Decimal("1.0")) == Channel("crm/1", "Parkers")
    assert channel("x" * 200, "1").title == "x" * 200
    assert channel("x" * 201, "1").title == "x" * 200


def test_fixed_channels_and_threads():
    """A thread belongs to the record."""
    (one,) = run(rule(step(channel=FixedChannel("#wins"), thread=True))).rendered

    assert (one.message.channel, one.message.thread) == (Channel("#wins"), "crm/Deal/7")


@pytest.mark.parametrize(
    ("link", "expected", "lost"),
    [
        ("https://crm.example/7", "https://crm.example/7", None),
        (" http://crm.example/7 ", "http://crm.example/7", None),
        ("https://crm.example/\u00fc~", "https://crm.example/%C3%BC~", None),
        ("https://crm.example/{{ record.Name }}", "https://crm.example/R%26D%20%23%201", None),
        ("https://x/" + "y" * 1990, "https://x/" + "y" * 1990, None),
        ("  ", None, None),
        ("https://x/" + "y" * 1991, None, "2001 characters"),
        ("javascript:alert(1)", None, "not an http or https address"),
        ("https://x y", None, "no blanks"),
        ("https://x\ty", None, "no blanks"),
        ("https://x\x00y", None, "no blanks"),
        ("https://x\x1fy", None, "no blanks"),
        ("https://x\x7fy", None, "no blanks"),
        ("//x", None, "not an http or https address"),
        ("http:/x", None, "not an http or https address"),
        ("https://crm.example/{{ record.Gone }}", None, "record.Gone is not known for this record"),
        ("https://crm.example/{{ record.Name | money }}", None, "is not a number"),
        ("{{ event.url }}", None, "is empty"),
    ],
)
def test_a_bad_link_costs_the_link_and_not_the_message(link, expected, lost):
    """Anything but a web address is left out before it reaches a page, and the message says why it has none."""
    of = rule(step("text", link=compile_template(link, fields=None, filters=FILTERS)))
    (one,) = run(of, of=event(Name="R&D # 1")).rendered

    assert one.message.link == expected
    assert plain(one.message.text)
    assert (lost is None and one.message.extra == {}) or lost in one.message.extra["no_link"]


def test_all_of_a_message():
    """What a step and its event say of it."""
    link = compile_template("https://crm.example/{{ event.record_id }}", fields=None, filters=FILTERS)
    blocks = [{"text": compile_template("*{{ record.Name }}*", fields=None, filters=FILTERS)}]
    of = step(link=link, blocks=blocks, edit=True, audience=Audience.TEAM, max_age=timedelta(hours=1), surge=Surge(3, timedelta(minutes=1)))
    (one,) = run(rule(of, mode=Mode.DRAFT)).rendered
    assert one == Rendered(
        idempotency_key("e", "r", "s"),
        Message(
            destination="out",
            channel=None,
            rule="r",
            step="s",
            text=(Value("Parkers"),),
            record=RecordRef("crm", "Deal", "7"),
            occurred_at=NOW,
            link="https://crm.example/7",
            thread="crm/Deal/7 r/s",
            edit=True,
            blocks=[{"text": (Literal("*"), Value("Parkers"), Literal("*"))}],
            audience=Audience.TEAM,
            reads=("Name",),
            expires_at=NOW + timedelta(hours=1),
        ),
        Mode.DRAFT,
        Surge(3, timedelta(minutes=1)),
    )
    assert list(Mode) == ["live", "draft", "shadow"], "as the configuration writes them"
    (bare,) = run(rule(step())).rendered
    assert (bare.message.link, bare.message.thread, bare.message.blocks, bare.message.expires_at) == (None, None, None, None)
    assert (bare.message.edit, bare.mode, bare.surge) == (False, Mode.LIVE, None)


def test_all_of_what_cannot_be_said():
    """It names rule, step and destination, and keeps its key, under which it is said when it can be."""
    outcome = Engine([rule(step("{{ record.Name | date }}"))], {}).run(event(), generation=3)
    error = "rule r, step s: line 1: record.Name: the filter `date` cannot be applied to a text: it is not a date"
    assert outcome.unrenderable == [Unrenderable(idempotency_key("e", "r", "s", 3), "r", "s", "out", error)]
    assert Engine([rule(step())], {}).run(event(), generation=3).rendered[0].key == idempotency_key("e", "r", "s", 3)


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ("record.Name == 'Parkers'", RuleVerdict("r", True)),
        ("record.Name == 'Other'", RuleVerdict("r", False, "if: record.Name == 'Other'")),
        ("record.Nope", RuleVerdict("r", False, "if: record.Nope")),
        ("record.Nope | default(none)", RuleVerdict("r", False, "if: record.Nope | default(none)")),
        ("1", RuleVerdict("r", False, "the condition gives neither true nor false", failed=True)),
        ("0", RuleVerdict("r", False, "the condition gives neither true nor false", failed=True)),
        ("record.Name > 1", RuleVerdict("r", False, "cannot compare a text with a number", failed=True)),
    ],
)
def test_verdicts(condition, verdict):
    """What is empty is as good as false; anything else but true and false is a mistake of the rule."""
    outcome = run(rule(condition=expression(condition)))
    assert (outcome.verdicts, bool(outcome.rendered)) == ([verdict], verdict.matched)


def test_a_clause_decides_before_the_condition():
    clauses, _ = compile_match({"Name": "Other"}, None)
    broken = rule(clauses=tuple(clauses), condition=expression("record.Name > 1"))
    assert run(broken).verdicts == [RuleVerdict("r", False, "Name is Other: it is Parkers")]
    matched, _ = compile_match({"Name": "Parkers"}, None)
    assert run(rule(clauses=tuple(matched))).verdicts == [RuleVerdict("r", True)]


def test_every_piece_tells_what_it_cost():
    """One for the decision, one for each step, whether it can be said or not; a decision and a rendering do not share a limit."""
    clauses, _ = compile_match({"Name": "Parkers"}, None)
    of = rule(step("{{ record.Name }}"), step("{{ record.Nope }}"), step("fine"), clauses=tuple(clauses))
    engine, outcome = Engine([of, rule(id="no", kinds=frozenset({ChangeKind.DELETED}))], {}), Decided()
    assert list(engine.running(event(), outcome)) == [2, 2 + 1, 2 + 1, 1 + 1]
    assert (len(outcome.rendered), len(outcome.unrenderable)) == (2, 1)
    assert outcome.rendered[0].key == engine.run(event()).rendered[0].key == idempotency_key("e", "r", "s", 0)
    stopping = Engine([rule(step("a"), stop=True), rule(step("b"), id="b", identity="b")], {})
    assert len(list(stopping.running(event(), Decided(), only="b"))) == 1, "what stops is decided, and says nothing itself"
    assert stopping.evaluations == 1


def test_what_a_condition_and_each_audience_may_know_of_the_event():
    """Ids, links and people are internal; a condition may use them."""
    facts = {"kind": "updated", "occurred_at": "2026-11-22 12:00", "record_type": "Deal", "source": "crm"}
    internal = {"id": "e", "record_id": "7", "revision": "1", "actor": "Ann", "url": "https://crm/7"}
    of = replace(event(), actor="Ann", url="https://crm/7", revision=Decimal(1))
    for name, words in (facts | internal).items():
        for audience in Audience:
            outcome = run(rule(step(f"{{{{ event.{name} }}}}", audience=audience)), of=of)
            allowed = audience is not Audience.PUBLIC or name in facts
            assert [plain(one.message.text) for one in outcome.rendered] == [words] * allowed
            assert event_fact_readable(name, audience) is allowed
        assert run(rule(condition=expression(f"event.{name} is defined")), of=of).rendered


def test_what_readers_and_conditions_may_know_of_a_record():
    """Of what it is and what it was; only a secret is kept from conditions."""
    records = {
        ("crm", "Deal"): {
            "Name": FieldSpec(sensitivity=Sensitivity.PUBLIC),
            "Amount": FieldSpec(),
            "Margin": FieldSpec(sensitivity=Sensitivity.SECRET),
        }
    }
    of = replace(event(Name="a", Amount="b", Margin="c", Other="d"), before={"Name": "a", "Amount": "b", "Margin": "c", "Other": "d"})
    for root in ("record", "before"):
        for name, public, rest in (("Name", True, True), ("Amount", False, True), ("Margin", False, False), ("Other", False, True)):
            text = f"{{{{ {root}.{name} }}}}"
            for audience in Audience:
                found = run(rule(step(text, audience=audience)), of=of, records=records)
                assert bool(found.rendered) is (public if audience is Audience.PUBLIC else rest), (text, audience)
            assert bool(run(rule(condition=expression(f"{root}.{name} is defined")), of=of, records=records).rendered) is rest
    assert run(rule(step("{{ record.Margin }}")), of=event(record="Lead", Margin="c"), records=records).verdicts == []
    lead = rule(step("{{ record.Margin }}"), record="Lead")
    assert run(lead, of=event(record="Lead", Margin="c"), records=records).rendered, "another record type has other secrets"
    for sensitivity in Sensitivity:
        assert readable(sensitivity, None) is (sensitivity is not Sensitivity.SECRET)


def test_only_what_a_type_is_known_of_is_read_again():
    """Whoever wrote the rest knows what it should be: it stays what it was."""
    records = {("crm", "Deal"): {"Amount": FieldSpec(type=FieldType.NUMBER), "Any": FieldSpec()}}
    odd = Unread("1.5", "odd")
    of = rule(step("{{ record.Amount + 1 }}"), step("{{ record.Any }}"), step("{{ record.Other }}"), step("{{ before.Amount }}"))
    seen = replace(event(Amount=odd, Any=odd, Other=odd), before={"Amount": Unread("2.5", "odd")})
    outcome = run(of, of=seen, records=records)
    assert [plain(one.message.text) for one in outcome.rendered] == ["2.5", "2.5"]
    assert [one.error.partition("1: ")[2] for one in outcome.unrenderable] == [
        "record.Any: '1.5' cannot be read: odd",
        "record.Other: '1.5' cannot be read: odd",
    ]
    plain_rule = Engine([rule(step("{{ record.Amount }}"))], records)
    assert plain(plain_rule.run(event(Amount=odd)).rendered[0].message.text) == "1.5"


def test_what_a_rule_said_may_be_outdated():
    """By the rule as it is; a rule that is gone says nothing."""
    clauses, _ = compile_match({"Stage": {"becomes": "1.500"}}, None)
    engine = Engine([rule(clauses=tuple(clauses))], {}, readings={"crm": Reading(numbers="1.234,5")})
    assert engine.outdated("r", {"Stage": Decimal("1.5")}) == engine.outdated("gone", {"Stage": "x"}) == ""
    assert engine.outdated("r", {"Stage": "Lost"}) == "Stage is no longer 1.500: it is Lost"


def test_days_are_shown_where_the_clock_hangs():
    """By the source's own reading, else in the configured zone; a rule alone has both."""
    late = event(At=datetime(2026, 11, 22, 23, 30, tzinfo=timezone.utc))
    text, berlin, tokyo = rule(step("{{ record.At }}")), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")
    for engine, words in (
        (Engine([text], {}), "2026-11-22 23:30"),
        (Engine([text], {}, berlin), "2026-11-23 00:30"),
        (Engine([text], {}, berlin, {"other": Reading(days=tokyo)}), "2026-11-23 00:30"),
        (Engine([text], {}, berlin, {"crm": Reading(days=tokyo)}), "2026-11-23 08:30"),
    ):
        for one in (engine, engine.alone(text)):
            assert plain(one.run(late).rendered[0].message.text) == words
            assert one.zone is engine.zone


def test_everything_that_reaches_readers_is_known():
    """Text, link, layout and channel; no word of a fixed channel is a record's."""

    def template(name):
        return compile_template(f"{{{{ record.{name} }}}}", fields=None, filters=FILTERS)

    blocks = {"a": [template("C"), {"b": template("D")}, "E", 1], "f": template("F")}
    about = RecordChannel(expression("record.G"), expression("record.H"))
    of = step(text=template("A"), link=template("B"), blocks=blocks, channel=about)
    assert [read.path for read in of.reads()] == ["A", "B", "C", "D", "F", "G", "H"]
    assert [read.path for read in step(text=template("A"), channel=FixedChannel("#wins")).reads()] == ["A"]
    assert rendered(blocks, lambda one: one.reads[0].path) == {"a": ["C", {"b": "D"}, "E", 1], "f": "F"}


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


@pytest.mark.parametrize(
    ("match", "condition", "unsure"),
    [
        ({}, None, {"A", "B"}),
        ({"A": "x"}, None, {"B"}),
        ({"A": None}, None, {"A", "B"}),
        ({"A": {"becomes": "x"}, "B": {"to": "y"}}, None, set()),
        ({"A": {"exists": True}, "B": {"exists": False}}, None, {"B"}),
        ({"A": {"in": ["x", "y"]}, "B": {"in": ["x", None]}}, None, {"B"}),
        ({"A": {"not_in": ["x"]}, "B": {"ne": "y"}}, None, set()),
        ({"A": {"ne": None}}, None, {"A", "B"}),
        ({"A": {"gte": 5}, "B": {"contains": "x"}}, None, set()),
        ({"A": {"changed": True}, "B": {"from": "x"}}, None, {"A", "B"}),
        ({}, "record.A and record.B == 'x'", set()),
    ],
)
def test_which_fields_may_be_empty_though_the_message_needs_them(match, condition, unsure):
    """What a condition has compared, or asked for, has a value."""
    clauses, problems = compile_match(match, None)
    assert problems == []
    of = step("{{ record.A }} {{ record.B | upper }} {{ record.C | default('') }}")
    asked = expression(condition) if condition else None

    assert rule(of, clauses=tuple(clauses), condition=asked).unsure(of) == unsure


def test_what_a_message_shows_is_kept_with_it():
    """By name, of its text, link, layout, picture and channel, as they are or were; not what only decided about it."""
    about = RecordChannel(expression("record.Id"), expression("record.Title"))
    of = step(
        "{{ record.A }}{{ before.B | default('') }}",
        link=compile_template("https://x/{{ record.C }}", fields=None, filters=FILTERS),
        blocks=[{"text": compile_template("{{ record.D }}", fields=None, filters=FILTERS)}],
        channel=about,
    )
    (one,) = run(
        rule(of, condition=expression("record.E == 'e'")), of=event(**{name: name.lower() for name in ("A", "C", "D", "E", "Id", "Title")})
    ).rendered

    assert one.message.reads == ("A", "B", "C", "D", "Id", "Title")
    assert load_message(dump_message(one.message)) == one.message


@pytest.mark.parametrize(
    ("audience", "hidden"),
    [(Audience.PUBLIC, ["Inner", "Nobody", "Unknown"]), (Audience.COMPANY, ["Nobody"]), (Audience.TEAM, ["Nobody"])],
)
def test_who_may_see_what_a_message_shows_is_decided_by_today_s_configuration(audience, hidden):
    """A field that is not configured any more is internal."""
    spec = {"Open": Sensitivity.PUBLIC, "Inner": Sensitivity.INTERNAL, "Nobody": Sensitivity.SECRET}
    engine = Engine([], {("crm", "Deal"): {name: FieldSpec(sensitivity=one) for name, one in spec.items()}})
    (one,) = run(rule()).rendered
    shown = replace(one.message, reads=("Inner", "Nobody", "Open", "Unknown"))

    assert engine.undisclosed(shown, audience) == hidden
    assert engine.undisclosed(replace(shown, reads=()), audience) == []
