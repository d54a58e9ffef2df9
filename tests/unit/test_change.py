"""What an observation means, given what is known of its record."""

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import NOW

from crmbridge.intake.change import Sighting, interpret, older, same
from crmbridge.model import ChangeKind, Choice, Observation, Ordered, Unread
from crmbridge.store.terms import Snapshot

CET = timezone(timedelta(hours=1))
CHANGE, UNCHANGED, LEARNT, STALE = Sighting.CHANGE, Sighting.UNCHANGED, Sighting.LEARNT, Sighting.STALE


def seen(fields, **more):
    return Observation(record_type="Deal", record_id="1", fields=fields, occurred_at=NOW, **more)


def known(fields, revision=3, version=None, deleted=False):
    return Snapshot(revision, version, deleted, fields)


def look(observation, snapshot=None, *, learning=False, unseen_is_new=False):
    return interpret(observation, "crm", snapshot, learning=learning, unseen_is_new=unseen_is_new)


A, B = {"S": "a"}, {"S": "b"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Choice("w", "Won"), Choice("w", "Gewonnen"), True),  # somebody renamed the stage, and changed no deal
        (Choice("w", "Won"), Choice("l", "Won"), False),
        ((Choice("a", "A"), Choice("b", "B")), (Choice("a", "a"), Choice("b", "b")), True),
        ((Choice("a", "A"),), (Choice("a", "A"), Choice("b", "B")), False),
        ("5.0", Decimal(5), True),  # the configuration reads it as a number by now
        ("0", Decimal(0), True),
        ("five", Decimal(5), False),
        ("won", Choice("won", "Won"), True),
        ("true", True, True),
        ("2026-11-22", date(2026, 11, 22), True),
        ("2026-11-22T12:00:00+01:00", datetime(2026, 11, 22, 11, tzinfo=timezone.utc), True),
        ("2026-11-22", datetime(2026, 11, 22, 11, tzinfo=timezone.utc), False),
        ("5", "5.0", False),
        ("Won", "won", False),
        (None, "", False),
        ("", Decimal(0), False),
        ("TRUE", True, True),
        (Choice("5", "Five"), Decimal(5), True),
        (Choice("5", "Five"), "Five", False),
        (date(2026, 11, 22), datetime(2026, 11, 22, tzinfo=timezone.utc), True),
        (date(2026, 11, 22), datetime(2026, 11, 22, 0, 0, 1, tzinfo=timezone.utc), False),
        ("caf\u00e9 ", "cafe\u0301", True),
        (("a", "b "), ("b", "a"), True),
        (("a", "b"), ("a", "c"), False),
        (Ordered(("a", "b ")), ("a", "b"), True),
        (Ordered(("a", "b")), ("b", "a"), False),
        ((Decimal("1.50"),), ("1.5",), True),
        ((True, False), ("true", "false"), True),
        ((date(2026, 11, 22),), ("2026-11-22",), True),
        ((datetime(2026, 11, 22, 12, tzinfo=CET), "x"), (datetime(2026, 11, 22, 11, tzinfo=timezone.utc), "x "), True),
        ((datetime(2026, 11, 22, 12, tzinfo=CET),), ("2026-11-22T11:00:00+00:00",), True),
        ((("a", "b "), None), (("a", "b"), None), True),
        ((("a", "b"),), (("b", "a"),), False),
        (Unread("250.000", "one reason"), Unread("250.000", "another"), True),
        (Unread("250.000", "one reason"), Unread("250.001", "one reason"), False),
        (Unread("5", "one reason"), Decimal(5), False),
    ],
)
def test_what_is_the_same_value(one, other, expected):
    """A value that is only read, or only named, in another way has not changed."""
    assert same(one, other) is same(other, one) is expected
    if expected and one is not None:
        found = look(seen({"S": other}), known({"S": one}))
        assert (found.sighting, found.event) == (LEARNT, None)
        assert found.snapshot.fields == {"S": other}


def test_what_could_not_be_read_is_the_text_that_it_was():
    odd = Unread("250.000", "it can mean 250000 and 250.000")
    for text, expected in (("250.000", True), ("250.001", False)):
        assert same(odd, text) is same(text, odd) is expected


