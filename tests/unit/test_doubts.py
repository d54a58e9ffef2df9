"""What is odd about what a source says: told once by field or source, with an example, for as long as it is so."""

from datetime import timedelta

import pytest
from shared import NOW

from crmbridge.intake.doubts import DoubtKind, Doubts
from crmbridge.model import FieldSpec, FieldType, Observation, Sensitivity, Unread

SPEC = {"amount": FieldSpec(type=FieldType.MONEY), "stage": FieldSpec(), "pin": FieldSpec(sensitivity=Sensitivity.SECRET)}
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def doubts():
    return Doubts()


def record(id="7", **fields):
    return Observation(record_type="Deal", record_id=id, fields=fields, occurred_at=NOW)


def kinds(doubts):
    return [(one.kind, one.about, one.count) for one in doubts.found]


def test_a_value_that_does_not_fit(doubts):
    """One field, one doubt: with the last example, since the first, counted."""
    doubts.values("crm", record("7", amount=Unread("250.000", "it can mean two")), {}, NOW)
    doubts.values("crm", record("8", amount=Unread("1.000", "it can mean two")), SPEC, NOW + HOUR)
    (one,) = doubts.found
    assert (one.kind, one.about, one.count, one.since, one.at) == (DoubtKind.UNREAD, "crm/Deal.amount", 2, NOW, NOW + HOUR)
    assert one.what == "'1.000' of Deal 8 is no money: it can mean two"
    doubts.values("crm", record(amount=5, stage="x", pin="1"), SPEC, NOW)
    assert kinds(doubts) == [(DoubtKind.UNREAD, "crm/Deal.amount", 2)]


def test_a_secret_value_is_not_shown(doubts):
    doubts.values("crm", record(pin=Unread("hunter2", "'hunter2' is odd")), SPEC, NOW)
    assert "hunter2" not in doubts.found[0].what
    assert doubts.found[0].what == "a secret value of Deal 7 is no value: see its source"


def test_what_a_source_says_it_lacks(doubts):
    """At once, by name; over when a look finds it, and not when another type was looked at."""
    doubts.lacking("crm", {"Deal": ["stage"]}, NOW)
    assert kinds(doubts) == [(DoubtKind.GONE, "crm/Deal.stage", 1)]
    doubts.lacking("crm", {}, NOW)
    doubts.lacking("crm", {"Lead": []}, NOW)
    assert kinds(doubts) == [(DoubtKind.GONE, "crm/Deal.stage", 1)]
    doubts.lacking("crm", {"Deal": ["amount"]}, NOW)
    assert kinds(doubts) == [(DoubtKind.GONE, "crm/Deal.amount", 1)]
    doubts.lacking("crm", {"Deal": []}, NOW)
    assert doubts.found == []


def test_a_field_that_was_always_there(doubts):
    """Missed after three records without it, and not before; there again, it is over."""
    whole = {"amount": 1, "stage": "x", "pin": "1"}
    for _ in range(10):
        doubts.values("crm", record(**whole), SPEC, NOW)
    for _ in range(2):
        doubts.values("crm", record(amount=1, pin="1"), SPEC, NOW)
    assert doubts.found == []
    doubts.values("crm", record(amount=1, pin="1"), SPEC, NOW)
    (one,) = doubts.found
    assert (one.kind, one.about) == (DoubtKind.GONE, "crm/Deal.stage")
    assert one.what == "it was in each of 10 records, and in none of the last 3"
    doubts.values("crm", record(**whole), SPEC, NOW)
    assert doubts.found == []


def test_a_field_that_is_said_only_when_it_changes(doubts):
    """A sender of parts: nothing is missed of it."""
    for number in range(30):
        part = {"amount": number} if number % 3 else {"stage": "x", "pin": "1"}
        doubts.values("crm", record(**part), SPEC, NOW)
    assert doubts.found == []


