"""Words keep their origin, and are shortened only where the rule allows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbridge.model import Literal, Value, begin, dump_text, load_text, plain, shortened, spans
from crmbridge.rules.filters import truncate

some = st.lists(st.builds(Literal, st.text(max_size=9)) | st.builds(Value, st.text(max_size=30), st.booleans()), max_size=6).map(tuple)


def within(most):
    return lambda text: len(plain(text)) <= most


def test_as_little_as_needed_is_cut_off_the_longest():
    """Short values stay whole, and each cut is marked."""
    text = (Value("Parkers", True), Literal(" signed "), Value("a roll-out in forty countries", True))

    assert plain(shortened(text, within(30))) == "Parkers signed a roll-out in…"
    assert shortened(text, within(100)) == text


def test_what_may_not_be_shortened_stays():
    """And where that is too much, the text comes back whole, to be refused."""
    text = (Value("a name that stays"), Literal(": "), Value("note", True))

    assert plain(shortened(text, within(21))) == "a name that stays: n…"
    assert shortened(text, within(10)) == text


def test_no_cluster_is_torn():
    """A letter keeps its accent, an emoji its parts."""
    assert plain(shortened((Value("abcdx\u0301fgh", True),), within(6))) == "abcd…"
    assert plain(shortened((Value("ab👩‍👩‍👧‍👦cdefgh", True),), within(7))) == "ab…"


def test_what_cannot_be_seen_takes_no_room():
    """No value is cut for what no network shows: its words stay whole, and what shows nothing gains no ellipsis."""
    text = (
        Value("\u200b" * 30 + "Parkers", True),
        Literal(" signed "),
        Value("a roll-out in forty countries", True),
        Value("\0" * 40, True),
    )

    assert plain(shortened(text, within(30))) == "Parkers signed a roll-out in…"


@given(some, st.integers(0, 60))
def test_shortening_is_bounded_and_touches_nothing_else(text, most):
    """Literals and other values are the same before and after; the result fits, or is what it was."""
    found = shortened(text, within(most))

    assert len(found) == len(text)
    assert all(new == old for new, old in zip(found, text, strict=True) if not (isinstance(old, Value) and old.shrink))
    assert len(plain(found)) <= most or found == text


def test_a_mention_stays_one_and_whole():
    """It is stored as a kind of its own, which an older reader takes for a record's words; it neither joins others nor is cut."""
    text = (Value("ann@acme.example", mention=True), Value("bob@acme.example", mention=True), Value("x" * 50, True))
    assert dump_text(text) == [[3, "ann@acme.example"], [3, "bob@acme.example"], [2, "x" * 50]]
    assert load_text(dump_text(text)) == text
    assert spans(text) == text
    assert shortened(text, within(40))[:2] == text[:2]


@given(some)
def test_spans_survive_storage(text):
    """And joining neighbours changes no word."""
    assert load_text(dump_text(text)) == text
    assert plain(spans(text)) == plain(text)


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("abc", 3, "abc"),
        ("abc", 2, "ab"),
        ("🇩🇪🇫🇷", 3, "🇩🇪"),
        ("🇩🇪🇫🇷", 1, ""),
        ("x👍🏽y", 2, "x"),
        ("x👍🏽y", 3, "x👍🏽"),
        ("👩‍👩‍👧‍👦!", 7, "👩‍👩‍👧‍👦"),
        ("👩‍👩‍👧‍👦!", 6, ""),
        ("नमस्ते", 3, "नम"),
        ("e\u0301e\u0301", 3, "e\u0301"),
        ("\u1100\u1161\u11a8\u1100\u1161\u11a8", 4, "\u1100\u1161\u11a8"),  # syllables of three letters each
        ("1️⃣2️⃣", 5, "1️⃣"),
    ],
)
def test_what_people_see_as_one_character_is_never_torn(text, most, expected):
    """A letter with its accent, a flag, a family, a syllable."""
    assert begin(text, most) == expected
    shown = truncate(text, most + 1)
    assert shown == (text if len(text) <= most + 1 else f"{expected}…")


@given(st.text(), st.integers(1, 30))
def test_a_beginning_is_a_beginning(text, most):
    """No longer than asked, and as long as can be."""
    found = begin(text, most)
    assert text.startswith(found)
    assert len(found) <= most
    assert found == text or begin(text, len(found)) == found
