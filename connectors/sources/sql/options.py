"""What a sql source is told: where the database is, and which rows are records."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Secret, Written


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
    tables: dict[str, Table] = Field(description="The record types.", min_length=1)
    overlap: int = Field(
        60, description="Seconds that each poll looks back, for transactions that began earlier and were committed late.", ge=0, le=86_400
    )
    page: int = Field(500, description="Rows of one read.", ge=10, le=5_000)

    @model_validator(mode="before")
    @classmethod
    def _one(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and (raw.get("sqlite") is None) == (raw.get("postgres") is None):
            raise PydanticCustomError("database", "write either `sqlite` or `postgres`")
        return raw
