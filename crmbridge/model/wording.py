"""How sentences for people agree with a number, and which word they propose for an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Final

_IRREGULAR: Final = {"delivery": "deliveries"}
_OF_MANY: Final = {"are": "is", "were": "was", "have": "has", "wait": "waits", "lead": "leads"}


def counted(count: int, one: str, verb: str = "") -> str:
    """Write a number with its noun: `1 message`, `2 messages`; with a verb (see `verbs`) `1 message waits`, `2 messages wait`."""
    *before, noun = one.split(" ")
    words = [str(count), *before, noun if count == 1 else _IRREGULAR.get(noun, noun + "s")]
    return " ".join([*words, verbs(count)[verb]] if verb else words)


def verbs(count: int) -> dict[str, str]:
    """Return the forms of `{are}`, `{were}`, `{have}`, `{wait}` and `{lead}` in a sentence about `count` things."""
    return {many: one if count == 1 else many for many, one in _OF_MANY.items()}


def times(count: int) -> str:
    """Write how often: `once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(count) or f"{count} times"


def nearest(word: str, words: Collection[str]) -> str:
    """Return the known word that `word` is most like. Empty if it is like none."""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6) or [
        name for name in sorted(words) if name.lower() == word.lower() or name.startswith(f"{word}.")
    ]
    return close[0] if close else ""


def did_you_mean(word: str, words: Collection[str]) -> str:
    """Write `; did you mean "x"?` for the nearest known word, else nothing."""
    near = nearest(word, words)
    return f'; did you mean "{near}"?' if near else ""
