"""A layout of a destination's own: JSON whose texts to fill in are Text, or Unsaid while there is no record to fill them in from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A text that nothing is filled into yet: at least one character, and nobody knows which."""

    words: bool = True
    """A record's words may stand in it; else it holds the rule's own alone."""
    mentions: bool = False
    """It names people (`| mention`)."""
    own: str = ""
    """The rule's own words, of every branch; a blank stands for each value."""
    least: int = 1
    """Characters it will have at least: the rule's own among them."""


@dataclass(frozen=True, slots=True)
class LayoutFault:
    """What is wrong in a layout, and where: keys and indices from its beginning."""

    path: tuple[str | int, ...]
    message: str
    key: str = "blocks"
    """The step's key that holds the layout."""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"

    @property
    def place(self) -> str:
        """The path as people write it: `blocks[0].text.text`."""
        return self.key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """What a layout comes to at its destination."""

    sent: Any
    """As it would go out."""
    faults: Sequence[LayoutFault] = ()
    """Why the network would refuse it; each names the limit and the vendor's page."""
    notes: Sequence[LayoutFault] = field(default=())
    """What it takes, and people should know of."""
