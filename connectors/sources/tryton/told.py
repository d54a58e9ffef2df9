"""What was told already of records whose history is read: it travels in the cursor. Pure.

A poll looks back, so that it finds what was committed late; the states that it told before must not be told again, for they
would be older than the last one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from crmbridge.model import Cursor

_MOST: Final = 5_000  # records remembered for each model


@dataclass(slots=True)
class Told:
    """Of one model; instants in microseconds."""

    floor: int = 0
    """What is older than this is not told any more, but for a record's present state."""
    top: int = 0
    """The highest id seen."""
    last: dict[int, int] = field(default_factory=dict)
    """The instant of the last told state by id, of what changed since `floor`."""

    def until(self, id: int) -> int:
        """All states of the record up to this instant were told."""
        return self.last.get(id, self.floor - 1)

    def tell(self, id: int, at: int) -> None:
        self.top = max(self.top, id)
        if at > self.last.get(id, 0):
            self.last[id] = at

    def forget(self, floor: int) -> None:
        """What is older than `floor`; and the oldest of too many, whose states between are lost then, never told twice."""
        self.floor = max(self.floor, floor)
        if len(self.last) > _MOST:
            self.floor = max(self.floor, sorted(self.last.values())[-_MOST] + 1)
        self.last = {id: at for id, at in self.last.items() if at >= self.floor}


def load(cursor: Cursor | None) -> dict[str, Told]:
    """By model. Raises ValueError for a cursor that is not ours."""
    if cursor is None:
        return {}
    raw: Any = json.loads(cursor)
    try:
        found = raw.get("told", {}).items()
        return {model: Told(floor, top, {int(id): at for id, at in last.items()}) for model, (floor, top, last) in found}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the stored cursor cannot be read: {error!r}") from None


def dump(cursor: Cursor, told: dict[str, Told]) -> Cursor:
    """A cursor of the streams, with what was told."""
    raw = json.loads(cursor)
    raw["told"] = {model: [one.floor, one.top, one.last] for model, one in told.items()}
    return Cursor(json.dumps(raw, separators=(",", ":")))
