"""What stands in a record: the configured fields, with the labels of those whose values are ids."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from crmbridge.contract import FieldInfo
from crmbridge.errors import SourceError
from crmbridge.http import Kept, VendorRefused, look
from crmbridge.model import Choice, FieldType, FieldValue, Reading, RecordSpec, clean, identity
from crmbridge.rest.api import Api
from crmbridge.rest.asking import Request
from crmbridge.rest.options import Described, Labels, Resource

_log = logging.getLogger(__name__)
CLOSED: Final = frozenset({402, 403, 404, 405, 410})
"""How an API says that a path is not for us."""
Shape = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a vendor's record holds, by the names of its fields, where no path says it."""


class FieldReader(Protocol):
    """What reads the configured fields of records. Each record type goes by its name."""

    def of(self, one: Resource, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Where a record's fields stand in it."""

    def wanted(self, name: str) -> Collection[str]:
        """The configured fields."""

    def learn(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> None:
        """Ask for what the values of a page are called. Raises SourceError."""

    def read(self, name: str, one: Resource, item: Mapping[str, Any], empty: Collection[str]) -> dict[str, FieldValue]:
        """The configured fields of a record, and those that are `empty` where they are not there."""

    def missing(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """The configured fields that none of these records has."""


class Names:
    """Labels by id, from the lists that the API has of them; each list is asked for once for all fields and types."""

    def __init__(self, api: Api, types: Mapping[str, Resource], source: str) -> None:
        self._api = api
        self._source = source
        self._lists = {_list(one): one for resource in types.values() for one in resource.labels.values()}
        self._kept = Kept(self._ask)
        self._lock = threading.Lock()
        self._nameless: set[tuple[str, str]] = set()
        """Ids that a fresh list did not name."""

    def lists(self) -> Mapping[str, Labels]:
        return self._lists

    def ask(self, name: str) -> object:
        """The list itself, for the proof that it may be read. Raises SourceError."""
        return self._api.ask(Request(self._lists[name].path, self._lists[name].parameters))

    def learn(self, one: Resource, items: Iterable[Mapping[str, Any]], fields: Collection[str]) -> None:
        """Ask for the labels of what stands in a page; anew where one is not known yet. Raises SourceError."""
        rows = list(items)
        for field, labels in one.labels.items():
            if field not in fields:
                continue
            name = _list(labels)
            kept = self._kept.get(name)
            ids = {id for row in rows for id in _ids(row[field] if field in row else look(field, row))}
            with self._lock:
                strange = {id for id in ids if id not in kept and (name, id) not in self._nameless}
            if strange:
                kept = self._kept.get(name, afresh=True)
                with self._lock:
                    self._nameless |= {(name, id) for id in strange if id not in kept}

    def named(self, one: Resource, field: str, raw: Any) -> Any:
        """A raw value with its label, or each of several; as it is where nobody names it."""
        if field not in one.labels:
            return raw
        labels = self._kept.last(_list(one.labels[field])) or {}
        if isinstance(raw, list):
            return [self._choice(labels, value) for value in raw]
        return self._choice(labels, raw)

    @staticmethod
    def _choice(labels: Mapping[str, str], raw: Any) -> Any:
        id = identity(raw)
        return Choice(id, labels[id]) if id in labels else raw

    def _ask(self, name: str) -> Mapping[str, str]:
        one = self._lists[name]
        try:
            entries = self._entries(one, name)
        except VendorRefused as error:
            if error.status not in CLOSED:
                raise
            _log.warning("labels may not be read", extra={"source": self._source, "reason": str(error)})
            return {}
        return {identity(look(one.id, entry)): clean(str(look(one.name, entry))) for entry in entries if look(one.name, entry) is not None}

    def _entries(self, one: Labels, name: str) -> Sequence[Mapping[str, Any]]:
        return entries(self.ask(name), one.items, one.path)


def entries(found: Any, items: str | None, path: str) -> Sequence[Mapping[str, Any]]:
    """The list in an answer about the API itself. Raises SourceError."""
    listed = look(items, found.json) if items else found.json
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise SourceError(f"{path}: no list stands at {items or 'the top of the body'}")
    return listed


def _list(one: Labels) -> str:
    """A list by what is asked: fields that share it share its answer."""
    return "\0".join((one.path, repr(sorted(one.parameters.items())), one.items or "", one.id, one.name))


def _ids(raw: Any) -> Iterable[str]:
    return filter(None, (identity(one) for one in (raw if isinstance(raw, list) else [raw])))


class Fields:
    """Reads the configured fields of records."""

    def __init__(self, reading: Reading, records: Mapping[str, RecordSpec], names: Names, shape: Shape | None) -> None:
        self._reading = reading
        self._records = records
        self._names = names
        self._shape = shape

    def of(self, one: Resource, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Where a record's fields stand in it."""
        found = look(one.fields, item) if one.fields else item
        return (self._shape(found) if self._shape else found) if isinstance(found, dict) else {}

    def wanted(self, name: str) -> Collection[str]:
        return self._records.get(name, {})

    def learn(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> None:
        """Ask for the labels of what a page holds. Raises SourceError."""
        if one.labels:
            self._names.learn(one, [self.of(one, item) for item in items], self.wanted(name) or one.labels)

    def read(self, name: str, one: Resource, item: Mapping[str, Any], empty: Collection[str]) -> dict[str, FieldValue]:
        """The configured fields that are there, by their names or dotted paths, and those that are `empty` where they are not.

        Every one that may be configured if none are.
        """
        fields, spec = self.of(one, item), self._records.get(name)
        if not spec:
            there = readable(fields) if spec is None else ()
            return {clean(key): self._reading.value(self._names.named(one, key, value)) for key, value in there}
        return {
            field: self._reading.read(self._names.named(one, field, fields[field] if field in fields else look(field, fields)), facts)
            for field, facts in spec.items()
            if field in empty or has(fields, field)
        }

    def missing(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """The configured fields that none of these records has."""
        seen = [self.of(one, item) for item in items]
        return [field for field in self.wanted(name) if not any(has(fields, field) for fields in seen)]


_DEEPEST: Final = 5
"""Records hold others, which may hold others again; nobody configures what hangs deeper."""


def readable(fields: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """What may be configured as a field, by its dotted path: values, and lists of values."""
    for name, value in fields.items():
        if before and ("." in name or not name):
            continue  # no path leads there
        if isinstance(value, dict):
            if depth < _DEEPEST:
                yield from readable(value, f"{before}{name}.", depth + 1)
        elif not isinstance(value, list) or not any(isinstance(one, (dict, list)) for one in value):
            yield before + name, value


def described(one: Described, found: Any) -> list[FieldInfo]:
    """The fields that an API's description names. Raises SourceError."""
    rows = [(name, row) for row in entries(found, one.items, one.path) if (name := identity(look(one.name, row)))]
    infos = [
        FieldInfo(
            name=one.prefix + name,
            label=clean(str(look(one.label, row) or name)),
            type=FieldType(one.types.get(str(look(one.type, row)), "text")),
        )
        for name, row in rows
    ]
    labels = {info.name for info in infos}
    return [*infos, *(FieldInfo(name=name, label=name, type=FieldType.TEXT) for name in one.also if name not in labels)]


def has(fields: Mapping[str, Any], name: str) -> bool:
    """Whether a field stands there, empty or not; what hangs on something that is empty is empty too."""
    if name in fields:
        return True
    value: Any = fields
    for part in name.split("."):
        if value is None:
            return True
        if not isinstance(value, dict) or part not in value:
            return look(name, fields) is not None
        value = value[part]
    return True
