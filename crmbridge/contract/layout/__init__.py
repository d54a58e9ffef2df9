"""A destination's own layout: JSON in which each text to be filled in is a Text, or an Unsaid as long as there is no record for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A text that is not filled in yet: it has at least one character, and nobody knows which."""

    words: bool = True
    """The words of a record may stand in the text. If false, it holds only the rule's own words."""
    mentions: bool = False
    """The text names people (`| mention`)."""
    own: str = ""
    """The rule's own words, of every branch. A blank stands for each value."""
    least: int = 1
    """The smallest number of characters that the text will have. The rule's own words are among them."""


@dataclass(frozen=True, slots=True)
class LayoutFault:
    """What is wrong in a layout, and where. `path` holds keys and indices from the layout's beginning."""

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
    """A layout as its destination would send it, with what is wrong in it."""

    sent: Any
    """The layout as it would go out."""
    faults: Sequence[LayoutFault] = ()
    """The reasons for which the network would refuse the layout. Each names the limit and the vendor's page."""
    notes: Sequence[LayoutFault] = field(default=())
    """Remarks on parts that the network takes, but that people should know of."""
