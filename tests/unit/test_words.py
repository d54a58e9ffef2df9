"""Words keep their origin, and are shortened only where the rule allows it."""

from hypothesis import given
from hypothesis import strategies as st

from crmbridge.model import Literal, Value, dump_text, load_text, plain, shortened, spans

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


@given(some)
def test_spans_survive_storage(text):
    """And joining neighbours changes no word."""
    assert load_text(dump_text(text)) == text
    assert plain(spans(text)) == plain(text)
