"""The values of a record: its configured fields, with the labels of those whose values are ids."""

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
"""The statuses by which an API says that a path is not for us."""
Shape = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A function that returns the fields of a vendor's record by their names, where no path says where they are."""


class FieldReader(Protocol):
    """A reader of the configured fields of records. Each record type goes by its name."""

    def of(self, one: Resource, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the part of a record in which its fields stand."""

    def wanted(self, name: str) -> Collection[str]:
        """Return the configured fields of a record type."""

    def learn(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> None:
        """Ask the API for the labels of the values on a page. Raises SourceError."""

    def read(self, name: str, one: Resource, item: Mapping[str, Any], empty: Collection[str]) -> dict[str, FieldValue]:
        """Read the configured fields of a record. Fields in `empty` that the record lacks are read as empty."""

    def missing(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the configured fields that none of these records has."""


class Names:
    """Labels by id, from the API's own lists of them. Each list is asked for once for all fields and types."""

    def __init__(self, api: Api, types: Mapping[str, Resource], source: str) -> None:
        self._api = api
        self._source = source
        self._lists = {_list(one): one for resource in types.values() for one in resource.labels.values()}
        self._kept = Kept(self._ask)
        self._lock = threading.Lock()
        self._nameless: set[tuple[str, str]] = set()
        """Ids that even a fresh list did not name."""

    def lists(self) -> Mapping[str, Labels]:
        return self._lists

    def ask(self, name: str) -> object:
        """Ask for a list of labels, to prove that it may be read. Raises SourceError."""
        return self._api.ask(Request(self._lists[name].path, self._lists[name].parameters))

    def learn(self, one: Resource, items: Iterable[Mapping[str, Any]], fields: Collection[str]) -> None:
        """Ask for the labels of the ids on a page, and ask anew if one of the ids is not known yet. Raises SourceError."""
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
        """Put its label to a raw value, or to each of several. A value without a label stays as it is."""
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
    """Return the list in an answer about the API itself. Raises SourceError."""
    listed = look(items, found.json) if items else found.json
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise SourceError(f"{path}: no list stands at {items or 'the top of the body'}")
    return listed


def _list(one: Labels) -> str:
    """Name a list by what it is asked with. Fields that ask alike share one answer."""
    return "\0".join((one.path, repr(sorted(one.parameters.items())), one.items or "", one.id, one.name))


def _ids(raw: Any) -> Iterable[str]:
    return filter(None, (identity(one) for one in (raw if isinstance(raw, list) else [raw])))


class Fields:
    """A FieldReader by paths and a shape."""

    def __init__(self, reading: Reading, records: Mapping[str, RecordSpec], names: Names, shape: Shape | None) -> None:
        self._reading = reading
        self._records = records
        self._names = names
        self._shape = shape

    def of(self, one: Resource, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the part of a record in which its fields stand."""
        found = look(one.fields, item) if one.fields else item
        return (self._shape(found) if self._shape else found) if isinstance(found, dict) else {}

    def wanted(self, name: str) -> Collection[str]:
        return self._records.get(name, {})

    def learn(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> None:
        """Ask the API for the labels of the ids on a page. Raises SourceError."""
        if one.labels:
            self._names.learn(one, [self.of(one, item) for item in items], self.wanted(name) or one.labels)

    def read(self, name: str, one: Resource, item: Mapping[str, Any], empty: Collection[str]) -> dict[str, FieldValue]:
        """Read the configured fields of a record, by their names or dotted paths. Fields in `empty` that it lacks are read as empty.

        If the record type is not configured, every field that could be configured is read.
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
        """Return the configured fields that none of these records has."""
        seen = [self.of(one, item) for item in items]
        return [field for field in self.wanted(name) if not any(has(fields, field) for fields in seen)]


_DEEPEST: Final = 5
"""The depth to which nested records are read. Records hold others, which may hold others again; nobody configures deeper fields."""


def readable(fields: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield what may be configured as a field, by its dotted path: values, and lists of values."""
    for name, value in fields.items():
        if before and ("." in name or not name):
            continue  # no dotted path leads there
        if isinstance(value, dict):
            if depth < _DEEPEST:
                yield from readable(value, f"{before}{name}.", depth + 1)
        elif not isinstance(value, list) or not any(isinstance(one, (dict, list)) for one in value):
            yield before + name, value


def described(one: Described, found: Any) -> list[FieldInfo]:
    """Return the fields that an API's description names. Raises SourceError."""
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
    """Say whether a field is there, empty or not. The parts of an empty value count as empty, too."""
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
