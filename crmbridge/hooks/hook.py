"""A source that is called, made by its configuration alone: signature, challenge and map answer the door's questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from crmbridge.contract import Reply, Setting, WebhookRequest, revealed
from crmbridge.errors import InvalidRequest
from crmbridge.hooks.bodies import Form, check_type, read_body
from crmbridge.hooks.challenges import Echo, answer
from crmbridge.hooks.map import headers_of, whole
from crmbridge.hooks.observing import Observing
from crmbridge.hooks.options import HookOptions
from crmbridge.hooks.paths import Way
from crmbridge.hooks.proofs import Shown
from crmbridge.hooks.signatures import proof_header, request_id_header, verify
from crmbridge.model import Observation, Reading

_UNREAD: Final = object()
_VERIFIED: Final = 256  # bodies kept between verify and parse
_SMALL: Final = 16 * 1024  # bytes of the largest body that is kept
_SHORT: Final = 8  # a shorter secret may stand anywhere by chance


class Hook:
    """An implementation of `crmbridge.contract.WebhookSource`, `Greeting` and `Discreet`. A source has one, or is one."""

    def __init__(
        self,
        options: HookOptions,
        setting: Setting,
        reading: Reading,
        *,
        repeats_within: timedelta = timedelta(days=4),
        rereads: bool = False,
    ) -> None:
        """Set up the hook. `rereads`: the source reads whole the records that a webhook names (`fetch_many`)."""
        self._signature = options.signature
        self._challenge = options.challenge
        self._form: Form = options.body
        self._accepted = options.accepted
        self._observing = Observing(
            whole(options.map),
            setting.records,
            reading,
            repeats_within=repeats_within,
            rereads=rereads,
            id_header=request_id_header(options.signature),
        )
        self._mapped = headers_of(options.map)
        self._named = isinstance(options.map.record_id, Way)
        """Whether a body names its record. If not, any body could be an event."""
        self._verified: dict[bytes, Any] = {}
        """Bodies that `verify` has read and `parse` will ask for, so that most bodies are read only once."""

    def greet(self, request: WebhookRequest) -> Reply | None:
        """Answer a handshake. Return None if the request is none. Raises InvalidRequest for a handshake that proves too little."""
        found = answer(self._challenge, request, self._form)
        if found is not None and isinstance(self._challenge, Echo):
            if self._challenge.from_.root == "body" and self._named and self._tells(request):
                return None  # an event, one of whose fields has the name of the challenge
            if self._challenge.signed:
                verify(self._signature, request, self._form)
        return found

    def _tells(self, request: WebhookRequest) -> bool:
        try:
            return bool(self._observing.observations(request, read_body(request.body, self._form)))
        except ValueError:
            return False

    def verify(self, request: WebhookRequest) -> None:
        """Prove the sender, then the form of the body. Raises InvalidRequest."""
        verify(self._signature, request, self._form)
        check_type(request, self._form)
        if twice := self._mapped & request.repeated:
            raise InvalidRequest(f"the header {min(twice)} came more than once")
        try:
            body = read_body(request.body, self._form)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        if len(request.body) <= _SMALL and self.storable(request).body == request.body:
            if len(self._verified) >= _VERIFIED:
                del self._verified[next(iter(self._verified))]
            self._verified[request.body] = body

    def storable(self, request: WebhookRequest) -> WebhookRequest:
        """Return a verified request as it may be stored: without the secret that it shows."""
        name = proof_header(self._signature)
        headers = {key: value for key, value in request.headers.items() if key != name}
        if not isinstance(self._signature, Shown):
            return replace(request, headers=headers)
        secrets = revealed(self._signature.secret)
        for key, value in headers.items():  # proxies repeat the requested address in a header
            headers[key] = _without(value.encode("utf-8", "surrogateescape"), secrets).decode("utf-8", "surrogateescape")
        return replace(request, headers=headers, body=_without(request.body, secrets))

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        """Return the observations in a verified request. Raises ValueError that says what could not be read."""
        body = self._verified.pop(request.body, _UNREAD)
        return self._observing.observations(request, read_body(request.body, self._form) if body is _UNREAD else body)

    def reply(self, accepted: bool) -> Reply:
        """Answer with the status that the sender expects once the request is stored. Otherwise 503 asks the sender to send it again."""
        if not accepted:
            return Reply(503, b"try again later\n")
        return Reply(self._accepted, b"" if self._accepted == 204 else b"accepted\n")


def _without(written: bytes, secrets: Sequence[str]) -> bytes:
    """Replace each secret in `written` by ***, however JSON, a form or an address writes the secret.

    The longest secret goes first, for one may be a part of another. A secret so short that it may stand anywhere by chance stays.
    """
    for secret in sorted((one for one in secrets if len(one) >= _SHORT), key=len, reverse=True):
        for pattern in _patterns(secret):
            written = pattern.sub(b"***", written)
    return written


@lru_cache(maxsize=64)
def _patterns(secret: str) -> Sequence[re.Pattern[bytes]]:
    return [re.compile(b"".join(b"(?:%b)" % "|".join(ways(one)).encode() for one in secret)) for ways in (_in_json, _in_address)]


def _in_json(letter: str) -> list[str]:
    """List the ways in which JSON may write a character, as patterns. No pattern is the beginning of another."""
    units = letter.encode("utf-16-be").hex()
    ways = ["".join(rf"\\u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))]
    if letter in '/"\\':
        ways.append(re.escape(f"\\{letter}"))
    return ways if letter in '"\\' else [*ways, re.escape(letter)]


def _in_address(letter: str) -> list[str]:
    """List the ways in which a form or an address may write a character, as patterns. No pattern is the beginning of another."""
    ways = ["".join(f"%(?i:{byte:02x})" for byte in letter.encode())]
    if letter == " ":
        ways.append(re.escape("+"))
    return ways if letter == "%" else [*ways, re.escape(letter)]