@pytest.mark.parametrize(
    ("observation", "snapshot", "sighting", "kind", "revision", "before"),
    [
        # a known record
        (seen(B), known(A), CHANGE, ChangeKind.UPDATED, 4, A),
        (seen(A), known(A), UNCHANGED, None, None, None),
        (seen({}), known(A), UNCHANGED, None, None, None),
        (seen({"S": None}), known(A), CHANGE, ChangeKind.UPDATED, 4, A),
        (seen({"S": Decimal("1.50")}), known({"S": Decimal("1.5")}), UNCHANGED, None, None, None),
        (seen({"T": "x"}), known(A), LEARNT, None, 3, None),  # newly configured: learnt, not news
        (seen({"T": "x"}, before={"T": "w"}), known(A), CHANGE, ChangeKind.UPDATED, 4, {"S": "a", "T": "w"}),
        (seen({"T": "x"}, before={"T": "x"}), known(A), LEARNT, None, 3, None),
        (seen({"S": "b", "T": "x"}), known(A), CHANGE, ChangeKind.UPDATED, 4, A),
        (seen(B, before={"S": "z"}), known(A), CHANGE, ChangeKind.UPDATED, 4, {"S": "z"}),  # the source knows better what it was
        (seen(A, created=True), known(A), UNCHANGED, None, None, None),
        # versions
        (seen(B, version="5"), known(A, version="6"), STALE, None, None, None),
        (seen(B, version="9"), known(A, version="10"), STALE, None, None, None),
        (seen(B, version="10"), known(A, version="9"), CHANGE, ChangeKind.UPDATED, 4, A),
        (seen(B, version="6"), known(A, version="6"), CHANGE, ChangeKind.UPDATED, 4, A),
        (seen(B), known(A, version="6"), CHANGE, ChangeKind.UPDATED, 4, A),
        (seen(B, version="6"), known(A), CHANGE, ChangeKind.UPDATED, 4, A),
        (seen(A, version="7"), known(A, version="6"), UNCHANGED, None, 3, None),
        (seen({}, version="5", deleted=True), known(A, version="6"), STALE, None, None, None),
        # gone and back
        (seen({}, deleted=True), known(A), CHANGE, ChangeKind.DELETED, 4, A),
        (seen({}, deleted=True), known(A, deleted=True), UNCHANGED, None, None, None),
        (seen({}, merged_into="2"), known(A), CHANGE, ChangeKind.MERGED, 4, A),
        (seen({}, merged_into="2"), known(A, deleted=True), UNCHANGED, None, None, None),
        (seen(A), known(A, deleted=True), LEARNT, None, 3, None),
        (seen(B), known(A, deleted=True), CHANGE, ChangeKind.UPDATED, 4, A),
        # first sight
        (seen(A), None, CHANGE, ChangeKind.UPDATED, 1, {}),
        (seen(A, created=True), None, CHANGE, ChangeKind.CREATED, 1, {}),
        (seen(B, before=A), None, CHANGE, ChangeKind.UPDATED, 1, A),
        (seen(A, before=A), None, LEARNT, None, 0, None),
        (seen({}, deleted=True), None, CHANGE, ChangeKind.DELETED, 1, {}),
        (seen({}, merged_into="2", before=A), None, CHANGE, ChangeKind.MERGED, 1, A),
    ],
)
def test_what_it_means(observation, snapshot, sighting, kind, revision, before):
    """Every case, with the event's kind and old values, and the revision that the snapshot then has."""
    found = look(observation, snapshot)

    assert sighting is found.sighting
    assert revision == (found.snapshot.revision if found.snapshot else None)
    if kind is None:
        assert (sighting is STALE) == (found.event is not None)
    else:
        assert (kind, before, revision) == (found.event.kind, found.event.before, found.event.revision)
        assert {**(snapshot.fields if snapshot else {}), **observation.fields} == found.event.fields == found.snapshot.fields
        assert (kind in (ChangeKind.DELETED, ChangeKind.MERGED)) == found.snapshot.deleted


