"""What a header with a signature holds, and what is signed: templates of {names} and text. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_NAME: Final = re.compile(r"\{([a-z]+)\}")
_VALUES: Final[Mapping[str, str]] = {
    "signature": r"[A-Za-z0-9+/_=-]{1,200}",
    "timestamp": r"[0-9A-Za-z:.+-]{1,40}",
    "id": r"[A-Za-z0-9_-]{1,256}",  # nothing that a template could put between it and the next part
}
_BETWEEN: Final[Mapping[str, str]] = {"id": r"[A-Za-z0-9_-]*", "path": r"[!-~]*"}
"""What cannot end an id, or a path."""
MOST_SIGNATURES: Final = 10
_MOST_PARTS: Final = 50
LONGEST: Final = 4_096  # characters of a header with a signature


def placeholders(text: str) -> list[str]:
    """The names in a template, in order."""
    return _NAME.findall(text)


def template(text: str, allowed: Collection[str]) -> list[tuple[str, str]] | None:
    """A template as (text, name) pairs; the last name may be empty. None where it holds an unknown name, one twice, or a brace too many."""
    found: list[tuple[str, str]] = []
    at = 0
    for match in _NAME.finditer(text):
        found.append((text[at : match.start()], match[1]))
        at = match.end()
    found.append((text[at:], ""))
    names = [name for _, name in found if name]
    if len(set(names)) != len(names) or not set(names) <= set(allowed) or any("{" in piece or "}" in piece for piece, _ in found):
        return None
    return found if text.isascii() and text.isprintable() else None


def blurs(text: str) -> str:
    """The name in a template of what is signed of which a piece could as well be one of {body}: nothing between tells where each ends.

    A body that is JSON tells it itself: no piece of it is JSON.
    """
    pieces = template(text, _BETWEEN.keys() | {"body", "timestamp", "method"}) or []
    for (_, one), (between, other) in itertools.pairwise(pieces):
        for name in {one, other} & _BETWEEN.keys() if "body" in (one, other) else ():
            if re.fullmatch(_BETWEEN[name], between, re.ASCII):
                return name
    return ""


def filled(text: str, values: Mapping[str, bytes]) -> bytes:
    """A template with its values. KeyError for one that is not there is a mistake of the caller's."""
    pieces = template(text, values.keys())
    assert pieces is not None, "options were checked"
    return b"".join(piece.encode() + (values[name] if name else b"") for piece, name in pieces)


@dataclass(frozen=True, slots=True)
class Held:
    """What a header held."""

    signatures: Sequence[str]
    timestamp: str | None = None
    id: str | None = None


def held(value: str, layout: str, separator: str) -> Held | None:
    """What `value` holds by a layout; None where it is not written so.

    With a separator its parts may come in any order, a signature several times. Parts of another kind, like the signatures of other
    versions, are left out; one that begins as the layout's do and goes on otherwise, is empty or has blanks, makes no such header. A
    timestamp or an id that comes twice is none.
    """
    if len(value) > LONGEST or not value.isascii():
        return None
    parts = value.split(separator) if separator else [value]
    if len(parts) > _MOST_PARTS:
        return None
    found: dict[str, list[str]] = {"signature": [], "timestamp": [], "id": []}
    for part in parts:
        match = next((match for pattern, _ in _patterns(layout, separator) if (match := pattern.fullmatch(part))), None)
        if match is None and (not part or " " in part or any(part.startswith(begin) for _, begin in _patterns(layout, separator))):
            return None
        for name, one in match.groupdict().items() if match else ():
            found[name].append(one)
    names = placeholders(layout)
    if not 0 < len(found["signature"]) <= MOST_SIGNATURES:
        return None
    if any(len(found[name]) != names.count(name) for name in ("timestamp", "id")):
        return None
    return Held(found["signature"], *(found[name][0] if found[name] else None for name in ("timestamp", "id")))


@lru_cache(maxsize=64)
def _patterns(layout: str, separator: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """For each part of a layout its pattern, and the text that it begins with; a part without one begins like any other."""
    made = []
    for part in layout.split(separator) if separator else [layout]:
        pieces = template(part, _VALUES.keys())
        assert pieces is not None, "options were checked"
        pattern = "".join(re.escape(text) + (f"(?P<{name}>{_VALUES[name]})" if name else "") for text, name in pieces)
        made.append((re.compile(pattern, re.ASCII), pieces[0][0]))
    return tuple(made)
