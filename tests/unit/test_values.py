"""Values in rules: equality, order and parts, whatever writes and wherever the clock hangs; what could not be read decides nothing."""

import operator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from shared import NOW

from crmbridge.errors import RenderError
from crmbridge.model import Audience, ChangeEvent, ChangeKind, Choice, FieldSpec, FieldType, Literal, Ordered, Reading, Unread, Value, plain
from crmbridge.rules.engine import Engine
from crmbridge.rules.expression import compile_expression
from crmbridge.rules.filters import FILTERS, as_date
from crmbridge.rules.match import compile_match, first_failure, no_longer
from crmbridge.rules.meter import Meter
from crmbridge.rules.rule import Rule, Step
from crmbridge.rules.template import compile_template
from crmbridge.rules.values import (
    MAX_TEXT,
    Authored,
    Joined,
    Missing,
    bounded,
    contains,
    divide,
    empty,
    equal,
    ordered,
    same_list,
    shown,
    to_spans,
    told,
)
from crmbridge.rules.values import number as to_number

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
GERMAN = Reading(numbers="1.234,5", dates="31/12/2026", zone=BERLIN, days=BERLIN)
ASKING = Reading(numbers=None)
LATE = datetime(2026, 12, 1, 23, 30, tzinfo=UTC)  # the second of December in Berlin
ODD = Unread("250.000", "it can mean 250000 and 250.000")
WON = Choice("won", "Closed Won")


@pytest.mark.parametrize(
    ("left", "right", "reading", "expected"),
    [
        ("caf\u00e9", "cafe\u0301", GERMAN, True),
        ("Parkers", " Parkers\u00a0", GERMAN, True),
        ("Parkers", "parkers", GERMAN, False),
        (WON, Authored("won"), GERMAN, True),
        (WON, Authored(" Closed Won "), GERMAN, True),
        (WON, Choice("won", "Gewonnen"), GERMAN, True),
        (WON, Choice("lost", "Closed Won"), GERMAN, False),
        (Choice("5", "Won"), Decimal(5), GERMAN, True),
        (Choice("5", "Won"), Decimal(6), GERMAN, False),
        (Choice("true", "Yes"), True, GERMAN, True),
        (Choice("false", "No"), True, GERMAN, False),
        (WON, ("won",), GERMAN, False),
        (True, "yes", GERMAN, True),
        (False, Authored("true"), GERMAN, False),
        (True, True, GERMAN, True),
        (Decimal(250000), "250.000", GERMAN, True),
        (Decimal(250), "250.000", GERMAN, False),
        (Decimal(250), Authored("250.000"), GERMAN, True),  # a rule writes as programs do
        (Decimal(250), Authored("n/a"), GERMAN, False),
        (Decimal("1.50"), Decimal("1.5"), GERMAN, True),
        (LATE, Authored("2026-12-02"), GERMAN, True),
        (LATE, Authored("2026-12-01"), GERMAN, False),
        (LATE, Authored("2026-12-02 00:30"), GERMAN, True),
        (LATE, Authored("2026-12-01T23:30:00Z"), GERMAN, True),
        (LATE, Authored("soon"), GERMAN, False),
        (LATE, date(2026, 12, 2), GERMAN, True),
        (LATE, date(2026, 12, 1), Reading(), True),
        (date(2026, 12, 1), "1.12.2026", GERMAN, True),
        (date(2026, 12, 1), Authored("2026-12-01"), GERMAN, True),
        (date(2026, 12, 2), "2026-12-01T23:30:00Z", GERMAN, True),
        (date(2026, 12, 1), "never", GERMAN, False),
        (date(2026, 12, 1), "2.12.2026", GERMAN, False),
        (date(2026, 12, 1), Authored("2026-12-02"), GERMAN, False),
        (date(2026, 12, 1), "2026-12-01T23:30:00Z", GERMAN, False),  # the second of December there
        (("b", "a"), ("a", "b"), GERMAN, True),
        (("a", "a", "b"), ("a", "b"), GERMAN, True),
        (Ordered(("b", "a")), ("a", "b"), GERMAN, False),
        (("a",), "a", GERMAN, False),
        (Decimal(1), date(2026, 1, 1), GERMAN, False),
        ("Parkers", Authored("Parkers"), GERMAN, True),
        ("Parkers", Joined((Literal("Park"), Value("ers"))), GERMAN, True),
        (Decimal(250), Joined((Literal("250"), Value(".000"))), GERMAN, True),  # the author's way, for the author joined it
        (WON, Joined((Literal("w"), Value("on"))), GERMAN, True),
        (WON, None, GERMAN, False),
        (Choice("5", "Won"), Decimal("5.00"), GERMAN, True),
        (Choice("w", "5"), Decimal(5), GERMAN, True),
        (Choice(" won ", "x"), "won", GERMAN, True),
        (True, False, GERMAN, False),
        (True, None, GERMAN, False),
        (True, ("true",), GERMAN, False),
        (LATE, LATE.astimezone(BERLIN), GERMAN, True),
        (LATE, LATE + timedelta(seconds=1), GERMAN, False),
        (LATE, "2.12.2026", GERMAN, True),
        (LATE, "2.12.2026 00:30", GERMAN, True),
        (LATE, "2.12.2026 00:31", GERMAN, False),
        (LATE, "1.12.2026", Reading(dates="31/12/2026"), True),
        (datetime(2026, 12, 1, 23, 30), date(2026, 12, 1), GERMAN, True),  # without an offset it is the day it shows
        (date(2026, 12, 1), date(2026, 12, 2), GERMAN, False),
        (date(2026, 12, 1), LATE, GERMAN, False),
        (date(2026, 12, 1), Decimal(1), GERMAN, False),
        (("a", "b"), ("a", "c"), GERMAN, False),
        (("a",), None, GERMAN, False),
    ],
)
def test_equality(left, right, reading, expected):
    """Whichever stands first."""
    assert equal(left, right, reading) is equal(right, left, reading) is expected


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (ODD, "x", "cannot be read"),
        (Decimal(1), True, "boolean"),
        ("Won", True, "neither true nor false"),
        (WON, True, "neither true nor false"),
        (Decimal(250), "250.000", "numbers:"),
        (date(2026, 1, 12), "12/01/2026", "dates:"),
        (LATE, "12/01/2026 10:00", "dates:"),
    ],
)
def test_what_cannot_be_compared_is_said(left, right, words):
    """False would be a guess."""
    for pair in ((left, right), (right, left)):
        with pytest.raises(RenderError, match=words):
            equal(*pair, ASKING)


