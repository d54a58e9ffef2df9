"""A rule's Block Kit layout as Slack takes it: every Text flattened for its place, and Slack's limits checked.

https://docs.slack.dev/reference/block-kit/blocks and /block-kit/composition-objects . A record's words are escaped as
mrkdwn or plain text, by the object they stand in; they never choose a kind of block or object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.destinations.slack.escape import address, mrkdwn, plain_words
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Text, Value, clean, shortened, visible

MOST_BLOCKS = 50
_TEXT_OBJECTS = ("mrkdwn", "plain_text")
_TEXT = 3000  # of a text object, where its place has no limit of its own
# Characters of a text, by what holds it and under which name.
_LENGTHS: Mapping[tuple[str, str], int] = {
    ("header", "text"): 150,
    ("section", "text"): 3000,
    ("section", "fields"): 2000,
    ("image", "title"): 2000,
    ("image", "alt_text"): 2000,
    ("button", "text"): 75,
    ("button", "value"): 2000,
    ("button", "accessibility_label"): 75,
    ("options", "text"): 75,
    ("options", "description"): 75,
    ("options", "value"): 150,
    ("markdown", "text"): 12_000,
}
_IDS = {"block_id": 255, "action_id": 255}
_URL = 3000
# Entries of a list, by what holds it and under which name.
_COUNTS: Mapping[tuple[str, str], int] = {
    ("section", "fields"): 10,
    ("context", "elements"): 10,
    ("actions", "elements"): 25,
}
# Where a record's words may stand, besides addresses; elsewhere they could ping (`user_id`, `range`) or choose what is shown.
_FOR_WORDS = frozenset({"text", "alt_text", "value", "title", "author_name", "provider_name", "accessibility_label", "fallback"})


def flattened(blocks: Any) -> list[Any]:
    """The `blocks` argument; raises Rejected (code `invalid_blocks`) naming the block that Slack would not take."""
    if not isinstance(blocks, list) or not blocks:
        raise _no("blocks", "must be a list of at least one block")
    if len(blocks) > MOST_BLOCKS:
        raise _no("blocks", f"{len(blocks)} blocks, Slack takes {MOST_BLOCKS}")
    made = []
    for number, block in enumerate(blocks):
        if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
            raise _no(f"blocks[{number}]", "must be an object with a type")
        made.append(_object(block, "", "", f"blocks[{number}] ({clean(block['type'])[:40]})"))
    return made


def _object(raw: Mapping[str, Any], holder: str, place: str, where: str) -> dict[str, Any]:
    """One object; it stands under the name `place` of a `holder`."""
    kind = raw.get("type")
    kind = kind if isinstance(kind, str) else place
    made: dict[str, Any] = {}
    for name, value in raw.items():
        at = f"{where}.{name}"
        if kind in _TEXT_OBJECTS and name == "text":
            limit: int | None = _LENGTHS.get((holder, place), _TEXT)
        else:
            limit = _URL if name.endswith("url") else _IDS.get(name) or _LENGTHS.get((kind, name))
        made[name] = _value(value, kind, name, limit, at)
    return made


def _value(value: Any, kind: str, name: str, limit: int | None, where: str) -> Any:
    if isinstance(value, tuple):
        return _words(value, kind, name, limit, where)
    if isinstance(value, str):
        # A rule's own words are written for their place too: a bare & in mrkdwn is one of them.
        return _words((Literal(value),), kind, name, limit, where) if name == "text" else _within(clean(value), limit, where)
    if isinstance(value, Mapping):
        return _object(value, kind, name, where)
    if isinstance(value, list):
        most = _COUNTS.get((kind, name))
        if most is not None and len(value) > most:
            raise _no(where, f"{len(value)} entries, Slack takes {most}")
        return [_value(one, kind, name, None, f"{where}[{number}]") for number, one in enumerate(value)]
    return value


def _words(text: Text, kind: str, name: str, limit: int | None, where: str) -> str:
    """A Text as a string of its place, shortened where the rule allows that; raises Rejected if it is over the limit or empty."""
    is_address = name.endswith("url")
    may = (is_address or name in _FOR_WORDS) and kind != "markdown"  # in Markdown they would be mark-up
    if not may and any(isinstance(span, Value) for span in text):
        raise _no(where, "takes no words of a record")
    if is_address:
        try:
            return _within(address(text), limit, where)
        except Rejected as error:
            raise _no(where, str(error)) from None
    flat = _plain if name != "text" or kind == "markdown" else mrkdwn if kind == "mrkdwn" else plain_words
    if limit is not None:
        text = shortened(text, lambda one: len(flat(one)) <= limit)
    said = flat(text)
    if not said and kind in _TEXT_OBJECTS:
        raise _no(where, "is empty")
    return _within(said, limit, where)


def _plain(text: Text) -> str:
    """The words alone: what Slack shows as they are, or not at all."""
    return "".join(clean(span.text) if isinstance(span, Literal) else visible(span.text) for span in text)


def _within(said: str, limit: int | None, where: str) -> str:
    if limit is not None and len(said) > limit:
        raise _no(where, f"{len(said)} characters, Slack takes {limit}")
    return said


def _no(where: str, what: str) -> Rejected:
    return Rejected(f"{where}: {what}", code="invalid_blocks")
