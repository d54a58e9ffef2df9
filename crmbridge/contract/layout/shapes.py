"""The terms in which a network's table of layouts is written: kinds of objects, and what may stand in each of their fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Path = tuple[str | int, ...]
Complaint = tuple[Path, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A text."""

    least: int = 1
    most: int | None = None
    one_of: frozenset[str] | None = None
    any_case: bool = False
    """Capitals do not matter in a comparison with `one_of`."""
    pattern: re.Pattern[str] | None = None
    like: str = ""
    """What `pattern` asks for, in words for people."""
    takes: Enum | None = None
    """How a record's words may stand in this text, in the network's own terms. None: they may not stand in it.

    None is for texts in which they could name a person, a channel or a kind, or be mark-up.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    """The number must be greater than this."""
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Truth:
    """A value that is true or false."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A value that is null."""


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Any JSON value, sent as it is written. Nothing is filled in from a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    of: Shape
    least: int = 1
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Of:
    """An object of one of these kinds. If it may leave out its `type`, it is of the first kind."""

    kinds: Sequence[ObjectKind]
    """The kinds of the object. A list may be filled later, for kinds that hold one another."""
    most: int | None = None
    """For objects that hold one text: the length of that text here, instead of the kind's own limit."""
    typed: bool = True
    """The object must state its `type`."""


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes. What stands there tells which: a text, a number, an object."""

    shapes: tuple[Shape, ...]


Shape = Words | Number | Truth | Nothing | Verbatim | Items | Of | Either


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind."""

    shape: Shape
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectKind:
    """A kind of object, with its fields and rules."""

    name: str
    """Its name for people: `section block`."""
    page: str
    """The page on which the network describes it."""
    fields: Mapping[str, Field]
    type: str | None = None
    """The value of its field `type`. None: it has no such field."""
    any_of: tuple[tuple[str, ...], ...] = ()
    """Groups of fields. At least one field of each group must be there."""
    only_one: tuple[tuple[str, ...], ...] = ()
    """Groups of fields. At most one field of each group may be there."""
    rules: tuple[Callable[[Mapping[str, Any]], Iterator[Complaint]], ...] = field(default=())
    """Rules that must hold between its fields. They see a text that is not known yet as a value that is no `str`."""
    note: str = ""
    """What people should know of this kind: that it is shown elsewhere, or what it asks for."""
    open: bool = False
    """Fields that `fields` does not list may stand in it too. They are not checked, and each is a constant."""


def needed(shape: Shape) -> Field:
    """Make a field that must be there."""
    return Field(shape, required=True)


def may(shape: Shape) -> Field:
    """Make a field that may be left out."""
    return Field(shape)


def one_of(*words: str, any_case: bool = False) -> Words:
    """Make the shape of a text that is one of `words`."""
    return Words(one_of=frozenset(words), any_case=any_case)