def test_what_cannot_be_compared_is_shown_as_far_as_it_helps():
    for text in ("1.000", "1.000" + " " * 55):
        with pytest.raises(RenderError, match=rf"^'{text}' cannot be compared: it can mean"):
            equal(text, Decimal(1), ASKING)
        with pytest.raises(RenderError, match=rf"^'{text}' is no number here: it can mean"):
            to_number(text, ASKING)
    for text, truth in (("x" * 60, True), ("x" * 61, False)):
        with pytest.raises(RenderError, match=rf"^'{'x' * 60}' is compared with {str(truth).lower()}, and is neither true nor false$"):
            equal(text, truth)
    with pytest.raises(RenderError, match=r"^a number is compared with false: say `type: boolean`"):
        equal(Decimal(0), False)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (Decimal(2), Decimal(1), True),
        ("250.000", Decimal(1000), True),
        ("250.000", Authored("1000"), True),  # two texts
        (Decimal(1001), Authored("1000"), True),
        (LATE, Authored("2026-12-01"), True),  # its day in Berlin is the day after
        (LATE, Authored("2026-12-02"), False),
        (LATE, Authored("2026-12-02 00:29"), True),
        (LATE, Authored("2026-12-02 00:30"), False),
        (date(2026, 12, 2), LATE, False),
        (date(2026, 12, 3), LATE, True),
        ("3.12.2026", LATE, True),
        ("b", "a", True),
        ("a\u0301", "\u00e1", False),
        (" b", "a", True),
        ("a ", "a", False),
        (Decimal(1), Decimal(1), False),
        (Authored("b"), Joined((Literal("a"), Value("z"))), True),
        (LATE, LATE - timedelta(seconds=1), True),
        (LATE, LATE, False),
        (LATE, date(2026, 12, 1), True),
        (LATE, date(2026, 12, 2), False),
        (date(2026, 12, 2), date(2026, 12, 1), True),
        (date(2026, 12, 2), Authored("2026-12-02"), False),
        (date(2026, 12, 2), Authored("2026-12-02 00:00"), False),
        (date(2026, 12, 3), Authored("2026-12-02 23:59"), True),
    ],
)
def test_order(left, right, expected):
    assert ordered(left, right, operator.gt, GERMAN) is expected


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ("x", Decimal(1), "cannot compare a text with a number"),
        ("250.000", Decimal(1), "cannot be compared"),
        (True, Decimal(1), "cannot compare true/false with a number"),
        (ODD, Decimal(1), "cannot be read"),
        (("a",), ("b",), "cannot compare a list with a list"),
        (WON, "a", "cannot compare a choice"),
        ("soon", LATE, "cannot compare a text with an instant"),
        ("soon", date(2026, 1, 1), "cannot compare a text with a date"),
        (date(2026, 1, 1), Decimal(1), "cannot compare a date with a number"),
        (LATE, Decimal(1), "cannot compare an instant with a number"),
        (Ordered("a"), Decimal(1), "cannot compare a list with a number"),
        (None, Decimal(1), "cannot compare an empty value with a number"),
        (Missing("x"), Decimal(1), "cannot compare an empty value with a number"),
        (Decimal(1), ODD, "'250.000' cannot be read"),
        (True, False, "cannot compare true/false with true/false"),
        (1.5, Decimal(1), "cannot compare this value with a number"),
    ],
)
def test_what_has_no_order_is_said(left, right, words):
    with pytest.raises(RenderError, match=words):
        ordered(left, right, operator.lt, ASKING)


