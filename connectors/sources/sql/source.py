"""Rows become observations: one page of one table a poll, by (changed, id)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from connectors.sources.sql.driver import Driver, Row, open_driver
from connectors.sources.sql.options import SqlOptions, Table
from crmbridge.contract import Promise, ReadRows, Right, Setting, Stretch, Walk, each
from crmbridge.errors import FieldsGone, SourceError
from crmbridge.http import reading
from crmbridge.model import Cursor, FieldSpec, FieldType, FieldValue, Observation, Page, clean, cursors, filled, identity, marked

_IDS: Final = 5_000  # ids of one read of a walk
_BYTES: Final = "\0bytes:"  # before an id that is no text, as the cursor keeps it
_UNSAID: Final = FieldSpec()


class SqlSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rewindable`, `Walking` and `Entitled`."""

    def __init__(self, options: SqlOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._driver: Driver | None = None
        self._declared: dict[str, tuple[frozenset[str] | None, Mapping[str, FieldType]]] = {}

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        self._declared.clear()
        gone: list[str] = []
        for name, table in self._options.tables.items():
            rows = self._rows(f"SELECT * FROM {self._from(table)} LIMIT 1", [])  # nosec B608  # values are parameters
            columns = set(rows[0]) if rows else None
            wanted = {table.id, table.changed, *filter(None, (table.created, table.deleted, table.actor))}
            if columns is not None and (missing := sorted(wanted - columns)):
                raise SourceError(_lacks(name, missing, columns))
            if columns is not None and (missing := sorted(self._setting.records.get(name, {}).keys() - columns)):
                gone.append(_lacks(name, missing, columns))
            (empty,) = self._rows(f"SELECT count(*) AS n FROM {self._from(table)} WHERE {self._name(table.changed)} IS NULL", [])  # nosec B608  # values are parameters
            if empty["n"]:
                raise SourceError(
                    f"{name}: {empty['n']} rows have no {table.changed} and can never be seen; write a query with coalesce(...)"
                )

        if gone:
            raise FieldsGone("; ".join(gone))

    def rights(self) -> Sequence[Right]:
        return [
            Right(
                name=f"SELECT on all columns of {table.table or f'the query of {name}'}",
                promise=Promise.CHANGES,
                lost=f"nothing of {name} is told, deletions neither",
                refused=self._denied(table),
            )
            for name, table in self._options.tables.items()
        ]

    def _denied(self, table: Table) -> str:
        """Why a table cannot be read; empty if it can. A database that answers nothing at all raises SourceError."""
        words = ""
        for _ in range(2):  # what was locked a moment ago is no right that lacks
            try:
                self._rows(f"SELECT * FROM {self._from(table)} LIMIT 1", [])  # nosec B608  # values are parameters
            except SourceError as error:
                self._rows("SELECT 1", [])
                words = str(error)
            else:
                return ""
        return words

    def poll(self, cursor: Cursor | None) -> Page:
        with reading("the database"):
            return cursors.next_page(
                cursor,
                list(self._options.tables),
                self._read,
                overlap=self._options.overlap,
                now=self._setting.now(),
                zone=self._reading.zone,
            )

    def since(self, moment: datetime) -> Cursor:
        found: dict[str, cursors.Stamp] = {}
        for name, table in self._options.tables.items():
            (newest,) = self._rows(f"SELECT max({self._name(table.changed)}) AS high FROM {self._from(table)}", [])  # nosec B608  # values are parameters
            if newest["high"] is not None:
                try:
                    found[name] = cursors.at(moment, _stamp(newest["high"]), self._reading.zone)
                except ValueError as error:
                    raise SourceError(f"{name}: {table.changed}: {error}: it can only be read forward") from None
        return cursors.since(found)

    def walks(self) -> Mapping[str, Walk]:
        return {name: table.walk for name, table in self._options.tables.items()}

    def walk(self, record_type: str, bookmark: str | None, rows: bool) -> Stretch:
        table = self._options.tables[record_type]
        id, most = self._name(table.id), self._options.page if rows else _IDS
        where, parameters = f"{id} IS NOT NULL", list[Any]()
        if bookmark is not None:
            where, parameters = f"{id} > {self._open().mark}", [_bound(json.loads(bookmark))]
        found = self._rows(f"SELECT {'*' if rows else id} FROM {self._from(table)} WHERE {where} ORDER BY {id} LIMIT {most}", parameters)  # nosec B608  # values are parameters
        seen: Sequence[Observation] = ()
        if rows:
            with_stamps = [row for row in found if row[table.changed] is not None]  # the others can never be seen, as `check` says
            # A row that was made before the walk before this one has only come into sight.
            before = self._setting.now() - (table.walk.rows_every or timedelta(0)) - timedelta(seconds=self._options.overlap)
            seen = self._read_rows(record_type, table, with_stamps, cursors.Position(start=before.timestamp(), whole=True)).observations()
        following = json.dumps(_stamp(found[-1][table.id])) if len(found) == most else None
        return Stretch(ids=[identity(row[table.id]) for row in found], observations=seen, bookmark=following)

    def close(self) -> None:
        if self._driver:
            self._driver.close()
            self._driver = None

    # --- reading

    def _read(self, name: str, position: cursors.Position) -> cursors.StreamPage:
        table = self._options.tables[name]
        rows = self._page(table, position)
        if rows and (missing := sorted({table.id, table.changed} - rows[0].keys())):
            raise SourceError(_lacks(name, missing, rows[0]))
        last = (_stamp(rows[-1][table.changed]), _stamp(rows[-1][table.id])) if rows else None
        high = cursors.highest([_stamp(row[table.changed]) for row in rows])
        found = self._read_rows(name, table, rows, position)
        lacking = {name: self._setting.records.get(name, {}).keys() - rows[0].keys()} if rows else {}
        return cursors.StreamPage(found.observations(), last, complete=len(rows) < self._options.page, lacking=lacking, high=high)

    def _read_rows(self, name: str, table: Table, rows: Sequence[Row], position: cursors.Position) -> ReadRows[Row, Observation]:
        declared = self._types(name, rows[0]) if rows else {}
        return each(
            rows,
            lambda row: self._observation(name, table, row, position, declared),
            record_type=name,
            id=lambda row: row[table.id],
            spec=self._setting.records.get(name),
            now=self._setting.now(),
            all_or_none=position.start is None,
        )

    def _page(self, table: Table, position: cursors.Position) -> list[Row]:
        changed, id = self._name(table.changed), self._name(table.id)
        where, parameters = f"{changed} IS NOT NULL", list[Any]()
        if position.after is not None:
            where, order = self._open().behind(changed, id)
            parameters = [_bound(position.after[which]) for which in order]
        elif position.start is not None:
            where, parameters = f"{changed} >= {self._open().mark}", [position.start]
        return self._rows(
            f"SELECT * FROM {self._from(table)} WHERE {where} ORDER BY {changed}, {id} LIMIT {self._options.page}",  # nosec B608  # likewise
            parameters,
        )

    def _from(self, table: Table) -> str:
        # The line feed ends a comment in the query's last line.
        return self._open().quoted(f"({table.query}\n) AS crm" if table.query else f"{table.table} AS crm")

    def _name(self, column: str) -> str:
        return self._open().quoted(self._open().name(column))

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        return self._open().rows(sql, parameters)

    def _open(self) -> Driver:
        self._driver = self._driver or open_driver(self._options, self._setting)
        return self._driver

    def _types(self, name: str, columns: Iterable[str]) -> Mapping[str, FieldType]:
        """What the columns are declared to be; asked again when there are others."""
        now = frozenset(columns)
        before, declared = self._declared.get(name, (None, {}))
        if before != now:
            declared = self._open().types(self._from(self._options.tables[name]))
            self._declared[name] = (now, declared)
        return declared

    def _observation(self, name: str, table: Table, row: Row, position: cursors.Position, declared: Mapping[str, FieldType]) -> Observation:
        if row[table.id] is None:
            raise ValueError(f"{name}: a row has no {table.id}")
        special = {table.id, table.changed, table.created, table.deleted, table.actor}
        made = row[table.created] if table.created else None
        spec = self._setting.records.get(name)
        fields = (
            {column: self._value(value, _UNSAID, declared.get(column)) for column, value in row.items() if column not in special}
            if spec is None
            else {column: self._value(row[column], one, declared.get(column)) for column, one in spec.items() if column in row}
        )
        record_id = identity(row[table.id])
        if not record_id:
            raise ValueError(f"{name}: {table.id} is no id: {row[table.id]!r}"[:200])
        stamp = _stamp(row[table.changed])
        return Observation(
            record_type=name,
            record_id=record_id,
            fields=fields,
            existed=cursors.existed(_stamp(made), position, self._reading.zone) if made is not None else False,
            deleted=table.deleted is not None and marked(row[table.deleted]),
            version=self._version(stamp),
            occurred_at=self._instant(stamp),
            actor=clean(str(row[table.actor])) if table.actor and row[table.actor] is not None else None,
            url=filled(table.url, id=record_id) if table.url else None,
        )

    def _value(self, raw: Any, spec: FieldSpec, declared: FieldType | None) -> FieldValue:
        """By the type that is configured, else by the one that the column is declared to have."""
        type_ = declared if spec.type is FieldType.ANY and declared else spec.type
        return self._reading.value(raw, type_, spec.separator)

    def _version(self, stamp: cursors.Stamp) -> str | None:
        """None in the hour that comes twice: a change in its second half must not look older than one in its first."""
        with contextlib.suppress(ValueError):
            if isinstance(stamp, str) and self._reading.is_double(stamp):
                return None
        return str(stamp)

    def _instant(self, stamp: cursors.Stamp) -> datetime:
        now = self._setting.now()
        try:
            return self._reading.instant(stamp, now) if isinstance(stamp, str) else cursors.instant(stamp) or now
        except ValueError:
            return now


def _lacks(name: str, missing: Iterable[str], columns: Iterable[str]) -> str:
    return f"{name}: the table has no column {', '.join(missing)}; it has {', '.join(sorted(columns))}"


def _bound(stamp: Any) -> Any:
    """The inverse of `_stamp` for a parameter: bytes are compared as bytes."""
    return bytes.fromhex(stamp.removeprefix(_BYTES)) if isinstance(stamp, str) and stamp.startswith(_BYTES) else stamp


def _stamp(value: Any) -> cursors.Stamp:
    """A column's value as the cursor keeps it, in a form that the database compares as it does its own."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _BYTES + bytes(value).hex()
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return value
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Decimal):
        number = int(value) if value == value.to_integral_value() else float(value)
        return number if Decimal(str(number)) == value else str(value)
    return str(value)
