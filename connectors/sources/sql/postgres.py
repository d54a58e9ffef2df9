"""PostgreSQL through psycopg, in read-only transactions with a statement time-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sources.sql.driver import in_double_quotes
from crmbridge.contract import Secret
from crmbridge.errors import SourceError
from crmbridge.model import FieldType
from crmbridge.telemetry import hide

try:
    import psycopg
    from psycopg.rows import dict_row
    from psycopg.types.datetime import DateLoader, TimeLoader, TimestampLoader, TimestamptzLoader
except ImportError as missing:
    raise SourceError('PostgreSQL needs a driver: pip install "crmbridge[postgres]"') from missing


def _tolerant(loader: type[Any]) -> type[Any]:
    """`loader`, with the server's own text for what Python has no value for: infinity, the year 20000, 24:00."""

    class Tolerant(loader):  # type: ignore[misc]
        def load(self, data: Any) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError:
                return bytes(data).decode("utf-8", "replace")

    return Tolerant


_LOADERS = {"date": DateLoader, "time": TimeLoader, "timestamp": TimestampLoader, "timestamptz": TimestamptzLoader}
_TOLERANT = {name: _tolerant(loader) for name, loader in _LOADERS.items()}


class PostgresDriver:
    """Implements `connectors.sources.sql.driver.Driver`."""

    mark = "%s"

    def __init__(self, address: Secret, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def quoted(self, sql: str) -> str:
        return sql.replace("%", "%%")

    def name(self, column: str) -> str:
        return in_double_quotes(column)

    def behind(self, one: str, other: str) -> tuple[str, Sequence[int]]:
        return f"({one}, {other}) > (%s, %s)", (0, 1)

    def types(self, source: str) -> Mapping[str, FieldType]:
        return {}  # its values have their types

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
        try:
            connection = self._connect()
            # Parameters travel as text of unknown type, so the server reads them as the column's own type.
            with connection.transaction():
                found = connection.execute(sql, [f"\\x{one.hex()}" if isinstance(one, bytes) else str(one) for one in parameters])
                return list(found.fetchall())
        except (psycopg.Error, ValueError) as error:
            self.close()
            words = " ".join(str(error).split())[:300]
            raise SourceError(f"PostgreSQL: {words}") from None

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        if self._connection is None or self._connection.closed:
            address = self._address.reveal()
            try:
                parts = psycopg.conninfo.conninfo_to_dict(address)
            except psycopg.ProgrammingError:  # whose words repeat what stands there
                raise SourceError(
                    "PostgreSQL: the connection string cannot be read; write it like postgresql://reader:...@host/crm"
                ) from None
            hide(str(parts.get("password", "")))
            self._connection = psycopg.connect(
                address,
                row_factory=dict_row,
                autocommit=True,
                connect_timeout=max(2, int(self._deadline)),
                application_name="crmbridge",
                # UTC: an instant of a zone with summer time, cut to its local hour, can mean two.
                options=f"-c default_transaction_read_only=on -c statement_timeout={int(self._deadline * 1000)} -c timezone=UTC",
                keepalives_idle=30,
            )
            for name, loader in _TOLERANT.items():
                self._connection.adapters.register_loader(name, loader)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
