"""Strict reading of JSON from strangers. What two readers could read in two ways is refused."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

MAX_DEPTH: Final = 64


def strict_json(data: bytes) -> Any:
    """Read JSON strictly: UTF-8, no NaN, no repeated keys, at most MAX_DEPTH levels. Raises ValueError."""
    try:
        value = lenient_numbers(data.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} at byte {error.pos}") from None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ValueError("the JSON is nested too deep")
    return value


def lenient_numbers(text: str, **more: Any) -> Any:
    """Read JSON with exact numbers. Raises ValueError.

    A number that Python does not read (5,000 digits, an exponent of twenty digits) becomes its text. So one odd number does not
    make all other values unreadable.
    """
    try:
        return json.loads(text, parse_float=Decimal, **more)
    except json.JSONDecodeError:
        raise
    except (ValueError, InvalidOperation):
        return json.loads(text, parse_float=_number, parse_int=_number, **more)


def look(path: str, value: Any) -> Any:
    """Look up the value at a dotted path, in which a number names an element of a list. Return None if there is none."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _refuse(word: str) -> Any:
    raise ValueError(f"the body is not JSON: {word}")


def _number(digits: str) -> Any:
    try:
        return int(digits)
    except ValueError:
        pass
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one JSON object")
    return found


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, (dict, list))
        ]
    return depth
