"""What stands in a record, and what it is called: by stages, options of custom fields and users, as Pipedrive describes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from connectors.sources.pipedrive.api import Api
from crmbridge.contract import FieldInfo
from crmbridge.http import look
from crmbridge.model import Choice, FieldSpec, FieldType, FieldValue, Reading, RecordSpec, clean
from crmbridge.rest import Resource

_TYPES: Final = {
    "int": FieldType.NUMBER,
    "double": FieldType.NUMBER,
    "monetary": FieldType.MONEY,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "boolean": FieldType.BOOLEAN,
}
OWNER: Final = ("owner.name", "owner.email")


class Values:
    """Reads the configured fields of records, as lists give them and as webhooks do."""

    def __init__(self, api: Api, reading: Reading, records: Mapping[str, RecordSpec]) -> None:
        self._api = api
        self._reading = reading
        self._records = records

    # --- what the engine asks of fields

    def of(self, _one: Resource, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Where a record's fields stand in it."""
        return item

    def wanted(self, name: str) -> Collection[str]:
        """The configured fields."""
        return self._records.get(name, {})

    def missing(self, name: str, _one: Resource, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Those that none of these records has."""
        standing = {field for item in items for field in self._standing(name, item)}
        return [field for field in self.wanted(name) if field not in standing]

    def learn(self, name: str, _one: Resource, items: Sequence[Mapping[str, Any]]) -> None:
        """Ask anew who and what is new since names were learnt, once for a page. Raises SourceError."""
        if any(self._strange(name, item) for item in items):
            self.refresh(afresh=True)

    def read(self, name: str, _one: Resource, item: Mapping[str, Any], _empty: Collection[str]) -> dict[str, FieldValue]:
        """The configured fields that stand there."""
        return self.standing(name, item)

    # --- names

    def refresh(self, *, afresh: bool = False) -> None:
        """What values are called; webhooks are read without asking. Raises SourceError."""
        self._api.introduce()
        self._api.stages.get(afresh=afresh)
        for name in self._records:
            self._api.fields(name, afresh=afresh)
        if any(field in OWNER for spec in self._records.values() for field in spec):
            self._api.users.get(afresh=afresh)

    def schema(self, name: str) -> Sequence[FieldInfo]:
        """The fields of a record type. Raises SourceError."""
        found = [
            FieldInfo(
                name=f"custom_fields.{code}" if one.get("is_custom_field") else code,
                label=clean(str(one.get("field_name") or code)),
                type=_type(code, one, FieldType.TEXT),
                choices=self._choices(code, one),
                required=code in ("id", "title", "name") or None,
            )
            for code, one in self._api.fields(name, afresh=True).items()
        ]
        return [*found, *(FieldInfo(name=name, label=f"Owner: {name[6:]}", type=FieldType.TEXT) for name in OWNER)]

    def _strange(self, name: str, row: Mapping[str, Any]) -> bool:
        """Whether something in a row has a name that we do not know yet; in an odd row nothing has."""
        try:
            return not self.knows(name, row)
        except Exception:
            return False

    def missing_of(self, name: str) -> list[str]:
        """The configured fields that this user may not read, by a fresh description. Raises SourceError."""
        known = self._api.fields(name, afresh=True)
        return sorted(field for field in self._records[name] if field not in OWNER and code_of(field) not in known)

    def knows(self, name: str, raw: Mapping[str, Any]) -> bool:
        """Whether all that stands in `raw` can be called by its name, without asking."""
        return all(self._named(name, field, raw) for field in self._standing(name, raw))

    def _standing(self, name: str, raw: Mapping[str, Any]) -> list[str]:
        """The configured fields that stand in `raw`, which may be a part of a record."""
        return [field for field in self._records[name] if ("owner_id" if field in OWNER else field.partition(".")[0]) in raw]

    def _named(self, name: str, field: str, raw: Mapping[str, Any]) -> bool:
        if field in OWNER:
            owner = raw.get("owner_id")
            return owner is None or str(owner) in (self._api.users.last() or {})
        described = self._api.known_fields(name).get(code_of(field))
        if described is None:
            return False
        value = _plain(look(field, raw))
        labels = self._choices(code_of(field), described)
        return not labels or all(str(one) in labels for one in (value if isinstance(value, list) else [value]) if one is not None)

    def standing(self, name: str, raw: Mapping[str, Any]) -> dict[str, FieldValue]:
        """The configured fields that stand in `raw`, a record as it was read."""
        found: dict[str, FieldValue] = {}
        for field in self._standing(name, raw):
            spec = self._records[name][field]
            if field in OWNER:
                user = (self._api.users.last() or {}).get(str(raw["owner_id"])) or {}
                found[field] = self._reading.read(user.get(field.removeprefix("owner.")), spec)
            else:
                found[field] = self._value(name, field, look(field, raw), spec)
        return found

    def told(self, name: str, raw: Mapping[str, Any]) -> dict[str, FieldValue]:
        """The configured fields that stand in `raw`, a webhook's part, and can be called by their names.

        `custom_fields` may hold some of them only: one that is not there was not said to be empty.
        """
        custom = raw.get("custom_fields")
        said = custom if isinstance(custom, dict) else {}
        return {
            field: value
            for field, value in self.standing(name, raw).items()
            if self._named(name, field, raw) and ("." not in field or field in OWNER or code_of(field) in said)
        }

    def _value(self, name: str, field: str, raw: Any, spec: FieldSpec) -> FieldValue:
        described = self._api.known_fields(name).get(code_of(field), {})
        raw = _plain(raw)
        labels = self._choices(code_of(field), described)
        if (labels or code_of(field) == "stage_id") and spec.type is FieldType.ANY and raw is not None:
            values = raw if isinstance(raw, list) else [raw]
            choices = tuple(Choice(str(one), labels.get(str(one), str(one))) for one in values)
            return choices if isinstance(raw, list) else choices[0]
        type_ = _type(code_of(field), described, FieldType.ANY) if spec.type is FieldType.ANY else spec.type
        return self._reading.value(raw, type_, spec.separator)

    def _choices(self, code: str, described: Mapping[str, Any]) -> dict[str, str]:
        if code == "stage_id":
            return self._api.stages.last() or {}
        return {str(one.get("id")): clean(str(one.get("label"))) for one in described.get("options") or () if isinstance(one, dict)}


def _plain(raw: Any) -> Any:
    """A custom field's value: lists give it bare or with its currency, webhooks as {"type": "enum", "id": 7}, or several as `values`."""
    if not isinstance(raw, dict):
        return raw
    if isinstance(raw.get("values"), list):
        return [_plain(one) for one in raw["values"]]
    return raw.get("value", raw.get("id"))


def code_of(field: str) -> str:
    return field.removeprefix("custom_fields.")


def _type(code: str, described: Mapping[str, Any], otherwise: FieldType) -> FieldType:
    """The type of a field. Pipedrive calls instants dates too: `update_time`, `won_time`."""
    kind = str(described.get("field_type"))
    return FieldType.DATETIME if kind == "date" and code.endswith("_time") else _TYPES.get(kind, otherwise)
