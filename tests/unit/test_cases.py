"""Tests beside rules: exactly what is wrong is said. And how long a step may become."""

from datetime import datetime, timezone
from decimal import Decimal

import pytest
from test_engine import expression, rule, step

from crmbridge.model import Choice, FieldSpec, FieldType, Kind, Literal, Reading, Value, plain
from crmbridge.rules.cases import change, run_case
from crmbridge.rules.engine import Engine
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.longest import ROOM, longest
from crmbridge.rules.match import compile_match
from crmbridge.rules.rule import Case, Expected, FixedChannel, RecordChannel
from crmbridge.rules.template import compile_template

RECORDS = {("crm", "Deal"): {"Amount": FieldSpec(type=FieldType.MONEY), "Name": FieldSpec(), "Open": FieldSpec(type=FieldType.BOOLEAN)}}
GERMAN = {"crm": Reading(numbers="1.234,5")}


def wrong(of, *expect, kind=Kind.UPDATED, record=None, before=None, others=()):
    case = Case(name="c", record=record or {"Name": "Parkers", "Amount": "250.000"}, before=before or {}, kind=kind, expect=expect)
    return run_case(of, case, Engine([*others, of], RECORDS, readings=GERMAN))


SAYS = rule(step("{{ record.Name }}: {{ record.Amount }}"))
ABOUT = rule(step(channel=RecordChannel(expression("record.Name"), expression("'About ' ~ record.Name"))))
FIXED = rule(step(channel=FixedChannel("#wins")))


@pytest.mark.parametrize(
    ("of", "expect", "said"),
    [
        (SAYS, [Expected(destination="out")], []),
        (SAYS, [Expected(destination="out", text="Parkers: 250000", contains="kers: 25")], []),  # read as its source writes
        (SAYS, [Expected(destination="wins")], ["message 1 goes to out, not to wins"]),
        (SAYS, [Expected(destination="out", text="Parkers")], ["message 1 says 'Parkers: 250000', not 'Parkers'"]),
        (SAYS, [Expected(destination="out", contains="x")], ["message 1 says 'Parkers: 250000', which does not contain 'x'"]),
        (SAYS, [Expected(destination="out", channel="#wins")], ["message 1 goes to the channel None"]),
        (FIXED, [Expected(destination="out", channel="#wins")], []),
        (FIXED, [Expected(destination="out", channel="#other")], ["message 1 goes to the channel #wins"]),
        (ABOUT, [Expected(destination="out", channel="crm/Parkers")], []),
        (ABOUT, [Expected(destination="out", channel="About Parkers")], []),
        (ABOUT, [Expected(destination="out", channel="Parkers")], ["message 1 goes to the channel About Parkers"]),
        (SAYS, [], ["one message more than expected, to out: 'Parkers: 250000'"]),
        (SAYS, [Expected(destination="out"), Expected(destination="feed"), Expected(destination="wins")],
         ["no message to feed", "no message to wins"]),
        (rule(step("a"), step("b", destination="feed")), [Expected(destination="out"), Expected(destination="out")],
         ["message 2 goes to feed, not to out"]),
        (rule(step("a"), step("b", destination="feed")), [Expected(destination="out", text="x")],
         ["message 1 says 'a', not 'x'", "one message more than expected, to feed: 'b'"]),
        (rule(step("a"), step("{{ 1 / 0 }}", id="t")), [Expected(destination="out")],
         ["step t cannot be rendered: rule r, step t: line 1: division by zero"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(of, expect, said):
    """Each message by its number, then what is too much, then what is missing."""
    assert wrong(of, *expect) == said


def test_why_a_rule_is_silent():
    clauses, _ = compile_match({"Name": "Other"}, None)
    silent, out = rule(clauses=tuple(clauses)), Expected(destination="out")
    assert wrong(silent, out, out) == ["expected 2 messages, and the rule was silent: Name is Other: it is Parkers"]
    assert wrong(SAYS, out, kind=Kind.DELETED) == ["expected 1 message, and the rule was silent: the rule does not look at deleted records"]
    assert wrong(silent) == wrong(SAYS, kind=Kind.DELETED) == []


def test_a_case_knows_only_its_rule():
    """No rule before it stops it."""
    assert wrong(SAYS, Expected(destination="out"), others=[rule(id="first", identity="first", stop=True)]) == []


def test_the_change_of_a_case():
    """A record of no name, changed at noon by nobody, so that a template may use every fact of it."""
    case = Case(name="c", record={"Amount": "1,5", "Odd": "1,5"}, before={"Amount": "1.000", "Open": "no"}, kind=Kind.UPDATED)
    of = change(SAYS, case, Engine([SAYS], RECORDS, readings=GERMAN))
    assert (of.fields, of.before) == ({"Amount": Decimal("1.5"), "Odd": "1,5"}, {"Amount": Decimal(1000), "Open": False})
    assert (of.source, of.record_type, of.kind, of.occurred_at) == (
        "crm", "Deal", Kind.UPDATED, datetime(2026, 1, 15, 12, tzinfo=timezone.utc),
    )  # fmt: skip
    assert (of.id, of.record_id, of.actor, of.url, of.revision) == ("test", "test", "test", "https://crm.example.com/test", 2)
    assert change(SAYS, case, Engine([SAYS], {})).fields == case.record, "of a record type that nobody has described, too"
    kept = Case(name="c", record={"Name": Choice("a", "A")}, before={}, kind=Kind.UPDATED)
    assert change(SAYS, kept, Engine([SAYS], RECORDS)).fields == kept.record


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ record.Amount }}", "-999999999.99"),
        ("{{ record.Count }}", "-999999999.99"),
        ("{{ record.Open }}", "no"),
        ("{{ record.Day }}", "2026-12-30"),
        ("{{ before.At }}", "2026-12-30 23:59"),
        ("{{ record.Day | date }} {{ record.At | date }}", "30 December 2026 30 December 2026"),
        ("{{ event.id }} {{ event.record_id }} {{ event.kind }} {{ event.occurred_at }}", "longest longest updated 2026-12-30 23:59"),
    ],
)
def test_the_longest_values(text, words):
    types = {"Amount": "money", "Count": "number", "Open": "boolean", "Day": "date", "At": "datetime"}
    records = {("crm", "Deal"): {name: FieldSpec(type=FieldType(one)) for name, one in types.items()}}
    of = rule(step(text))
    assert plain(longest(Engine([of], records), of, of.steps[0])) == words


