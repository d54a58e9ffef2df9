"""What a sql source is told: where the database is, and which rows are records."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import DurationOrOff, Options, Secret, Walk, Written, every


class Table(Options):
    """The rows of one record type, from a table or a query."""

    table: str | None = Field(None, description="The table or view, as SQL names it; its columns are the record's fields.", max_length=200)
    query: str | None = Field(None, description='Or a SELECT; name columns as fields with AS, like AS "Account.Name".', max_length=20_000)
    id: str = Field("id", description="The column with the record's id: unique, never reused.", max_length=200)
    changed: str = Field(
        description="The column that grows with every change: an instant or a counter. Never empty; write coalesce(...) in a query.",
        max_length=200,
    )
    created: str | None = Field(
        None,
        description="A column with the instant at which the record was made: one that comes into sight later is not taken for new.",
        max_length=200,
    )
    deleted: str | None = Field(None, description="A column that is true, or not empty, once the record is deleted.", max_length=200)
    actor: str | None = Field(None, description="A column with who changed the record.", max_length=200)
    url: str | None = Field(
        None, description="The record's web address, with {id} in it, like https://crm.example.com/deals/{id}.", max_length=500
    )

    deletes_every: DurationOrOff | None = Field(
        None,
        description="How often all ids are listed, to see which rows are gone, like 5m; or off. "
        "Default: 5m for a table of up to 100,000 rows, off for a query.",
    )
    compare: DurationOrOff | None = Field(
        None,
        description="How often all rows are compared, for what changes without `changed`, like 10m; or off. "
        "Default: 10m for a table of up to 10,000 rows, off for a query.",
    )

    @property
    def walk(self) -> Walk:
        """How its rows are gone through; one that is asked for is not limited to what is cheap."""
        whole = self.table is not None
        return Walk(
            ids_every=every(self.deletes_every, timedelta(minutes=5) if whole else None),
            rows_every=every(self.compare, timedelta(minutes=10) if whole else None),
            most_ids=100_000 if self.deletes_every is None else 10_000_000,
            most_rows=10_000 if self.compare is None else 10_000_000,
        )

    @model_validator(mode="after")
    def _one(self) -> Table:
        if (self.table is None) == (self.query is None):
            raise PydanticCustomError("table", "write either `table` or `query`")
        return self


class SqlOptions(Written):
    """Options of the sql source."""

    sqlite: str | None = Field(None, description="The path of a SQLite database, opened for reading only; relative to the configuration.")
    postgres: Secret | None = Field(
        None, description="A PostgreSQL connection string, like postgresql://reader:...@host/crm; needs the extra `postgres`."
    )
    mysql: Secret | None = Field(
        None, description="A MySQL or MariaDB connection string, like mysql://reader:...@host/crm; needs the extra `mysql`."
    )
    tables: dict[str, Table] = Field(description="The record types.", min_length=1)
    overlap: int = Field(
        60, description="Seconds that each poll looks back, for transactions that began earlier and were committed late.", ge=0, le=86_400
    )
    page: int = Field(500, description="Rows of one read.", ge=10, le=5_000)

    @model_validator(mode="before")
    @classmethod
    def _one(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and sum(raw.get(name) is not None for name in ("sqlite", "postgres", "mysql")) != 1:
            raise PydanticCustomError("database", "write either `sqlite`, `postgres` or `mysql`")
        return raw
