"""What a Tryton source is told."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from crmbridge.contract import Options, Secret


class TrytonOptions(Options):
    """Options of the tryton source."""

    url: str = Field(description="Address of the Tryton server, like http://tryton.example:8000.")
    database: str = Field(description="The database.", pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)
    key: Secret = Field(description="The key of a user application of the kind REST API.")
    company: int | None = Field(None, description="Id of the company that computed fields are read for, if they depend on one.", ge=1)
    language: str = Field("en", description="Language of the labels of choices, as Tryton names it.", pattern=r"^[A-Za-z_@]{2,20}$")
    people: list[str] = Field(
        ["employee"],
        description="Fields that say who works on a record, the owner first: employees, users or parties, one or many.",
        max_length=10,
    )
    record_url: str | None = Field(
        None, description="Web address of a record, with {model} and {id} in it; default: that of Tryton's web client.", max_length=500
    )
    overlap: int = Field(
        60, description="Seconds that each poll looks back, for transactions that began earlier and were committed late.", ge=0, le=86_400
    )
    page: int = Field(500, description="Records of one read.", ge=10, le=1_000)
    history: bool = Field(
        True, description="For models that keep history: read the states between two polls, the old values, and the deletions."
    )
    deletes_every: int = Field(60, description="Seconds between two looks for deletions.", ge=0, le=86_400)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s?#@]+", value):
            raise ValueError("write it like http://tryton.example:8000, without a user, a query or a fragment")
        return value.rstrip("/")
