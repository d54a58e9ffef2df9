"""One walk through a layout: every text is written for its place, and everything that Slack would refuse is found. Pure."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.destinations.slack.escape import address, misnamed, mrkdwn, plain_words, unnamed
from connectors.destinations.slack.layout.blocks import BLOCKS, LAYOUT, whole
from connectors.destinations.slack.layout.shapes import REFERENCE, Items, Kind, Number, Of, Path, Shape, Takes, Truth, Words
from crmbridge.contract import Fault, LaidOut, Unsaid
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Text, Value, clean, shortened, visible

_PAGE: Final = f"{REFERENCE}blocks"
_TYPES: Final = frozenset(kind.type for kind in BLOCKS if kind.type)
_AN_OBJECT: Final = "must be an object"


def laid_out(layout: Any, people: Mapping[str, str] | None = None) -> LaidOut:
    """`layout` as the argument `blocks`, and what Slack would refuse of it. `people`: who is mentioned, by address."""
    walk = _Walk(people or {})
    sent = walk.part(layout, LAYOUT, (), _Holder("message", _PAGE))
    for path, complaint, page in whole(sent) if isinstance(sent, list) else ():
        walk.faults.append(Fault(path, f"{complaint} ({page})"))
    return LaidOut(sent=sent, faults=walk.faults, notes=walk.notes)


def flattened(layout: Any, people: Mapping[str, str] | None = None) -> list[Any]:
    """The argument `blocks`; raises Rejected (code `invalid_blocks`) naming the place, the limit and Slack's page."""
    made = laid_out(layout, people)
    if made.faults:
        more = f"; and {len(made.faults) - 1} more" if len(made.faults) > 1 else ""
        raise Rejected(f"{made.faults[0]}{more}", code="invalid_blocks")
    sent: list[Any] = made.sent
    return sent


@dataclass(frozen=True, slots=True)
class _Holder:
    """What a part stands in, for people."""

    name: str
    page: str


