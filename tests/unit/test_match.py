"""Conditions as data, on what a field is and was."""

from datetime import date
from decimal import Decimal

import pytest
from shared import NOW

from crmbridge.errors import RenderError
from crmbridge.model import ChangeEvent, ChangeKind, Choice, FieldSpec, FieldType, Reading
from crmbridge.rules.match import Clause, compile_match, first_failure, no_longer
from crmbridge.rules.meter import Meter


def event(fields, before=None, kind=ChangeKind.UPDATED):
    return ChangeEvent(
        id="e", source="crm", record_type="T", record_id="1", revision=2, kind=kind, occurred_at=NOW, fields=fields, before=before or {}
    )


def holds(match, fields, before=None, kind=ChangeKind.UPDATED):
    clauses, problems = compile_match(match, None)
    assert not problems
    return first_failure(tuple(clauses), event(fields, before, kind), Meter()) is None


WON, LOST = {"S": "Won"}, {"S": "Lost"}
NAMES = "becomes, changed, contains, exists, from, gt, gte, in, lt, lte, ne, not_in, starts_with, to"


@pytest.mark.parametrize(
    ("match", "fields", "before", "kind", "expected"),
    [
        ({"S": "Won"}, WON, None, ChangeKind.UPDATED, True),
        ({"S": "Won"}, LOST, None, ChangeKind.UPDATED, False),
        ({"S": None}, {"S": None}, None, ChangeKind.UPDATED, True),
        ({"S": None}, WON, None, ChangeKind.UPDATED, False),
        ({"S": "Won"}, {"S": None}, None, ChangeKind.UPDATED, False),
        ({"S": {"becomes": "Won"}}, WON, LOST, ChangeKind.UPDATED, True),
        ({"S": {"becomes": "Won"}}, WON, WON, ChangeKind.UPDATED, False),
        ({"S": {"becomes": "Won"}}, WON, {"S": None}, ChangeKind.UPDATED, True),
        ({"S": {"becomes": "Won"}}, WON, None, ChangeKind.UPDATED, False),  # first sight: the old value is unknown
        ({"S": {"becomes": "Won"}}, WON, None, ChangeKind.CREATED, True),
        ({"S": {"becomes": "Won"}}, {"S": Choice("won", "Won")}, {"S": Choice("x", "X")}, ChangeKind.UPDATED, True),
        ({"S": {"changed": True}}, WON, LOST, ChangeKind.UPDATED, True),
        ({"S": {"changed": True}}, WON, WON, ChangeKind.UPDATED, False),
        ({"S": {"changed": True}}, WON, None, ChangeKind.UPDATED, False),
        ({"S": {"changed": True}}, WON, None, ChangeKind.CREATED, False),
        ({"S": {"changed": False}}, WON, WON, ChangeKind.UPDATED, True),
        ({"S": {"changed": True}}, {"S": Decimal("1.0")}, {"S": Decimal("1.00")}, ChangeKind.UPDATED, False),
        ({"S": {"from": "Lost", "to": "Won"}}, WON, LOST, ChangeKind.UPDATED, True),
        ({"S": {"from": "Open", "to": "Won"}}, WON, LOST, ChangeKind.UPDATED, False),
        ({"S": {"to": "Won"}}, WON, None, ChangeKind.CREATED, False),
        ({"S": {"from": None}}, WON, {"S": None}, ChangeKind.UPDATED, True),
        ({"S": {"ne": "Lost"}}, WON, None, ChangeKind.UPDATED, True),
        ({"S": {"ne": "Lost"}}, {"S": None}, None, ChangeKind.UPDATED, False),
        ({"S": {"in": ["Won", "Lost"]}}, WON, None, ChangeKind.UPDATED, True),
        ({"S": {"not_in": ["Won", "Lost"]}}, WON, None, ChangeKind.UPDATED, False),
        ({"S": {"not_in": ["Won"]}}, {"S": None}, None, ChangeKind.UPDATED, False),
        ({"A": {"gte": Decimal(100)}}, {"A": Decimal(100)}, None, ChangeKind.UPDATED, True),
        ({"A": {"gt": Decimal(100)}}, {"A": Decimal(100)}, None, ChangeKind.UPDATED, False),
        ({"A": {"lt": Decimal(100)}}, {"A": None}, None, ChangeKind.UPDATED, False),
        ({"A": {"lte": "2026-03-01"}}, {"A": date(2026, 3, 1)}, None, ChangeKind.UPDATED, True),
        ({"A": {"gte": Decimal("9"), "lt": Decimal("11")}}, {"A": Decimal(10)}, None, ChangeKind.UPDATED, True),
        ({"S": {"contains": "o"}}, WON, None, ChangeKind.UPDATED, True),
        ({"S": {"contains": "b"}}, {"S": ("a", "b")}, None, ChangeKind.UPDATED, True),
        ({"S": {"starts_with": "Cl"}}, {"S": Choice("1", "Closed")}, None, ChangeKind.UPDATED, True),
        ({"S": {"exists": True}}, {"S": None}, None, ChangeKind.UPDATED, False),
        ({"S": {"exists": False}}, {}, None, ChangeKind.UPDATED, True),
        ({"S": Decimal("1.10")}, {"S": "1.10"}, None, ChangeKind.UPDATED, True),  # as written, for a text field
        ({"S": {"changed": False}}, WON, LOST, ChangeKind.UPDATED, False),
        ({"S": {"changed": False}}, WON, None, ChangeKind.UPDATED, True),
        ({"S": {"changed": True}}, WON, {"S": None}, ChangeKind.UPDATED, True),
        ({"S": {"changed": True}}, {"S": None}, WON, ChangeKind.UPDATED, True),
        ({"S": {"changed": True}}, {}, WON, ChangeKind.UPDATED, True),
        ({"S": {"changed": True}}, {"S": None}, {"S": None}, ChangeKind.UPDATED, False),
        ({"S": {"changed": True}}, {"S": "Won "}, WON, ChangeKind.UPDATED, False),
        ({"S": {"becomes": None}}, {"S": None}, WON, ChangeKind.UPDATED, True),
        ({"S": {"becomes": None}}, {"S": None}, {"S": None}, ChangeKind.UPDATED, False),
        ({"S": {"becomes": "Won"}}, LOST, {"S": "Open"}, ChangeKind.UPDATED, False),
        ({"S": {"from": "Lost"}}, LOST, LOST, ChangeKind.UPDATED, False),
        ({"S": {"from": None}}, WON, LOST, ChangeKind.UPDATED, False),
        ({"S": {"to": "Won"}}, WON, WON, ChangeKind.UPDATED, False),
        ({"S": {"to": "Lost"}}, WON, LOST, ChangeKind.UPDATED, False),
        ({"S": {"ne": "Won"}}, WON, None, ChangeKind.UPDATED, False),
        ({"S": {"ne": None}}, WON, None, ChangeKind.UPDATED, True),
        ({"S": {"in": ["Open", "Lost"]}}, WON, None, ChangeKind.UPDATED, False),
        ({"S": {"in": ["Won"]}}, {"S": None}, None, ChangeKind.UPDATED, False),
        ({"S": {"not_in": ["Open", "Lost"]}}, WON, None, ChangeKind.UPDATED, True),
        ({"A": {"gt": Decimal(100)}}, {"A": Decimal("100.01")}, None, ChangeKind.UPDATED, True),
        ({"A": {"gte": Decimal(100)}}, {"A": Decimal("99.99")}, None, ChangeKind.UPDATED, False),
        ({"A": {"lt": Decimal(100)}}, {"A": Decimal("99.99")}, None, ChangeKind.UPDATED, True),
        ({"A": {"lt": Decimal(100)}}, {"A": Decimal(100)}, None, ChangeKind.UPDATED, False),
        ({"A": {"lte": Decimal(100)}}, {"A": Decimal(100)}, None, ChangeKind.UPDATED, True),
        ({"A": {"lte": Decimal(100)}}, {"A": Decimal("100.01")}, None, ChangeKind.UPDATED, False),
        ({"S": {"contains": "b"}}, {"S": None}, None, ChangeKind.UPDATED, False),
        ({"S": {"contains": "x"}}, WON, None, ChangeKind.UPDATED, False),
        ({"S": {"starts_with": "Wo"}}, {"S": " Won"}, None, ChangeKind.UPDATED, True),
        ({"S": {"starts_with": "on"}}, WON, None, ChangeKind.UPDATED, False),
        ({"S": {"starts_with": "N"}}, {"S": None}, None, ChangeKind.UPDATED, False),
        ({"S": {"starts_with": Decimal(25)}}, {"S": Decimal(250)}, None, ChangeKind.UPDATED, True),
        ({"S": {"exists": True}}, {"S": ""}, None, ChangeKind.UPDATED, True),
        ({"S": {"exists": False}}, WON, None, ChangeKind.UPDATED, False),
        ({"S": True}, {"S": True}, None, ChangeKind.UPDATED, True),
        ({"S": "NO"}, {"S": "NO"}, None, ChangeKind.UPDATED, True),
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


@pytest.mark.parametrize(
    ("condition", "fields", "before", "kind", "words"),
    [
        ({"becomes": "Won"}, {"S": None}, {"S": None}, ChangeKind.UPDATED, "S becomes Won: it was empty and is empty"),
        ({"becomes": "Won"}, LOST, None, ChangeKind.CREATED, "S becomes Won: it is new, and is Lost"),
        ({"changed": True}, WON, WON, ChangeKind.UPDATED, "S changed True: it was Won and is Won"),
        ({"from": "Open"}, WON, LOST, ChangeKind.UPDATED, "S from Open: it was Lost and is Won"),
        ({"to": "Open"}, WON, LOST, ChangeKind.UPDATED, "S to Open: it was Lost and is Won"),
        ({"ne": "Won"}, WON, LOST, ChangeKind.UPDATED, "S ne Won: it is Won"),
        ({"in": ["Open", "Lost"]}, WON, None, ChangeKind.CREATED, "S in Open, Lost: it is Won"),
        ({"exists": True}, {}, None, ChangeKind.UPDATED, "S exists True: it is empty"),
        ({"ne": "x"}, {"S": "x" * 200}, None, ChangeKind.UPDATED, f"S ne x: it is {'x' * 200}"),
        ({"ne": "x"}, {"S": "x" * 201}, None, ChangeKind.UPDATED, f"S ne x: it is {'x' * 200}..."),
        ({"contains": "x"}, {"S": tuple("abcdefghij")}, None, ChangeKind.UPDATED, "S contains x: it is a, b, c, d, e, f, g, h, i, j"),
        (
            {"contains": "x"},
            {"S": tuple("abcdefghijk")},
            None,
            ChangeKind.UPDATED,
            "S contains x: it is a, b, c, d, e, f, g, h, i, j, ... (11 items)",
        ),
        ({"contains": "x"}, {"S": ("a", None, "b" * 300)}, None, ChangeKind.UPDATED, f"S contains x: it is a, {'b' * 197}"),
    ],
)
def test_what_a_clause_saw(condition, fields, before, kind, words):
    """As far as it helps: 200 characters, ten items."""
    (clause,), _ = compile_match({"S": condition}, None)
    assert clause.why_not(event(fields, before, kind)) == words


def test_what_a_message_says_it_became_may_be_over():
    """Only `becomes` says that; the first that is over is told, by what the record says now."""
    clauses, _ = compile_match({"T": {"from": "x"}, "S": {"becomes": "Won"}, "N": {"becomes": None}, "A": {"gt": Decimal(1)}}, None)

    def over(**fields):
        return no_longer(tuple(clauses), fields)

    assert over(S="Won", N=None) == over(S=Choice("w", "Won")) == ""
    assert over(S="Lost", N="x") == "S is no longer Won: it is Lost"
    assert over() == "S is no longer Won: it is empty"
    assert over(S="Won", N=Decimal("1.50")) == "N is no longer None: it is 1.5"


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
        *(({name: "lots"}, "`lots` is not a number, and the field is") for name in ("gte", "lt", "lte")),
        *(({name: None}, "write a value") for name in ("gte", "lt", "lte", "contains", "starts_with")),
        ({"becomes": ["Won"]}, "write one value"),
        ({"becomes": ("Won",)}, "write one value"),
        ({"ne": {"a": "b"}}, "write one value"),
        ({"in": []}, "write a list with at least one value, like [Won, Lost]"),
        ({"not_in": "Won"}, "write a list with at least one value, like [Won, Lost]"),
        ({"exists": 1}, "write true or false"),
        ({"is": "Won"}, "there is no operator `is`; there are " + NAMES),
        ({"zzz": "Won"}, "there is no operator `zzz`; there are " + NAMES),
        ({}, "is empty; write a value, or an operator such as {becomes: ...}"),
        (["Won"], "a list is no value; write A: {in: [...]}"),
        (("Won",), "a list is no value; write A: {in: [...]}"),
    ],
)
def test_a_wrong_condition_is_found_when_read(condition, message):
    """With its place, for the linter."""
    for type_ in (FieldType.NUMBER, FieldType.MONEY):
        clauses, problems = compile_match({"A": condition, "B": "x"}, {"A": FieldSpec(type=type_)})
        place = ("A", *condition) if isinstance(condition, dict) else ("A",)
        assert problems == [(place, message)]
        assert clauses == [Clause("B", "is", "x")], "the rest is read all the same"

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
        ({"x": "changed"}, "`changed` is an operator: write x: {changed: true}; or {in: [changed]} for the word"),
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


