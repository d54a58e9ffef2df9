"""A page read row by row: an odd row costs itself, and keeps no more than people may see."""

from decimal import Decimal

import pytest
from shared import NOW

from crmbridge.contract import each
from crmbridge.errors import SourceError
from crmbridge.model import FieldSpec, Sensitivity
from crmbridge.telemetry import forget, hide

SPEC = {"name": FieldSpec(), "pin": FieldSpec(sensitivity=Sensitivity.SECRET)}


def read(row):
    if isinstance(row["n"], str):
        raise ValueError(f"{row['n']} is no number")
    return row["n"] + 1


def rows(*values):
    return [{"id": f"r{index}", "n": value} for index, value in enumerate(values)]


def page(some, **facts):
    found = each(some, read, record_type="Deal", id=lambda row: row["id"], now=NOW, **facts)
    return [number for _, number in found.good], found.observations(lambda _: ())


def test_odd_rows_are_told_and_the_others_read():
    good, (odd, worse) = page(rows(1, "x", 2, None))

    assert good == [2, 3]
    assert (odd.record_type, odd.record_id, odd.unreadable, odd.occurred_at) == ("Deal", "r1", "x is no number", NOW)
    assert worse.unreadable.startswith("TypeError: ")


def test_a_row_without_a_name_is_named_by_what_was_seen():
    _, (one, other, again) = page([{"n": "x"}, {"n": "y", "m": 1}, {"n": "x"}])
    assert one.record_id.startswith("?")
    assert one.record_id == again.record_id != other.record_id


def test_only_configured_fields_are_kept_and_no_secret():
    """A row may hold what crmbridge was never to read; people look it up in the CRM, by its id."""
    hide("canary-token-in-a-row")
    try:
        row = {"id": 7, "n": "x", "name": "Parkers canary-token-in-a-row", "pin": "1234", "mobile": "+44 20", "amount": Decimal(1)}
        _, (odd,) = page([row], spec=SPEC)
    finally:
        forget("canary-token-in-a-row")
    assert odd.fields == {"row": "id: (int), n: (str), name: 'Parkers ***', pin: (str), mobile: (str), amount: (Decimal)"}
    assert odd.record_id == "7"
    _, (odd,) = page([{"id": 8, "n": "x", "pin": "4711", "name": "4711"}], spec=SPEC)
    assert "4711" in odd.fields["row"]  # as the name, which may be seen

    def chokes(row):
        return int(row["pin"])

    (odd,) = each([{"pin": "4711-secret"}], chokes, record_type="Deal", id=lambda row: 1, now=NOW, spec=SPEC).observations()
    assert odd.unreadable == "invalid literal for int() with base 10: '***'"
    with pytest.raises(ValueError, match=r"'\*\*\*'"):
        each([{"pin": "4711-secret"}], chokes, record_type="Deal", id=lambda row: 1, now=NOW, spec=SPEC, all_or_none=True)
    (odd,) = each([[1, 2]], lambda row: row["x"], record_type="Deal", id=lambda row: row["x"], now=NOW).observations()
    assert odd.fields == {"row": "a list"}


def test_where_nothing_can_be_read_it_is_the_source_that_is_odd():
    """On a first read, and where there are many; else every record would be put aside after a column was renamed."""
    with pytest.raises(ValueError, match="x is no number"):
        page(rows("x", "y"), all_or_none=True)
    with pytest.raises(ValueError):
        page(rows(*"abcdefghij"))
    assert len(page(rows(*"abcdefghi"))[1]) == 9
    assert len(page(rows(*"abcdefghij", 1))[1]) == 10
    assert page([], all_or_none=True) == ([], [])


def test_what_is_about_more_than_a_row_goes_through():
    """A lost connection while a row's owner is looked up is no oddity of the row."""

    def lost(_):
        raise SourceError("connection lost")

    with pytest.raises(SourceError):
        each(rows(1), lost, record_type="Deal", id=lambda row: row["id"], now=NOW)


def test_what_cannot_be_read_stands_where_its_row_stood():
    """Two states of one record may be on one page: the later one counts."""
    found = each(rows(1, "x", 2), read, record_type="Deal", id=lambda row: row["id"], now=NOW)
    places = found.observations(lambda number: [number])
    assert [getattr(one, "unreadable", one) for one in places] == [2, "x is no number", 3]
