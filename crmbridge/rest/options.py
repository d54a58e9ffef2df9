"""The options of a rest source: where the API is, how it knows us, and how it says what changed."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import DurationOrOff, Options, Walk, Written, every
from crmbridge.hooks import Found
from crmbridge.rest.called_options import CalledOptions
from crmbridge.rest.login_options import Auth

Path = Annotated[str, Field(pattern=r"^[^\s.]+(\.[^\s.]+)*$", max_length=300)]
"""A dotted path into JSON, like `data.items`; a number names an element of a list."""
Behind = Annotated[str, Field(pattern=r"^/[^\s?#]*$", max_length=500)]
"""A path that is put after the API's address."""
Format = Literal["iso", "iso_ms", "iso_offset", "spaced", "epoch", "epoch_ms", "date"]


def _plain(value: Any) -> Any:
    """Turn a mapping in YAML, whose numbers are exact here, into values that JSON can hold."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if not isinstance(value, Decimal) else int(value) if value == value.to_integral_value() else float(value)


Json = Annotated[dict[str, Any], AfterValidator(_plain)]


class Since(Options):
    """How the API is asked for what changed from an instant on."""

    parameter: str | None = Field(None, description="The query parameter, like updated_since.", max_length=100)
    header: str | None = Field(None, description="The header, like If-Modified-Since.", pattern=r"^[A-Za-z0-9-]+$", max_length=100)
    body: Json | None = Field(
        None, description="What the body of a POST has besides, with {since} where the instant belongs; mappings are joined with `body`."
    )
    template: str = Field("{since}", description="What the parameter or header holds, like `updated[gte]:{since}`.", max_length=500)
    parameters: dict[str, str] = Field(default_factory=dict, description="Query parameters that go with it, and only with it.")
    inclusive: bool = Field(True, description="What changed at that very instant is given too; else it is asked for a unit earlier.")
    format: Format = Field(
        "iso",
        description="How it is written: 2026-01-31T12:00:00Z, with milliseconds, with +00:00, as 2026-01-31 12:00:00, seconds or "
        "milliseconds since 1970, or a date.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Since:
        if self.parameter is None and self.header is None and self.body is None:
            raise PydanticCustomError("since", "write the `parameter`, the `header` or the `body` that says since when")
        if "{since}" not in self.template:
            raise PydanticCustomError("since", "the `template` has no {since}", {"since": "{since}"})
        return self


class Paging(Options):
    """How the API gives the next page."""

    style: Literal["offset", "page", "cursor", "link"] = Field(
        description="offset: so many records on; page: the next number; cursor: a word in the body; link: the address in the Link header "
        "or from the body."
    )
    parameter: str | None = Field(None, description="The parameter of the offset, page or cursor.", max_length=100)
    first: int = Field(1, description="The number of the first page.", ge=0, le=1)
    next: Path | None = Field(None, description="Where the next cursor, or the next address, stands in the body.")

    @model_validator(mode="after")
    def _whole(self) -> Paging:
        if self.style != "link" and self.parameter is None:
            raise PydanticCustomError("paging", "write the `parameter` of the {style}", {"style": self.style})
        if self.style == "cursor" and self.next is None:
            raise PydanticCustomError("paging", "write in `next` where the next cursor stands in the body")
        return self


class Listing(Options):
    """A list that is read page by page."""

    path: Behind = Field(description="Behind `url`, like /deals.")
    parameters: dict[str, str] = Field(default_factory=dict, description="Query parameters of each request, like {sort: updated_at}.")
    body: Json | None = Field(
        None, description="The JSON of a POST that only reads, instead of a GET; the parameters of size and page then stand in it."
    )
    items: Path | None = Field(None, description="Where the list of records stands in the body; default: it is the body.")
    id: Path = Field("id", description="Where a record's id stands in it.")
    changed: Path | None = Field(
        None, description="Where its stamp of the last change stands; without one everything is compared at every poll."
    )
    since: Since | None = Field(None, description="How to ask for changes; without it everything is read at every poll.")
    ascending: bool = Field(True, description="The API gives records by their stamp, the oldest first.")
    newest_first: bool = Field(
        False, description="The API gives records by their stamp, the newest first: what is known is not read again."
    )
    nothing: list[int] = Field(default_factory=list, description="Statuses that say that there is nothing, like 204 and 304.")
    size: int = Field(100, description="Records of one page.", ge=1, le=5_000)
    size_parameter: str | None = Field(None, description="The parameter that asks for so many.", max_length=100)
    paging: Paging | None = Field(None, description="How the next page is asked for; without it there is one page.")

    @model_validator(mode="after")
    def _stamped(self) -> Listing:
        if self.changed is None and (self.since is not None or self.newest_first):
            raise PydanticCustomError("changed", "write in `changed` where the stamp stands that `since` and `newest_first` go by")
        return self


class Deletions(Listing):
    """A list of deleted records, with the stamps of their deletion."""


class Single(Options):
    """How one record is read by its id."""

    path: str = Field(description="Behind `url`, with {id} in it, like /deals/{id}.", pattern=r"^/[^\s?#]*\{id\}[^\s?#]*$", max_length=500)
    parameters: dict[str, str] = Field(default_factory=dict, description="Query parameters of the request.")
    item: Path | None = Field(None, description="Where the record stands in the body; default: it is the body.")


class Labels(Options):
    """The labels of a field's values."""

    path: Behind = Field(description="Behind `url`: the list of them, like /stages; all of it on one page.")
    parameters: dict[str, str] = Field(default_factory=dict, description="Query parameters of the request.")
    items: Path | None = Field(None, description="Where the list stands in the body; default: it is the body.")
    id: Path = Field("id", description="Where a value stands in an entry.")
    name: Path = Field("name", description="Where its label stands.")


