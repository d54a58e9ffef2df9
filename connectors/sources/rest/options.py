"""What a rest source is told: where the API is, how it knows us, and how it says what changed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import DurationOrOff, Options, Secret, Walk, Written, every

Path = Annotated[str, Field(pattern=r"^[^\s.]+(\.[^\s.]+)*$", max_length=300)]
"""A dotted path into JSON, like `data.items`; a number names an element of a list."""


class Bearer(Options):
    """`Authorization: Bearer ...`."""

    scheme: Literal["bearer"]
    token: Secret = Field(description="The token.")


class Basic(Options):
    """HTTP Basic."""

    scheme: Literal["basic"]
    username: str = Field(description="The user.", max_length=200)
    password: Secret = Field(description="Their password.")


class Header(Options):
    """A key in a header of its own."""

    scheme: Literal["header"]
    name: str = Field("X-Api-Key", description="The header.", pattern=r"^[A-Za-z0-9-]+$")
    value: Secret = Field(description="What it holds.")


class OAuth2(Options):
    """OAuth 2 client credentials (RFC 6749, section 4.4)."""

    scheme: Literal["oauth2"]
    token_url: str = Field(description="Where tokens are given.", pattern=r"^https?://[^\s#]+$")
    client_id: str = Field(description="The client.", max_length=300)
    client_secret: Secret = Field(description="Its secret.")
    scope: str | None = Field(None, description="What to ask for, if the API wants to know.", max_length=1000)


Auth: TypeAlias = Annotated[Bearer | Basic | Header | OAuth2, Field(discriminator="scheme")]


class Since(Options):
    """How the API is asked for what changed from an instant on, that instant included."""

    parameter: str = Field(description="The query parameter, like updated_since.", max_length=100)
    format: Literal["iso", "iso_ms", "epoch", "epoch_ms", "date"] = Field(
        "iso", description="How it is written: 2026-01-31T12:00:00Z, with milliseconds, seconds or milliseconds since 1970, or a date."
    )


class Paging(Options):
    """How the API gives the next page."""

    style: Literal["offset", "page", "cursor", "link"] = Field(
        description="offset: so many records on; page: the next number; cursor: a word in the body; link: the address in the Link header "
        "or from the body."
    )
    parameter: str | None = Field(None, description="The query parameter of the offset, page or cursor.", max_length=100)
    first: int = Field(1, description="The number of the first page.", ge=0, le=1)
    next: Path | None = Field(None, description="Where the next cursor, or the next address, stands in the body.")

    @model_validator(mode="after")
    def _whole(self) -> Paging:
        if self.style != "link" and self.parameter is None:
            raise PydanticCustomError("paging", "write the `parameter` of the {style}", {"style": self.style})
        if self.style == "cursor" and self.next is None:
            raise PydanticCustomError("paging", "write in `next` where the next cursor stands in the body")
        return self


class Resource(Options):
    """The records of one type."""

    path: str = Field(description="Behind `url`, like /deals.", pattern=r"^/[^\s?#]*$", max_length=500)
    parameters: dict[str, str] = Field(default_factory=dict, description="Query parameters of each request, like {sort: updated_at}.")
    items: Path | None = Field(None, description="Where the list of records stands in the body; default: it is the body.")
    id: Path = Field("id", description="Where a record's id stands in it.")
    changed: Path = Field(description="Where its stamp of the last change stands.")
    created: Path | None = Field(None, description="Where the stamp of its making stands: what comes into sight later is not new then.")
    deleted: Path | None = Field(None, description="What is true, or not empty, once it is deleted.")
    actor: Path | None = Field(None, description="Who changed it.")
    fields: Path | None = Field(None, description="Where its fields stand; default: they are the record.")
    omits_empty: bool = Field(False, description="The API leaves empty fields out: one that is missing is empty, not unknown.")
    url: str | None = Field(None, description="Its web address, with {id} in it.", max_length=500)
    since: Since | None = Field(None, description="How to ask for changes; without it everything is read at every poll.")
    ascending: bool = Field(True, description="The API gives records by their stamp, the oldest first.")
    size: int = Field(100, description="Records of one page.", ge=1, le=5_000)
    deletes_every: DurationOrOff | None = Field(
        None,
        description="How often everything is listed, to see which records are gone, like 15m; or off. One that lacks twice in a row is "
        "gone. Default: 15m without `since`, else off, for it costs a request for each page.",
    )
    compare: DurationOrOff | None = Field(
        None, description="How often everything is read and compared, for what changes without `changed`, like 1h; or off. Default: off."
    )
    size_parameter: str | None = Field(None, description="The query parameter that asks for so many.", max_length=100)
    paging: Paging | None = Field(None, description="How the next page is asked for; without it there is one page.")

    @property
    def walk(self) -> Walk:
        """How its records are gone through: pages of what changes meanwhile may pass one over."""
        return Walk(
            ids_every=every(self.deletes_every, timedelta(minutes=15) if self.since is None else None),
            rows_every=every(self.compare, None),
            most_ids=100_000,
            most_rows=100_000,
            certain=False,
        )


class RestOptions(Written):
    """Options of the rest source."""

    url: str = Field(description="Address of the API, like https://api.crm.example/v2.")
    auth: Auth = Field(description="How it knows us.")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers of each request; none of them secret.")
    types: dict[str, Resource] = Field(description="The record types.", min_length=1)
    overlap: int = Field(60, description="Seconds that each poll looks back, for what was committed late.", ge=0, le=86_400)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s?#@]+", value):
            raise ValueError("write it like https://api.crm.example/v2, without a user, a query or a fragment")
        return value.rstrip("/")