@pytest.mark.parametrize(
    ("observation", "snapshot", "sighting", "after"),
    [
        # late, and nothing new in it
        (seen(A, version="5"), known({**A, "T": "x"}, version="6"), UNCHANGED, None),
        (seen({"S": "a "}, version="5"), known(A, version="6"), UNCHANGED, None),
        (seen(A, version="5", deleted=True), known(A, version="6", deleted=True), UNCHANGED, None),
        (seen(A, version="5", merged_into="2"), known(A, version="6", deleted=True), UNCHANGED, None),
        # late, and otherwise
        (seen({**A, "T": "x"}, version="5"), known(A, version="6"), STALE, None),
        (seen({"S": "b", "T": "x"}, version="5"), known({**A, "T": "x"}, version="6"), STALE, None),
        (seen(A, version="5", merged_into="2"), known(A, version="6"), STALE, None),
        (seen(A, version="5"), known(A, version="6", deleted=True), STALE, None),
        # of one version, a change all the same
        (seen(B, version="6"), known(A, version="6"), CHANGE, known(B, 4, "6")),
        # the version that is known afterwards
        (seen(B), known(A, version="6"), CHANGE, known(B, 4, "6")),
        (seen(B, version="7"), known(A, version="6"), CHANGE, known(B, 4, "7")),
        (seen(A, version="7"), known(A), UNCHANGED, known(A, 3, "7")),
        (seen({"T": "x"}), known(A, version="6"), LEARNT, known({**A, "T": "x"}, 3, "6")),
        (seen({"T": "x"}, deleted=True), known(A, version="6"), CHANGE, known({**A, "T": "x"}, 4, "6", True)),
        (seen({}, version="7", deleted=True), known(A, version="6"), CHANGE, known(A, 4, "7", True)),
        (seen(A, version="7"), None, CHANGE, known(A, 1, "7")),
        (seen({}, version="7", deleted=True), None, CHANGE, known({}, 1, "7", True)),
        # first sight of what existed before
        (seen(A, version="7", existed=True), None, LEARNT, known(A, 0, "7")),
        (seen(A, existed=True, created=True), None, LEARNT, known(A, 0)),
        (seen(A, existed=True, deleted=True), None, CHANGE, known(A, 1, None, True)),
        (seen(A, existed=True, merged_into="2"), None, CHANGE, known(A, 1, None, True)),
        (seen(A, version="7", before={"T": "w"}), None, LEARNT, known(A, 0, "7")),
        (seen({"S": "a", "T": "x"}, before={"T": "w"}), None, CHANGE, known({"S": "a", "T": "x"}, 1)),
    ],
)
def test_what_is_known_afterwards(observation, snapshot, sighting, after):
    """Revision, version, whether it is gone, and all of its fields."""
    found = look(observation, snapshot)
    assert (found.sighting, found.snapshot) == (sighting, after)


def test_a_baseline_keeps_versions():
    assert look(seen(A, version="7"), learning=True).snapshot == known(A, 0, "7")
    assert look(seen({}, version="7", merged_into="2"), learning=True).snapshot == known({}, 0, "7", True)
    assert look(seen(B, deleted=True), known(A, version="6"), learning=True).snapshot == known(B, 3, "6", True)
    assert look(seen(B, version="7", deleted=True), known(A, version="6"), learning=True).snapshot == known(B, 3, "7", True)


def test_what_is_new_has_no_old_values():
    """Whatever its source says of them."""
    assert look(seen(B, before=A, created=True)).event.before == {}
    assert look(seen(B, before=A), unseen_is_new=True).event.before == {}


def test_what_was_kept_as_text_is_compared_as_it_is_read_by_now():
    """The old value of a change is one of the field's type, as long as it can be read; what is still a text stays as it was."""

    def before(old, new, read):
        found = interpret(seen({"N": new}), "crm", known({"N": old, "T": "x"}), learning=False, unseen_is_new=False, read=read)
        return found.event.before

    def number(field, text, now):
        return {"N": Decimal(text)}[field]

    assert before("5.0", Decimal(6), number) == {"N": Decimal(5), "T": "x"}
    assert before(Unread("5.0", "odd"), Decimal(6), number) == {"N": Decimal(5), "T": "x"}
    assert before(Unread("5.0", "odd"), Decimal(6), lambda _, text, now: text)["N"] == Unread("5.0", "odd")
    assert before("5.0", Decimal(6), lambda _, text, now: Unread(text, "odd"))["N"] == "5.0"
    assert before("5.0", "6.0", lambda _, text, now: "never asked")["N"] == "5.0"
    assert before("5.0", None, lambda _, text, now: None)["N"] == "5.0"
    assert before(Decimal(5), "6", lambda _, kept, now: str(kept))["N"] == "5"


def test_a_change_without_a_stamp_of_its_own_happened_now():
    """The record's stamp stands where it stood, so that it tells of an earlier change."""
    later = NOW + timedelta(hours=3)

    def occurred(version, was, now):
        found = interpret(seen(B, version=version), "crm", known(A, version=was), learning=False, unseen_is_new=False, now=now)
        return found.event.occurred_at

    assert occurred("6", "6", later) == later
    assert occurred("6", "6", NOW - timedelta(hours=1)) == NOW
    assert occurred("7", "6", later) == occurred("6", None, later) == occurred(None, "6", later) == occurred(None, None, later) == NOW
    assert occurred("6", "6", None) == NOW


