"""Small facts from a vendor's own description (OpenAPI, recorded samples). A stand-in, and what is asked of it, are judged by them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Shape = Any
"""The shape of a JSON value. A mapping: an object with at least these keys. A list of one: an array of such values. A text: `string`,
`integer`, `number`, `boolean`, `date-time`, `object`, `null`, or several of them with `|` between.
"""


@dataclass(frozen=True, slots=True)
class Fact:
    """What a vendor's description says of one call."""

    path: str
    """A regular expression for the whole path after the address of the API."""
    asks: Collection[str]
    """The parameters that exist, in the query or in the body."""
    answer: Shape
    """The shape of a good answer."""
    choices: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The values that a parameter may have, where the description lists them."""


def fits(shape: Shape, value: Any, path: str = "the answer") -> Iterator[str]:
    """Yield what does not fit the shape, each with its path."""
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            yield f"{path} is {_kind(value)}, and not an object with {', '.join(shape)}"
            return
        for name, inner in shape.items():
            if name not in value:
                yield f"{path} has no {name}"
            else:
                yield from fits(inner, value[name], f"{path}.{name}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{path} is {_kind(value)}, and not an array"
            return
        for number, item in enumerate(value):
            yield from fits(shape[0], item, f"{path}[{number}]")
    elif not any(_is(kind, value) for kind in str(shape).split("|")):
        yield f"{path} is {_kind(value)}, {value!r:.100}, and not {shape}"


def _kind(value: Any) -> str:
    """Name the JSON type of a value."""
    names = {"null": "null", "boolean": "a boolean", "integer": "an integer", "number": "a number", "object": "an object"}
    return next((name for kind, name in names.items() if _is(kind, value)), "an array" if isinstance(value, list) else "a string")


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "date-time":
            return isinstance(value, str) and _is_instant(value)
        case "object":
            return isinstance(value, Mapping)
    return kind == "string" and isinstance(value, str)


def _is_instant(text: str) -> bool:
    """Say whether a text is an instant by RFC 3339, which has an offset."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
