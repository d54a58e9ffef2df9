"""Observation -> change, by comparing with the snapshot. Pure.

Missing from an observation is not changed. No tracked field differs: no event. An older vendor version: stale.
A field seen for the first time is learnt silently, unless the source itself says what it was before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from crmbridge.model import (
    ChangeEvent,
    ChangeKind,
    Choice,
    Fields,
    FieldValue,
    Observation,
    Ordered,
    RecordRef,
    Unread,
    alike,
    as_written,
    event_id,
    number_text,
    parse_instant,
)
from crmbridge.store.terms import Snapshot


class Sighting(StrEnum):
    """What an observation turned out to be."""

    CHANGE = "change"
    UNCHANGED = "unchanged"
    LEARNT = "learnt"
    STALE = "stale"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Interpretation:
    """`snapshot` is None where the record's row stays as it is; `event` is there for changes and stale ones."""

    sighting: Sighting
    snapshot: Snapshot | None = None
    event: ChangeEvent | None = None


Read = Callable[[str, FieldValue, FieldValue], FieldValue]
"""`read(field, kept, now)`: what a value of this field that was kept before means today, where `now` stands there."""


def interpret(
    observation: Observation,
    source: str,
    known: Snapshot | None,
    *,
    learning: bool,
    unseen_is_new: bool,
    read: Read = lambda _, kept, now: kept,
    now: datetime | None = None,
) -> Interpretation:
    """Decide what `observation` means, given the snapshot of its record.

    `learning`: a first start learns what exists.
    `unseen_is_new`: the source was read from its beginning, so that a record without a snapshot did not exist before.
    `read`: reads a kept value as the field's present type.
    `now`: when the record was seen. It stands for the instant of a change that the record's own stamp does not tell of.
    """
    record = RecordRef(source, observation.record_type, observation.record_id)
    if known is None:
        return _first_sight(observation, record, learning, unseen_is_new)
    stored, known = known, _read_again(known, observation, read)
    if now is not None and observation.version is not None and observation.version == known.version:
        # Its stamp stands where it stood: whatever has changed did so since, and nobody knows when.
        observation = replace(observation, occurred_at=max(observation.occurred_at, now))
    if observation.version and known.version and older(observation.version, known.version):
        gone = observation.deleted or observation.merged_into is not None
        if gone is known.deleted and all(same(known.fields.get(name), value) for name, value in observation.fields.items()):
            return Interpretation(Sighting.UNCHANGED)  # late, and nothing new in it
        return Interpretation(Sighting.STALE, None, _stale(observation, record, known))
    if observation.deleted or observation.merged_into:
        if known.deleted:
            return Interpretation(Sighting.UNCHANGED)
        fields = {**known.fields, **observation.fields}
        if learning:
            return Interpretation(Sighting.LEARNT, Snapshot(known.revision, observation.version or known.version, True, fields))
        kind = ChangeKind.MERGED if observation.merged_into else ChangeKind.DELETED
        return _change(observation, record, known.revision + 1, kind, fields, known.fields, deleted=True, version=known.version)
    before = {**known.fields, **(observation.before or {})}
    fields = {**known.fields, **observation.fields}
    if not learning and any(_differs(name, known, observation) for name in observation.fields):
        return _change(observation, record, known.revision + 1, ChangeKind.UPDATED, fields, before, deleted=False, version=known.version)
    version = observation.version or known.version
    if fields == stored.fields and version == stored.version and not stored.deleted:
        return Interpretation(Sighting.UNCHANGED)
    learnt = fields != stored.fields or stored.deleted
    return Interpretation(Sighting.LEARNT if learnt else Sighting.UNCHANGED, Snapshot(known.revision, version, False, fields))


def _differs(name: str, known: Snapshot, observation: Observation) -> bool:
    """Say whether a field differs from its snapshot. For a field that was never seen, the source's own word counts."""
    if name in known.fields:
        return not same(known.fields[name], observation.fields[name])
    before = observation.before or {}
    return name in before and not same(before[name], observation.fields[name])


def _read_again(known: Snapshot, observation: Observation, read: Read) -> Snapshot:
    """Read a snapshot's values again where the record now shows a value of another type.

    A value that can no longer be read stays as it was: an earlier version read some ambiguous texts as one of their two meanings.
    """
    found: dict[str, FieldValue] = {}
    for name, new in observation.fields.items():
        old = known.fields.get(name)
        if old is None or new is None or type(old) is type(new):
            continue
        again: FieldValue = old
        if not isinstance(new, Unread):
            again = read(name, old.text if isinstance(old, Unread) else old, new)
        elif _plain(new.text) == _plain(old):
            again = new
        if type(again) is type(new):
            found[name] = again
    return replace(known, fields={**known.fields, **found}) if found else known