@pytest.mark.parametrize(
    "observation", [seen(A), seen(B), seen(B, created=True), seen(B, before=A), seen({}, deleted=True), seen({}, merged_into="2")]
)
@pytest.mark.parametrize("snapshot", [None, known(A), known(A, deleted=True), known(A, version="1")])
def test_a_baseline_is_silent(observation, snapshot):
    """Nothing old is ever published, whatever the source says of it; what is gone is learnt as gone."""
    found = look(observation, snapshot, learning=True)

    assert None is found.event
    assert found.sighting in (LEARNT, UNCHANGED)
    after = found.snapshot or snapshot
    assert (snapshot.revision if snapshot else 0) == after.revision
    assert (observation.deleted or observation.merged_into is not None) == after.deleted


def test_the_words_of_metrics():
    assert list(Sighting) == ["change", "unchanged", "learnt", "stale", "repeated"]


def test_what_was_not_there_in_the_baseline_is_new():
    """A source that was read from the beginning: a record without a snapshot did not exist."""
    found = look(seen(A), unseen_is_new=True)

    assert (found.event.kind, found.event.revision) == (ChangeKind.CREATED, 1)


def test_there_and_back_is_three_changes():
    """A -> B -> A: three ids; the same sighting twice is one."""
    first = look(seen(A, created=True))
    second = look(seen(B), first.snapshot)
    third = look(seen(A), second.snapshot)
    assert len({one.event.id for one in (first, second, third)}) == 3

    assert UNCHANGED is look(seen(A), third.snapshot).sighting
    assert second.event.id == look(seen(B, version="7", actor="Ann"), first.snapshot).event.id  # by poll or by webhook


def test_a_stale_redelivery_is_one_row_of_the_journal():
    """And never the id of a change."""
    at = known(A, version="6")
    one, again, other = (look(seen(B, version=version), at).event for version in ("5", "5", "4"))

    assert one.id == again.id != other.id
    assert one.id != look(seen(B, version="7"), at).event.id
    assert None is look(seen(B, version="5"), at).snapshot


def test_facts_travel():
    """Who, when, and where to look."""
    event = look(seen(A, actor="Ann", url="https://crm/1")).event

    assert (
        event.actor,
        event.url,
        event.occurred_at,
        event.source,
        event.record_type,
        event.record_id,
    ) == ("Ann", "https://crm/1", NOW, "crm", "Deal", "1")

    stale = look(seen(B, version="5", actor="Ann", url="https://crm/1", before=A), known(A, 3, "6")).event
    assert (stale.actor, stale.url, stale.occurred_at, stale.source, stale.record_type, stale.record_id, stale.revision, stale.kind) == (
        "Ann", "https://crm/1", NOW, "crm", "Deal", "1", 3, ChangeKind.UPDATED,
    )  # fmt: skip
    assert (stale.fields, stale.before) == (B, {})


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("1.5", "1.50", False),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", True),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:30:00Z", True),
        ("2026-01-01", "2026-01-01T00:00:01", True),
        ("abc", "abd", True),
        ("v9", "v10", False),  # text, for nobody says that it is anything else
        ("9", "abc", True),
        ("", "a", True),
        ("NaN", "1", False),
        ("1", "NaN", True),
        ("sNaN", "sNaN", False),
        ("Infinity", "1", False),
        ("1e999999999", "1", False),
        ("0001-01-01T00:00:00+14:00", "2026-01-01", True),
    ],
)
def test_older(one, other, expected):
    """As numbers, as instants, else as text."""
    assert expected is older(one, other)


VERSIONS = (
    st.text(max_size=12)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.datetimes().map(datetime.isoformat)
    | st.sampled_from(["NaN", "-Infinity", "1_0", "٣"])
)


@given(VERSIONS, VERSIONS)
def test_any_two_versions_can_be_compared(one, other):
    """Never an error, and never older than each other at once."""
    assert not (older(one, other) and older(other, one))
    assert not older(one, one)


FIELDS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y", None]))


@given(
    st.lists(
        st.builds(lambda fields, deleted, before: seen(fields, deleted=deleted, before=before), FIELDS, st.booleans(), st.none() | FIELDS),
        max_size=12,
    )
)
def test_a_history_is_told_once(observations):
    """Whatever comes: a repeat at once says nothing, ids are distinct, and the snapshot holds the last of each field."""
    snapshot, ids, last = None, [], {}
    for one in observations:
        found = look(one, snapshot)
        last.update(one.fields)
        if found.event:
            ids.append(found.event.id)
        snapshot = found.snapshot or snapshot
        again = look(replace(one, before=None), snapshot)
        assert again.sighting in (UNCHANGED, LEARNT), again
        if not snapshot.deleted:
            assert last == dict(snapshot.fields)
        else:
            last = dict(snapshot.fields)
    assert len(ids) == len(set(ids))
    assert timezone.utc is NOW.tzinfo
