"""Proof of the sender, on raw bytes. Anything malformed is a bad signature, never an exception of another kind."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

from connectors.sources.webhook.options import Basic, Bearer, HmacSha256, Signature, StandardWebhooks, Unsigned
from crmbridge.contract import Secret, WebhookRequest
from crmbridge.errors import InvalidSignature

TOLERANCE = 300  # seconds, both directions; https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_ID = re.compile(r"[!-~]{1,256}", re.ASCII)


def verify(signature: Signature, request: WebhookRequest) -> None:
    """Raises InvalidSignature unless the request proves its sender."""
    match signature:
        case StandardWebhooks():
            _standard(signature, request)
        case HmacSha256():
            given = _decoded(request.headers.get(signature.header.lower(), ""), signature)
            _compare(given, [hmac.digest(key, request.body, hashlib.sha256) for key in _keys(signature.secret)])
        case Bearer():
            _compare(_credentials(request, "bearer"), _keys(signature.secret))
        case Basic():
            given = _base64(_credentials(request, "basic").decode("ascii"))
            _compare(given, [f"{signature.username}:".encode() + key for key in _keys(signature.secret)])
        case Unsigned():
            pass


def _standard(signature: StandardWebhooks, request: WebhookRequest) -> None:
    id, stamp, given = (request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(id) or "." in id or not _STAMP.fullmatch(stamp) or len(given) > 4096:
        raise InvalidSignature("the webhook-id, webhook-timestamp or webhook-signature header is missing or malformed")
    signed = f"{id}.{stamp}.".encode() + request.body
    wanted = [hmac.digest(_standard_key(secret), signed, hashlib.sha256) for secret in signature.secret]
    parts = [part.partition(",") for part in given.split(" ")]
    candidates = [_base64(value) for version, _, value in parts[:10] if version == "v1" and value]
    if not any(hmac.compare_digest(one, other) for one in candidates for other in wanted):
        raise InvalidSignature
    if abs(request.received_at.timestamp() - int(stamp)) > TOLERANCE:
        raise InvalidSignature(f"the webhook-timestamp is more than {TOLERANCE} s away from now: is a clock wrong?")


def standard_webhook_id(request: WebhookRequest) -> str | None:
    """The sender's own id of a request, the same for every redelivery."""
    return request.headers.get("webhook-id") or None


def _standard_key(secret: Secret) -> bytes:
    key = _base64(_reveal(secret).removeprefix("whsec_"))
    if not key:
        raise InvalidSignature("the configured secret is not a whsec_ secret")
    return key


def _keys(secrets: list[Secret]) -> list[bytes]:
    return [_reveal(secret).encode() for secret in secrets]


def _reveal(secret: Secret) -> str:
    try:
        return secret.reveal()
    except ValueError as error:
        raise InvalidSignature(str(error)) from None


def _credentials(request: WebhookRequest, scheme: str) -> bytes:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != scheme or not value or not value.isascii():
        raise InvalidSignature
    return value.encode()


def _decoded(value: str, signature: HmacSha256) -> bytes:
    if not value.startswith(signature.prefix):
        raise InvalidSignature
    value = value[len(signature.prefix) :]
    if signature.encoding == "base64":
        return _base64(value)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value, re.ASCII):
        raise InvalidSignature
    return bytes.fromhex(value)


def _base64(value: str) -> bytes:
    """Strict base64, padded or not; malformed is empty, which equals no digest."""
    if not value.isascii():
        return b""
    try:
        return base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _compare(given: bytes, wanted: list[bytes]) -> None:
    if not any(hmac.compare_digest(given, one) for one in wanted):
        raise InvalidSignature
