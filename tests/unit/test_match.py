"""Conditions as data, on what a field is and was."""

from datetime import date
from decimal import Decimal

import pytest
from shared import NOW

from crmbridge.errors import RenderError
from crmbridge.model import ChangeEvent, Choice, FieldSpec, FieldType, Kind
from crmbridge.rules.match import compile_match, first_failure
from crmbridge.rules.meter import Meter


def event(fields, before=None, kind=Kind.UPDATED):
    return ChangeEvent(
        id="e", source="crm", record_type="T", record_id="1", revision=2, kind=kind, occurred_at=NOW, fields=fields, before=before or {}
    )


def holds(match, fields, before=None, kind=Kind.UPDATED):
    clauses, problems = compile_match(match, None)
    assert not problems
    return first_failure(tuple(clauses), event(fields, before, kind), Meter()) is None


WON, LOST = {"S": "Won"}, {"S": "Lost"}


@pytest.mark.parametrize(
    ("match", "fields", "before", "kind", "expected"),
    [
        ({"S": "Won"}, WON, None, Kind.UPDATED, True),
        ({"S": "Won"}, LOST, None, Kind.UPDATED, False),
        ({"S": None}, {"S": None}, None, Kind.UPDATED, True),
        ({"S": None}, WON, None, Kind.UPDATED, False),
        ({"S": "Won"}, {"S": None}, None, Kind.UPDATED, False),
        ({"S": {"becomes": "Won"}}, WON, LOST, Kind.UPDATED, True),
        ({"S": {"becomes": "Won"}}, WON, WON, Kind.UPDATED, False),
        ({"S": {"becomes": "Won"}}, WON, {"S": None}, Kind.UPDATED, True),
        ({"S": {"becomes": "Won"}}, WON, None, Kind.UPDATED, False),  # first sight: the old value is unknown
        ({"S": {"becomes": "Won"}}, WON, None, Kind.CREATED, True),
        ({"S": {"becomes": "Won"}}, {"S": Choice("won", "Won")}, {"S": Choice("x", "X")}, Kind.UPDATED, True),
        ({"S": {"changed": True}}, WON, LOST, Kind.UPDATED, True),
        ({"S": {"changed": True}}, WON, WON, Kind.UPDATED, False),
        ({"S": {"changed": True}}, WON, None, Kind.UPDATED, False),
        ({"S": {"changed": True}}, WON, None, Kind.CREATED, False),
        ({"S": {"changed": False}}, WON, WON, Kind.UPDATED, True),
        ({"S": {"changed": True}}, {"S": Decimal("1.0")}, {"S": Decimal("1.00")}, Kind.UPDATED, False),
        ({"S": {"from": "Lost", "to": "Won"}}, WON, LOST, Kind.UPDATED, True),
        ({"S": {"from": "Open", "to": "Won"}}, WON, LOST, Kind.UPDATED, False),
        ({"S": {"to": "Won"}}, WON, None, Kind.CREATED, False),
        ({"S": {"from": None}}, WON, {"S": None}, Kind.UPDATED, True),
        ({"S": {"ne": "Lost"}}, WON, None, Kind.UPDATED, True),
        ({"S": {"ne": "Lost"}}, {"S": None}, None, Kind.UPDATED, False),
        ({"S": {"in": ["Won", "Lost"]}}, WON, None, Kind.UPDATED, True),
        ({"S": {"not_in": ["Won", "Lost"]}}, WON, None, Kind.UPDATED, False),
        ({"S": {"not_in": ["Won"]}}, {"S": None}, None, Kind.UPDATED, False),
        ({"A": {"gte": Decimal(100)}}, {"A": Decimal(100)}, None, Kind.UPDATED, True),
        ({"A": {"gt": Decimal(100)}}, {"A": Decimal(100)}, None, Kind.UPDATED, False),
        ({"A": {"lt": Decimal(100)}}, {"A": None}, None, Kind.UPDATED, False),
        ({"A": {"lte": "2026-03-01"}}, {"A": date(2026, 3, 1)}, None, Kind.UPDATED, True),
        ({"A": {"gte": Decimal("9"), "lt": Decimal("11")}}, {"A": Decimal(10)}, None, Kind.UPDATED, True),
        ({"S": {"contains": "o"}}, WON, None, Kind.UPDATED, True),
        ({"S": {"contains": "b"}}, {"S": ("a", "b")}, None, Kind.UPDATED, True),
        ({"S": {"starts_with": "Cl"}}, {"S": Choice("1", "Closed")}, None, Kind.UPDATED, True),
        ({"S": {"exists": True}}, {"S": None}, None, Kind.UPDATED, False),
        ({"S": {"exists": False}}, {}, None, Kind.UPDATED, True),
        ({"S": Decimal("1.10")}, {"S": "1.10"}, None, Kind.UPDATED, True),  # as written, for a text field
        ({"S": True}, {"S": True}, None, Kind.UPDATED, True),
        ({"S": "NO"}, {"S": "NO"}, None, Kind.UPDATED, True),
    ],
)
def test_operators(match, fields, before, kind, expected):
    """Each operator, where it holds and where it does not."""
    assert holds(match, fields, before, kind) is expected


