"""Changes of values that are written, or read, in another way: what is the same to people is no change, and when a change happened."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from shared import NOW

from crmbridge.intake.change import Sighting, interpret, same
from crmbridge.model import Choice, FieldSpec, FieldType, Observation, Ordered, Reading, Unread
from crmbridge.store.terms import Snapshot

GERMAN = Reading(numbers="1.234,5", dates="31/12/2026", zone=ZoneInfo("Europe/Berlin"))
SPEC = {"n": FieldSpec(type=FieldType.MONEY), "d": FieldSpec(type=FieldType.DATE), "s": FieldSpec(type=FieldType.SET)}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("a", "b"), ("b", "a"), True),
        (("a", "b", "b"), ("b", "a"), True),
        (("a", "b"), ("a",), False),
        (("A",), ("a",), False),
        ((Choice("a", "A"), Choice("b", "B")), (Choice("b", "Blau"), Choice("a", "A")), True),
        ((Choice("a", "A"),), ("a",), True),
        ((Decimal(1), True, date(2026, 1, 1)), ("2026-01-01", "1", "true"), True),
        ((datetime(2026, 1, 1, 12, tzinfo=timezone.utc),), (datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),), True),
        ((("a", "b"),), (("a", "b"),), True),
        ((("a", "b"),), (("b", "a"),), False),
        (Ordered(("a", "b")), Ordered(("b", "a")), False),
        (Ordered(("a", "b")), ("b", "a"), False),
        (Ordered(("a", "b")), ("a", "b"), True),
        ((None, "a"), ("a", None), True),
        ("caf\u00e9", "cafe\u0301", True),
        ("Parkers", "Parkers \u00a0", True),
        ("Parkers", "parkers", False),
        (Unread("5", "one reason"), Unread("5", "another"), True),
        (Unread("5", "odd"), Unread("6", "odd"), False),
        (Unread("5", "odd"), "5", True),
        (Unread("5", "odd"), Decimal(5), False),
        (Unread("5", "odd"), None, False),
    ],
)
def test_what_is_the_same_to_people(one, other, expected):
    assert same(one, other) is same(other, one) is expected


def look(known, seen, **more):
    snapshot = Snapshot(3, more.pop("known_version", None), False, known)
    facts = {"occurred_at": NOW, **{name: more.pop(name) for name in ("version", "occurred_at") if name in more}}
    return interpret(
        Observation(record_type="Deal", record_id="1", fields=seen, **facts),
        "crm",
        snapshot,
        learning=False,
        unseen_is_new=False,
        read=lambda name, kept, now: GERMAN.again(kept, now, SPEC.get(name, FieldSpec())),
        **more,
    )


@pytest.mark.parametrize(
    ("field", "known", "seen"),
    [
        ("n", "250.000", Decimal(250000)),
        ("n", Unread("250.000", "it can mean two"), Decimal(250000)),
        ("d", "12.01.2026", date(2026, 1, 12)),
        ("s", "a;b", ("b", "a")),
    ],
)
def test_what_is_only_read_by_now_has_not_changed(field, known, seen):
    """Somebody has said since how the source writes: what was kept as text, or as nothing readable, is learnt anew."""
    found = look({field: known}, {field: seen})
    assert (found.sighting, found.event, found.snapshot.fields) == (Sighting.LEARNT, None, {field: seen})


@pytest.mark.parametrize("known", ["250.000", Unread("250.000", "it can mean two")])
def test_what_it_was_is_read_by_now_too(known):
    """A change from it says what it was."""
    found = look({"n": known, "x": "1"}, {"n": Decimal(7)})
    assert (found.event.before["n"], found.event.fields) == (Decimal(250000), {"n": Decimal(7), "x": "1"})


@pytest.mark.parametrize(
    ("field", "known", "seen"),
    [
        ("x", Decimal(1700000000), datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)),  # a column that is declared DATETIME
        ("x", "31.12.2026", date(2026, 12, 31)),
        ("x", "2026-11-22 09:00:00", datetime(2026, 11, 22, 8, tzinfo=timezone.utc)),
        ("x", "t", True),
        ("x", "a;b", ("b", "a")),
        ("d", Decimal(1700000000000), date(2023, 11, 14)),
        ("d", datetime(2026, 11, 22, 12, tzinfo=timezone.utc), date(2026, 11, 22)),
        ("n", Decimal("250"), Unread("250.000", "it can mean two")),
        ("n", True, Unread("True", "it is true or false")),
        ("b", Decimal(5), Unread("5", "it is a number other than 0 and 1")),
    ],
)
def test_what_an_earlier_version_read_otherwise_has_not_changed(field, known, seen):
    """Right after an upgrade: the declared type of a column is read by now, epochs are instants, and what can mean two is nothing."""
    found = look({field: known}, {field: seen})
    assert (found.sighting, found.event) == (Sighting.LEARNT, None)


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        (Decimal(1700000000), datetime(2023, 11, 14, 22, 13, 21, tzinfo=timezone.utc)),
        (Decimal(250), Unread("350.000", "it can mean two")),
        (Unread("1.250", "it can mean two"), Decimal("1.25")),
        ("t", False),
    ],
)
def test_what_has_changed_meanwhile_is_told(known, seen):
    assert look({"x": known}, {"x": seen}).sighting is Sighting.CHANGE


def test_what_nobody_can_read_stays_as_it_was():
    found = look({"n": Unread("soon", "it is no number")}, {"n": Decimal(7)})
    assert found.event.before["n"] == Unread("soon", "it is no number")
    found = look({"n": "soon"}, {"n": None})
    assert found.event.before["n"] == "soon"


@pytest.mark.parametrize(
    ("version", "known_version", "happened"),
    [
        ("2026-01-01", "2026-01-01", "seen"),  # its stamp stands where it stood
        ("2026-01-02", "2026-01-01", "stamped"),
        (None, None, "stamped"),
        ("2026-01-02", None, "stamped"),
    ],
)
def test_when_it_happened(version, known_version, happened):
    """When its stamp says, unless that has not moved: then when it was first seen."""
    stamped, seen = NOW - timedelta(days=30), NOW
    found = look({"x": "1"}, {"x": "2"}, version=version, known_version=known_version, occurred_at=stamped, now=seen)
    assert found.event.occurred_at == (seen if happened == "seen" else stamped)
    later = look({"x": "1"}, {"x": "2"}, version="5", known_version="5", occurred_at=seen + timedelta(hours=1), now=seen)
    assert later.event.occurred_at == seen + timedelta(hours=1)
