"""Configured fields: what Tryton says of them, and what stands in a record. Pure, given a model's description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.sources.tryton.words import read
from crmbridge.contract import FieldInfo
from crmbridge.model import Choice, FieldSpec, FieldType, FieldValue, Reading, RecordSpec

_TYPES: Final = {
    "boolean": FieldType.BOOLEAN,
    "integer": FieldType.NUMBER,
    "biginteger": FieldType.NUMBER,
    "float": FieldType.NUMBER,
    "numeric": FieldType.NUMBER,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "timestamp": FieldType.DATETIME,
}
"""What is not here keeps what its JSON says. https://docs.tryton.org/latest/server/ref/fields.html"""
_SELECTIONS: Final = frozenset({"selection", "multiselection"})
EMAILS: Final = {"company.employee": "party.email", "party.party": "email", "res.user": "email"}
"""Where the address of a person stands, by the model that a field names."""

Description = Mapping[str, Any]
"""A model's fields by name, as fields_get gives them."""


def values(record: Mapping[str, Any], spec: RecordSpec, described: Description, reading: Reading) -> dict[str, FieldValue]:
    """The configured fields of a record as it came."""
    return {name: _value(look(record, name), one, described.get(name, {}), reading) for name, one in spec.items()}


def look(record: Any, path: str) -> Any:
    """What stands at a dotted path; of each record where a part of it is several; None where a part is empty."""
    value = record
    for part in path.split("."):
        if isinstance(value, list):
            value = [one.get(part) for one in value if isinstance(one, Mapping)]
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


def infos(described: Description) -> list[FieldInfo]:
    """Every field, and the names of related records."""
    own = [
        FieldInfo(name=name, label=_label(name, one), type=_type(one), choices=choices(one), required=bool(one.get("required")))
        for name, one in described.items()
        if isinstance(one, Mapping)
    ]
    related = [
        FieldInfo(name=f"{name}.rec_name", label=f"{_label(name, one)}: name", type=FieldType.TEXT, required=bool(one.get("required")))
        for name, one in described.items()
        if isinstance(one, Mapping) and one.get("type") == "many2one"
    ]
    return own + related


def choices(described: Mapping[str, Any]) -> dict[str, str]:
    """Labels by value; none where Tryton computes the choices from the record."""
    listed = described.get("selection")
    pairs = listed if isinstance(listed, list) else []
    return {str(one[0]): str(one[1]) for one in pairs if isinstance(one, list) and len(one) == 2 and one[0] is not None}


def _value(raw: Any, spec: FieldSpec, described: Mapping[str, Any], reading: Reading) -> FieldValue:
    plain = _plain(raw, described)
    if described.get("type") in _SELECTIONS and spec.type is FieldType.ANY:
        labels = choices(described)
        if isinstance(plain, str):
            return Choice(plain, labels.get(plain, plain)) if labels else plain
        if isinstance(plain, list):
            return tuple(Choice(str(one), labels.get(str(one), str(one))) for one in plain)
    return reading.value(plain, _type(described) if spec.type is FieldType.ANY and described else spec.type, spec.separator)


def _plain(raw: Any, described: Mapping[str, Any]) -> Any:
    """A relation counts as its id, even where fields of the related record were asked for beside it."""
    if isinstance(raw, list):
        return [_plain(one, described) for one in raw]
    value = read(raw)
    if isinstance(value, Mapping) and "id" in value and "__name__" in value:
        return f"{value['__name__']},{value['id']}" if described.get("type") == "reference" else value["id"]
    return value


def _type(described: Mapping[str, Any]) -> FieldType:
    return _TYPES.get(str(described.get("type")), FieldType.ANY)


def _label(name: str, described: Mapping[str, Any]) -> str:
    return str(described.get("string") or name)
