"""What a kind of database must be able to do here, and which one is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from connectors.sources.sql.options import SqlOptions
from crmbridge.contract import Setting
from crmbridge.model import FieldType

Row = Mapping[str, Any]


class Driver(Protocol):
    """One kind of database. Everything raises SourceError."""

    mark: str
    """The placeholder of a parameter."""

    def quoted(self, sql: str) -> str:
        """A user's SQL in which nothing is taken for a placeholder."""

    def name(self, column: str) -> str:
        """A column of the table `crm`, quoted."""

    def behind(self, one: str, other: str) -> tuple[str, Sequence[int]]:
        """A condition for rows behind a pair of values in the order of two columns; which of the two each parameter is."""

    def types(self, source: str) -> Mapping[str, FieldType]:
        """What a FROM clause's columns are declared to be, where the driver's own values do not say it."""

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        """Read-only."""

    def close(self) -> None:
        """Safe to call twice."""


def open_driver(options: SqlOptions, setting: Setting) -> Driver:
    """The driver of the configured database; each is imported only where it is used."""
    deadline = setting.network.deadline
    if options.sqlite is not None:
        from connectors.sources.sql.sqlite import SqliteDriver

        return SqliteDriver(setting.folder / options.sqlite, deadline)
    if options.mysql is not None:
        from connectors.sources.sql.mysql import MysqlDriver

        return MysqlDriver(options.mysql, deadline)
    assert options.postgres is not None
    from connectors.sources.sql.postgres import PostgresDriver

    return PostgresDriver(options.postgres, deadline)


def in_double_quotes(column: str) -> str:
    """As standard SQL quotes it. With the table's name before it: SQLite takes a quoted name that is no column for a text."""
    return 'crm."' + column.replace('"', '""') + '"'
