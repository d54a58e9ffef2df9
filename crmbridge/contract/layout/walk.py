"""One walk through a layout along its network's table. It writes each text for its place, and finds what would be refused. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Final

from crmbridge.contract.layout import LaidOut, LayoutFault, Unsaid
from crmbridge.contract.layout.shapes import Either, Items, Nothing, Number, ObjectKind, Of, Path, Shape, Truth, Verbatim, Words
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Text, Value, clean, did_you_mean, shortened, visible

_NO_WORDS: Final = "takes no words of a record: they could choose what is shown, or whom it names"
_LISTED: Final = 60  # a complaint lists the allowed words up to this number


@dataclass(frozen=True, slots=True)
class Within:
    """The object that a part stands in, for messages to people."""

    name: str
    page: str


class LayoutWalk:
    """A walk, as far as it is the same for every network. A subclass adds how texts are written, and rules beyond the table."""

    network: ClassVar[str]
    """The network's name for people: `Slack takes at most 150`."""
    key: ClassVar[str]
    """The step's key that holds such a layout."""
    uncut: ClassVar[frozenset[Enum]] = frozenset()
    """The kinds of text that are never shortened: a shortened address would lead elsewhere."""

    def __init__(self) -> None:
        self.faults: list[LayoutFault] = []
        self.notes: list[LayoutFault] = []

    # --- what each network says itself

    def written(self, text: Text, takes: Enum) -> str:
        """Write a rendered text as it is sent at such a place. Raises Rejected for a text that cannot stand there."""
        raise NotImplementedError

    def remarks(self, text: Unsaid, takes: Enum | None) -> Iterable[str]:
        """Tell what people should know of a text that is still to be filled in."""
        return ()

    def enter(self, kind: ObjectKind, path: Path) -> None:
        """Begin an object."""

    def leave(self, kind: ObjectKind, made: Mapping[str, Any], path: Path, own: Within) -> None:
        """End an object: it is made."""

    def strange(self, said: str, shape: Of, holder: Within) -> str:
        """Say why there is no such `type` here."""
        return f'there is no "{clean(said)[:40]}" in {a(holder.name)}'

    # --- the walk

    def laid_out(self, layout: Any, shape: Shape, holder: Within) -> LaidOut:
        """Walk through a whole layout."""
        return LaidOut(sent=self.part(layout, shape, (), holder), faults=self.faults, notes=self.notes)

    def part(self, raw: Any, shape: Shape, path: Path, holder: Within) -> Any:
        """Make one part of the layout as it is sent."""
        match shape:
            case Either():
                return self.part(raw, _meant_shape(raw, shape.shapes), path, holder)
            case Words():
                return self._words(raw, shape, path, holder)
            case Items():
                return self._items(raw, shape, path, holder)
            case Of():
                return self._object(raw, shape, path, holder)
            case Verbatim():
                return self._constant(raw, path, holder)
        if isinstance(raw, (tuple, Unsaid)):
            wanted = "true or false" if isinstance(shape, Truth) else "a number" if isinstance(shape, Number) else "null"
            return self.wrong(path, f"must be {wanted}, and what a template fills in is text: write the value itself", holder)
        if isinstance(shape, Nothing):
            return None if raw is None else self.wrong(path, "must be null", holder)
        return self._truth(raw, path, holder) if isinstance(shape, Truth) else self._number(raw, shape, path, holder)

    def wrong(self, path: Path, complaint: str, holder: Within) -> None:
        """Record a fault of the layout."""
        self.faults.append(LayoutFault(path, f"{complaint} ({holder.name}: {holder.page})", self.key))

    def note(self, path: Path, words: str) -> None:
        """Record a remark on what the network takes, but people should know of."""
        self.notes.append(LayoutFault(path, words, self.key))

    # --- texts and numbers

    def _words(self, raw: Any, shape: Words, path: Path, holder: Within) -> Any:
        if isinstance(raw, Unsaid):
            if raw.words and shape.takes is None:
                self.wrong(path, _NO_WORDS, holder)
            for words in self.remarks(raw, shape.takes):
                self.note(path, words)
            if shape.most is not None and raw.least > shape.most:
                said = f"{raw.least} characters at least, whatever is filled in"
                self.wrong(path, f"{said}; {self.network} takes at most {shape.most}", holder)
            return raw
        if isinstance(raw, tuple):
            raw = self._said(raw, shape, path, holder)
        if not isinstance(raw, str):
            return self.wrong(path, "is empty" if raw is None else f"must be text: write it in quotes, like {_quoted(raw)}", holder)
        if len(raw) < shape.least:
            self.wrong(path, "is empty", holder)
        elif shape.most is not None and len(raw) > shape.most:
            self.wrong(path, f"{len(raw)} characters, {self.network} takes at most {shape.most}", holder)
        elif shape.one_of is not None and not _among(raw, shape):
            self.wrong(path, f'there is no "{raw[:40]}" here{meant(raw, shape.one_of)}', holder)
        elif shape.pattern is not None and not shape.pattern.fullmatch(raw):
            self.wrong(path, f"must be {shape.like}", holder)
        return raw

    def _said(self, text: Text, shape: Words, path: Path, holder: Within) -> str:
        """Write a rendered text for its place, shortened where the rule allows that."""
        takes, most = shape.takes, shape.most
        if takes is None:
            if any(isinstance(span, Value) for span in text):
                self.wrong(path, _NO_WORDS, holder)
            return bare(text)
        try:
            if most is not None and takes not in self.uncut:
                text = shortened(text, lambda one: len(self.written(one, takes)) <= most)
            return self.written(text, takes)
        except Rejected as error:
            self.wrong(path, str(error), holder)
            return bare(text)

    def _truth(self, raw: Any, path: Path, holder: Within) -> Any:
        return raw if isinstance(raw, bool) else self.wrong(path, "must be true or false", holder)

    def _number(self, raw: Any, shape: Number, path: Path, holder: Within) -> Any:
        if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
            return self.wrong(path, "must be a number, without quotes", holder)
        if shape.whole and raw != int(raw):
            self.wrong(path, "must be a whole number", holder)
        elif shape.above is not None and raw <= shape.above:
            self.wrong(path, f"is {raw}, and must be more than {shape.above:g}", holder)
        elif shape.least is not None and raw < shape.least:
            self.wrong(path, f"is {raw}, {self.network} takes at least {shape.least:g}", holder)
        elif shape.most is not None and raw > shape.most:
            self.wrong(path, f"is {raw}, {self.network} takes at most {shape.most:g}", holder)
        return raw

    def _constant(self, raw: Any, path: Path, holder: Within) -> Any:
        """Copy a constant. Its texts may hold only the rule's own words."""
        if isinstance(raw, Mapping):
            return {name: self._constant(value, (*path, name), holder) for name, value in raw.items()}
        if isinstance(raw, list):
            return [self._constant(value, (*path, index), holder) for index, value in enumerate(raw)]
        return self._words(raw, _ANY_WORDS, path, holder) if isinstance(raw, (tuple, Unsaid)) else raw

    # --- lists and objects

    def _items(self, raw: Any, shape: Items, path: Path, holder: Within) -> Any:
        if not isinstance(raw, list):
            return self.wrong(path, "must be a list", holder)
        if len(raw) < shape.least:
            self.wrong(path, f"{_entries(len(raw))}, {self.network} takes at least {_entries(shape.least)}", holder)
        elif shape.most is not None and len(raw) > shape.most:
            self.wrong(path, f"{_entries(len(raw))}, {self.network} takes at most {shape.most}", holder)
        return [self.part(one, shape.of, (*path, index), holder) for index, one in enumerate(raw)]

    def _object(self, raw: Any, shape: Of, path: Path, holder: Within) -> Any:
        if not isinstance(raw, Mapping):
            return self.wrong(path, f"must be an object: {_named(shape.kinds)}", holder)
        kind = self._kind(raw, shape, path, holder)
        if kind is None:
            return None
        self.enter(kind, path)
        own = holder if shape.most is not None else Within(kind.name, kind.page)
        made: dict[str, Any] = {}
        for name, value in raw.items():
            if name == "type" and kind.type is not None:
                made[name] = value
            elif (field := kind.fields.get(name)) is not None:
                inner = field.shape
                if shape.most is not None and isinstance(inner, Words):
                    inner = replace(inner, most=shape.most)
                made[name] = self.part(value, inner, (*path, name), own)
            elif kind.open:
                made[name] = self._constant(value, (*path, name), own)
            else:
                fields = {*kind.fields, *({"type"} if kind.type else ())}
                self.wrong((*path, name), f"{a(kind.name)} has no such field{meant(name, fields)}", own)
        self._fields(raw, kind, path, own)
        for place, complaint in (found for rule in kind.rules for found in rule(made)):
            self.wrong((*path, *place), complaint, own)
        self.leave(kind, made, path, own)
        return made

    def _kind(self, raw: Mapping[str, Any], shape: Of, path: Path, holder: Within) -> ObjectKind | None:
        """Find the kind of `raw` among those that may stand here. Return None if it has none of them."""
        first = shape.kinds[0]
        if first.type is None or ("type" not in raw and not shape.typed):
            return first
        said = raw.get("type")
        kinds = {kind.type: kind for kind in shape.kinds if kind.type}
        if isinstance(said, str) and said in kinds:
            return kinds[said]
        if "type" not in raw:
            self.wrong(path, f"has no `type`: {_named(shape.kinds)}", holder)
        elif not isinstance(said, str):
            self.wrong((*path, "type"), f"must be one of {self.network}'s own words, and none that is filled in", holder)
        else:
            self.wrong((*path, "type"), f"{self.strange(said, shape, holder)}{meant(said, kinds)}", holder)
        return None

    def _fields(self, raw: Mapping[str, Any], kind: ObjectKind, path: Path, own: Within) -> None:
        """Check the fields that must be there, and those that must not be there together."""
        for name, field in kind.fields.items():
            if field.required and name not in raw:
                self.wrong(path, f"`{name}` is missing from this {kind.name}", own)
        for group in kind.any_of:
            if not any(name in raw for name in group):
                self.wrong(path, f"{a(kind.name)} needs {' or '.join(f'`{name}`' for name in group)}", own)
        for group in kind.only_one:
            there = [name for name in group if name in raw]
            if len(there) > 1:
                self.wrong((*path, there[-1]), f"does not go with `{there[0]}`: write one of the two", own)
        if kind.note:
            self.note(path, f"{kind.note} ({kind.page})")


