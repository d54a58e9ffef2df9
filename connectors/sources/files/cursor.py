"""Which files were read, and how far the one that is being read. Pure.

A file is known by what stands in it and when it was written: the same bytes that are written later are the newest state, and the
same file under another name is not. What was written long ago is remembered no longer one by one, but by a mark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from crmbridge.model import Cursor

VERSION: Final = 2
REMEMBERED: Final = 500
"""Files of one type that are remembered one by one."""
_ROUNDED: Final = 1_000  # nanoseconds that are lost where an instant is kept as a float
_DIGEST: Final = 16  # characters of a content's name; version 1 kept more of them

Read = tuple[int, str]
"""A file that was read: when it was written, in nanoseconds since 1970, and its content's name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The file that is being read."""

    name: str
    digest: str
    offset: int = 0
    """Bytes that are read."""
    line: int = 0
    at: int = 0
    """When it was written; 0 where an earlier version began to read it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one record type is."""

    done: frozenset[Read] = frozenset()
    """The files that were read, or passed over."""
    mark: int = 0
    """What was written at or before this instant is read, or passed over: it is remembered no longer."""
    earlier: tuple[int, tuple[str, ...]] = (0, ())
    """What a cursor of version 1 knew: contents, and when the newest of them was written. Ends once `mark` reaches it."""
    until: float = 0.0
    """When the newest file was written, in seconds since 1970."""
    now: Reading | None = None
    whole: bool = False
    """Everything that was there at the first start was read: a row that was not seen before is a new record."""

    @property
    def begun(self) -> bool:
        """Something could be read."""
        return self.whole or self.until > 0

    def knows(self, at: int, digest: str) -> bool:
        """Whether this content, written then, was read."""
        until, contents = self.earlier
        return at <= self.mark or (at, digest) in self.done or (at <= until and digest in contents)

    def passed(self, at: int, digest: str) -> Progress:
        """A file is done with, read or not.

        Too many are remembered: the mark goes on to where they are few enough. It stays behind this file, for those that were
        written at the same instant may still be unread; what is older is not, since the oldest unread file is always the next.
        """
        done = self.done | {(at, digest)}
        older = sorted(one[0] for one in done if one[0] < at)
        if not (more := min(len(done) - REMEMBERED, len(older))) > 0:
            return replace(self, done=done)
        mark = max(self.mark, older[more - 1])
        kept = frozenset(one for one in done if one[0] > mark)
        return replace(self, done=kept, mark=mark, earlier=self.earlier if self.earlier[0] > mark else (0, ()))

    def finished(self, at: int, seconds: float) -> Progress:
        """The file at hand is read; it was written `at` by its own stamp, at `seconds` as far as that can be believed."""
        assert self.now is not None
        return replace(self.passed(at, self.now.digest), until=max(self.until, seconds), now=None)


@dataclass(frozen=True, slots=True)
class Place:
    """The whole source, and which type is being read."""

    types: Mapping[str, Progress] = field(default_factory=dict)
    current: str | None = None


def dump(place: Place) -> Cursor:
    """As the store keeps it."""
    types = {
        name: {
            "done": sorted(one.done),
            "mark": one.mark,
            "earlier": one.earlier,
            "until": one.until,
            "now": [one.now.name, one.now.digest, one.now.offset, one.now.line, one.now.at] if one.now else None,
            "whole": one.whole,
        }
        for name, one in place.types.items()
    }
    return Cursor(json.dumps({"v": VERSION, "types": types, "current": place.current}, separators=(",", ":")))


def load(cursor: Cursor | None) -> Place:
    """The inverse of `dump`, for cursors of version 1 too. Raises ValueError for a cursor that is not ours."""
    if cursor is None:
        return Place()
    raw: Any = json.loads(cursor)
    if not isinstance(raw, dict) or raw.get("v") not in (1, VERSION):
        raise ValueError("the stored cursor was not written by this version of the files source, nor by an earlier one")
    progress = _first_version if raw["v"] == 1 else _progress
    return Place({name: progress(one) for name, one in raw["types"].items()}, raw["current"])


def _progress(raw: Mapping[str, Any]) -> Progress:
    until, contents = raw["earlier"]
    return Progress(
        done=frozenset((at, digest) for at, digest in raw["done"]),
        mark=raw["mark"],
        earlier=(until, tuple(contents)),
        until=raw["until"],
        now=Reading(*raw["now"]) if raw["now"] else None,
        whole=raw["whole"],
    )


def _first_version(raw: Mapping[str, Any]) -> Progress:
    """Which knew contents only: each was read, if it was written until then."""
    now = None
    if raw["now"]:
        name, digest, offset, line = raw["now"]
        now = Reading(name, digest[:_DIGEST], offset, line)
    until = int(raw["until"] * 1e9) + _ROUNDED if raw["done"] else 0
    return Progress(earlier=(until, tuple(one[:_DIGEST] for one in raw["done"])), until=raw["until"], now=now, whole=raw["whole"])