def same(one: FieldValue, other: FieldValue) -> bool:
    """Whether two values are one to whom hears of changes.

    A choice is its value: somebody who renames a stage has changed no deal. A list is what is in it, unless its order means
    something. And a value that is only read as another type by now (the configuration or the vendor says so) is what it was.
    """
    if one == other:
        return True
    if isinstance(one, tuple) and isinstance(other, tuple):
        mine, yours = [_key(item) for item in one], [_key(item) for item in other]
        return mine == yours or (not isinstance(one, Ordered) and not isinstance(other, Ordered) and set(mine) == set(yours))
    if isinstance(one, Choice) and isinstance(other, Choice):
        return one.value == other.value
    if isinstance(one, str) and isinstance(other, str):
        return alike(one) == alike(other)
    if isinstance(one, Unread) or isinstance(other, Unread):
        return as_written(one) == as_written(other)
    return type(one) is not type(other) and _plain(one) == _plain(other)


def _key(item: FieldValue) -> object:
    """Return a key that is equal for equal items."""
    match item:
        case tuple():
            return tuple(map(_key, item))
        case Choice():
            return alike(item.value)
        case bool():
            return str(item).lower()
        case Decimal():
            return number_text(item)
        case datetime():
            return item.astimezone(timezone.utc).isoformat()
        case date():
            return item.isoformat()
    return alike(item) if isinstance(item, str) else item


def _plain(value: FieldValue) -> object:
    """Return a value without its type, as far as text can say it too."""
    match value:
        case Choice():
            return _plain(value.value)
        case bool():
            return str(value).lower()
        case str():
            number = _number(value)
            return number if number is not None else parse_instant(value) or alike(value).lower()
        case date() if not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
        case _:
            return value


def _first_sight(observation: Observation, record: RecordRef, learning: bool, unseen_is_new: bool) -> Interpretation:
    gone = observation.deleted or observation.merged_into is not None
    if learning or (observation.existed and not gone):
        return Interpretation(Sighting.LEARNT, Snapshot(0, observation.version, gone, dict(observation.fields)))
    if gone:
        kind = ChangeKind.MERGED if observation.merged_into else ChangeKind.DELETED
        return _change(observation, record, 1, kind, observation.fields, observation.before or {}, deleted=True)
    before = observation.before or {}
    if observation.created or unseen_is_new:
        return _change(observation, record, 1, ChangeKind.CREATED, observation.fields, {}, deleted=False)
    if before and all(before.get(name, value) == value for name, value in observation.fields.items()):
        return Interpretation(Sighting.LEARNT, Snapshot(0, observation.version, False, dict(observation.fields)))
    return _change(observation, record, 1, ChangeKind.UPDATED, observation.fields, before, deleted=False)


def _change(
    observation: Observation,
    record: RecordRef,
    revision: int,
    kind: ChangeKind,
    fields: Fields,
    before: Fields,
    *,
    deleted: bool,
    version: str | None = None,
) -> Interpretation:
    event = ChangeEvent(
        id=event_id(record, revision, fields),
        source=record.source,
        record_type=record.type,
        record_id=record.id,
        revision=revision,
        kind=kind,
        occurred_at=observation.occurred_at,
        fields=fields,
        before=before,
        actor=observation.actor,
        url=observation.url,
    )
    return Interpretation(Sighting.CHANGE, Snapshot(revision, observation.version or version, deleted, fields), event)


def _stale(observation: Observation, record: RecordRef, known: Snapshot) -> ChangeEvent:
    # Named by its version too: the same stale redelivery is journalled once.
    reference = RecordRef(record.source, record.type, f"{record.id}@{observation.version}")
    return ChangeEvent(
        id=event_id(reference, known.revision, observation.fields),
        source=record.source,
        record_type=record.type,
        record_id=record.id,
        revision=known.revision,
        kind=ChangeKind.UPDATED,
        occurred_at=observation.occurred_at,
        fields=observation.fields,
        before={},
        actor=observation.actor,
        url=observation.url,
    )


def older(version: str, than: str) -> bool:
    """Say whether a vendor's version is older than another: compared as numbers, else as instants, else as text."""
    for read in (_number, parse_instant):
        one, other = read(version), read(than)
        if one is not None and other is not None:
            return bool(one < other)  # type: ignore[operator]
    return version < than


def _number(text: str) -> Decimal | datetime | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None  # NaN cannot be compared
