"""Webhooks that only name records, or only the field that changed, and the whole records behind them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from crmbridge.model import Observation, RecordRef


def wanting(observations: Sequence[Observation]) -> Mapping[str, list[str]]:
    """List the ids to read, by record type, each once and in order."""
    found: dict[str, dict[str, None]] = {}
    for one in observations:
        if one.partial:
            found.setdefault(one.record_type, {})[one.record_id] = None
    return {record_type: list(ids) for record_type, ids in found.items()}


def completed(
    observations: Sequence[Observation],
    whole: Sequence[Observation],
    source: str,
    known: Collection[RecordRef],
    *,
    polled: bool = False,
) -> list[Observation]:
    """Each whole record behind the last partial observation of it.

    What happened to one record comes in the order in which it happened, for senders promise none. A partial observation
    with fields is a state that the record was in, so that A -> B -> A stays three; of a record that is not known yet
    rules would see a part only, so there it counts through the whole one alone. One that is gone or out of sight leaves
    nothing: its deletion is told by itself.

    `polled`: the source is read from the beginning too, and only its polls know whether a record that was not seen
    before is new, or old and just shown to us. It is left to them, unless the sender says that it was made.
    """
    found = {(one.record_type, one.record_id): one for one in whole}
    of_record: dict[tuple[str, str], list[Observation]] = {}
    for one in observations:
        of_record.setdefault((one.record_type, one.record_id), []).append(one)
    result: list[Observation] = []
    for key, seen in of_record.items():
        seen.sort(key=lambda one: one.occurred_at)
        partial = [index for index, one in enumerate(seen) if one.partial]
        seen_before = RecordRef(source, *key) in known
        for index, one in enumerate(seen):
            if not one.partial:
                result.append(one)
            elif seen_before and one.fields and key in found:
                result.append(replace(one, partial=False))
            if partial and index == partial[-1] and key in found:
                told = _told(found[key], [seen[i] for i in partial])
                if seen_before or told.created or not polled:
                    result.append(told)
    return result


def _told(whole: Observation, partial: Sequence[Observation]) -> Observation:
    """Add to a whole record what only its webhooks know of the change."""
    actors = [one.actor for one in partial if one.actor]
    return replace(
        whole,
        created=whole.created or any(one.created for one in partial),
        actor=whole.actor or (actors[-1] if actors else None),
    )