def test_parts():
    assert contains(("Gold", "Silver"), "Gold ", GERMAN)
    assert not contains(("Golden Circle",), "Gold", GERMAN)
    assert contains((WON,), Authored("Closed Won"), GERMAN)
    assert contains("caf\u00e9 noir", "cafe\u0301", GERMAN)
    assert contains("no 5", Decimal(5), GERMAN)
    assert not contains("no 5", Decimal(6), GERMAN)
    assert contains(WON, "osed W", GERMAN)
    assert not contains(WON, "won", GERMAN), "people read the label"
    assert contains((Decimal(250000), "x"), "250.000", GERMAN)
    assert not contains((), "x", GERMAN)
    assert contains(Joined((Literal("a"), Value("b"))), Joined((Value("ab"),)), GERMAN)
    for odd, words in ((Decimal(5), "a number contains nothing"), (ODD, "cannot be read"), (True, "true/false contains nothing")):
        with pytest.raises(RenderError, match=words):
            contains(odd, "5", GERMAN)


def test_lists_by_value_or_label():
    gold, blue = Choice("g", "Gold"), Choice("b", "Blue")
    assert same_list((gold, blue), ("b", "g"))
    assert same_list((gold, blue), ("Blue", "Gold"))
    assert not same_list((gold, blue), ("Blue", "g"))
    assert not same_list((gold,), (gold, blue))
    assert same_list((Decimal(1), ("x",)), (("x",), Decimal(1)))
    assert same_list(Ordered("ab"), Ordered("ab"))
    assert not same_list(Ordered("ab"), "ba")
    assert not same_list(("a", "b"), Ordered("ba"))
    assert same_list(Ordered((gold, blue)), ("Gold", "Blue"))
    assert same_list((("a ", "b"),), (("a", "b"),))
    assert not same_list((("a", "b"),), (("b", "a"),))
    assert same_list((Authored("a"), Joined((Value("b"),))), ("b", "a"))
    assert not same_list((True,), (Decimal(1),))
    assert not same_list((Decimal(1),), ("1",))


def test_numbers_of_texts():
    assert to_number("250.000", GERMAN) == 250000
    assert to_number(Authored("250.000"), GERMAN) == 250
    assert to_number(Decimal(5)) == 5
    assert to_number("5 EUR", money=True) == 5
    for value, words in (
        ("x", "a text"),
        ("5 EUR", "a text"),
        (True, "true/false"),
        (None, "an empty value"),
        (LATE, "an instant"),
        (ODD, "a value that cannot be read"),
    ):
        with pytest.raises(RenderError, match=rf"^{words} is not a number$"):
            to_number(value, GERMAN)
    with pytest.raises(RenderError, match=r"'250\.000' is no number here: it can mean"):
        to_number("250.000", ASKING)


def test_what_is_empty():
    assert [empty(value) for value in (None, Missing("x"), "", Decimal(0), False, ())] == [True, True, False, False, False, False]
    assert not Missing("x")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a", "a"),
        (WON, "Closed Won"),
        (Joined((Literal("a"), Value("b"))), "ab"),
        (True, "yes"),
        (False, "no"),
        (Decimal("1500.50"), "1500.5"),
        (LATE, "2026-12-02 00:30"),
        (date(2026, 12, 1), "2026-12-01"),
        (("a", None, WON, LATE), "a, Closed Won, 2026-12-02 00:30"),
    ],
)
def test_how_values_are_shown(value, words):
    assert shown(value, GERMAN) == told(value, GERMAN) == words
    assert plain(to_spans(value, GERMAN)) == words


