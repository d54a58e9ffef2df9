"""What a files source is told: which folder, which files, and what stands in them."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, field_validator

from crmbridge.contract import Options, Written


class Export(Options):
    """The files of one record type."""

    match: str = Field(description="Which files, like deals-*.csv; inside `folder`, not below.", pattern=r"^[^/]+$", max_length=200)
    format: Literal["csv", "jsonl"] | None = Field(
        None, description="CSV with a heading line, or a JSON object a line; default: by the file's name."
    )
    encoding: str = Field("utf-8-sig", description="How the text is encoded; the default is UTF-8, with or without a byte-order mark.")
    delimiter: str = Field(",", description="What stands between the values of a CSV line.", min_length=1, max_length=1)
    id: str = Field("id", description="The column with the record's id.", max_length=200)
    changed: str | None = Field(
        None,
        description="A column with the stamp of the last change: rows that are older than what is known are not believed.",
        max_length=200,
    )
    created: str | None = Field(
        None,
        description="A column with the instant at which the record was made: what comes into sight later is not new then.",
        max_length=200,
    )
    deleted: str | None = Field(None, description="A column that is true, or not empty, once the record is deleted.", max_length=200)
    url: str | None = Field(None, description="The record's web address, with {id} in it.", max_length=500)

    @field_validator("encoding")
    @classmethod
    def _lines(cls, value: str) -> str:
        try:
            plain = codecs.lookup(value).name in ("utf-8-sig",) or "a\n".encode(value) == b"a\n"
        except (LookupError, UnicodeError):
            plain = False
        if not plain:
            raise ValueError("is no encoding in which a line ends as it does in ASCII, like utf-8, latin-1 or cp1252")
        return value


class FilesOptions(Written):
    """Options of the files source."""

    folder: str = Field(description="Where the exports are put; relative to the configuration.", max_length=1000)
    types: dict[str, Export] = Field(description="The record types.", min_length=1)
    settle: float = Field(5, description="Seconds for which a file must not have changed before it is read.", ge=0, le=86_400)
    page: int = Field(500, description="Rows of one read.", ge=10, le=5_000)