@pytest.mark.parametrize(
    "condition",
    [
        {"gt": Decimal(1)},
        {"gt": "1.5"},
        {"becomes": None},
        {"ne": None},
        {"from": None},
        {"to": None},
        {"contains": "lots"},
        {"exists": False},
    ],
)
def test_a_right_condition_is_read(condition):
    (clause,), problems = compile_match({"A": condition}, {"A": FieldSpec(type=FieldType.NUMBER)})
    assert (problems, clause) == ([], Clause("A", *next(iter(condition.items()))))


def test_an_order_of_what_is_no_number():
    """The field's type says whether it must be one."""
    for fields in ({"A": FieldSpec(type=FieldType.DATE)}, {"A": FieldSpec()}, {"B": FieldSpec(type=FieldType.NUMBER)}, None):
        assert compile_match({"A": {"gt": "2026-01-01"}}, fields)[1] == []


def test_what_a_rule_writes_is_read_as_rules_write():
    """Whatever its source's way is, in lists too."""
    german = Reading(numbers="1.234,5")
    for condition in ("1.500", {"in": ["x", "1.500"]}, {"in": ("1.500",)}, {"becomes": "1.500"}):
        clauses, _ = compile_match({"A": condition}, None)
        assert first_failure(tuple(clauses), event({"A": Decimal("1.5")}, {"A": None}), Meter(), german) is None


def test_clauses_are_charged():
    """By what they compare: an item of a list with each that is sought; and what it was, where that counts."""

    def cost(name, wanted, fields, before=None):
        meter = Meter()
        Clause("A", name, wanted).holds(event(fields, before), meter)
        return meter.spent

    long = "x" * 640
    assert cost("is", "y", {"A": long}) == 11 + 1
    assert cost("contains", "y", {"A": ("a", "b")}) == 3 + 2
    assert cost("in", ("a", "b"), {"A": long}) == 3 + 2 * 11
    assert cost("not_in", ("a", "b"), {"A": long}) == 3 + 2 * 11
    assert cost("is", "y", {"A": "y"}, {"A": long}) == 2
    assert [cost(name, "y", {"A": "y"}, {"A": long}) for name in ("becomes", "from", "to")] == [13, 13, 13]
    assert cost("changed", True, {"A": "y"}, {"A": long}) == 13
