"""Which files were read, and how far the one that is being read. Pure.

A file is known by its content: one that is renamed, or put there a second time, is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from crmbridge.model import Cursor

VERSION: Final = 1
REMEMBERED: Final = 500
"""Files of one type that are remembered after they were read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The file that is being read."""

    name: str
    digest: str
    offset: int = 0
    """Bytes that are read."""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one record type is."""

    done: tuple[str, ...] = ()
    """Digests of the files that were read, the last one last."""
    until: float = 0.0
    """When the newest of them was written, in seconds since 1970."""
    now: Reading | None = None
    whole: bool = False
    """Everything that was there at the first start was read: a row that was not seen before is a new record."""

    def finished(self, written: float) -> Progress:
        """The file at hand is read."""
        assert self.now is not None
        return replace(self, done=(*self.done, self.now.digest)[-REMEMBERED:], until=max(self.until, written), now=None)


@dataclass(frozen=True, slots=True)
class Place:
    """The whole source, and which type is being read."""

    types: Mapping[str, Progress] = field(default_factory=dict)
    current: str | None = None


def dump(place: Place) -> Cursor:
    """As the store keeps it."""
    types = {
        name: {
            "done": one.done,
            "until": one.until,
            "now": [one.now.name, one.now.digest, one.now.offset, one.now.line] if one.now else None,
            "whole": one.whole,
        }
        for name, one in place.types.items()
    }
    return Cursor(json.dumps({"v": VERSION, "types": types, "current": place.current}, separators=(",", ":")))


def load(cursor: Cursor | None) -> Place:
    """The inverse of `dump`. Raises ValueError for a cursor that is not ours."""
    if cursor is None:
        return Place()
    raw: Any = json.loads(cursor)
    if not isinstance(raw, dict) or raw.get("v") != VERSION:
        raise ValueError("the stored cursor was not written by this version of the files source")
    types = {
        name: Progress(tuple(one["done"]), one["until"], Reading(*one["now"]) if one["now"] else None, one["whole"])
        for name, one in raw["types"].items()
    }
    return Place(types, raw["current"])