class Described(Options):
    """How the API describes the fields of a record type."""

    path: Behind = Field(description="Behind `url`: the list of fields, like /fields; all of it on one page.")
    parameters: dict[str, str] = Field(default_factory=dict, description="Query parameters of the request.")
    items: Path | None = Field(None, description="Where the list stands in the body; default: it is the body.")
    name: Path = Field("name", description="Where a field's name stands.")
    label: Path = Field("label", description="Where its label stands.")
    type: Path = Field("type", description="Where its type stands.")
    types: dict[str, Literal["text", "number", "money", "boolean", "date", "datetime", "set", "list", "html"]] = Field(
        default_factory=dict, description="What the API's types are here, like {currency: money}; others are text."
    )
    prefix: str = Field("", description="What stands before each name where records hold it, like `custom.`.", max_length=100)
    also: list[str] = Field(default_factory=list, description="Fields that there are and that it does not describe.")


class Resource(Listing):
    """The records of one type."""

    created: Path | None = Field(None, description="Where the stamp of its making stands: what comes into sight later is not new then.")
    deleted: Path | None = Field(None, description="What is true, or not empty, once it is deleted.")
    actor: Path | None = Field(None, description="Who changed it.")
    fields: Path | None = Field(None, description="Where its fields stand; default: they are the record.")
    fields_parameter: str | None = Field(
        None, description="The parameter that names what is wanted, joined by commas: the configured fields.", max_length=100
    )
    omits_empty: bool = Field(False, description="The API leaves empty fields out: one that is missing is empty, not unknown.")
    url: str | None = Field(
        None,
        description="Its web address, with {id} or other paths into it; or where that stands in the record.",
        max_length=500,
    )
    single: Single | None = Field(None, description="How one record is read by its id.")
    labels: dict[str, Labels] = Field(default_factory=dict, description="What the values of fields are called, by the field.")
    described: Described | None = Field(None, description="How the API describes its fields.")
    deletions: Deletions | None = Field(None, description="A list of what was deleted, which stands apart.")
    deletes_every: DurationOrOff | None = Field(
        None,
        description="How often everything is listed, to see which records are gone, like 15m; or off. One that lacks twice in a row is "
        "gone. Default: 15m without `since`, else off, for it costs a request for each page.",
    )
    compare: DurationOrOff | None = Field(
        None, description="How often everything is read and compared, for what changes without `changed`, like 1h; or off. Default: off."
    )

    @property
    def walk(self) -> Walk:
        """How the records of this type are gone through. A walk is not certain: a change meanwhile may move a record past a page."""
        told = self.since is not None or self.deletions is not None
        return Walk(
            ids_every=every(self.deletes_every, None if told else timedelta(minutes=15)),
            rows_every=every(self.compare, None),
            most_ids=100_000,
            most_rows=100_000,
            certain=False,
        )


class Quota(Options):
    """What the API tells about its quota, in headers of its own: bare numbers, or `remaining=9, reset=5`."""

    remaining: str | None = Field(None, description="The header with the requests that are left.", max_length=100)
    spare: int = Field(
        0, description="So many are left to others: with no more than these nothing is asked until `reset`.", ge=0, le=1_000_000
    )
    reset: str = Field(description="The header that says when there are more.", max_length=100)
    reset_in: Literal["seconds", "epoch", "epoch_ms"] = Field(
        "seconds", description="How it says that: the seconds until then, or the instant, in seconds or milliseconds since 1970."
    )


class RestOptions(Written, CalledOptions):
    """Options of the rest source."""

    url: str = Field(description="Address of the API, like https://api.crm.example/v2.")
    auth: Auth = Field(description="How it knows us.")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers of each request; none of them secret.")
    quota: Quota | None = Field(None, description="How the API says how much it may still be asked.")
    types: dict[str, Resource] = Field(description="The record types.", min_length=1)
    overlap: int = Field(60, description="Seconds that each poll looks back, for what was committed late.", ge=0, le=86_400)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s?#@]+", value):
            raise ValueError("write it like https://api.crm.example/v2, without a user, a query or a fragment")
        return value.rstrip("/")

    def objections(self, *, public: bool) -> Found:
        found = super().objections(public=public)
        if self.webhook is None:
            return found
        if lacking := [name for name, one in self.types.items() if one.single is None]:
            words = f"a webhook only names records, and nothing says how one of {lacking[0]} is read: write its `single`"
            found.append((("webhook",), words))
        for word, name in self.webhook.types.items():
            if name not in self.types:
                found.append((("webhook", "types", word), f"there is no record type {name}; there are {', '.join(self.types)}"))
        return found
