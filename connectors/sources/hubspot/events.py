"""Webhook events as observations: what happened, and which records are to be read whole. Asks nobody.

https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide
Classic events name the type (`deal.propertyChange`), generic ones its number (`object.propertyChange`, objectTypeId 0-3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.sources.hubspot.facts import Facts
from connectors.sources.hubspot.records import OWNER, merged_away, owned, owner_fields
from connectors.sources.hubspot.types import number, numbered
from connectors.sources.hubspot.values import milliseconds, moment, version
from crmbridge.model import Fields, FieldValue, Observation, RecordSpec, clean


class Events:
    """Reads what HubSpot sends. Labels and owners are those that polling has learnt."""

    def __init__(self, facts: Facts, records: Mapping[str, RecordSpec], portal_id: int | None) -> None:
        self._facts = facts
        self._records = records
        self._types = numbered(records)
        self._portal_id = portal_id

    def observations(self, events: Sequence[Mapping[str, Any]]) -> list[Observation]:
        """In the order of the batch. Raises ValueError saying what could not be read."""
        found: list[Observation] = []
        for index, event in enumerate(events):
            try:
                found += self._of(event)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"event {index}: {_why(error)}") from None
        return _joined(found)

    def _of(self, event: Mapping[str, Any]) -> Iterator[Observation]:
        if self._portal_id is not None and event.get("portalId") != self._portal_id:
            return
        kind, _, what = str(event.get("subscriptionType") or event["eventType"]).partition(".")
        if what == "associationChange":
            yield from self._associated(event, kind)
            return
        record_type = self._type(event.get("objectTypeId") if kind == "object" else kind)
        if record_type is None:
            return
        stamp = _stamp(event)
        match what:
            case "creation" | "restore":
                yield self._named(record_type, _id(event["objectId"]), stamp, event, created=what == "creation")
            case "propertyChange":
                fields = self._changed(record_type, event)
                yield self._named(record_type, _id(event["objectId"]), stamp, event, fields)
            case "deletion" | "privacyDeletion":
                id = _id(event["objectId"])
                yield Observation(
                    record_type=record_type,
                    record_id=id,
                    fields={},
                    deleted=True,
                    version=version(stamp),
                    occurred_at=moment(stamp),
                    actor=self._actor(event),
                )
            case "merge":
                yield from self._merged(record_type, event, stamp)

    def _named(
        self, record_type: str, id: str, stamp: int, event: Mapping[str, Any], fields: Fields | None = None, *, created: bool = False
    ) -> Observation:
        return Observation(
            record_type=record_type,
            record_id=id,
            fields=fields or {},
            created=created,
            partial=True,
            version=version(stamp),
            occurred_at=moment(stamp),
            actor=self._actor(event),
            url=self._facts.url(record_type, id),
        )

    def _changed(self, record_type: str, event: Mapping[str, Any]) -> dict[str, FieldValue]:
        """The new value, if it is configured and can be said in full; else the whole record says it."""
        name, spec = str(event["propertyName"]), self._records[record_type]
        raw = event.get("propertyValue")
        text = "" if raw is None else str(raw)
        if event.get("isSensitive") or text == "REDACTED":
            return {}
        known = (self._facts.properties.last(record_type) or {}).get(name)
        fields: dict[str, FieldValue] = {}
        if name in spec and known is not None and known.knows(text):
            fields[name] = known.value(text, spec[name])
        if name == OWNER and owned(spec):
            owner = (self._facts.owners.last() or {}).get(text)
            if text and owner is None:
                return {}  # an owner and the name of the one before would be a state that never was
            fields |= owner_fields(spec, owner, self._facts.reading)
        return fields

    def _merged(self, record_type: str, event: Mapping[str, Any], stamp: int) -> Iterator[Observation]:
        """All but the survivor are gone; since 2025 that may be a record with a new id."""
        primary = _id(event["primaryObjectId"] if event.get("primaryObjectId") is not None else event["objectId"])
        survivor = _id(event["newObjectId"]) if event.get("newObjectId") is not None else primary
        losers = [_id(one) for one in event.get("mergedObjectIds") or ()]
        for loser in dict.fromkeys([*losers, primary]):
            if loser != survivor:
                yield merged_away(record_type, loser, survivor, stamp)
        yield self._named(record_type, survivor, stamp, event)

    def _associated(self, event: Mapping[str, Any], kind: str) -> Iterator[Observation]:
        """A link came or went: both ends are read again, for a company's fields may stand in one of them."""
        if kind == "object":
            ends = [event.get("fromObjectTypeId"), event.get("toObjectTypeId")]
        else:
            ends = [kind, str(event.get("associationType") or "").lower().partition("_to_")[2]]
        ids = [event["fromObjectId"] if event.get("fromObjectId") is not None else event["objectId"], event.get("toObjectId")]
        for end, id in zip(ends, ids, strict=True):
            record_type = self._type(end)
            if record_type is not None and id is not None:
                yield self._named(record_type, _id(id), _stamp(event), event)

    def _type(self, name: Any) -> str | None:
        """The record type as it is configured; None if it is not."""
        return self._types.get(number(str(name)) or str(name))

    def _actor(self, event: Mapping[str, Any]) -> str | None:
        """The name of the user who did it, if they can own records."""
        kind, _, user = str(event.get("sourceId") or "").partition(":")
        if kind != "userId" or not user:
            return None
        return next((one.name for one in (self._facts.owners.last() or {}).values() if one.user == user), None)


def _joined(found: Sequence[Observation]) -> list[Observation]:
    """What changed in one record in the same millisecond is one change, as a poll sees it; HubSpot sends a property at a time."""
    result: list[Observation] = []
    places: dict[tuple[str, str, Any], int] = {}
    for one in found:
        key = (one.record_type, one.record_id, one.occurred_at)
        place = places.get(key)
        if one.partial and place is not None and not result[place].fields.keys() & one.fields.keys():
            before = result[place]
            result[place] = Observation(
                record_type=one.record_type,
                record_id=one.record_id,
                fields={**before.fields, **one.fields},
                created=before.created or one.created,
                partial=True,
                version=one.version,
                occurred_at=one.occurred_at,
                actor=one.actor or before.actor,
                url=one.url,
            )
            continue
        if one.partial:
            places[key] = len(result)
        else:
            places.pop(key, None)
        result.append(one)
    return result


def _id(raw: Any) -> str:
    text = clean(str(raw)) if isinstance(raw, (int, str)) and not isinstance(raw, bool) else ""
    if not text:
        raise ValueError("a record's id is missing")
    return text[:200]


def _stamp(event: Mapping[str, Any]) -> int:
    stamp = milliseconds(event["occurredAt"])
    if stamp is None:
        raise ValueError("occurredAt is no instant")
    return stamp


def _why(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
