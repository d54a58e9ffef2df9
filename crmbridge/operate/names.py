"""Records found by what people call them: by a part of a name, where nobody knows an id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from crmbridge.model import RecordRef
from crmbridge.operate import shapes
from crmbridge.operate.port import Port
from crmbridge.store.terms import Snapshot

SHOWN: Final = 20
_PAGE: Final = 1000  # records that are read at once
_LOOKED: Final = 200_000  # the most records that one question looks through
_RANKED: Final = 1000  # the most hits among which the best are chosen
_SHORTEST: Final = 2
_LONGEST: Final = 200  # characters; a longer value is a text, and no name


@dataclass(frozen=True, slots=True)
class Hit:
    """A record, with the field whose value holds the name."""

    record: RecordRef
    field: str
    value: str
    deleted: bool

    def rank(self, words: str) -> tuple[bool, bool, bool, str]:
        """Return a sort key, by which the record that is more likely meant stands first."""
        value = self.value.casefold()
        return self.deleted, value != words, not value.startswith(words), str(self.record)

    def shown(self) -> dict[str, Any]:
        """Return the hit as JSON."""
        return {"record": str(self.record), "field": self.field, "value": self.value, "deleted": self.deleted}


@dataclass(frozen=True, slots=True)
class ByName:
    """The best hits, the number of all hits, and whether all records were looked through."""

    hits: list[Hit]
    count: int
    whole: bool


async def find(port: Port, name: str) -> ByName:
    """Find the records with `name` in a field that is configured and not secret, in capitals or not. Records are read page by page."""
    words, hits, after, looked = name.casefold(), list[Hit](), None, 0
    if len(words) < _SHORTEST:
        return ByName([], 0, True)
    while looked < _LOOKED and len(hits) < _RANKED:
        page, after = await port.store.snapshots_with(words, after, _PAGE)
        looked += _PAGE
        hits += [hit for ref, one in page.items() if (hit := _hit(port, ref, one, words))]
        if after is None:
            break
    return ByName(sorted(hits, key=lambda one: one.rank(words))[:SHOWN], len(hits), after is None)


def _hit(port: Port, ref: RecordRef, one: Snapshot, words: str) -> Hit | None:
    """Find the field of a record that holds the name, and the best one if there are several."""
    spec = port.engine.records.get((ref.source, ref.type), {})
    hidden = shapes.secret_fields(ref.source, ref.type, port.engine.records)
    fields = {field: value for field, value in one.fields.items() if field in spec and field not in hidden}
    shown = shapes.values(fields, frozenset(), port.engine.reading(ref.source))
    hits = [
        Hit(ref, field, value, one.deleted)
        for field, value in shown.items()
        if value and len(value) <= _LONGEST and words in value.casefold()
    ]
    return min(hits, key=lambda hit: hit.rank(words), default=None)
