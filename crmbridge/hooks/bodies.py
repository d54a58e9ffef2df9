"""Strict reading of bodies from strangers: JSON, or a form as browsers and PHP write it. Pure.

What two readers could read in two ways is refused.

A form's names may be nested: `a[b]=1` is a mapping, `a[]=1&a[]=2` a list, `a[0][b]=1` a mapping with the key 0, as PHP has it.
https://url.spec.whatwg.org/#application/x-www-form-urlencoded, https://www.php.net/manual/en/reserved.variables.post.php
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

from crmbridge.contract import WebhookRequest
from crmbridge.errors import InvalidRequest
from crmbridge.http import strict_json
from crmbridge.model import clean

Form = Literal["json", "form"]
_NOT_JSON: Final = re.compile(
    r"\s*(multipart/|application/x-www-form-urlencoded|text/html|[\w.+-]+/([\w.+-]+\+)?xml)", re.ASCII | re.IGNORECASE
)
_FORM: Final = re.compile(r"\s*application/x-www-form-urlencoded\s*(;|$)", re.ASCII | re.IGNORECASE)
_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_INNER: Final = re.compile(r"\[([^\[\]]*)\]")
_MOST_PAIRS: Final = 2_000
_DEEPEST: Final = 8


def check_type(request: WebhookRequest, form: Form) -> None:
    """Check that the request does not name another type for its body. Raises InvalidRequest (415) if it does."""
    given = clean(request.headers.get("content-type", ""))
    if form == "json" and _NOT_JSON.match(given):
        raise InvalidRequest(f"the body must be JSON, not {given[:80]}", 415)
    if form == "form" and not _FORM.match(given):
        raise InvalidRequest(f"the body must be application/x-www-form-urlencoded, not {given[:80] or 'of no type'}", 415)


def read_body(data: bytes, form: Form) -> Any:
    """Read the body into mappings, lists and values. Raises ValueError."""
    return strict_json(data) if form == "json" else strict_form(data)


def strict_form(data: bytes) -> dict[str, Any]:
    """Read the fields of a form, nested as their names say. Every value is a text. Raises ValueError."""
    found: dict[str, Any] = {}
    for name, value in pairs(data):
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError("the name of a field of the form has brackets that do not match")
        _put(found, [match[1], *_INNER.findall(match[2])], value)
    return found


def pairs(data: bytes) -> list[tuple[str, str]]:
    """Read the names and values of a form or a query, decoded and in order. Raises ValueError."""
    if not data:
        return []
    pieces = data.split(b"&", _MOST_PAIRS)
    if len(pieces) > _MOST_PAIRS:
        raise ValueError(f"the form has more than {_MOST_PAIRS} fields")
    found = []
    for piece in pieces:
        name, _, value = piece.partition(b"=")
        if not name:
            raise ValueError("a field of the form has no name")
        found.append((_decoded(name), _decoded(value)))
    return found


def _decoded(raw: bytes) -> str:
    if _ESCAPE.search(raw) or not raw.isascii():
        raise ValueError("the form is not encoded as a form is")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the form is not UTF-8") from None


def _put(found: dict[str, Any], names: list[str], value: str) -> None:
    if len(names) > _DEEPEST:
        raise ValueError("the form is nested too deep")
    *outer, last = names
    here: Any = found
    for name, after in zip(outer, names[1:], strict=True):
        inner: Any = [] if not after else {}
        if not isinstance(here, dict) or not name:
            raise ValueError("a list of the form holds more than values")
        here = here.setdefault(name, inner)
        if type(here) is not type(inner):
            raise ValueError("a field of the form is one thing and another")
    if last:
        if last in here:
            raise ValueError("a field stands twice in the form")
        here[last] = value
    else:
        here.append(value)