def refused(layout: LaidOut) -> str:
    """Say why the network would refuse a layout, for a dead letter. Return an empty text if it would take the layout."""
    more = f"; and {len(layout.faults) - 1} more" if len(layout.faults) > 1 else ""
    return f"{layout.faults[0]}{more}" if layout.faults else ""


def bare(text: Text) -> str:
    """Return only the words of a text. Records' words are shown as they are, or not at all."""
    return "".join(clean(span.text) if isinstance(span, Literal) else visible(span.text) for span in text)


def a(name: str) -> str:
    """Put the article before a name."""
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def meant(word: str, words: Collection[str]) -> str:
    """Name the word that was probably meant, if one is near, and list those there are."""
    said = did_you_mean(word, words)
    listed = f" there {'are' if len(words) > 1 else 'is'} {', '.join(sorted(words))}" if len(words) <= _LISTED else ""
    return f"{said or ';'}{listed}" if listed else said


_ANY_WORDS: Final = Words(least=0)


def _meant_shape(raw: Any, shapes: tuple[Shape, ...]) -> Shape:
    """Choose the shape that `raw` is to have: the first that is made of the same JSON type, else the first."""
    return next((shape for shape in shapes if _made_of(raw, shape)), shapes[0])


def _made_of(raw: Any, shape: Shape) -> bool:
    match shape:
        case Words():
            return isinstance(raw, (str, tuple, Unsaid))
        case Of():
            return isinstance(raw, Mapping)
        case Items():
            return isinstance(raw, list)
        case Truth():
            return isinstance(raw, bool)
        case Number():
            return isinstance(raw, (int, float)) and not isinstance(raw, bool)
        case Nothing():
            return raw is None
        case Either():
            return any(_made_of(raw, one) for one in shape.shapes)
    return True


def _among(raw: str, shape: Words) -> bool:
    words = shape.one_of or frozenset()
    return raw in words or (shape.any_case and raw.lower() in {word.lower() for word in words})


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count or 'no'} entries"


def _quoted(raw: Any) -> str:
    return f'"{str(raw).lower() if isinstance(raw, bool) else raw}"' if isinstance(raw, (bool, int, float)) else '"..."'


def _named(kinds: Sequence[ObjectKind]) -> str:
    """Name the kinds that may stand somewhere."""
    types = [kind.type for kind in kinds if kind.type]
    if not types:
        return kinds[0].name
    return f"with the type {' or '.join(types)}" if len(types) <= 3 else f"its type is one of {', '.join(sorted(types))}"
