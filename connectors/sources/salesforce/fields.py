"""Configured fields: what to select for them, and what an answer says of them. Pure, given an object's description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from crmbridge.contract import FieldInfo
from crmbridge.model import Choice, FieldSpec, FieldType, FieldValue, Reading, RecordSpec

_TYPES: Final = {
    "boolean": FieldType.BOOLEAN,
    "int": FieldType.NUMBER,
    "double": FieldType.NUMBER,
    "percent": FieldType.NUMBER,
    "long": FieldType.NUMBER,
    "currency": FieldType.MONEY,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
}
"""What is not here is text. https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/field_types.htm"""
_PICKLISTS: Final = frozenset({"picklist", "multipicklist", "combobox"})
_COMPOUND: Final = frozenset({"address", "location"})
_NAMED: Final = frozenset(
    {"Account", "Campaign", "Contact", "Lead", "Opportunity", "Pricebook2", "Product2", "Profile", "RecordType", "User"}
)
"""Objects that have a field Name, as not all do (Case, Task)."""
SYSTEM: Final = ("Id", "SystemModstamp", "CreatedDate")


class Described:
    """One object as the login may see it."""

    def __init__(self, description: Mapping[str, Any], reading: Reading) -> None:
        self._reading = reading
        fields = [one for one in description["fields"] if isinstance(one, dict) and isinstance(one.get("name"), str)]
        self.replicateable = description.get("replicateable") is True
        self.by_name = {one["name"]: one for one in fields}
        self._relations = {one["relationshipName"]: one for one in fields if one.get("relationshipName")}

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that this object lacks, or hides from the login."""
        return sorted(name for name in names if name.partition(".")[0] not in {*self.by_name, *self._relations})

    def selected(self, names: Iterable[str]) -> list[str]:
        """What to select: a part of a compound field (`BillingAddress.city`) comes with the whole."""
        found = [name.partition(".")[0] if self._compound(name) else name for name in names]
        actor = ["LastModifiedById"] if "LastModifiedById" in self.by_name else []
        return [*SYSTEM, *actor, *(name for name in found if not self.missing([name]))]

    def owner(self) -> list[str]:
        """What can be asked of an owner: it may be a queue too, of which that is only the name."""
        several = len(self.by_name.get("OwnerId", {}).get("referenceTo") or ()) > 1
        return ["Owner.Name"] if several else ["Owner.Name", "Owner.Email"]

    def values(self, record: Mapping[str, Any], spec: RecordSpec) -> dict[str, FieldValue]:
        """The configured fields of a record as it came; a parent that is not there, or not for us, leaves its fields empty."""
        return {name: self._value(name, _look(record, name), one) for name, one in spec.items() if not self.missing([name])}

    def infos(self) -> list[FieldInfo]:
        """Every field for people, and the names of related records."""
        own = [
            FieldInfo(
                name=name,
                label=_label(one),
                type=_shown_type(one),
                choices=_choices(one),
                required=_required(one),
            )
            for name, one in self.by_name.items()
        ]
        related = [
            FieldInfo(name=f"{name}.Name", label=f"{_label(one)}: name", type=FieldType.TEXT, required=_required(one))
            for name, one in self._relations.items()
            if all(to in _NAMED or to.endswith("__c") for to in one.get("referenceTo") or ("?",))
        ]
        return own + related

    def _compound(self, name: str) -> bool:
        return self.by_name.get(name.partition(".")[0], {}).get("type") in _COMPOUND

    def _value(self, name: str, raw: Any, spec: FieldSpec) -> FieldValue:
        described = self.by_name.get(name, {})
        if described.get("type") in _PICKLISTS and isinstance(raw, str) and spec.type is FieldType.ANY:
            labels = _choices(described)
            if described["type"] == "multipicklist":
                return tuple(Choice(one, labels.get(one, one)) for one in raw.split(";"))
            return Choice(raw, labels.get(raw, raw))
        return self._reading.value(raw, _type(described) if spec.type is FieldType.ANY else spec.type, spec.separator)


def _required(described: Mapping[str, Any]) -> bool | None:
    """Whether every record has a value: https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_describesobjects_describesobjectresult.htm"""
    nillable = described.get("nillable")
    return None if nillable is None else not nillable


def _look(record: Mapping[str, Any], name: str) -> Any:
    """What stands at a dotted path; None where a part of it is empty. Salesforce takes names in any case and answers in its own."""
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value[part] if part in value else next((value[key] for key in value if key.lower() == part.lower()), None)
    return value


def _type(described: Mapping[str, Any]) -> FieldType:
    return _TYPES.get(str(described.get("type")), FieldType.TEXT if described else FieldType.ANY)


def _shown_type(described: Mapping[str, Any]) -> FieldType:
    """The type that people are told: rich text is read as HTML where they say so, and is a text by itself."""
    return FieldType.HTML if described.get("htmlFormatted") is True else _type(described)


def _label(described: Mapping[str, Any]) -> str:
    return str(described.get("label") or described["name"])


def _choices(described: Mapping[str, Any]) -> dict[str, str]:
    """Labels by value, in the language of the login; values that are no longer active included."""
    found: Sequence[Any] = described.get("picklistValues") or ()
    return {str(one["value"]): str(one.get("label") or one["value"]) for one in found if isinstance(one, dict) and "value" in one}
