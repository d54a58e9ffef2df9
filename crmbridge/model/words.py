"""Words together with their origin: the rule's author, or a record. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

import regex


@dataclass(frozen=True, slots=True)
class Literal:
    """Words that the rule's author wrote. They may link, mention and format."""

    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """Words that came from a record. They are never more than text."""

    text: str
    shrink: bool = False
    """The rule allows these words to be shortened where the whole would not fit (`shorten:`)."""
    mention: bool = False
    """The words are a person's address, and the rule wants that person named (`| mention`). A network that cannot do so shows the words."""


Text = tuple[Literal | Value, ...]


def plain(text: Text) -> str:
    """Return the words alone, for logs, tests and networks without any mark-up."""
    return "".join(span.text for span in text)


def spans(parts: Iterable[Literal | Value]) -> Text:
    """Make a Text without empty spans, in which neighbours of one kind are joined."""
    joined: list[Literal | Value] = []
    for (kind, shrink, alone), run in groupby((part for part in parts if part.text), key=_kind):
        if alone:  # each one names a person of its own
            joined += run
            continue
        some = [part.text for part in run]
        words = some[0] if len(some) == 1 else "".join(some)
        joined.append(Value(words, shrink) if kind is Value else Literal(words))
    return tuple(joined)


def _kind(span: Literal | Value) -> tuple[type, bool, bool]:
    return (Value, span.shrink, span.mention) if isinstance(span, Value) else (Literal, False, False)


def shortened(text: Text, fits: Callable[[Text], bool]) -> Text:
    """Shorten `text` until it fits. As little as needed is cut off the values that may be shortened, the longest first.

    Each cut ends in an ellipsis, and no value is cut away whole. If the text cannot be made to fit, it comes back as it was: truncation is
    never silent, and whoever measures the text again refuses it. `fits` must hold for every text shorter than one that fits.
    """
    if fits(text) or not any(isinstance(span, Value) and span.shrink for span in text):
        return text
    # Invisible characters are removed first: no network shows them, so they must take no room from words.
    seen = tuple(Value(visible(span.text), True) if isinstance(span, Value) and span.shrink else span for span in text)
    if fits(seen):
        return seen
    low, high = 0, max(len(span.text) for span in seen if isinstance(span, Value) and span.shrink)
    if not fits(_cut(seen, 1)):
        return text
    while low + 1 < high:  # finds the greatest length that values may have
        middle = (low + high) // 2
        low, high = (middle, high) if fits(_cut(seen, middle)) else (low, middle)
    return _cut(seen, max(low, 1))


def _cut(text: Text, most: int) -> Text:
    return tuple(
        Value(_begin(span.text, most) + "…", True) if isinstance(span, Value) and span.shrink and len(span.text) > most else span
        for span in text
    )


def _begin(words: str, most: int) -> str:
    """Return the first `most` characters of `words`, without a torn cluster or a space at the end, but at least the first cluster."""
    kept = begin(words, most) or "".join(_CLUSTER.findall(words)[:1])
    return kept.rstrip() or kept


_CLUSTER = regex.compile(r"\X")


def begin(text: str, most: int) -> str:
    """Return at most the first `most` characters of `text`, without tearing what people see as one character (UAX #29).

    Such a character may be a letter with its accent, a flag, or a family.
    """
    if len(text) <= most:
        return text
    if text.isascii():
        return text[:most]
    end = 0
    for found in _CLUSTER.finditer(text):
        if found.end() > most:
            break
        end = found.end()
    return text[:end]


_UNSTORABLE = {0: 0xFFFD} | dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


def clean(text: str) -> str:
    """Replace NUL and lone surrogates in `text` by U+FFFD. The result can be stored and encoded, and is otherwise the same."""
    if text.isascii() and "\0" not in text:
        return text
    return text.translate(_UNSTORABLE)


_UNSEEN: dict[int, int | None] = {
    **_UNSTORABLE,
    **dict.fromkeys((*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))),  # C0, C1; tab and line feed stay
    **dict.fromkeys((0x061C, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF)),  # ZWNJ and ZWJ stay: scripts and emoji need them
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xE0000, 0xE0080))),  # bidi controls, tags
    0x0D: 0x0A,
    0x2028: 0x0A,
    0x2029: 0x0A,
}
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")


def visible(text: str) -> str:
    """Return record text as people see it: NFC, without controls, direction marks, invisible characters and lone surrogates.

    The result is the same on every network. Each network itself keeps it from being mark-up.
    """
    if _PLAIN.fullmatch(text):
        return text
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").translate(_UNSEEN))


def marked_lines(words: str, beginning: re.Pattern[str], mark: str, *, begun: bool) -> str:
    """Put `mark` for what `beginning` finds at the start of each line of `words`. The first line counts only where a line is `begun`."""
    if begun:
        return beginning.sub(mark, words)
    first, newline, rest = words.partition("\n")
    return first + newline + beginning.sub(mark, rest) if newline else first


def alike(text: str) -> str:
    """Return `text` as it is compared: in NFC, so that two ways of writing one character are equal, and without blanks at the ends."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()
