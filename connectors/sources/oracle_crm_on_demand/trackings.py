"""What Modification Tracking says of records that are gone. Pure.

An administrator switches it on for each record type, and reads it with the privilege "Manage Modification Tracking"; the
vendor keeps its entries for 30 days. They say that a record changed, not in which field: changes are read from the records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.sources.oracle_crm_on_demand import dialect

FIELDS: Final = (
    dialect.ID, dialect.CHANGED, dialect.ACTOR, dialect.EVENT, dialect.OBJECT, dialect.OBJECT_ID, dialect.CHILD_ID,
)  # fmt: skip
QUERY: Final = dialect.one_of(dialect.EVENT, (dialect.DELETED, dialect.RESTORED, dialect.MERGED))
"""Every other change of every record has an entry too."""


@dataclass(frozen=True, slots=True)
class Gone:
    """One record that is gone."""

    record_type: str
    id: str
    merged_into: str | None
    raw: Mapping[str, Any]
    """The entry that says so."""


def last_words(entries: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> list[Gone]:
    """Who is gone by the end of these entries, which stand in their order; `types` are record types by the vendor's names.

    A record that came back is not, and of a duplicate that was merged and deleted, the merge is what matters.
    """
    found: dict[tuple[str, str], Gone] = {}
    for entry in entries:
        record_type = types.get(str(entry.get(dialect.OBJECT)))
        object_id, child_id = entry.get(dialect.OBJECT_ID), entry.get(dialect.CHILD_ID)
        if record_type is None or not object_id:
            continue
        match entry.get(dialect.EVENT):
            case dialect.DELETED:
                found.setdefault((record_type, str(object_id)), Gone(record_type, str(object_id), None, entry))
            case dialect.RESTORED:
                found.pop((record_type, str(object_id)), None)
            case dialect.MERGED if child_id and child_id != object_id:
                found[record_type, str(child_id)] = Gone(record_type, str(child_id), str(object_id), entry)
    return list(found.values())