class _Walk:
    def __init__(self, people: Mapping[str, str]) -> None:
        self.people = people
        self.faults: list[Fault] = []
        self.notes: list[Fault] = []
        self._blocks: set[str] = set()
        self._actions: set[str] = set()

    def part(self, raw: Any, shape: Shape, path: Path, holder: _Holder) -> Any:
        """One part as it is sent."""
        match shape:
            case Words():
                return self._words(raw, shape, path, holder)
            case Items():
                return self._items(raw, shape, path, holder)
            case Of():
                return self._object(raw, shape, path, holder)
        if isinstance(raw, (tuple, Unsaid)):
            wanted = "true or false" if isinstance(shape, Truth) else "a number"
            return self._wrong(path, f"must be {wanted}, and what a template fills in is text: write the value itself", holder)
        return self._truth(raw, path, holder) if isinstance(shape, Truth) else self._number(raw, shape, path, holder)

    # --- texts and numbers

    def _words(self, raw: Any, shape: Words, path: Path, holder: _Holder) -> Any:
        if isinstance(raw, Unsaid):
            if raw.words and shape.takes is Takes.NOTHING:
                self._wrong(path, "takes no words of a record: they could choose what is shown, or whom it names", holder)
            if raw.mentions and shape.takes is not Takes.MRKDWN:
                self.notes.append(Fault(path, "`| mention` names nobody here, only in a mrkdwn object: here it says the name before the @"))
            if shape.takes is Takes.MRKDWN:
                self.notes += [Fault(path, words) for words in misnamed(raw.own)]
            if shape.most is not None and raw.least > shape.most:
                said = f"{raw.least} characters at least, whatever is filled in"
                self._wrong(path, f"{said}; Slack takes at most {shape.most}", holder)
            return raw
        if isinstance(raw, tuple):
            raw = self._said(raw, shape, path, holder)
        if not isinstance(raw, str):
            return self._wrong(path, "is empty" if raw is None else f"must be text: write it in quotes, like {_quoted(raw)}", holder)
        if len(raw) < shape.least:
            self._wrong(path, "is empty", holder)
        elif shape.most is not None and len(raw) > shape.most:
            self._wrong(path, f"{len(raw)} characters, Slack takes at most {shape.most}", holder)
        elif shape.one_of is not None and raw not in shape.one_of:
            self._wrong(path, f'there is no "{raw[:40]}" here{_meant(raw, shape.one_of)}', holder)
        elif shape.pattern is not None and not shape.pattern.fullmatch(raw):
            self._wrong(path, f"must be {shape.like}", holder)
        return raw

    def _said(self, text: Text, shape: Words, path: Path, holder: _Holder) -> str:
        """A rendered text, written for its place, and shortened where the rule allows that."""
        if shape.takes is Takes.NOTHING and any(isinstance(span, Value) for span in text):
            self._wrong(path, "takes no words of a record: they could choose what is shown, or whom it names", holder)
            return _bare(text)
        if shape.takes is Takes.ADDRESS:
            try:
                return address(unnamed(text))
            except Rejected as error:
                self._wrong(path, str(error), holder)
                return _bare(text)
        text = text if shape.takes is Takes.MRKDWN else unnamed(text)
        flat = {Takes.MRKDWN: lambda one: mrkdwn(one, people=self.people), Takes.PLAIN: plain_words}.get(shape.takes, _bare)
        most = shape.most
        return flat(text if most is None else shortened(text, lambda one: len(flat(one)) <= most))

    def _truth(self, raw: Any, path: Path, holder: _Holder) -> Any:
        return raw if isinstance(raw, bool) else self._wrong(path, "must be true or false", holder)

    def _number(self, raw: Any, shape: Number, path: Path, holder: _Holder) -> Any:
        if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
            return self._wrong(path, "must be a number, without quotes", holder)
        if shape.whole and raw != int(raw):
            self._wrong(path, "must be a whole number", holder)
        elif shape.above is not None and raw <= shape.above:
            self._wrong(path, f"is {raw}, and must be more than {shape.above:g}", holder)
        elif shape.least is not None and raw < shape.least:
            self._wrong(path, f"is {raw}, Slack takes at least {shape.least:g}", holder)
        elif shape.most is not None and raw > shape.most:
            self._wrong(path, f"is {raw}, Slack takes at most {shape.most:g}", holder)
        return raw

    # --- lists and objects

    def _items(self, raw: Any, shape: Items, path: Path, holder: _Holder) -> Any:
        if not isinstance(raw, list):
            return self._wrong(path, "must be a list", holder)
        if len(raw) < shape.least:
            self._wrong(path, f"{_entries(len(raw))}, Slack takes at least {_entries(shape.least)}", holder)
        elif shape.most is not None and len(raw) > shape.most:
            self._wrong(path, f"{_entries(len(raw))}, Slack takes at most {shape.most}", holder)
        return [self.part(one, shape.of, (*path, index), holder) for index, one in enumerate(raw)]

    def _object(self, raw: Any, shape: Of, path: Path, holder: _Holder) -> Any:
        if not isinstance(raw, Mapping):
            return self._wrong(path, f"{_AN_OBJECT}: {_named(shape.kinds)}", holder)
        kind = self._kind(raw, shape, path, holder)
        if kind is None:
            return None
        if kind in BLOCKS:
            self._actions = set()
        own = holder if shape.most is not None else _Holder(kind.name, kind.page)
        made: dict[str, Any] = {}
        for name, value in raw.items():
            if name == "type" and kind.type is not None:
                made[name] = value
            elif (field := kind.fields.get(name)) is None:
                known = {*kind.fields, *({"type"} if kind.type else ())}
                self._wrong((*path, name), f"{_a(kind.name)} has no such field{_meant(name, known)}", own)
            else:
                inner = field.shape
                if shape.most is not None and isinstance(inner, Words):
                    inner = replace(inner, most=shape.most)
                made[name] = self.part(value, inner, (*path, name), own)
        self._fields(raw, kind, path, own)
        for place, complaint in (found for rule in kind.rules for found in rule(made)):
            self._wrong((*path, *place), complaint, own)
        self._ids(made, kind, path, own)
        return made

    def _kind(self, raw: Mapping[str, Any], shape: Of, path: Path, holder: _Holder) -> Kind | None:
        """Which of the kinds that may stand here it is; None if none."""
        first = shape.kinds[0]
        if first.type is None or ("type" not in raw and not shape.typed):
            return first
        said = raw.get("type")
        known = {kind.type: kind for kind in shape.kinds if kind.type}
        if isinstance(said, str) and said in known:
            return known[said]
        if "type" not in raw:
            self._wrong(path, f"has no `type`: {_named(shape.kinds)}", holder)
        elif not isinstance(said, str):
            self._wrong((*path, "type"), "must be one of Slack's own words, and none that is filled in", holder)
        else:
            where = "a message" if shape.kinds == BLOCKS else _a(holder.name)
            what = f"{_a(said)} block cannot stand in {where}" if said in _TYPES else f'there is no "{clean(said)[:40]}" in {where}'
            self._wrong((*path, "type"), f"{what}{_meant(said, known)}", holder)
        return None

    def _fields(self, raw: Mapping[str, Any], kind: Kind, path: Path, own: _Holder) -> None:
        """What must be there, and what must not be there together."""
        for name, field in kind.fields.items():
            if field.required and name not in raw:
                self._wrong(path, f"`{name}` is missing from this {kind.name}", own)
        for group in kind.any_of:
            if not any(name in raw for name in group):
                self._wrong(path, f"{_a(kind.name)} needs {' or '.join(f'`{name}`' for name in group)}", own)
        for group in kind.only_one:
            there = [name for name in group if name in raw]
            if len(there) > 1:
                self._wrong((*path, there[-1]), f"does not go with `{there[0]}`: write one of the two", own)
        if kind.elsewhere:
            where = f"Slack shows {kind.elsewhere} what {_a(kind.name)} says, and not in a message of ours"
            self.notes.append(Fault(path, f"{where} ({kind.page})"))
        if kind.asks:
            self.notes.append(Fault(path, f"{_a(kind.name)} needs {kind.asks} ({kind.page})"))

    def _ids(self, made: Mapping[str, Any], kind: Kind, path: Path, own: _Holder) -> None:
        action = made.get("action_id")
        if isinstance(action, str):
            if action in self._actions:
                self._wrong((*path, "action_id"), f'another element of this block has the action_id "{action[:40]}"', own)
            self._actions.add(action)
        block = made.get("block_id")
        if isinstance(block, str):
            if block in self._blocks:
                self.notes.append(Fault((*path, "block_id"), f'another block has the block_id "{block[:40]}"; each should have its own'))
            self._blocks.add(block)

    def _wrong(self, path: Path, complaint: str, holder: _Holder) -> None:
        self.faults.append(Fault(path, f"{complaint} ({holder.name}: {holder.page})"))


def _bare(text: Text) -> str:
    """The words alone: what Slack shows as they are, or not at all."""
    return "".join(clean(span.text) if isinstance(span, Literal) else visible(span.text) for span in text)


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count or 'no'} entries"


def _quoted(raw: Any) -> str:
    return f'"{str(raw).lower() if isinstance(raw, bool) else raw}"' if isinstance(raw, (bool, int, float)) else '"..."'


def _named(kinds: tuple[Kind, ...]) -> str:
    """What may stand somewhere."""
    types = [kind.type for kind in kinds if kind.type]
    return (
        f"with the type {' or '.join(types)}"
        if 0 < len(types) <= 3
        else f"its type is one of {', '.join(sorted(types))}"
        if types
        else kinds[0].name
    )


def _meant(word: str, known: Collection[str]) -> str:
    """What was meant, if that is near; and what there is."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    said = f'; did you mean "{close[0]}"?' if close else ""
    return f"{said or ';'} there {'are' if len(known) > 1 else 'is'} {', '.join(sorted(known))}" if len(known) <= 60 else said
