"""Odoo's values as fields. Pure, given a model's description (`fields_get`).

Odoo writes False for everything that is empty, and a boolean's False too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from crmbridge.contract import FieldInfo
from crmbridge.model import Choice, FieldSpec, FieldType, FieldValue, Reading, clean

_TYPES: Final = {
    "boolean": FieldType.BOOLEAN,
    "integer": FieldType.NUMBER,
    "float": FieldType.NUMBER,
    "monetary": FieldType.MONEY,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
}
"""What is not here is text, or a choice."""
_CHOICES: Final = frozenset({"selection", "many2one"})
STAMPS: Final = ("create_date", "write_date")


class Described:
    """One model as the login may see it."""

    def __init__(self, fields: Mapping[str, Mapping[str, Any]], reading: Reading) -> None:
        self.by_name = fields
        self._reading = reading

    def kind(self, name: str) -> str:
        """Odoo's type of a field; empty if there is no such field."""
        return str(self.by_name.get(name, {}).get("type") or "")

    def relation(self, name: str) -> str | None:
        """The model that a many2one leads to."""
        return str(self.by_name[name].get("relation") or "") or None if self.kind(name) == "many2one" else None

    def choices(self, name: str) -> dict[str, str]:
        """Labels of a selection, by value."""
        found = self.by_name.get(name, {}).get("selection")
        pairs = [one for one in (found if isinstance(found, list) else ()) if isinstance(one, list) and len(one) == 2]
        return {clean(str(value)): clean(str(label)) for value, label in pairs}

    def asked(self, names: Iterable[str]) -> list[str]:
        """What to read for these fields, dotted ones included; what is not there, or not for us, is left out."""
        heads = [name.partition(".")[0] for name in names]
        return [name for name in dict.fromkeys([*heads, *STAMPS, "create_uid", "write_uid"]) if name in self.by_name]

    def value(self, name: str, raw: Any, spec: FieldSpec) -> FieldValue:
        """`raw` as a field; the configured type is stronger than Odoo's."""
        kind = self.kind(name)
        if raw is None or (raw is False and kind != "boolean"):
            return None
        if kind == "many2one":
            return choice(*raw[:2]) if isinstance(raw, list) and len(raw) > 1 else choice(raw, raw)
        if kind == "selection":
            return choice(raw, self.choices(name).get(clean(str(raw)), raw))
        if isinstance(raw, list):
            return tuple(clean(str(one)) if isinstance(one, int) else self._reading.value(one) for one in raw)
        if kind == "many2one_reference" or name == "id":
            return str(raw)
        return self._reading.value(raw, self.type(name) if spec.type is FieldType.ANY else spec.type, spec.separator)

    def type(self, name: str) -> FieldType:
        kind = self.kind(name)
        return FieldType.ANY if kind in _CHOICES else _TYPES.get(kind, FieldType.TEXT)

    def infos(self) -> list[FieldInfo]:
        """Every field, and the names of records that fields lead to."""
        own = [
            FieldInfo(
                name=name,
                label=self._label(name),
                type=FieldType.HTML if self.kind(name) == "html" else self.type(name),
                choices=self.choices(name),
                required=self._required(name),
            )
            for name in self.by_name
        ]
        related = [
            FieldInfo(name=f"{name}.name", label=f"{self._label(name)}: name", type=FieldType.TEXT, required=self._required(name))
            for name in self.by_name
            if self.relation(name)
        ]
        return own + related

    def _required(self, name: str) -> bool:
        """Numbers and truths are never empty in Odoo; nor is the id."""
        return bool(self.by_name[name].get("required")) or name == "id" or self.kind(name) in ("boolean", "integer", "float", "monetary")

    def _label(self, name: str) -> str:
        return clean(str(self.by_name[name].get("string") or name))

    # --- the log of tracked fields

    def logged(self, name: str, tracking: Mapping[str, Any], side: str) -> tuple[bool, FieldValue]:
        """What a tracked field was (`side`: old or new), and whether that can be said exactly.

        A selection is logged by its label, in the language of who changed it; lists are logged as words only.
        """

        def column(type_: str) -> Any:
            return tracking.get(f"{side}_value_{type_}")

        empty = None
        match self.kind(name):
            case "char":
                return True, clean(str(column("char") or "")) or empty
            case "text":
                return True, clean(str(column("text") or "")) or empty
            case "many2one":
                return True, choice(column("integer"), column("char") or column("integer")) if column("integer") else empty
            case "selection":
                if not column("char"):
                    return True, empty
                values = [choice(value, label) for value, label in self.choices(name).items() if label == column("char")]
                return (True, values[0]) if len(values) == 1 else (False, empty)
            case "boolean":
                return True, bool(column("integer"))
            case "integer" | "float" as kind:
                return True, self._reading.value(column(kind) or 0)
            case "monetary":  # in a column of its own up to 16
                raw = column("monetary") if f"{side}_value_monetary" in tracking else column("float")
                return True, self._reading.value(raw or 0)
            case "date":
                return True, self._reading.value(str(column("datetime")), FieldType.DATE) if column("datetime") else empty
            case "datetime":
                return True, self._reading.value(str(column("datetime")), FieldType.DATETIME) if column("datetime") else empty
        return False, empty


def choice(value: Any, label: Any) -> Choice:
    return Choice(clean(str(value)), clean(str(label)))


def equal(one: FieldValue, other: FieldValue) -> bool:
    """Whether two values are one; a choice is its value."""
    if isinstance(one, Choice) and isinstance(other, Choice):
        return one.value == other.value
    return one == other
