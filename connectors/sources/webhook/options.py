"""What a webhook source is told: how its sender proves itself, what it asks first, and where in the body things stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from connectors.sources.webhook.senders import Sender, with_sender
from crmbridge.contract import Written
from crmbridge.hooks import Echo, Form, Hello, Hmac, Jwt, Map, Shown, Signature, Unsigned
from crmbridge.hooks.layouts import blurs
from crmbridge.hooks.map import headers_of
from crmbridge.hooks.signatures import proof_header, request_id_header

_UNSIGNED: Final = "unsigned webhooks are refused where others reach the server (`server`): anyone could post"
_ONLY_IDS: Final = "nothing but the id of a record is known: rules hear that one was created or deleted, and no field, nor a change of one"
_ANY_BODY: Final = "the token proves who sends, and not what: whoever sees one may post anything until it ends"
_IN_LOGS: Final = "a secret in an address stands in the logs of proxies on its way: keep those as safe as the secret"
_BLURRED: Final = (
    "nothing that is signed tells where {{{name}}} ends and a form begins: who sees a request could move a piece of one into the other; "
    "let the sender sign a dot between them, or a blank behind a path"
)
_REPEATS: Final = (
    "nothing tells a late repeat from a change: what is sent once more after something else of its record is told as a change "
    "back. Where the sender has one, map `version`, a number or stamp that grows with every change, or `observation_id`, an id "
    "that a redelivery repeats, like headers.idempotency-key"
)


class WebhookOptions(Written):
    """Options of the webhook source."""

    sender: Sender | None = Field(
        None, description="Whose webhooks they are: signature, challenge, body and map as its page says. Keys that you write go before."
    )
    signature: Signature = Field(
        description="How the sender proves itself: standard-webhooks, hmac-sha256, hmac, jwt, secret, bearer, basic or none."
    )
    challenge: Echo | Hello | None = Field(
        None, description="What the sender asks before it sends: echo (a value goes back) or hello (GET and HEAD).", discriminator="scheme"
    )
    body: Form = Field("json", description="How the body is written: JSON, or a form (application/x-www-form-urlencoded).")
    map: Map = Field(description="Where in the body things stand.")
    accepted: int = Field(202, description="The status of the answer once a request is stored; some senders take only 200.", ge=200, le=204)
    repeats_within: int = Field(
        345_600,
        description="Seconds for which the same bytes are a repeat, where a request gives neither version nor id and nothing else of the "
        "record came between. Default: 4 days; senders try for up to 3 and some hours.",
        ge=0,
        le=2_592_000,
    )

    @model_validator(mode="before")
    @classmethod
    def _of_sender(cls, raw: Any) -> Any:
        return with_sender(raw) if isinstance(raw, Mapping) else raw

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Where a sender is named, signature and map need not be whole."""
        made: dict[str, Any] = handler(schema)
        whole = handler.resolve_ref_schema(made)
        exact = {name: whole["properties"][name] for name in ("signature", "map")}
        whole["properties"] |= {name: {"type": "object", "description": one.get("description", "")} for name, one in exact.items()}
        whole["required"] = [name for name in whole.get("required", ()) if name not in exact]
        named = {"properties": {"sender": {"type": "string"}}, "required": ["sender"]}
        whole |= {"if": named, "then": {}, "else": {"properties": exact, "required": [*exact]}}
        return made

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        found: list[tuple[tuple[str | int, ...], str]] = []
        if public and isinstance(self.signature, Unsigned):
            found.append((("signature",), _UNSIGNED))
        if (name := proof_header(self.signature)) in headers_of(self.map):
            found.append((("map",), f"the header {name} proves who sends, and is never stored: map another one"))
        if self.body == "form" and isinstance(self.signature, Hmac) and (name := blurs(self.signature.signed)):
            found.append((("signature", "signed"), _BLURRED.format(name=name)))
        return found

    def notes(self) -> list[tuple[tuple[str | int, ...], str]]:
        found: list[tuple[tuple[str | int, ...], str]] = []
        if self.map.fields is None:
            found.append((("map",), _ONLY_IDS))
        if isinstance(self.signature, Jwt) and self.signature.body_claim is None:
            found.append((("signature",), _ANY_BODY))
        if isinstance(self.signature, Shown) and self.signature.in_ in ("query", "path"):
            found.append((("signature",), _IN_LOGS))
        if not (self.map.version or self.map.observation_id or request_id_header(self.signature)):
            found.append((("map",), _REPEATS))
        return found
