"""What a rule may cost. Every step is charged by what it touches, so that no record, however odd, holds up the daemon.

A unit is about a microsecond of work: one item tried, one node of an expression, or 64 characters looked at. The limit is
counted and not timed, so that a rule that works on a quiet machine works on a busy one too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from crmbridge.errors import RenderError
from crmbridge.model import Choice
from crmbridge.rules.values import Joined

LIMIT: Final = 25_000
"""Units of one decision (a rule's `match` and `if` together), or of one rendering."""
TOO_COSTLY: Final = (
    f"this record makes it too much work (more than {LIMIT:,} items tried or texts compared): loop over shorter lists, or compare less"
)
_CHARACTERS: Final = 6  # bits: 64 characters make a unit
_INSTANT: Final = 4  # units: a zone is looked up for it


class Meter:
    """What one decision or rendering has cost so far."""

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0

    def charge(self, cost: int) -> None:
        """Count `cost` units before they are worked. Raises RenderError past the limit."""
        self.spent += cost
        if self.spent > LIMIT:
            raise RenderError(TOO_COSTLY)


def size(value: Any) -> int:
    """Units that it costs to look at `value` once; of a list past the limit no more than that it is past it."""
    if isinstance(value, str):
        return 1 + (len(value) >> _CHARACTERS)
    if isinstance(value, tuple):
        units = 1
        for item in value:
            units += size(item)
            if units > LIMIT:
                break
        return units
    if isinstance(value, datetime):
        return _INSTANT
    if isinstance(value, Choice):
        return 1 + (len(value.value) + len(value.label) >> _CHARACTERS)
    if isinstance(value, Joined):
        return 1 + sum(1 + (len(span.text) >> _CHARACTERS) for span in value.spans)
    return 1


def search(container: Any, item: Any) -> int:
    """Units that it costs to find `item` in `container`: a list's items are compared with it one by one."""
    return size(container) + size(item) * (len(container) if isinstance(container, tuple) else 1)
