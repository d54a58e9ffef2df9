"""What pydantic finds wrong, in our words and with its place."""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel

from crmbridge.config.document import Document, KeyPath
from crmbridge.errors import Problem
from crmbridge.model import did_you_mean

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
    inner, here, holders = _walk(data, loc, model)
    full = (*path, *inner)
    if kind == "extra_forbidden":
        keys = sorted({one.alias or name for holder in holders for name, one in holder.model_fields.items()})
        return document.problem(full, f"is not a key here{did_you_mean(str(inner[-1]), keys) or _listed(keys)}")
    if kind == "missing":
        return document.problem(full, "is missing")
    if kind in ("enum", "literal_error"):
        wanted = [word for _, word in _QUOTED.findall(str(error["ctx"].get("expected", "")))]
        return document.problem(full, f"`{here}` is not one of {', '.join(wanted)}{did_you_mean(str(here), wanted)}")
    if kind in ("union_tag_invalid", "union_tag_not_found") and error["ctx"]["discriminator"].startswith("'"):
        chooser = error["ctx"]["discriminator"].strip("'")
        wanted = [word for _, word in _QUOTED.findall(str(error["ctx"].get("expected_tags", "")))]
        tag = error["ctx"].get("tag")
        said = "is missing" if tag is None else f"`{tag}` is not one of {', '.join(wanted)}{did_you_mean(str(tag), wanted)}"
        return document.problem((*full, chooser), said)
    if kind in ("greater_than_equal", "less_than_equal"):
        (bound,) = error["ctx"].values()
        return document.problem(full, f"must be at {'least' if kind == 'greater_than_equal' else 'most'} {bound}")
    if kind == "string_pattern_mismatch":
        return document.problem(full, f"`{here}` cannot be used here: begin with a letter, then letters, digits, - and _, at most 64")
    return document.problem(full, _MESSAGES.get(kind) or str(error["msg"]).removeprefix("Value error, "))


def _walk(data: Any, loc: Sequence[Any], model: type[BaseModel]) -> tuple[KeyPath, Any, Sequence[type[BaseModel]]]:
    """Find the keys in pydantic's location, which also names union members: their path, the value there, and whose key the last is.

    A key that is not in the document counts: a value may be missing below one that another part gave.
    """
    inner: list[str | int] = []
    models: Sequence[type[BaseModel]] = [model]
    holders = models
    chosen_by: str | None = None
    for part in loc:
        if part == "[key]":
            return tuple(inner), inner[-1] if inner else data, holders
        if chosen_by is not None:
            models, chosen_by = [one for one in models if part in get_args(one.model_fields[chosen_by].annotation)], None
            continue
        field = next((info for one in models for name, info in one.model_fields.items() if part == (info.alias or name)), None)
        there = (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if field is None and not there:
            continue
        data = data[part] if there else None
        inner.append(part)
        holders = models
        if field is not None:
            models = _models(field.annotation)
            chosen_by = field.discriminator if isinstance(field.discriminator, str) else None
    return tuple(inner), data, holders


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _listed(words: Sequence[str]) -> str:
    return f"; there are {', '.join(words)}" if words else ""
