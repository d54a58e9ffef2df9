"""What is recorded of observations, and how much of it is bearable. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crmbridge.intake.change import Interpretation, Sighting
from crmbridge.model import Fields, Observation, RecordRef
from crmbridge.rules.meter import LIMIT, size
from crmbridge.store.terms import Entry, NewDelivery, Snapshot


def entry_of(
    observation: Observation, record: RecordRef, known: Snapshot | None, found: Interpretation, deliveries: Sequence[NewDelivery]
) -> Entry:
    """Set down what an observation turned out to be, with the messages it leads to."""
    return Entry(
        record=record,
        snapshot=found.snapshot,
        assumed=known.revision if known else None,
        event=found.event,
        stale=found.sighting is Sighting.STALE,
        deliveries=deliveries,
        observation_id=observation.observation_id if observation.version is None else None,
    )


def weight(fields: Fields) -> int:
    """Weigh the values of a record, in units of work."""
    return sum([1 + (len(value) >> 6) if type(value) is str else size(value) for value in fields.values()])  # most are short texts


def bearable(one: Observation) -> int:
    """Weigh an observation. Raises ValueError for what cannot be interpreted, or would be worked on for too long."""
    if one.unreadable:
        raise ValueError(one.unreadable)
    heavy = weight(one.fields)
    if heavy > LIMIT or (one.before and weight(one.before) > LIMIT):
        raise ValueError(f"its fields hold more than {LIMIT:,} items")
    return heavy


def merged(entries: list[Entry]) -> list[Entry]:
    """Keep one snapshot for each record, so that all can be written in one go.

    Of several changes to one record, the last snapshot stands against the revision that the first one assumed.
    """
    first: dict[RecordRef, Entry] = {}
    last: dict[RecordRef, int] = {}
    for index, entry in enumerate(entries):
        if entry.snapshot:
            first.setdefault(entry.record, entry)
            last[entry.record] = index
    if len(last) == sum(entry.snapshot is not None for entry in entries):
        return entries  # no record changes twice
    return [
        replace(
            entry,
            snapshot=entry.snapshot if last.get(entry.record) == index else None,
            assumed=first[entry.record].assumed if entry.record in first else entry.assumed,
        )
        for index, entry in enumerate(entries)
    ]
