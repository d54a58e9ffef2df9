"""What a webhook source is told: how its sender proves itself, and where in the body things stand."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import CREDENTIALS, Options, Secrets, Written

_PATH = re.compile(r"(body|item)(\.[^.\s]+)*")
_HEADER = re.compile(r"headers\.([A-Za-z0-9_.-]{1,100})", re.ASCII)


class _Signed(Options):
    secret: Secrets = Field(description="The shared secret; a list while one is exchanged for another.")


class StandardWebhooks(_Signed):
    """https://www.standardwebhooks.com: id, timestamp and body are signed; five minutes of tolerance."""

    scheme: Literal["standard-webhooks"] = Field(description="The scheme.")


class HmacSha256(_Signed):
    """A header holds an HMAC-SHA256 of the raw body."""

    scheme: Literal["hmac-sha256"] = Field(description="The scheme.")
    header: str = Field(description="The header's name, like X-Signature.", pattern=r"^[A-Za-z0-9-]{1,64}$")
    encoding: Literal["hex", "base64"] = Field("hex", description="How the header writes the bytes.")
    prefix: str = Field("", description="What stands before them, like sha256=.", max_length=32)


class Bearer(_Signed):
    """`Authorization: Bearer SECRET`."""

    scheme: Literal["bearer"] = Field(description="The scheme.")


class Basic(_Signed):
    """`Authorization: Basic` with a user name and the secret."""

    scheme: Literal["basic"] = Field(description="The scheme.")
    username: str = Field(description="The user name.", pattern=r"^[^:\s]{1,200}$")


class Unsigned(Options):
    """Anyone who can reach the port is believed: only for a sender on this machine."""

    scheme: Literal["none"] = Field(description="The scheme.")


Signature = Annotated[StandardWebhooks | HmacSha256 | Bearer | Basic | Unsigned, Field(discriminator="scheme")]


def _path(raw: Any) -> Any:
    if isinstance(raw, str) and _PATH.fullmatch(raw):
        return raw
    raise PydanticCustomError("path", "write a path that begins with body or item, like item.record.Id")


Path = Annotated[str, BeforeValidator(_path)]


class Constant(Options):
    """The same for every item."""

    value: str = Field(description="The value.", min_length=1)


def header(path: str) -> str | None:
    """The header that a path names, in lower case as requests have it; None for a path into the body."""
    found = _HEADER.fullmatch(path)
    return found[1].lower() if found else None


def _path_or_header(raw: Any) -> Any:
    if isinstance(raw, str) and _PATH.fullmatch(raw):
        return raw
    if not isinstance(raw, str) or (name := header(raw)) is None:
        raise PydanticCustomError(
            "path", "write a path that begins with body, item or headers, like item.record.Id or headers.idempotency-key"
        )
    if name in CREDENTIALS:
        raise PydanticCustomError("path", "this header proves who sends, and is never stored: map another one")
    return raw


PathOrHeader = Annotated[str, BeforeValidator(_path_or_header)]


def _path_or_constant(raw: Any) -> Any:
    return raw if isinstance(raw, dict) else _path_or_header(raw)


class KindMap(Options):
    """What happened, from a word; one that is not listed means updated."""

    from_: PathOrHeader = Field(alias="from", description="Where the word stands.")
    created: list[str] = Field([], description="Words that mean: the record is new.")
    deleted: list[str] = Field([], description="Words that mean: the record is gone.")
    ignore: list[str] = Field([], description="Words that mean: nothing of interest.")


class Map(Options):
    """Where things stand: `body` is the whole request, `item` one of `items` (without `items`, the body), `headers` are its headers."""

    items: Path | None = Field(None, description="A list of items; without it the body is the one item.")
    record_type: Annotated[Constant | str, BeforeValidator(_path_or_constant)] = Field(description="A path, or {value: Deal}.")
    record_id: PathOrHeader = Field(description="The record's id.")
    fields: Path = Field(description="A mapping with the record's fields; nested ones are named like Account.Name.")
    before: Path | None = Field(None, description="A mapping with old values of fields.")
    kind: KindMap | None = Field(None, description="What happened; without it the record was updated.")
    version: PathOrHeader | None = Field(None, description="A number or ISO 8601 instant that grows with every change of the record.")
    observation_id: PathOrHeader | None = Field(
        None, description="An id that a redelivery repeats, like headers.idempotency-key. Default: the webhook-id of standard-webhooks."
    )
    occurred_at: PathOrHeader | None = Field(
        None, description="When it happened: ISO 8601, or seconds or milliseconds since 1970. Default: on arrival."
    )
    actor: PathOrHeader | None = Field(None, description="Who changed the record.")
    url: PathOrHeader | None = Field(None, description="The record's web address.")

    @field_validator("items")
    @classmethod
    def _in_body(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("body"):
            raise PydanticCustomError("path", "items are found in the body: write a path that begins with body")
        return value


class WebhookOptions(Written):
    """Options of the webhook source."""

    signature: Signature = Field(description="How the sender proves itself: standard-webhooks, hmac-sha256, bearer, basic or none.")
    map: Map = Field(description="Where in the JSON body things stand.")
    repeats_within: int = Field(
        345_600,
        description="Seconds for which the same bytes are a repeat, where a request gives neither version nor id and nothing else of the "
        "record came between. Default: 4 days; senders try for up to 3 and some hours.",
        ge=0,
        le=2_592_000,
    )

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        if public and isinstance(self.signature, Unsigned):
            return [
                (
                    ("signature",),
                    "unsigned webhooks are refused where others reach the server (`server`): anyone could post",
                )
            ]
        return []

    def notes(self) -> list[tuple[tuple[str | int, ...], str]]:
        if self.map.version or self.map.observation_id or isinstance(self.signature, StandardWebhooks):
            return []
        said = (
            "nothing tells a late repeat from a change: what is sent once more after something else of its record is told as a change "
            "back. Where the sender has one, map `version`, a number or stamp that grows with every change, or `observation_id`, an id "
            "that a redelivery repeats, like headers.idempotency-key"
        )
        return [(("map",), said)]
