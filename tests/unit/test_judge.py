"""By what a stand-in is judged: shapes of a vendor's description, and where an answer is none of them."""

import pytest

from crmbridge.testing.preset import fits

ROW = {"id": "string", "count": "integer|null", "at": "date-time", "more": {"deep": "boolean"}}
GOOD = {"id": "7", "count": 1, "at": "2026-11-30T12:00:00Z", "more": {"deep": False}, "else": 1}


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (ROW, GOOD),
        (ROW, GOOD | {"count": None}),
        ([ROW], []),
        ([ROW], [GOOD, GOOD]),
        ("number", 1.5),
        ("number", 1),
        ("object", {}),
        ("string|null", None),
    ],
)
def test_what_fits(shape, value):
    """More than is described is fine."""
    assert list(fits(shape, value)) == []


@pytest.mark.parametrize(
    ("shape", "value", "said"),
    [
        (ROW, [], "the answer is an array, and not an object with id, count, at, more"),
        ([ROW], {}, "the answer is an object, and not an array"),
        (ROW, {name: value for name, value in GOOD.items() if name != "id"}, "the answer has no id"),
        ([ROW], [GOOD, GOOD | {"id": 7}], "the answer[1].id is an integer, 7, and not string"),
        (ROW, GOOD | {"count": True}, "the answer.count is a boolean, True, and not integer|null"),
        (ROW, GOOD | {"count": "1"}, "the answer.count is a string, '1', and not integer|null"),
        (ROW, GOOD | {"at": "2026-11-30T12:00:00"}, "the answer.at is a string, '2026-11-30T12:00:00', and not date-time"),
        (ROW, GOOD | {"at": "today"}, "the answer.at is a string, 'today', and not date-time"),
        (ROW, GOOD | {"more": {"deep": 1}}, "the answer.more.deep is an integer, 1, and not boolean"),
        ("number", False, "the answer is a boolean, False, and not number"),
        ("object", [], "the answer is an array, [], and not object"),
        ("strange", "x", "the answer is a string, 'x', and not strange"),
    ],
)
def test_what_does_not(shape, value, said):
    """Each with its place."""
    assert list(fits(shape, value)) == [said]