def test_the_longest_text():
    """As long as a text field lets it be, in words that may wrap, with its link behind a blank."""
    of = rule(step("{{ record.Name | upper }}{{ before.Name }}"), step("{{ record.Name + 1 }}"))
    engine = Engine([of], {})
    text, odd = (longest(engine, of, one) for one in of.steps)
    assert ROOM == 255
    (value,) = text
    assert (type(value), len(value.text)) == (Value, 2 * ROOM)
    assert value.text.startswith("LOREM IPSUM DOLOR SIT AMET LOREM")
    assert not value.text[ROOM - 1].isspace()
    assert odd is None


@pytest.mark.parametrize(
    ("link", "length"),
    [
        ("https://crm.example/", 20),
        ("{{ event.url }}", 60),
        ("https://crm.example/{{ record.Id }}", 20 + 36),  # what stands in an address is an id, as long as a UUID
        ("https://crm.example/{{ record.Name | slug }}", 20 + ROOM),
        ("https://crm.example/{{ record.Name }}", 20 + ROOM + 2 * 46),  # each of its blanks is %20
    ],
)
def test_the_longest_link(link, length):
    """It stands behind the text, after a blank."""
    of = rule(step("{{ record.Name }}", link=compile_template(link, fields=None, filters=FILTERS)))
    found = longest(Engine([of], {}), of, of.steps[0])
    text, address = found
    assert (len(text.text), type(address), address.text[:9], len(address.text)) == (ROOM, Literal, " https://", length + 1)


def test_the_longest_name():
    of = rule(step("{{ event.actor }}"))
    assert len(plain(longest(Engine([of], {}), of, of.steps[0]))) == 40
