"""What comes in at once, and its parts that are recorded one by one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from crmbridge.model import Observation
from crmbridge.store.terms import SourcePosition


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Observations of one source, and what is recorded together with them."""

    source: str
    observations: Sequence[Observation]
    closed: Sequence[int] = ()
    failed: Mapping[int, str] = field(default_factory=dict)
    requests: Sequence[int] = ()
    """The inbox rows that they came in; a poll has none."""
    told_by: Sequence[int] = ()
    """The inbox row of each observation, where that is known."""
    revision: int | None = None
    """For a record that was put aside and is tried again: what was known of it then."""
    alone: bool = False
    """Nothing else that ended a process before is worked on meanwhile."""
    position: SourcePosition | None = None
    learning: bool = False
    unseen_is_new: bool = False
    lacking: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The configured fields that the source does not have, by record type."""
    unseen_for: timedelta | None = None
    """For a poll: how long ago the one before it had seen all there was; None where the age of stamps says nothing."""


def cut(intake: Intake, ends: Sequence[int]) -> list[Intake]:
    """Its observations up to each of `ends`, of which the last is their number.

    A request is closed with the part that ends it: what is recorded is never taken again, even if the process ends between two parts, and
    a state that was told does not come back behind a later one. Everything else, and every request of which that is not known, goes with
    the last part.
    """
    last = {id: index for index, id in enumerate(intake.told_by)}
    closed: list[list[int]] = [[] for _ in ends]
    for id in intake.closed:
        closed[bisect_right(ends, last.get(id, 0)) if intake.told_by else -1].append(id)
    parts = [
        replace(
            intake, observations=intake.observations[start:end], told_by=intake.told_by[start:end], closed=done, failed={}, position=None
        )
        for start, end, done in zip([0, *ends], ends, closed, strict=False)
    ]
    parts[-1] = replace(parts[-1], failed=intake.failed, position=intake.position)
    return parts
