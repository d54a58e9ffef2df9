"""Where things stand in a request: paths into its body, its items and its headers. Pure.

A path is written with dots (`item.record.Id`), with quoted parts where a name holds blanks or dots (`body."Deal Name"`), or as a
list of its parts (`[body, Deal Name]`). A number names an element of a list. `key=Target` names the entry of a list whose `key`
is Target. `a|b` is `a`, or `b` where there is no `a`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic_core import PydanticCustomError, core_schema

from crmbridge.contract import CREDENTIALS, Options

EVERY: Final = "*"
"""The part in the path of `items` that stands for every element of a list."""
_PART: Final = re.compile(r'"([^"\x00-\x1f]{1,200})"|([^."\s]{1,200})')
_HEADER: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
_MOST_PARTS: Final = 20
_NO_HEADERS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Way:
    """A path: the root where it begins, and its parts from there. It prints as it was written."""

    root: str
    """Its first part: `body`, `item`, `headers` or `query`."""
    parts: tuple[str, ...]
    written: str

    @property
    def header(self) -> str | None:
        """The header that the path names, in lower case as requests have it. None for a path elsewhere."""
        return self.parts[0] if self.root == "headers" else None

    def __str__(self) -> str:
        return self.written

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        parts = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST_PARTS}
        return {"anyOf": [{"type": "string"}, parts]}


def parts_of(written: str) -> tuple[str, ...]:
    """Split a path that is written as text into its parts. Return none if the text is no path."""
    found: list[str] = []
    at = 0
    while match := _PART.match(written, at):
        found.append(match[1] or match[2])
        at = match.end()
        if at == len(written):
            return tuple(found) if len(found) <= _MOST_PARTS else ()
        if written[at] != ".":
            return ()
        at += 1
    return ()


def way(raw: Any, roots: Sequence[str]) -> Way | None:
    """Read a path from YAML that begins with one of `roots`. Return None if `raw` is no such path."""
    if isinstance(raw, Way):
        return raw if raw.root in roots else None
    if isinstance(raw, str):
        written, parts = raw, parts_of(raw)
    elif isinstance(raw, list) and 0 < len(raw) <= _MOST_PARTS and all(isinstance(part, str) and part for part in raw):
        written, parts = ".".join(f'"{part}"' if re.search(r"[.\s]", part) else part for part in raw), tuple(raw)
    else:
        return None
    if not parts or parts[0] not in roots:
        return None
    if parts[0] in ("headers", "query"):  # headers and queries are flat: the rest of the path is one name, dots included
        name = ".".join(parts[1:])
        if not name or (parts[0] == "headers" and not _HEADER.fullmatch(name)):
            return None
        return Way(parts[0], (name.lower() if parts[0] == "headers" else name,), written)
    return Way(parts[0], parts[1:], written)


def at(value: Any, parts: Sequence[str]) -> Any:
    """Look up the value at `parts` of a body. Return None if there is none."""
    for part in parts:
        if isinstance(value, dict):
            value = value[part] if part in value else _first(value, part)
        elif isinstance(value, list):
            value = _element(value, part)
        else:
            return None
    return value


def _first(value: Mapping[str, Any], part: str) -> Any:
    return next((value[name] for name in part.split("|") if name in value), None) if "|" in part else None


def _element(values: Sequence[Any], part: str) -> Any:
    if part.isascii() and part.isdigit():
        return values[int(part)] if len(part) < 10 and int(part) < len(values) else None
    key, equals, wanted = part.partition("=")
    if not equals:
        return None
    return next((one for one in values if isinstance(one, dict) and key in one and one[key] == wanted), None)


def look(path: Way, body: Any, item: Any, headers: Mapping[str, str] = _NO_HEADERS) -> Any:
    """Look up the value at a path. Return None if there is none."""
    if path.root == "headers":
        return headers.get(path.parts[0])
    return at(body if path.root == "body" else item, path.parts)


def every(value: Any, parts: Sequence[str], most: int) -> list[Any] | None:
    """Return the elements of the list at `parts`, in which `*` stands for every element of a list. Return None if no list stands there.

    Raises ValueError for more than `most` elements.
    """
    if EVERY not in parts:
        found = at(value, parts)
        if isinstance(found, list) and len(found) > most:
            raise ValueError(f"more than {most} items")
        return found if isinstance(found, list) else None
    here = parts.index(EVERY)
    outer = at(value, parts[:here])
    if not isinstance(outer, list):
        return None
    found = []
    for one in outer:
        inner = every(one, parts[here + 1 :], most) if here + 1 < len(parts) else [one]
        found += inner or []
        if len(found) > most:
            raise ValueError(f"more than {most} items")
    return found


# --- paths as options ---------------------------------------------------------------------------


def _in_body(raw: Any) -> Way:
    found = way(raw, ("body", "item"))
    if found is None:
        raise PydanticCustomError("path", "write a path that begins with body or item, like item.record.Id")
    return found


def _anywhere(raw: Any) -> Way:
    found = way(raw, ("body", "item", "headers"))
    if found is None:
        raise PydanticCustomError(
            "path", "write a path that begins with body, item or headers, like item.record.Id or headers.idempotency-key"
        )
    if found.header in CREDENTIALS:
        raise PydanticCustomError("path", "this header proves who sends, and is never stored: map another one")
    return found


def _shape(raw: Any) -> str:
    """Tell whether an option is written as a mapping or as a path."""
    return "a mapping" if isinstance(raw, (dict, Options)) else "a path"


class Constant(Options):
    """A constant: the same value for every item."""

    value: str = Field(description="The value.", min_length=1)

    def __str__(self) -> str:
        return f"{{value: {self.value}}}"


Path = Annotated[Way, BeforeValidator(_in_body)]
"""A path into the body."""
PathOrHeader = Annotated[Way, BeforeValidator(_anywhere)]
"""A path into the body, or a header."""
One = Annotated[Annotated[Constant, Tag("a mapping")] | Annotated[PathOrHeader, Tag("a path")], Discriminator(_shape)]
"""One value: a path into the body, a header, or a constant."""


class Entries(Options):
    """Where fields stand that are not a mapping of name to value."""

    from_: Path = Field(alias="from", description="Where they stand: a list of entries, or a mapping of name to a pair.")
    key: str | None = Field(None, description="In a list: the part of an entry that names the field.", min_length=1, max_length=100)
    value: str = Field(
        description="The part of an entry, or of a pair, that is the value: a name like `to`, or 0 or 1 in [old, new].",
        min_length=1,
        max_length=100,
    )

    def __str__(self) -> str:
        return str(self.from_)


Fields = Annotated[Annotated[Entries, Tag("a mapping")] | Annotated[Path, Tag("a path")], Discriminator(_shape)]
"""A record's fields: a path to a mapping, or the way in which they stand in entries and pairs."""