def test_what_cannot_be_shown():
    assert told(ODD) == "'250.000' cannot be read: it can mean 250000 and 250.000"
    for value, words in ((ODD, "'250.000' cannot be read"), (1.5, "this value cannot be shown"), (None, "an empty value cannot be shown")):
        with pytest.raises(RenderError, match=rf"^{words}"):
            shown(value)
    for value, words in ((None, "a value is empty here"), (Missing("record.x"), "record.x is not known for this record")):
        with pytest.raises(RenderError, match=rf"^{words}$"):
            to_spans(value)


def test_words_keep_their_origin():
    joined = (Literal("a"), Value("b"))
    assert (to_spans("a"), to_spans(Authored("a")), to_spans(Joined(joined))) == ((Value("a"),), (Literal("a"),), joined)
    assert type(to_spans(Authored("a"))[0].text) is str


def test_no_text_is_longer_than_any_message_may_be():
    most = (Literal("x" * MAX_TEXT),)
    assert bounded(most) is most
    assert MAX_TEXT == 65_536
    with pytest.raises(RenderError, match=r"^the text is longer than 65536 characters$"):
        bounded((*most, Value("y")))


def test_quotients():
    assert divide(Decimal(7), Decimal(2)) == Decimal("3.5")
    with pytest.raises(RenderError, match=r"^division by zero$"):
        divide(Decimal(7), Decimal("0.0"))


# --- through the language


def event(fields, before=None, kind=ChangeKind.UPDATED):
    return ChangeEvent(
        id="e", source="crm", record_type="T", record_id="1", revision=2, kind=kind, occurred_at=NOW, fields=fields, before=before or {}
    )


def engine(text="x", match=None, condition=None, reading=GERMAN, records=None):
    clauses, problems = compile_match(match or {}, None)
    assert not problems
    compiled = compile_expression(condition, fields=None, filters=FILTERS) if condition else None
    step = Step(
        id="s", identity="s", destination="out", audience=Audience.COMPANY, text=compile_template(text, fields=None, filters=FILTERS)
    )
    rule = Rule(
        id="r",
        identity="r",
        source="crm",
        record="T",
        kinds=frozenset(ChangeKind),
        clauses=tuple(clauses),
        condition=compiled,
        steps=(step,),
    )
    return Engine([rule], records or {}, reading.days, {"crm": reading})


def said(of, **more):
    outcome = engine(**more).run(of)
    assert not outcome.unrenderable, outcome.unrenderable
    return [plain(one.message.text) for one in outcome.rendered]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ record.n | money('EUR') }}", "€250,000"),
        ("{{ record.n | number(1) }}", "250,000.0"),
        ("{{ record.n | round(1) }}", "250000"),
        ("{{ record.n | plural('seat') }}", "250,000 seats"),
        ("{{ record.n + 1 }}", "250001"),
        ("{{ -record.n }}", "-250000"),
        ("{{ record.e | money }}", "1,234.50"),
        ("{{ record.d | date }}", "3 December 2026"),
        ("{{ record.late }}", "2026-12-02 00:30"),
        ("{{ record.late | date('%d %H:%M') }}", "02 00:30"),
        ("{{ record.stamp | date('%d %H:%M') }}", "01 10:00"),
        ("{{ record.late ~ '!' }}", "2026-12-02 00:30!"),
    ],
)
def test_texts_of_a_source_in_templates(text, expected):
    """Read as the source writes, shown where the configured clock hangs."""
    fields = {"n": "250.000", "e": "1.234,50 €", "d": "3.12.2026", "late": LATE, "stamp": "2026-12-01 10:00"}
    assert said(event(fields), text=text) == [expected]


@pytest.mark.parametrize(
    "condition",
    ["record.n == 250000", "record.n > 249999", "'b' in record.tags", "record.tags == ['a', 'b']", "record.late > '2026-12-01'",
     "record.late == '2026-12-02'", "record.n in [1, 250000]", "record.name == 'caf\u00e9'", "record.odd is defined or true"]
)  # fmt: skip
def test_texts_of_a_source_in_conditions(condition):
    fields = {"n": "250.000", "tags": ("b", "a"), "late": LATE, "name": "cafe\u0301 "}
    assert said(event(fields), condition=condition) == ["x"]


