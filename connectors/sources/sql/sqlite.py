"""SQLite, opened for reading only, for as long as one read takes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from crmbridge.errors import SourceError


class SqliteDriver:
    """Implements `connectors.sources.sql.source.Driver`."""

    mark = "?"

    def __init__(self, path: Path, deadline: float) -> None:
        self._path = path
        self._deadline = deadline

    def quoted(self, sql: str) -> str:
        if "?" in sql:
            raise SourceError("a query may not hold `?`: it would be taken for a parameter")
        return sql

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
        end = time.monotonic() + self._deadline
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)) as connection:
                connection.execute("PRAGMA query_only=ON")
                connection.set_progress_handler(lambda: int(time.monotonic() > end), 10_000)
                connection.row_factory = sqlite3.Row
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")  # SQLite stores any bytes as text
                return [dict(row) for row in connection.execute(sql, parameters)]
        except sqlite3.Error as error:
            late = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
            reason = f"no answer within {self._deadline:g} s" if late else str(error) if self._path.exists() else "it does not exist"
            raise SourceError(f"{self._path}: {reason}") from None

    def close(self) -> None:
        """Nothing stays open."""
