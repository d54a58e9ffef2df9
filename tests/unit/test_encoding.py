"""JSON from orjson is to the letter what the standard library writes: event ids are made from it."""

import json
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbridge.model import Choice, Reading, dump_fields, dump_json, load_fields, load_json
from crmbridge.model.encoding import canonical_json
from crmbridge.model.reading import MOST_ITEMS

words = st.text(st.characters(exclude_categories=["Cs"]))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner) | st.dictionaries(words, inner),
    max_leaves=12,
)


@given(plain)
def test_the_text_is_the_standard_librarys(value):
    """Escapes, order of keys and all: what an older crmbridge stored keeps its name."""
    assert dump_json(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert canonical_json(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert load_json(dump_json(value)) == value


def test_fields_keep_their_text():
    """One of each kind, as the first version wrote it."""
    fields = {
        "z": Decimal("1.50"),
        "a": "ä\u2028\x7f\n",
        "t": datetime(2026, 1, 2, 3, 4, 5, 6, timezone.utc),
        "d": date(2026, 1, 2),
        "c": Choice("won", "Gewonnen"),
        "l": ("x", Decimal(2)),
        "n": None,
        "b": True,
    }

    written = (
        '{"a":"ä\u2028\x7f\\n","b":true,"c":{"c":["won","Gewonnen"]},"d":{"d":"2026-01-02"},"l":["x",{"n":"2"}],"n":null,'
        '"t":{"t":"2026-01-02T03:04:05.000006+00:00"},"z":{"n":"1.5"}}'
    )
    assert dump_fields(fields) == written
    assert load_fields(written) == fields | {"z": Decimal("1.5")}


def test_what_orjson_refuses_is_written_all_the_same():
    """A lone surrogate as a question mark, for no database and no network takes it; a number of any length."""
    assert dump_json({"a\ud800": 2**80}) == f'{{"a?":{2**80}}}'
    with pytest.raises(TypeError):
        dump_json(object())


def test_a_list_that_no_field_holds_is_refused_before_it_is_read():
    """However the items are spread over lists in lists."""
    assert Reading().value([[1, 2], [3]]) == ((1, 2), (3,))
    assert len(Reading().value([1] * MOST_ITEMS)) == MOST_ITEMS
    for raw in ([1] * (MOST_ITEMS + 1), [[1] * 9_000] * 3):
        with pytest.raises(ValueError, match="more than 25,000 items"):
            Reading().value(raw)


def test_a_number_too_large_to_be_one_is_its_digits():
    """Python refuses to write whole numbers of more than 4,300 digits; a CRM's API may still send one."""
    assert Reading().value(10**5000) == "1" + "0" * 5000
    assert Reading().value(float("inf")) == "Infinity"
