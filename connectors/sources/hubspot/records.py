"""Whole records as observations: their properties, their owner, their company, and who was merged into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connectors.sources.hubspot.api import Api
from connectors.sources.hubspot.facts import Facts, Owner
from connectors.sources.hubspot.types import MERGEABLE, number, stamp_property
from connectors.sources.hubspot.values import Property, milliseconds, moment, version
from crmbridge.contract import Member, each
from crmbridge.errors import SourceError
from crmbridge.model import Fields, FieldValue, Observation, Reading, RecordSpec, clean, cursors

OWNER: Final = "hubspot_owner_id"
OWNER_FIELDS: Final = ("owner.name", "owner.email", "owner.team")
_MERGED: Final = "hs_merged_object_ids"
_TEAM: Final = ("hs_all_collaborator_owner_ids", "hs_all_owner_ids")
_COMPANIES: Final = "companies"
_MANY: Final = 10_000


def own(spec: RecordSpec) -> list[str]:
    """The configured fields that are properties of the record itself."""
    return [name for name in spec if not name.startswith(("owner.", "company."))]


def owned(spec: RecordSpec) -> list[str]:
    """Those that tell of its owner."""
    return [name for name in spec if name.startswith("owner.")]


def of_company(spec: RecordSpec) -> list[str]:
    """Those of its company, without the prefix."""
    return [name.removeprefix("company.") for name in spec if name.startswith("company.")]


def owner_fields(spec: RecordSpec, owner: Owner | None, reading: Reading) -> dict[str, FieldValue]:
    """What is configured of an owner; None for all of it if there is none."""
    told = {"owner.name": owner.name, "owner.email": owner.email, "owner.team": owner.team} if owner else {}
    return {name: reading.read(told.get(name), spec[name]) for name in owned(spec)}


class Records:
    """Reads records whole. Everything raises SourceError."""

    def __init__(self, api: Api, facts: Facts, records: Mapping[str, RecordSpec], now: Callable[[], datetime]) -> None:
        self._now = now
        self._api = api
        self._facts = facts
        self._records = records
        self._unnamed: set[tuple[str, str, str]] = set()
        """Type, property, value: choices that HubSpot has no label for, even when asked afresh."""

    def check(self, record_type: str) -> None:
        """Prove that all configured fields of this type can be read; says which cannot."""
        spec = self._records[record_type]
        self._lacking(record_type, own(spec))
        stamp = stamp_property(record_type)
        some = self._api.search(record_type, [(stamp, "GTE", "0")], stamp, [stamp], 1)
        if owned(spec):
            self._facts.owners.get(afresh=True)
        if companies := of_company(spec):
            self._lacking(_COMPANIES, [name for name in companies if name != "id"])
            self._api.associated(record_type, _COMPANIES, [str(one["id"]) for one in some])

    def _lacking(self, record_type: str, names: Sequence[str]) -> None:
        known = self._facts.properties.get(record_type, afresh=True)
        if missing := sorted(set(names) - known.keys()):
            raise SourceError(f"{record_type} has no property {', '.join(missing)} that this login may read")

    def read(self, record_type: str, ids: Sequence[str], position: cursors.Position | None = None) -> list[Observation]:
        """These records, and those that were merged into them, without what is gone; `position` of the pass that found them."""
        if not ids:
            return []
        spec = self._records[record_type]
        self._facts.learn_address()
        raw = {str(one["id"]): one for one in self._api.read(record_type, ids, self._asked(record_type, spec))}
        known = self._labelled(record_type, [one.get("properties") or {} for one in raw.values()])
        companies = self._companies(record_type, list(raw), of_company(spec))
        found = each(
            raw.items(),
            lambda pair: self._observations(record_type, *pair, spec, known, companies.get(pair[0]), position),
            record_type=record_type,
            id=lambda pair: pair[0],
            spec=spec,
            values=lambda pair: pair[1].get("properties"),
            now=self._now(),
            all_or_none=position is not None and position.start is None,
        )
        return found.observations(lambda some: some)

    def _labelled(self, record_type: str, given: Sequence[Mapping[str, Any]]) -> Mapping[str, Property]:
        """The properties, with labels for all values that have one: a stage may be newer than what is kept of them, and told
        by its id now and by its name later it would seem to change."""
        known = self._facts.properties.get(record_type)
        names = [name for name in own(self._records[record_type]) if name in known and known[name].choices]
        found = {(record_type, name, str(one[name])) for one in given for name in names if one.get(name)}
        found = {(kind, name, value) for kind, name, value in found - self._unnamed if not known[name].knows(value)}
        if not found:
            return known
        known = self._facts.properties.get(record_type, afresh=True)
        if len(self._unnamed) > _MANY:
            self._unnamed.clear()
        self._unnamed |= {(kind, name, value) for kind, name, value in found if name in known and not known[name].knows(value)}
        return known

    def _asked(self, record_type: str, spec: RecordSpec) -> list[str]:
        more = [stamp_property(record_type)]
        if owned(spec):
            more.append(OWNER)
        if number(record_type) in MERGEABLE:
            more.append(_MERGED)
        return list(dict.fromkeys([*own(spec), *more]))

    def _observations(
        self,
        record_type: str,
        id: str,
        raw: Mapping[str, Any],
        spec: RecordSpec,
        known: Mapping[str, Property],
        company: Mapping[str, FieldValue] | None,
        position: cursors.Position | None,
    ) -> list[Observation]:
        given = raw.get("properties") or {}
        stamp = milliseconds(given.get(stamp_property(record_type)) or raw.get("updatedAt"))
        if stamp is None:
            raise ValueError(f"{record_type} {id} has no {stamp_property(record_type)}")
        created = milliseconds(raw.get("createdAt"))
        fields = self._fields(given, spec, known) | {name: (company or {}).get(name) for name in spec if name.startswith("company.")}
        whole = Observation(
            record_type=record_type,
            record_id=id,
            fields=fields,
            existed=created is not None and position is not None and cursors.existed(moment(created), position),
            version=version(stamp),
            occurred_at=moment(stamp),
            url=raw.get("url") or self._facts.url(record_type, id),
        )
        merged = [one for one in str(given.get(_MERGED) or "").split(";") if one and one != id]
        return [whole, *(merged_away(record_type, one, id, stamp) for one in merged)]

    def _fields(self, given: Mapping[str, Any], spec: RecordSpec, known: Mapping[str, Property]) -> dict[str, FieldValue]:
        # An empty property may be null or left out. One that HubSpot does not know, or no longer lets us see, was not looked at.
        fields = {name: known[name].value(given.get(name), spec[name]) for name in own(spec) if name in known}
        if owned(spec):
            id = given.get(OWNER)
            fields |= owner_fields(spec, self._facts.owner(str(id)) if id else None, self._facts.reading)
        return fields

    def _companies(self, record_type: str, ids: Sequence[str], names: Sequence[str]) -> dict[str, Fields]:
        """What is configured of the primary company of each record, by the record's id."""
        if not names or not ids:
            return {}
        linked = self._api.associated(record_type, _COMPANIES, ids)
        company = {id: primary for id, to in linked.items() if (primary := _primary(to))}
        spec = self._records[record_type]
        known = self._facts.properties.get(_COMPANIES)
        wanted = [name for name in names if name != "id"]
        read = {
            str(one["id"]): one.get("properties") or {}
            for one in (self._api.read(_COMPANIES, list(dict.fromkeys(company.values())), wanted) if wanted else ())
        }
        found: dict[str, Fields] = {}
        for id, company_id in company.items():
            given = read.get(company_id, {})
            told: dict[str, FieldValue] = {"company.id": company_id}
            for name in wanted:
                if name in known:
                    told[f"company.{name}"] = known[name].value(given.get(name), spec[f"company.{name}"])
            found[id] = told
        return found

    def members(self, record_type: str, id: str) -> list[Member]:
        """The owner first, then who works with them; nobody who has left."""
        known = self._facts.properties.get(record_type)
        names = [OWNER, *(name for name in _TEAM if name in known)]
        found = self._api.read(record_type, [id], names)
        given = found[0].get("properties") or {} if found else {}
        ids = dict.fromkeys(one for name in names for one in str(given.get(name) or "").split(";") if one)
        owners = [self._facts.owner(one, former=False) for one in ids]
        first = str(given.get(OWNER) or "")
        return [Member(name=one.name, email=one.email, role="owner" if one.id == first else None) for one in owners if one]


def merged_away(record_type: str, id: str, into: str, stamp: int) -> Observation:
    """A record that was merged into another and is no longer there itself."""
    return Observation(
        record_type=record_type, record_id=clean(id), fields={}, merged_into=into, version=version(stamp), occurred_at=moment(stamp)
    )


def _primary(to: Sequence[Any]) -> str | None:
    """The id of the primary one; of the first where none is called so, as for custom objects."""
    for one in to:
        types = one.get("associationTypes") or ()
        if any(str(kind.get("label") or "").lower() == "primary" for kind in types):
            return str(one["toObjectId"])
    return str(to[0]["toObjectId"]) if to else None
