"""The options that say how a sender proves itself."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Secrets
from crmbridge.hooks.layouts import placeholders, template
from crmbridge.hooks.paths import parts_of

DIGESTS: Final = ("sha1", "sha256", "sha512")


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name, re.ASCII):
        raise PydanticCustomError("header", "is no header's name, like X-Signature")
    return name


HeaderName = Annotated[str, AfterValidator(_header_name)]


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


class Hmac(_Signed):
    """A header holds an HMAC of what the sender chose to sign. https://www.rfc-editor.org/rfc/rfc2104"""

    scheme: Literal["hmac"] = Field(description="The scheme.")
    header: HeaderName = Field(description="The header with the signature, like X-Signature.")
    digest: Literal["sha1", "sha256", "sha512"] = Field("sha256", description="The hash function.")
    encoding: Literal["hex", "base64"] = Field("hex", description="How the signature's bytes are written.")
    key: Literal["text", "hex", "base64"] = Field("text", description="How the secret is written: as it is, or as the bytes of the key.")
    key_prefix: str = Field("", description="What stands before the secret and is no part of it, like whsec_.", max_length=32)
    signed: str = Field(
        "{body}", description="What is signed, of {body}, {timestamp}, {id}, {method}, {path} and text of your own.", max_length=500
    )
    layout: str = Field(
        "{signature}", description="What the header holds, of {signature}, {timestamp}, {id} and text, like t={timestamp},v1={signature}.",
        max_length=200,
    )  # fmt: skip
    separator: str = Field(
        "", description="What stands between the parts of the layout, in any order, and between several signatures.", max_length=3
    )
    wrapped: Literal["no", "base64"] = Field("no", description="Whether all that the header holds is written as base64 once more.")
    timestamp: HeaderName | None = Field(None, description="The header with the timestamp, where it is not in the layout.")
    id: HeaderName | None = Field(None, description="The header with the request's id, where it is not in the layout.")
    stamp: Literal["seconds", "milliseconds", "iso8601"] = Field("seconds", description="How the timestamp is written.")
    tolerance: int = Field(300, description="Seconds that the timestamp may be away from now, in both directions.", ge=1, le=86_400)

    @model_validator(mode="after")
    def _whole(self) -> Hmac:
        signed, shown = placeholders(self.signed), placeholders(self.layout)
        if template(self.signed, {"body", "timestamp", "id", "method", "path"}) is None or "body" not in signed:
            raise PydanticCustomError("signed", "`signed` is {body} with {timestamp}, {id}, {method}, {path} or text around it, each once")
        if template(self.layout, {"signature", "timestamp", "id"}) is None or shown.count("signature") != 1:
            raise PydanticCustomError("layout", "`layout` is {signature} with {timestamp}, {id} or text around it, each once")
        for name, header in (("timestamp", self.timestamp), ("id", self.id)):
            there = (header is not None) + shown.count(name)
            if name in signed and there != 1:
                raise PydanticCustomError(
                    "signed",
                    "`signed` has {what}: say where it stands, in `{name}`, a header's name, or in the layout",
                    {"name": name, "what": f"{{{name}}}"},
                )
            if name not in signed and (header is not None or (name == "timestamp" and there)):
                raise PydanticCustomError("signed", "the {name} stands in a header and is not `signed`: it proves nothing", {"name": name})
        return self


class Jwt(_Signed):
    """A JSON Web Token signed with the shared secret (HS256). https://www.rfc-editor.org/rfc/rfc7519"""

    scheme: Literal["jwt"] = Field(description="The scheme.")
    header: HeaderName = Field("Authorization", description="The header with the token.")
    prefix: str = Field("", description='What stands before it, like "Bearer ".', max_length=32)
    body_claim: str | None = Field(
        None, description="The claim that is the SHA-256 of the body, in hex; without one a token is good for any body.",
        min_length=1, max_length=100,
    )  # fmt: skip
    audience: str | None = Field(
        None, description="What `aud` must name, like the address that the sender calls; without it a token made for others is good.",
        min_length=1, max_length=500,
    )  # fmt: skip
    tolerance: int = Field(
        300, description="Seconds by which clocks may differ, and how long a token without an end is good.", ge=1, le=86_400
    )


class Shown(_Signed):
    """The request shows the secret itself."""

    scheme: Literal["secret"] = Field(description="The scheme.")
    in_: Literal["header", "query", "path", "body"] = Field(
        alias="in",
        description="Where it stands: in a header, in the query, in the path (/hooks/NAME/SECRET), or in the body.",
    )
    name: str | None = Field(
        None, description="Its name there; in the body a path, like auth.token, in which * stands for every element.", max_length=200
    )

    @model_validator(mode="after")
    def _named(self) -> Shown:
        if (self.in_ == "path") != (self.name is None):
            raise PydanticCustomError("secret", "give the secret's `name` there, but none in the path")
        if self.name is not None and (
            (self.in_ == "header" and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name, re.ASCII))
            or (self.in_ == "body" and not parts_of(self.name))
            or not self.name
        ):
            raise PydanticCustomError("secret", "the `name` is none that can stand there")
        return self


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


Signature = Annotated[StandardWebhooks | HmacSha256 | Hmac | Jwt | Shown | Bearer | Basic | Unsigned, Field(discriminator="scheme")]
"""How a sender proves itself."""
