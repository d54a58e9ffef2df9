"""No record makes a rule work for long, whatever the rule does with it. Work is counted, for time would depend on the machine."""

import itertools
import sys
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import NOW, changed_deal
from test_templates import evaluate, render

from crmbridge.errors import RenderError
from crmbridge.model import Choice, Literal, Value, plain, spans
from crmbridge.rules.match import Clause, first_failure
from crmbridge.rules.meter import LIMIT, Meter, search, size
from crmbridge.rules.values import Joined

MANY = tuple(map(Decimal, range(20_000)))
ODD = {
    "List": MANY,
    "Names": tuple(f"name {n}" for n in range(20_000)),
    "Huge": "x" * 1_000_000,
    "Lists": (MANY, MANY),
    "Word": "needle",
    "Digits": " " * 900_000 + "1",
    "Pieces": tuple("ab" * 500 for _ in range(2_000)),
}
CALLS_A_UNIT = 25
"""Calls of functions, Python's own included, that a unit may be."""


def calls(work):
    """How many functions `work` calls; what it raises as a RenderError is returned too."""
    count, words = 0, ""

    def saw(_, what, __):
        nonlocal count
        count += what in ("call", "c_call")

    sys.setprofile(saw)
    try:
        work()
    except RenderError as error:
        words = str(error)
    finally:
        sys.setprofile(None)
    return count, words


HOSTILE = {
    "a loop that keeps nothing": "{% for i in record.List if i == 'x' %}{% endfor %}.",
    "a loop in a loop": "{% for i in record.List %}{% for j in record.List %}{{ j }}{% endfor %}{% endfor %}",
    "a test in a loop": "{% for i in record.Names if i in record.Names %}{{ i }}{% endfor %}.",
    "in, in every round": "{% for i in record.Names %}{% if record.Word in record.Names %}x{% endif %}{% endfor %}.",
    "in, many times": "{% if " + " or ".join(["'z' in record.Names"] * 50) + " %}x{% endif %}.",
    "a long text searched in a loop": "{% for i in record.Names %}{% if 'q' in record.Huge %}{% endif %}{% endfor %}.",
    "a long text compared in a loop": "{% for i in record.Names %}{% if record.Huge == record.Huge ~ 'x' %}{% endif %}{% endfor %}.",
    "a text that is nearly a number": "{% for i in record.Names %}{% if record.Digits == 1 %}{% endif %}{% endfor %}.",
    "a list as a text": "{% for i in record.Names %}{{ record.List | join | truncate(1) }}{% endfor %}",
    "a list with a long separator": "{{ record.Pieces | join(record.Huge) }}",
    "filters on a long text": "{% for i in record.Names %}{{ record.Huge | slug | upper | lower | truncate(1) }}{% endfor %}",
    "a thousand parts in a loop": "{% for i in record.Names %}" + "{{ '' }}" * 1000 + "{% endfor %}.",
    "a wide expression in a loop": "{% for i in record.Names %}{{ " + " ~ ".join(["record.Word"] * 300) + " | truncate(1) }}{% endfor %}",
    "doubling": "{% set a = record.Word %}" + "{% set a = a ~ a %}" * 60 + "{{ a | truncate(1) }}",
    "many names": "".join(f"{{% set n{i} = 1 %}}" for i in range(400)) + "{% for i in record.Names %}{% set z = i %}{% endfor %}.",
    "lists of lists": "{% for i in record.Lists %}{{ i in record.Lists }}{% endfor %}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_template_works_for_long(name):
    """Each ends as a render error that says why, after no more calls than the limit allows."""
    count, words = calls(lambda: render(HOSTILE[name], ODD))

    assert words
    assert count < LIMIT * CALLS_A_UNIT, f"{count:,} calls"


@pytest.mark.parametrize(
    "condition",
    ["'z' in record.Names and 'y' in record.Names", "record.Names == record.List", "record.Lists == record.Lists", "'q' in record.Pieces"],
)
def test_no_condition_works_for_long(condition):
    """Likewise, whether it ends with an answer or with a render error."""
    count, _ = calls(lambda: evaluate(condition, ODD))

    assert count < LIMIT * CALLS_A_UNIT


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [("contains", "x"), ("is", "x"), ("in", tuple(map(str, range(300)))), ("starts_with", "0, 1"), ("becomes", MANY)],
)
@pytest.mark.parametrize("field", ["List", "Names", "Huge", "Pieces", "Lists"])
def test_no_clause_works_for_long(field, operator, wanted):
    """Clauses of `match` are charged like expressions."""
    event = changed_deal(ODD, ODD)
    clauses = tuple(Clause(field, operator, wanted) for _ in range(10))

    count, _ = calls(lambda: first_failure(clauses, event, Meter()))

    assert count < LIMIT * CALLS_A_UNIT


def test_honest_rules_have_room():
    """What people write for records of a few hundred items goes through, with much to spare."""
    team = tuple(f"Person {n}" for n in range(300))
    source = "{% for one in record.Team if one not in record.Gone %}{{ loop.index }}. {{ one | upper }}\n{% endfor %}"

    assert plain(render(source, {"Team": team, "Gone": ("Person 1", "Person 2")})).endswith("298. PERSON 299\n")
    assert render("{{ record.Items | length }}", {"Items": tuple(range(LIMIT * 3))}) == (Value("75000"),)


def test_why_a_clause_failed_is_told_in_few_words():
    """A record's long value is shown as far as it helps."""
    event = changed_deal(ODD, {})

    assert Clause("Names", "contains", "x").why_not(event).endswith("name 8, name 9, ... (20000 items)")
    assert len(Clause("Huge", "is", "x").why_not(event)) < 300


@pytest.mark.parametrize(
    ("value", "units"),
    [
        ("", 1),
        ("x" * 63, 1),
        ("x" * 64, 2),
        (("a", "b" * 128), 1 + 1 + 3),
        ((), 1),
        (MANY * 2, LIMIT + 1),
        (Choice("v" * 64, "l" * 64), 3),
        (Joined((Literal("a" * 64), Value("b"))), 1 + 2 + 1),
        (NOW, 4),
        (date(2026, 11, 22), 1),
        (Decimal(1), 1),
        (None, 1),
        (tuple("x" * LIMIT), LIMIT + 1),
        (("x" * 64 * LIMIT, *"abc"), LIMIT + 2),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_value_s_size(value, units):
    assert size(value) == units


def test_the_limit_itself_may_be_spent():
    meter = Meter()
    meter.charge(LIMIT - 1)
    meter.charge(1)
    assert meter.spent == LIMIT == 25_000
    with pytest.raises(RenderError, match=r"too much work \(more than 25,000 items"):
        meter.charge(1)


def test_a_search_compares_every_item_with_what_is_sought():
    assert search(("a", "b"), "x" * 64) == 3 + 2 * 2
    assert search("x" * 640, "y") == 11 + 1


@given(st.lists(st.one_of(st.builds(Literal, st.text(max_size=3)), st.builds(Value, st.text(max_size=3), st.booleans())), max_size=12))
def test_spans_are_joined_and_keep_their_words_and_origin(parts):
    """Neighbours of one kind become one span; no character changes its place or its origin."""
    found = spans(parts)

    def letters(some):
        return [(type(one), getattr(one, "shrink", None), letter) for one in some for letter in one.text]

    assert letters(found) == letters(parts)
    assert all(one.text for one in found)
    kinds = [(type(one), getattr(one, "shrink", None)) for one in found]
    assert all(one != following for one, following in itertools.pairwise(kinds))