def test_a_sender_of_parts_misses_nothing_after_many_whole_records(doubts):
    """An import of whole records, then updates of parts; and a field that no part has held since the start."""
    for _ in range(3):
        doubts.values("crm", record(stage="x"), SPEC, NOW)
        doubts.values("crm", record(amount=1), SPEC, NOW)
    for _ in range(20):
        doubts.values("crm", record(amount=1, stage="x"), SPEC, NOW)
    for _ in range(20):
        doubts.values("crm", record(stage="x"), SPEC, NOW)
    assert doubts.found == []
    doubts.lacking("crm", {"Deal": ["stage"]}, NOW)
    assert kinds(doubts) == [(DoubtKind.GONE, "crm/Deal.stage", 1)], "what a source says itself is believed"


def test_what_was_missed_is_over_once_a_sender_is_known_to_send_parts(doubts):
    for _ in range(10):
        doubts.values("crm", record(amount=1, stage="x"), SPEC, NOW)
    assert [one.about for one in doubts.found] == ["crm/Deal.pin"]
    doubts.values("crm", record(amount=1), SPEC, NOW)
    doubts.values("crm", record(stage="x"), SPEC, NOW)
    assert doubts.found == []


def test_a_field_that_never_was_there(doubts):
    """As one that is misspelt: told after ten records, not after nine; deletions say nothing of fields."""
    gone = Observation(record_type="Deal", record_id="1", fields={}, occurred_at=NOW, deleted=True)
    for _ in range(20):
        doubts.values("crm", gone, SPEC, NOW)
    for _ in range(9):
        doubts.values("crm", record(amount=1, stage="x"), SPEC, NOW)
    assert doubts.found == []
    doubts.values("crm", record(amount=1, stage="x"), SPEC, NOW)
    assert [(one.about, one.what) for one in doubts.found] == [("crm/Deal.pin", "it is in none of 10 records")]


def test_stamps_of_the_future(doubts):
    """More than five minutes: two clocks differ a little."""
    doubts.stamps("crm", NOW + 5 * MINUTE, None, MINUTE, NOW)
    assert doubts.found == []
    doubts.stamps("crm", NOW + 2 * HOUR, None, MINUTE, NOW)
    assert doubts.found[0].kind is DoubtKind.AHEAD
    assert doubts.found[0].what == "they are 2 h ahead of this machine's clock, like 2026-11-22 14:00 UTC"


def test_stamps_of_long_ago(doubts):
    """Three polls in a row: one change may have been committed late. A punctual one ends it."""
    late = NOW - 8 * HOUR
    for _ in range(2):
        doubts.stamps("crm", late, late, MINUTE, NOW)
    doubts.stamps("crm", NOW, NOW - MINUTE, MINUTE, NOW)
    for _ in range(2):
        doubts.stamps("crm", late, late, MINUTE, NOW)
    doubts.stamps("crm", late, None, MINUTE, NOW)  # what is only learnt is no change
    assert doubts.found == []
    doubts.stamps("crm", late, late - HOUR, MINUTE, NOW)
    (one,) = doubts.found
    assert (one.kind, one.what) == (DoubtKind.BEHIND, "what the last 3 polls brought was at least 7 h 59 min behind this machine's clock")
    doubts.stamps("crm", NOW, NOW, MINUTE, NOW)
    assert doubts.found == []


def test_what_came_while_nobody_looked_is_not_late(doubts):
    """A poll after a weekend brings changes of the weekend."""
    for hours in (60, 40, 20, 1):
        doubts.stamps("crm", NOW, NOW - hours * HOUR, 62 * HOUR, NOW)
    assert doubts.found == []


def test_what_is_forgotten(doubts):
    """One source's, when it is configured anew; all, when a person knows."""
    doubts.note(DoubtKind.WALK, "crm/Deal", "why", NOW)
    doubts.note(DoubtKind.AHEAD, "crm", "why", NOW)
    doubts.note(DoubtKind.AHEAD, "crm2", "why", NOW)
    doubts.forget("crm")
    assert kinds(doubts) == [(DoubtKind.AHEAD, "crm2", 1)]
    doubts.note(DoubtKind.WALK, "crm2/Deal", "why", NOW)
    doubts.end(DoubtKind.WALK, "crm2/Deal")
    doubts.end(DoubtKind.WALK, "crm2/Deal")
    assert kinds(doubts) == [(DoubtKind.AHEAD, "crm2", 1)]
    doubts.forget()
    assert doubts.found == []
