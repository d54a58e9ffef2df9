"""What a sender says once more is not looked at again. A repeat is what the sender repeats, never what only looks the same.

With a vendor's version nothing here decides: the version does. With an id of the sender, the same id is a repeat for as long as ids are
remembered. With neither, the same bytes are one while nothing else has told of that record since, and its sender may still be trying:
a body that comes back after another one is the record going back to what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from crmbridge.model import LastBody, Observation, RecordRef, Repeat, Same, Unnamed
from crmbridge.store.terms import AlreadyKnown


def repeated(last: LastBody | None, body: Unnamed) -> bool:
    """Whether `body` says what its record's last one said, and is therefore a repeat.

    One body may tell several states of a record, item by item: behind the last one all of them are repeats, before it those up to it.
    """
    return (
        last is not None
        and last.digest == body.digest
        and body.item <= last.item
        and body.received_at - last.received_at <= body.repeats_within
    )


class Repeats:
    """What of one batch was said before; its observations are asked about in their order."""

    def __init__(self, known: AlreadyKnown, now: datetime) -> None:
        self._ids = dict(known.observations)
        self._bodies: dict[RecordRef, LastBody | None] = dict(known.bodies)
        self._now = now
        self._again: dict[tuple[RecordRef, str], Repeat] = {}
        self.bodies: dict[RecordRef, LastBody | None] = {}
        """What the store must know for the next batch."""

    def has(self, record: RecordRef, one: Observation) -> bool:
        """Whether it is a repeat; then it is counted as one."""
        if one.version is not None:
            return False
        if one.observation_id is not None:
            if (at := self._ids.get(one.observation_id)) is None:
                return False
            self._count(Repeat(record, Same.ID, one.observation_id, at, self._now))
            return True
        last = self._bodies.get(record)
        if one.body is None or last is None or not repeated(last, one.body):
            return False
        if one.body.received_at != last.received_at:  # else a kill has left the rest of this very request to us
            self._count(Repeat(record, Same.BYTES, one.body.digest, last.received_at, self._now))
        return True

    def note(self, record: RecordRef, one: Observation) -> None:
        """Note an observation that was looked at. What comes after it is compared with it."""
        if one.version is None and one.observation_id is not None:
            self._ids[one.observation_id] = self._now
        last = LastBody(one.body.digest, one.body.item, one.body.received_at) if one.body else None
        if last or self._bodies.get(record):
            self._bodies[record] = self.bodies[record] = last

    @property
    def again(self) -> Sequence[Repeat]:
        """Each repeat, with how often it came."""
        return list(self._again.values())

    def _count(self, one: Repeat) -> None:
        before = self._again.get((one.record, one.name))
        count = before.count + 1 if before else 1
        self._again[one.record, one.name] = Repeat(one.record, one.same, one.name, one.first_at, one.last_at, count)