@pytest.mark.parametrize(
    "text",
    ["{{ record.n }}", "{{ record.n | money }}", "{{ record.n | default('?') }}", "{% if record.n %}x{% else %}y{% endif %}",
     "{{ record.n ~ 'x' }}", "{{ 'x' if record.n is defined else 'y' }}", "{% for one in record.n %}x{% endfor %}y", "{{ before.n }}"]
)  # fmt: skip
def test_what_could_not_be_read_is_never_said(text):
    """Nor anything in its place: a dead letter with the value, the field and the reason."""
    (one,) = engine(text=text, reading=ASKING).run(event({"n": ODD}, {"n": ODD})).unrenderable
    assert "250.000" in one.error
    assert ".n: " in one.error
    assert "it can mean" in one.error


@pytest.mark.parametrize(
    "asked",
    [
        1,
        *({name: 1} for name in ("becomes", "ne", "gt", "from", "to")),
        {"in": [1]},
        {"not_in": [1]},
        {"contains": "2"},
        {"starts_with": "2"},
    ],
    ids=str,
)
def test_what_could_not_be_read_decides_nothing(asked):
    """The rule is undecided, and says so."""
    match = {"n": asked}
    (verdict,) = engine(match=match, reading=ASKING).run(event({"n": ODD}, {"n": Unread("1.000", "odd")})).verdicts
    assert (verdict.matched, verdict.failed) == (False, True)
    assert "cannot be read" in verdict.reason


def test_what_can_be_asked_of_it_all_the_same():
    """That something stands there, and whether it is another text."""
    for match, holds in (
        ({"n": {"exists": True}}, True),
        ({"n": {"exists": False}}, False),
        ({"n": {"changed": True}}, True),
        ({"m": {"changed": True}}, False),
        ({"m": {"changed": False}}, True),
        ({"k": {"changed": True}}, True),
    ):
        clauses, _ = compile_match(match, None)
        fields = {"n": ODD, "m": Unread("5", "one reason"), "k": ODD}
        of = event(fields, {"n": Unread("1.000", "odd"), "m": Unread("5", "another reason"), "k": Decimal(1)})
        assert (first_failure(tuple(clauses), of, Meter(), ASKING) is None) is holds, match
    clauses, _ = compile_match({"n": {"becomes": "x"}}, None)
    assert "cannot be read" in no_longer(tuple(clauses), {"n": ODD})
    assert "and is '250.000' cannot be read" in clauses[0].why_not(event({"n": ODD}, {"n": None}))


def test_it_is_read_again_once_somebody_says_how():
    """A dead letter that is tried again, and a rule that is asked again."""
    records = {("crm", "T"): {"n": FieldSpec(type=FieldType.MONEY)}}
    found = said(event({"n": ODD}, {"n": Unread("1.000", "odd")}), text="{{ before.n | money }}, {{ record.n | money }}", records=records)
    assert found == ["1,000, 250,000"]


def test_never_is_an_instant_too():
    """A CRM's 9999-12-31T23:59:59Z is compared and shown in every zone, though clocks in some have no such day."""
    never, how = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc), Reading(days=ZoneInfo("Europe/Berlin"))
    assert shown(never, how) == "9999-12-31 23:59"
    assert equal(never, Authored("9999-12-31"), how)
    assert not equal(never, Authored("0001-01-01T00:00"), how)
    assert ordered(never, date(2026, 1, 1), operator.gt, how)
    assert as_date(never, reading=how) == "31 December 9999"


@pytest.mark.parametrize("wanted", [1, Decimal(1)])
def test_a_rule_that_says_one_of_what_is_true(wanted):
    """Written when SQLite's BOOLEAN was still a number: where the column says what is true, 1 is."""
    clauses, problems = compile_match({"won": {"becomes": wanted}, "lost": 0 * wanted}, {})
    facts = {
        "id": "e",
        "source": "crm",
        "record_type": "Deal",
        "record_id": "7",
        "revision": 2,
        "kind": ChangeKind.UPDATED,
        "occurred_at": NOW,
    }
    assert not problems
    for won, lost, failed in [(True, False, None), (True, True, "lost"), (False, False, "won")]:
        event = ChangeEvent(**facts, fields={"won": won, "lost": lost}, before={"won": False, "lost": False})
        found = first_failure(tuple(clauses), event, Meter())
        assert (found.field if found else None) == failed
    event = ChangeEvent(**facts, fields={"won": True, "lost": False}, before={"won": False})
    with pytest.raises(RenderError, match="type: boolean"):
        first_failure(tuple(compile_match({"won": Decimal(2)}, {})[0]), event, Meter())