def test_says_which_clause_failed_and_what_it_saw():
    """`explain` and rule tests live on this sentence."""
    clauses, _ = compile_match({"S": {"becomes": "Won"}}, None)

    assert clauses[0].why_not(event(WON)) == "S becomes Won: it was first sight, old value unknown and is Won"
    assert clauses[0].why_not(event({"S": "Open"}, LOST)) == "S becomes Won: it was Lost and is Open"


def test_what_cannot_be_compared_is_an_error_with_its_clause():
    """An error counts and does not match; it never stops a source."""
    clauses, _ = compile_match({"A": {"gt": Decimal(3)}}, None)

    with pytest.raises(RenderError, match="A gt 3: cannot compare a text with a number"):
        first_failure(tuple(clauses), event({"A": "many"}), Meter())


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"becoms": "Won"}, 'there is no operator `becoms`; did you mean "becomes"?'),
        ({"in": "Won"}, "write a list with at least one value, like [Won, Lost]"),
        ({"changed": "yes"}, "write true or false"),
        ({"gt": None}, "write a value"),
        ({"gt": [1]}, "write one value"),
        ({"gt": "lots"}, "`lots` is not a number, and the field is"),
        ({}, "is empty; write a value, or an operator such as {becomes: ...}"),
    ],
)
def test_a_wrong_condition_is_found_when_read(condition, message):
    """With its place, for the linter."""
    _, problems = compile_match({"A": condition}, {"A": FieldSpec(type=FieldType.NUMBER)})

    assert [message] == [text for _, text in problems]


TYPED = {
    name: FieldSpec(type=FieldType(type_))
    for name, type_ in (("n", "number"), ("m", "money"), ("d", "date"), ("t", "datetime"), ("b", "boolean"), ("x", "text"), ("a", "any"))
}


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ({"n": "five"}, "`five` is not a number, and the field is"),
        ({"m": {"gte": "100.000,5"}}, "`100.000,5` is not a number, and the field is"),
        ({"n": {"in": [1, "two"]}}, "`two` is not a number, and the field is"),
        ({"d": {"gt": "12/01/2026"}}, "`12/01/2026` is not a day, and the field is: write it like 2026-12-31"),
        ({"t": {"becomes": "soon"}}, "`soon` is not an instant, and the field is: write it like 2026-12-31 or 2026-12-31T18:00"),
        ({"b": "maybe"}, "`maybe` is not true or false, and the field is"),
        ({"b": {"not_in": [True, 7]}}, "`7` is not true or false, and the field is"),
    ],
)
def test_a_value_that_no_such_field_can_have(match, words):
    """It would never hold, and nobody would know why."""
    _, problems = compile_match(match, TYPED)
    assert [problem for _, problem in problems] == [words]


@pytest.mark.parametrize(
    "match",
    [{"n": 5}, {"n": "5.5"}, {"m": None}, {"d": {"gte": "2026-12-31"}}, {"t": {"lt": "2026-12-31"}}, {"t": {"lt": "2026-12-31 18:00"}},
     {"b": True}, {"b": "yes"}, {"b": 1}, {"n": {"contains": "x"}}, {"d": {"starts_with": "2026"}}, {"d": {"changed": True}},
     {"x": "five"}, {"a": "five"}],
)  # fmt: skip
def test_a_value_that_it_can_have(match):
    assert compile_match(match, TYPED)[1] == []


@pytest.mark.parametrize("word", [True, "yes", 1, "true"])
def test_truth_in_a_rule_is_truth(word):
    """However somebody writes it, where the field is known to be true or false."""
    (clause,), _ = compile_match({"b": {"becomes": word}}, TYPED)
    assert first_failure((clause,), event({"b": True}, {"b": False}), Meter()) is None
    assert first_failure((clause,), event({"b": False}, {"b": True}), Meter()) is clause
