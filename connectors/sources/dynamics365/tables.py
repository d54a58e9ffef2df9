"""What Dataverse says of a table, and a row of it in plain words: lookups as id and name, choices with their labels.

https://learn.microsoft.com/en-us/power-apps/developer/data-platform/webapi/query-data-web-api
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from crmbridge.http import look
from crmbridge.model import Choice, clean, identity

LABELLED: Final = "@OData.Community.Display.V1.FormattedValue"
"""Behind a column's name: what people read there, in the language of the app's user."""
_LOOKUPS: Final = frozenset({"LookupType", "CustomerType", "OwnerType"})
_CHOICES: Final = frozenset({"PicklistType", "StateType", "StatusType"})
_SETS: Final = frozenset({"MultiSelectPicklistType"})
_UNREADABLE: Final = frozenset({"VirtualType", "EntityNameType", "ManagedPropertyType", "CalendarRulesType", "PartyListType"})
ALWAYS: Final = ("createdon", "modifiedon", "modifiedby")
"""Columns that the source reads itself, where a table has them."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table, as its definition says it."""

    logical: str
    key: str
    """The column of its id."""
    tracked: bool
    kinds: Mapping[str, str]
    """The type of each column that can be read."""

    def columns(self, fields: Collection[str]) -> str:
        """What `$select` names for these fields; nothing for all there are. A column that is there no longer is not named."""
        if not fields:
            return ""
        names = [*(field.partition(".")[0] for field in fields), *ALWAYS]
        there = [name for name in dict.fromkeys(names) if name in self.kinds]
        return ",".join([self.key, *(f"_{name}_value" if self.kinds[name] in _LOOKUPS else name for name in there if name != self.key)])

    def plain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row by the logical names of its columns, with `id` and with `etn`, the table's own name."""
        said = {name: value for name, value in row.items() if "@" not in name and not name.startswith("_")}
        for name, kind in self.kinds.items():
            if kind in _LOOKUPS and (column := f"_{name}_value") in row:
                id = row[column]
                said[name] = None if id is None else {"id": id, "name": row.get(column + LABELLED)}
            elif name in row and row[name] is not None and name + LABELLED in row:
                said[name] = self._labelled(kind, row[name], row[name + LABELLED])
        return {**said, "id": row.get(self.key), "etn": self.logical}

    @staticmethod
    def _labelled(kind: str, value: Any, label: Any) -> Any:
        """A choice with its label; of other kinds the value alone, for their label is only how it is written."""
        if kind in _CHOICES:
            return Choice(identity(value), clean(str(label)))
        if kind in _SETS:
            values, labels = str(value).split(","), str(label).split(";")
            known = labels if len(labels) == len(values) else values
            return [Choice(one.strip(), clean(name.strip())) for one, name in zip(values, known, strict=True)]
        return value


def table(found: Any) -> Table | None:
    """The table of an answer about definitions; None where there is none."""
    one = look("value.0", found)
    if not isinstance(one, dict):
        return None
    rows: Iterable[Any] = one.get("Attributes") or ()
    kinds = {str(look("LogicalName", row)): str(look("AttributeTypeName.Value", row)) for row in rows if isinstance(row, dict)}
    readable = {name: kind for name, kind in kinds.items() if kind not in _UNREADABLE}
    return Table(str(one.get("LogicalName")), str(one.get("PrimaryIdAttribute")), one.get("ChangeTrackingEnabled") is True, readable)
