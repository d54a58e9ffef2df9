"""SQLite, opened for reading only, for as long as one read takes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from connectors.sources.sql.driver import in_double_quotes
from crmbridge.errors import SourceError
from crmbridge.model import FieldType


class SqliteDriver:
    """Implements `connectors.sources.sql.driver.Driver`."""

    mark = "?"

    def __init__(self, path: Path, deadline: float) -> None:
        self._path = path
        self._deadline = deadline

    def quoted(self, sql: str) -> str:
        if "?" in sql:
            raise SourceError("a query may not hold `?`: it would be taken for a parameter")
        return sql

    def name(self, column: str) -> str:
        return in_double_quotes(column)

    def behind(self, one: str, other: str) -> tuple[str, Sequence[int]]:
        return f"({one}, {other}) > (?, ?)", (0, 1)

    def types(self, source: str) -> Mapping[str, FieldType]:
        """As the table declares its columns: SQLite itself stores truth as numbers, and days and instants as texts."""
        try:
            with closing(self._connected()) as connection:
                connection.execute(f"CREATE TEMP VIEW declared AS SELECT * FROM {source}")  # noqa: S608  # nosec B608  # as its owner wrote it, in memory
                found = connection.execute("PRAGMA table_info(declared)").fetchall()
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: {self._words(error)}") from None
        return {row["name"]: type_ for row in found if (type_ := _declared(row["type"]))}

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
        end = time.monotonic() + self._deadline
        try:
            with closing(self._connected()) as connection:
                connection.execute("PRAGMA query_only=ON")
                connection.set_progress_handler(lambda: int(time.monotonic() > end), 10_000)
                return [dict(row) for row in connection.execute(sql, parameters)]
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: {self._words(error)}") from None

    def _connected(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")  # SQLite stores any bytes as text
        return connection

    def _words(self, error: sqlite3.Error) -> str:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return f"no answer within {self._deadline:g} s"
        return str(error) if self._path.exists() else "it does not exist"

    def close(self) -> None:
        """Nothing stays open."""


def _declared(type_: str) -> FieldType | None:
    """What a declared type says that SQLite's own storage does not."""
    word = type_.partition("(")[0].strip().lower()
    if word.startswith("bool"):
        return FieldType.BOOLEAN
    return {"date": FieldType.DATE, "datetime": FieldType.DATETIME, "timestamp": FieldType.DATETIME}.get(word)
