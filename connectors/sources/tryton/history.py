"""States that records had between two polls, and deletions, out of Tryton's history tables.

Every creation and every write leaves a row there, stamped as the record itself; a deletion leaves a row without values. A read as of an
instant shows a record as its newest row up to then says, and does not show it where that row has no values or may not be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.sources.tryton.api import Api, Record, Revisions
from connectors.sources.tryton.told import Told

READS = 500  # instants that one page may read
_RUN = 10_000  # ids left out in a row: numbers that an import skipped, not records


@dataclass(frozen=True, slots=True)
class State:
    """A record as it was from `at` on."""

    id: int
    at: int
    record: Record


def between(revisions: Revisions, ends: Mapping[int, int], told: Told) -> dict[int, list[int]]:
    """The instants of untold states before the end of each record: its present state, or its deletion."""
    return {id: [at for at in revisions.get(id, ()) if told.until(id) < at < end] for id, end in ends.items()}


def affordable(ids: Sequence[int], instants: Mapping[int, Sequence[int]]) -> int:
    """How many of the records, at least one, can be read with READS reads."""
    needed: set[int] = set()
    for count, id in enumerate(ids):
        needed |= set(instants.get(id, ()))
        if count and len(needed) > READS:
            return count
    return len(ids)


def states(api: Api, model: str, fields: Sequence[str], instants: Mapping[int, Iterable[int]]) -> list[State]:
    """Records as they were at these instants; those that may not be read are left out."""
    ids: dict[int, list[int]] = defaultdict(list)
    for id, each in instants.items():
        for at in each:
            ids[at].append(id)
    return [State(id, at, record) for at in sorted(ids) for id, record in api.read(model, fields, ids[at], at).items()]


def gaps(listed: Sequence[int], after: int, upto: int) -> list[int]:
    """The ids from behind `after` to `upto` that are not listed: deleted, out of sight, or never used."""
    found: list[int] = []
    for one in [*listed, upto + 1]:
        if one - after <= _RUN:
            found += range(after + 1, one)
        after = max(after, one)
    return found


def deleted(api: Api, model: str, revisions: Revisions) -> dict[int, int]:
    """Which of records that are not listed were deleted, and when: seen until their last revision, and not from it on.

    A record that only went out of sight is still seen in its history, or never was.
    """
    last: dict[int, list[int]] = defaultdict(list)
    for id, instants in revisions.items():
        last[instants[-1]].append(id)
    found: dict[int, int] = {}
    for at, ids in last.items():
        there = api.read(model, [], ids, at)
        gone = [id for id in ids if id not in there]
        before = api.read(model, [], gone, at - 1) if gone else {}
        found |= {id: at for id in gone if id in before}
    return found
