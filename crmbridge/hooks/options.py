"""The options of a source that is called: how its sender proves itself, its handshake, and where in the body each fact stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from crmbridge.contract import Options
from crmbridge.hooks.bodies import Form
from crmbridge.hooks.challenges import Echo, Hello
from crmbridge.hooks.layouts import blurs
from crmbridge.hooks.map import Naming, headers_of
from crmbridge.hooks.proofs import Hmac, Jwt, Shown, Signature, Unsigned
from crmbridge.hooks.senders import Sender, with_sender
from crmbridge.hooks.signatures import proof_header

_UNSIGNED: Final = "unsigned webhooks are refused where others reach the server (`server`): anyone could post"
_ANY_BODY: Final = "the token proves who sends, and not what: whoever sees one may post anything until it ends"
_IN_LOGS: Final = "a secret in an address stands in the logs of proxies on its way: keep those as safe as the secret"
_BLURRED: Final = (
    "nothing that is signed tells where {{{name}}} ends and a form begins: who sees a request could move a piece of one into the other; "
    "let the sender sign a dot between them, or a blank behind a path"
)

Found = list[tuple[tuple[str | int, ...], str]]
"""Remarks on options, as (path, message)."""


class HookOptions(Options):
    """The options that all sources share that are called."""

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
    map: Naming = Field(description="Where in the body things stand.")
    accepted: int = Field(202, description="The status of the answer once a request is stored; some senders take only 200.", ge=200, le=204)

    @model_validator(mode="before")
    @classmethod
    def _of_sender(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        where = cls.model_fields["map"].annotation
        assert isinstance(where, type)
        assert issubclass(where, Options)
        own = cls.model_fields["sender"].default
        return with_sender(raw if own is None else {"sender": own, **raw}, where.model_fields)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Let signature and map be incomplete in the JSON Schema where a sender is named."""
        made: dict[str, Any] = handler(schema)
        whole = handler.resolve_ref_schema(made)
        exact = {name: whole["properties"][name] for name in ("signature", "map")}
        whole["properties"] |= {name: {"type": "object", "description": one.get("description", "")} for name, one in exact.items()}
        whole["required"] = [name for name in whole.get("required", ()) if name not in exact]
        if cls.model_fields["sender"].default is None:
            named = {"properties": {"sender": {"type": "string"}}, "required": ["sender"]}
            whole |= {"if": named, "then": {}, "else": {"properties": exact, "required": [*exact]}}
        return made

    def objections(self, *, public: bool) -> Found:
        found: Found = []
        if public and isinstance(self.signature, Unsigned):
            found.append((("signature",), _UNSIGNED))
        if (name := proof_header(self.signature)) in headers_of(self.map):
            found.append((("map",), f"the header {name} proves who sends, and is never stored: map another one"))
        if self.body == "form" and isinstance(self.signature, Hmac) and (name := blurs(self.signature.signed)):
            found.append((("signature", "signed"), _BLURRED.format(name=name)))
        return found

    def notes(self) -> Found:
        found: Found = []
        if isinstance(self.signature, Jwt) and self.signature.body_claim is None:
            found.append((("signature",), _ANY_BODY))
        if isinstance(self.signature, Shown) and self.signature.in_ in ("query", "path"):
            found.append((("signature",), _IN_LOGS))
        return found
