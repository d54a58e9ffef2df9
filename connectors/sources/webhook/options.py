"""What a webhook source is told: how its sender proves itself, and where in the body things stand."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Secrets, Written

_PATH = re.compile(r"(body|item)(\.[^.\s]+)*")


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


def _path_or_constant(raw: Any) -> Any:
    return raw if isinstance(raw, dict) else _path(raw)


class KindMap(Options):
    """What happened, from a word in the body; a word that is not listed means updated."""

    from_: Path = Field(alias="from", description="Where the word stands.")
    created: list[str] = Field([], description="Words that mean: the record is new.")
    deleted: list[str] = Field([], description="Words that mean: the record is gone.")
    ignore: list[str] = Field([], description="Words that mean: nothing of interest.")


class Map(Options):
    """Where things stand: `body` is the whole request, `item` one of `items` (without `items`, the body)."""

    items: Path | None = Field(None, description="A list of items; without it the body is the one item.")
    record_type: Annotated[Constant | str, BeforeValidator(_path_or_constant)] = Field(description="A path, or {value: Deal}.")
    record_id: Path = Field(description="The record's id.")
    fields: Path = Field(description="A mapping with the record's fields; nested ones are named like Account.Name.")
    before: Path | None = Field(None, description="A mapping with old values of fields.")
    kind: KindMap | None = Field(None, description="What happened; without it the record was updated.")
    version: Path | None = Field(None, description="A number or ISO 8601 instant that grows with every change of the record.")
    observation_id: Path | None = Field(
        None, description="An id that a redelivery repeats. Default: the webhook-id header, or a digest of the body."
    )
    occurred_at: Path | None = Field(
        None, description="When it happened: ISO 8601, or seconds or milliseconds since 1970. Default: on arrival."
    )
    actor: Path | None = Field(None, description="Who changed the record.")
    url: Path | None = Field(None, description="The record's web address.")

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

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        if public and isinstance(self.signature, Unsigned):
            return [(("signature",), "unsigned webhooks are refused where server.public_url is set: anyone could post")]
        return []
