"""PostgreSQL through psycopg, in read-only transactions with a statement time-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crmbridge.contract import Secret
from crmbridge.errors import SourceError
from crmbridge.telemetry import hide

try:
    import psycopg
    from psycopg.rows import dict_row
except ImportError as missing:
    raise SourceError('PostgreSQL needs a driver: pip install "crmbridge[postgres]"') from missing


class PostgresDriver:
    """Implements `connectors.sources.sql.source.Driver`."""

    mark = "%s"

    def __init__(self, address: Secret, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def quoted(self, sql: str) -> str:
        return sql.replace("%", "%%")

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
        try:
            connection = self._connect()
            # Parameters travel as text of unknown type, so the server reads them as the column's own type.
            with connection.transaction():
                found = connection.execute(sql, [str(one) for one in parameters])
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
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
