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
                return [dict(row) for row in connection.execute(sql, parameters)]
        except sqlite3.Error as error:
            reason = "it does not exist" if not self._path.exists() else str(error)
            raise SourceError(f"{self._path}: {reason}") from None

    def close(self) -> None:
        """Nothing stays open."""
