"""What pydantic finds wrong, in our words and with its place."""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from crmbridge.config.document import Document, KeyPath
from crmbridge.errors import Problem
from crmbridge.rules.expression import did_you_mean

_QUOTED: Final = re.compile(r"""(['"])(.*?)\1(?=, | or |$)""")
_MESSAGES: Final = types.MappingProxyType(
    {
        "missing": "is missing",
        "string_type": "must be a text",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "int_parsing": "must be a whole number",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "list_type": "must be a list",
        "dict_type": "must be a mapping of keys to values",
        "model_type": "must be a mapping of keys to values",
        "too_short": "must not be empty",
        "string_too_short": "must not be empty",
    }
)


def worded(document: Document, data: Any, path: KeyPath, error: Any, model: type[BaseModel]) -> Problem:
    """One error of a validation of `data`, which stands at `path` of the document."""
    kind, loc = error["type"], tuple(error["loc"])
    inner, here = _walk(data, loc, missing=kind == "missing")
    full = (*path, *inner)
    if kind == "extra_forbidden":
        known = _keys(model, inner[:-1])
        return document.problem(full, f"is not a key here{did_you_mean(str(inner[-1]), known) or _listed(known)}")
    if kind == "missing":
        return document.problem(full, "is missing")
    if kind in ("enum", "literal_error"):
        wanted = [word for _, word in _QUOTED.findall(str(error["ctx"].get("expected", "")))]
        return document.problem(full, f"`{here}` is not one of {', '.join(wanted)}{did_you_mean(str(here), wanted)}")
    if kind in ("greater_than_equal", "less_than_equal"):
        (bound,) = error["ctx"].values()
        return document.problem(full, f"must be at {'least' if kind == 'greater_than_equal' else 'most'} {bound}")
    if kind == "string_pattern_mismatch":
        return document.problem(full, f"`{here}` cannot be used here: begin with a letter, then letters, digits, - and _, at most 64")
    return document.problem(full, _MESSAGES.get(kind) or str(error["msg"]).removeprefix("Value error, "))


def _walk(data: Any, loc: Sequence[Any], *, missing: bool) -> tuple[KeyPath, Any]:
    """The parts of pydantic's location that are in the document (it adds the names of union members), and the value there."""
    inner: list[str | int] = []
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if part == "[key]":
            return tuple(inner), inner[-1] if inner else data
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            data = data[part]
        elif not (missing and last):
            continue
        inner.append(part)
    return tuple(inner), data


def _keys(model: Any, path: Sequence[Any]) -> list[str]:
    """The keys that may stand at `path` below `model`."""
    for part in path:
        if isinstance(part, int) or not hasattr(model, "model_fields"):
            continue
        found = next((one for name, one in model.model_fields.items() if (one.alias or name) == part), None)
        if found is not None:
            model = _inner_model(found.annotation)
    return sorted(one.alias or name for name, one in getattr(model, "model_fields", {}).items())


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if (found := _inner_model(part)) is not None:
            return found
    return None


def _listed(known: Sequence[str]) -> str:
    return f"; there are {', '.join(known)}" if known else ""
