"""What the table of Block Kit is written in: kinds of objects, and what may stand in each of their fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Path = tuple[str | int, ...]
Complaint = tuple[Path, str]


class Takes(Enum):
    """How a record's words may stand in a text, if they may."""

    NOTHING = "nothing"  # they could name a person, a channel or a kind, or be mark-up
    MRKDWN = "mrkdwn"  # shown with Slack's mark-up
    PLAIN = "plain"  # shown as it is, but for emoji codes
    BARE = "bare"  # read aloud, or sent back and never shown
    ADDRESS = "address"  # a web address


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A text."""

    least: int = 1
    most: int | None = None
    one_of: frozenset[str] | None = None
    pattern: re.Pattern[str] | None = None
    like: str = ""
    """What `pattern` asks for, in words."""
    takes: Takes = Takes.NOTHING


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    of: Shape
    least: int = 1
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Of:
    """An object of one of these kinds; of the first where it may leave its `type` out."""

    kinds: tuple[Kind, ...]
    most: int | None = None
    """For objects that hold one text: its length here, instead of the kind's own."""
    typed: bool = True
    """It must say its `type`."""


Shape = Words | Number | Truth | Items | Of


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind."""

    shape: Shape
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object."""

    name: str
    """For people: `section block`."""
    page: str
    """Where Slack describes it."""
    fields: Mapping[str, Field]
    type: str | None = None
    """What its field `type` says; None: it has none."""
    any_of: tuple[tuple[str, ...], ...] = ()
    """Of each of these groups at least one field must be there."""
    only_one: tuple[tuple[str, ...], ...] = ()
    """Of each of these groups at most one may."""
    rules: tuple[Callable[[Mapping[str, Any]], Iterator[Complaint]], ...] = field(default=())
    """What must hold between its fields. A text that is not known yet is no `str` to them."""
    elsewhere: str = ""
    """Where Slack shows it, if not in messages."""
    asks: str = ""
    """What it asks of the app besides posting."""


REFERENCE = "https://docs.slack.dev/reference/block-kit/"


def needed(shape: Shape) -> Field:
    """A field that must be there."""
    return Field(shape, required=True)


def may(shape: Shape) -> Field:
    """A field that may be left out."""
    return Field(shape)


def one_of(*words: str) -> Words:
    """A text that is one of `words`."""
    return Words(one_of=frozenset(words))
