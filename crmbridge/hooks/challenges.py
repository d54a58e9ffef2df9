"""Handshakes: what a sender asks once, to find out whether somebody listens, and how it is answered.

Nothing is stored for a handshake. What is echoed is bounded and printable, and is sent as text or JSON, never as HTML. So a stranger
who asks learns only what he sent.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Reply, Secrets, WebhookRequest
from crmbridge.errors import InvalidSignature
from crmbridge.hooks.bodies import Form, read_body
from crmbridge.hooks.paths import Way, at, way
from crmbridge.hooks.signatures import is_one_of, query_values

_TEXT: Final = re.compile(r"[ -~]{1,1000}", re.ASCII)
_HEADER: Final = re.compile(r"[!-~]{1,200}", re.ASCII)


def _asked(raw: Any) -> Way:
    found = way(raw, ("body", "headers", "query"))
    if found is None or not found.parts:
        raise PydanticCustomError("path", "write where the value stands, like body.challenge, headers.x-hook-secret or query.challenge")
    return found


Asked = Annotated[Way, BeforeValidator(_asked)]


class VerifyToken(Options):
    """The token by which the sender proves that it was told of this address."""

    name: str = Field(description="The token's name in the query, like hub.verify_token.", min_length=1, max_length=100)
    secret: Secrets = Field(description="The token.")


class Echo(Options):
    """A handshake in which a value of the request is sent back."""

    scheme: Literal["echo"] = Field(description="The scheme.")
    method: Literal["GET", "POST"] = Field("POST", description="How it is asked.")
    from_: Asked = Field(alias="from", description="Where the value stands: body.challenge, headers.x-hook-secret, query.challenge.")
    reply: Literal["text", "json", "header"] = Field(
        "text", description="How it is sent back: as plain text, as JSON under its own name, or in its own header."
    )
    signed: bool = Field(False, description="Whether the question must prove its sender too, as `signature` says.")
    token: VerifyToken | None = Field(None, description="A token in the query, which must be right before anything is sent back.")

    @model_validator(mode="after")
    def _possible(self) -> Echo:
        if (self.reply == "header") != (self.from_.root == "headers"):
            raise PydanticCustomError("challenge", "what stands in a header goes back as a header, and nothing else does")
        if self.method == "GET" and self.from_.root == "body":
            raise PydanticCustomError("challenge", "a GET has no body: write a path that begins with query or headers")
        return self


class Hello(Options):
    """A handshake in which GET and HEAD are answered 200."""

    scheme: Literal["hello"] = Field(description="The scheme.")


Challenge = Annotated[Echo | Hello, Field(discriminator="scheme")]
"""The handshake of a sender, before it sends."""


def answer(challenge: Challenge | None, request: WebhookRequest, form: Form) -> Reply | None:
    """Answer a handshake. Return None if the request is none. Raises InvalidSignature for a handshake that lacks its token.

    `Echo.signed` is checked by the caller, who knows the signature.
    """
    match challenge:
        case Hello():
            return Reply(200) if request.method in ("GET", "HEAD") else None
        case Echo() if request.method == challenge.method:
            return _echo(challenge, request, form)
    return None


def _echo(challenge: Echo, request: WebhookRequest, form: Form) -> Reply | None:
    where = challenge.from_
    value = _value(where, request, form)
    if value is None or not (_HEADER if challenge.reply == "header" else _TEXT).fullmatch(value):
        return None
    if challenge.token is not None:
        given = query_values(request, challenge.token.name)
        if len(given) != 1 or not is_one_of(given[0], challenge.token.secret):
            raise InvalidSignature(f"{challenge.token.name} is missing or wrong")
    name = where.parts[-1]
    match challenge.reply:
        case "text":
            return Reply(200, value.encode(), "text/plain; charset=utf-8")
        case "json":
            return Reply(200, json.dumps({name: value}).encode(), "application/json")
    return Reply(200, headers={name: value})


def _value(where: Way, request: WebhookRequest, form: Form) -> str | None:
    found: Any
    match where.root:
        case "headers":
            found = None if where.parts[0] in request.repeated else request.headers.get(where.parts[0])
        case "query":
            values = query_values(request, where.parts[0])
            found = values[0] if len(values) == 1 else None
        case _:
            if len(request.body) > _LONGEST:
                return None  # a handshake is short; a longer body is read once it has proved its sender
            try:
                found = at(read_body(request.body, form), where.parts)
            except ValueError:
                return None
    return found if isinstance(found, str) else None


_LONGEST: Final = 8 * 1024
