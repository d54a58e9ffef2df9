"""What a network's table of layouts is written in: kinds of objects, and what may stand in each of their fields."""

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
    """`one_of` does not mind capitals."""
    pattern: re.Pattern[str] | None = None
    like: str = ""
    """What `pattern` asks for, in words."""
    takes: Enum | None = None
    """How a record's words may stand in it, in the network's own terms; None: not at all, for they could name a person, a channel
    or a kind, or be mark-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    """It must be greater than this."""
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Truth:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """null."""


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Whatever JSON can say, as it is written: nothing is filled in from a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    of: Shape
    least: int = 1
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Of:
    """An object of one of these kinds; of the first where it may leave its `type` out."""

    kinds: Sequence[ObjectKind]
    """A list may be filled later: kinds that hold one another."""
    most: int | None = None
    """For objects that hold one text: its length here, instead of the kind's own."""
    typed: bool = True
    """It must say its `type`."""


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes, told apart by what stands there: a text, a number, an object."""

    shapes: tuple[Shape, ...]


Shape = Words | Number | Truth | Nothing | Verbatim | Items | Of | Either


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind."""

    shape: Shape
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectKind:
    """A kind of object."""

    name: str
    """For people: `section block`."""
    page: str
    """Where the network describes it."""
    fields: Mapping[str, Field]
    type: str | None = None
    """What its field `type` says; None: it has none."""
    any_of: tuple[tuple[str, ...], ...] = ()
    """Of each of these groups at least one field must be there."""
    only_one: tuple[tuple[str, ...], ...] = ()
    """Of each of these groups at most one may."""
    rules: tuple[Callable[[Mapping[str, Any]], Iterator[Complaint]], ...] = field(default=())
    """What must hold between its fields. A text that is not known yet is no `str` to them."""
    note: str = ""
    """What people should know of it: that it is shown elsewhere, or what it asks for."""
    open: bool = False
    """Its other fields are not checked: each is a constant."""


def needed(shape: Shape) -> Field:
    """A field that must be there."""
    return Field(shape, required=True)


def may(shape: Shape) -> Field:
    """A field that may be left out."""
    return Field(shape)


def one_of(*words: str, any_case: bool = False) -> Words:
    """A text that is one of `words`."""
    return Words(one_of=frozenset(words), any_case=any_case)
