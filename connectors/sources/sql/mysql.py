"""MySQL and MariaDB through PyMySQL, read-only, in UTC, with a time-out for each statement."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from crmbridge.contract import Secret
from crmbridge.errors import SourceError
from crmbridge.model import FieldType
from crmbridge.telemetry import hide

try:
    import pymysql
    from pymysql.constants import FIELD_TYPE
    from pymysql.cursors import Cursor
except ImportError as missing:
    raise SourceError('MySQL and MariaDB need a driver: pip install "crmbridge[mysql]"') from missing

_PORT: Final = 3306
_LIKE: Final = "write it like mysql://reader:...@host/crm, with ?ssl_ca=FILE for a certificate authority, or ?unix_socket=FILE"
_TOO_LONG: Final = frozenset({1969, 3024})  # MariaDB's and MySQL's words for a statement that took too long


class MysqlDriver:
    """Implements `connectors.sources.sql.driver.Driver`."""

    mark = "%s"

    def __init__(self, address: Secret, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        self._connection: pymysql.Connection[Cursor] | None = None

    def quoted(self, sql: str) -> str:
        return sql.replace("%", "%%")

    def name(self, column: str) -> str:
        return "crm.`" + column.replace("`", "``") + "`"

    def behind(self, one: str, other: str) -> tuple[str, Sequence[int]]:
        # A comparison of rows reads the whole table here: an index serves only the first of these conditions.
        return f"{one} >= %s AND ({one} > %s OR {other} > %s)", (0, 0, 1)

    def types(self, source: str) -> Mapping[str, FieldType]:
        """A `tinyint(1)` is how both write BOOLEAN."""
        _, columns = self._read(f"SELECT * FROM {source} LIMIT 0", ())  # noqa: S608  # nosec B608  # as its owner wrote it
        return {name: FieldType.BOOLEAN for name, type_, length in columns if type_ == FIELD_TYPE.TINY and length == 1}

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
        found, columns = self._read(sql, [_written(one) for one in parameters])
        names, types = [name for name, *_ in columns], [type_ for _, type_, _ in columns]
        return [{name: _plain(value, type_) for name, type_, value in zip(names, types, row, strict=True)} for row in found]

    def _read(self, sql: str, parameters: Sequence[Any]) -> tuple[Sequence[Sequence[Any]], list[tuple[str, int, int]]]:
        try:
            with self._connect().cursor() as cursor:
                cursor.execute(sql, tuple(parameters))
                return cursor.fetchall(), [(str(one[0]), int(one[1]), int(one[3])) for one in cursor.description or ()]
        except (pymysql.MySQLError, OSError, ValueError, RuntimeError) as error:  # the last: a login that needs a missing package
            self.close()
            raise SourceError(f"MySQL: {self._words(error)}") from None

    def _words(self, error: Exception) -> str:
        number, *words = error.args or ("",)
        if number in _TOO_LONG or "timed out" in str(words):
            return f"no answer within {self._deadline:g} s"
        return " ".join(str(words[0] if words else number or type(error).__name__).split())[:300]

    def _connect(self) -> pymysql.Connection[Cursor]:
        if self._connection is None:
            made = pymysql.connect(
                **_parts(self._address.reveal()),
                autocommit=True,
                charset="utf8mb4",
                connect_timeout=max(2, int(self._deadline)),
                read_timeout=self._deadline + 1,  # the server's own limit comes first, and ends what it does
                write_timeout=self._deadline,
                program_name="crmbridge",
                init_command="SET SESSION TRANSACTION READ ONLY",
            )
            self._connection = made
            with made.cursor() as cursor:
                cursor.execute("SET SESSION time_zone = '+00:00'")
            # One of the two is known to the server; without either the read's own time-out ends it.
            for limit in (f"max_statement_time = {self._deadline:g}", f"max_execution_time = {int(self._deadline * 1000)}"):
                with contextlib.suppress(pymysql.MySQLError), made.cursor() as cursor:
                    cursor.execute(f"SET SESSION {limit}")
        return self._connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def _parts(address: str) -> dict[str, Any]:
    """A connection string as PyMySQL takes it. Raises SourceError, without what stands there."""
    try:
        url = urlsplit(address)
        more = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
        port = url.port or _PORT
    except ValueError:
        raise SourceError(f"MySQL: the connection string cannot be read; {_LIKE}") from None
    password = unquote(url.password or "")
    hide(password)
    if url.scheme not in ("mysql", "mariadb") or not url.username or more.keys() - {"ssl_ca", "unix_socket"} or not url.path.strip("/"):
        raise SourceError(f"MySQL: the connection string cannot be read; {_LIKE}")
    parts: dict[str, Any] = {"user": unquote(url.username), "password": password, "database": unquote(url.path.strip("/"))}
    if "unix_socket" in more:
        return parts | {"unix_socket": more["unix_socket"]}
    parts |= {"host": url.hostname or "127.0.0.1", "port": port}
    return parts | {"ssl": ssl.create_default_context(cafile=more["ssl_ca"])} if "ssl_ca" in more else parts


def _plain(value: Any, type_: int) -> Any:
    """A TIMESTAMP is an instant, and the session is in UTC; a DATETIME is what a wall clock showed. BIT comes as bytes."""
    if type_ == FIELD_TYPE.TIMESTAMP and isinstance(value, datetime):
        return value.replace(tzinfo=timezone.utc)
    if type_ == FIELD_TYPE.BIT and isinstance(value, bytes):
        return bool(value[0]) if len(value) == 1 and value[0] < 2 else int.from_bytes(value, "big")
    return value


def _written(value: Any) -> Any:
    """A parameter as both servers read it: MariaDB knows no offset behind a stamp."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(sep=" ")
    return value
