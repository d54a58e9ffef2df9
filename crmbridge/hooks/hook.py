"""A source that is called, by its configuration alone: the door's questions, answered by signature, challenge and map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, quote_plus

from crmbridge.contract import Reply, Setting, WebhookRequest, revealed
from crmbridge.errors import InvalidRequest
from crmbridge.hooks.bodies import Form, check_type, read_body
from crmbridge.hooks.challenges import Challenge, Echo, answer
from crmbridge.hooks.map import Map, headers_of
from crmbridge.hooks.observing import Observing
from crmbridge.hooks.proofs import Shown, Signature
from crmbridge.hooks.signatures import proof_header, request_id_header, verify
from crmbridge.model import Observation, Reading

_UNREAD: Final = object()
_VERIFIED: Final = 256  # bodies kept between verify and parse
_SMALL: Final = 16 * 1024  # bytes of a body that is kept
_SHORT: Final = 8  # characters of a secret that may stand anywhere by chance


class Hook:
    """Implements `crmbridge.contract.WebhookSource`, `Greeting` and `Discreet`; a source has one, or is one."""

    def __init__(
        self,
        signature: Signature,
        where: Map,
        setting: Setting,
        reading: Reading,
        *,
        challenge: Challenge | None = None,
        form: Form = "json",
        accepted: int = 202,
        repeats_within: timedelta = timedelta(days=4),
        rereads: bool = False,
    ) -> None:
        """`accepted`: the status that its sender takes for yes. `rereads`: the source reads whole what a webhook names (`fetch_many`)."""
        self._signature = signature
        self._challenge = challenge
        self._form: Form = form
        self._accepted = accepted
        self._observing = Observing(
            where, setting.records, reading, repeats_within=repeats_within, rereads=rereads, id_header=request_id_header(signature)
        )
        self._mapped = headers_of(where)
        self._verified: dict[bytes, Any] = {}
        """What `verify` read and `parse` is going to ask for, so that most bodies are read once."""

    def greet(self, request: WebhookRequest) -> Reply | None:
        """The answer to a handshake; None where the request is none. Raises InvalidRequest for one that proves too little."""
        found = answer(self._challenge, request, self._form)
        if found is not None and isinstance(self._challenge, Echo) and self._challenge.signed:
            verify(self._signature, request, self._form)
        return found

    def verify(self, request: WebhookRequest) -> None:
        """Prove the sender, then the form. Raises InvalidRequest."""
        verify(self._signature, request, self._form)
        check_type(request, self._form)
        if twice := self._mapped & request.repeated:
            raise InvalidRequest(f"the header {min(twice)} came more than once")
        try:
            body = read_body(request.body, self._form)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        if len(request.body) <= _SMALL and self.storable(request).body is request.body:
            if len(self._verified) >= _VERIFIED:
                del self._verified[next(iter(self._verified))]
            self._verified[request.body] = body

    def storable(self, request: WebhookRequest) -> WebhookRequest:
        """What may be kept of a verified request: without the secret that it shows."""
        if (name := proof_header(self._signature)) is not None:
            return replace(request, headers={key: value for key, value in request.headers.items() if key != name})
        if isinstance(self._signature, Shown) and self._signature.in_ == "body":
            return replace(request, body=_without(request.body, revealed(self._signature.secret)))
        return request

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        """The observations in a verified request. Raises ValueError saying what could not be read."""
        body = self._verified.pop(request.body, _UNREAD)
        return self._observing.observations(request, read_body(request.body, self._form) if body is _UNREAD else body)

    def reply(self, accepted: bool) -> Reply:
        """The sender's status once it is stored; 503 asks for it again."""
        if not accepted:
            return Reply(503, b"try again later\n")
        return Reply(self._accepted, b"" if self._accepted == 204 else b"accepted\n")


def _without(body: bytes, secrets: Sequence[str]) -> bytes:
    """A body in which *** stands for each secret, however JSON or a form writes it.

    The longest first: one may be a part of another. One so short that it may stand anywhere is no secret, and stays.
    """
    for secret in sorted((one for one in secrets if len(one) >= _SHORT), key=len, reverse=True):
        plain = json.dumps(secret)[1:-1]
        ways = {
            secret,
            plain,
            plain.replace("/", "\\/"),
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(secret, safe=""),
            quote_plus(secret),
        }
        for written in sorted(ways, key=len, reverse=True):
            body = body.replace(written.encode(), b"***")
    return body
