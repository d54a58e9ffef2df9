"""What a files source is told: which folder, which files, and what stands in them."""

from __future__ import annotations

import codecs
from typing import Final, Literal

from pydantic import Field, field_validator

from crmbridge.contract import Options, Written

_READ: Final = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


class Export(Options):
    """The files of one record type."""

    match: str = Field(description="Which files, like deals-*.csv; inside `folder`, not below.", pattern=r"^[^/]+$", max_length=200)
    format: Literal["csv", "jsonl"] | None = Field(
        None, description="CSV with a heading line, or a JSON object a line; default: by the file's name."
    )
    encoding: str = Field("utf-8-sig", description="How the text is encoded; a byte-order mark in the file is believed first.")
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
    ignore: list[str] = Field(
        [],
        description='Lines that are no rows, like "Grand Total*": patterns for the first value of a line, or for the whole line.',
        max_length=50,
    )
    skip_first: int = Field(
        0, description="Lines before the heading, like the title of a report; a first line `sep=;` is not counted.", ge=0, le=1_000
    )

    @field_validator("encoding")
    @classmethod
    def _lines(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            plain = name in _READ or "a\n".encode(value) == b"a\n"
        except (LookupError, UnicodeError):
            plain = False
        if not plain:
            raise ValueError(
                "is no encoding that can be read: one in which a line ends as in ASCII, like utf-8, latin-1 or cp1252, or utf-16"
            )
        return value

    @field_validator("delimiter")
    @classmethod
    def _apart(cls, value: str) -> str:
        if value in '"\r\n\0':
            raise ValueError("stands between values, so it can be neither a quote nor the end of a line")
        return value

    @field_validator("ignore")
    @classmethod
    def _patterns(cls, value: list[str]) -> list[str]:
        for one in value:
            if not one.strip("*? ") or len(one) > 200:
                raise ValueError(f"{one[:20]!r} would leave out every line, or is longer than 200 characters")
        return value


class FilesOptions(Written):
    """Options of the files source."""

    folder: str = Field(description="Where the exports are put; relative to the configuration.", max_length=1000)
    types: dict[str, Export] = Field(description="The record types.", min_length=1)
    settle: float = Field(5, description="Seconds for which a file must not have changed before it is read.", ge=0, le=86_400)
    page: int = Field(500, description="Rows of one read.", ge=10, le=5_000)
