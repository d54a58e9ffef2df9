"""Templates of {names} and text: for a header that holds a signature, and for what is signed. Pure."""

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
    "id": r"[A-Za-z0-9_-]{1,256}",  # holds no character that a template could put between it and the next part
}
_BETWEEN: Final[Mapping[str, str]] = {"id": r"[A-Za-z0-9_-]*", "path": r"[!-~]*"}
"""The patterns of text that does not end an id, or a path: the id or the path could as well go on with it."""
MOST_SIGNATURES: Final = 10
_MOST_PARTS: Final = 50
LONGEST: Final = 4_096  # characters of a header with a signature


def placeholders(text: str) -> list[str]:
    """Return the names in a template, in order."""
    return _NAME.findall(text)


def template(text: str, allowed: Collection[str]) -> list[tuple[str, str]] | None:
    """Parse a template into (text, name) pairs; the last name may be empty.

    Returns None if the template holds an unknown name, a name twice, or a brace too many.
    """
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
    """Find a name in a signed template whose value could be exchanged for a piece of {body}. Return an empty text if there is none.

    This is so where nothing between the two shows where each of them ends. A body of JSON is safe by itself: no piece of it is JSON.
    """
    pieces = template(text, _BETWEEN.keys() | {"body", "timestamp", "method"}) or []
    for (_, one), (between, other) in itertools.pairwise(pieces):
        for name in {one, other} & _BETWEEN.keys() if "body" in (one, other) else ():
            if re.fullmatch(_BETWEEN[name], between, re.ASCII):
                return name
    return ""


def filled(text: str, values: Mapping[str, bytes]) -> bytes:
    """Fill a template with its values. A KeyError for a missing value is a mistake of the caller."""
    pieces = template(text, values.keys())
    assert pieces is not None, "options were checked"
    return b"".join(piece.encode() + (values[name] if name else b"") for piece, name in pieces)


@dataclass(frozen=True, slots=True)
class Held:
    """What a header with a signature held."""

    signatures: Sequence[str]
    timestamp: str | None = None
    id: str | None = None


def held(value: str, layout: str, separator: str) -> Held | None:
    """Read what `value` holds according to a layout. Return None if it is not written like the layout.

    With a separator, the parts of `value` may come in any order, and a signature may come several times. Parts of another kind, like the
    signatures of other versions, are left out. But a part that is empty, has blanks, or begins like a part of the layout and goes on
    differently makes the whole header unreadable. So does a timestamp or an id that comes twice.
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
    """Make for each part of a layout its pattern and the text that it begins with. A part without such a text begins like any other."""
    made = []
    for part in layout.split(separator) if separator else [layout]:
        pieces = template(part, _VALUES.keys())
        assert pieces is not None, "options were checked"
        pattern = "".join(re.escape(text) + (f"(?P<{name}>{_VALUES[name]})" if name else "") for text, name in pieces)
        made.append((re.compile(pattern, re.ASCII), pieces[0][0]))
    return tuple(made)
