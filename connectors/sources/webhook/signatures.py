"""Proof of the sender, on raw bytes. Anything malformed is a bad signature, never an exception of another kind."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import logging
import re

from connectors.sources.webhook.options import Basic, Bearer, HmacSha256, Signature, StandardWebhooks, Unsigned
from crmbridge.contract import Secret, WebhookRequest, revealed
from crmbridge.errors import InvalidSignature

TOLERANCE = 300  # seconds, both directions; https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_log = logging.getLogger(__name__)
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
            given = _canonical(_credentials(request, "basic").decode("ascii"))
            _compare(given, [f"{signature.username}:".encode() + key for key in _keys(signature.secret)])
        case Unsigned():
            pass


def _standard(signature: StandardWebhooks, request: WebhookRequest) -> None:
    id, stamp, given = (request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(id) or "." in id or not _STAMP.fullmatch(stamp) or len(given) > 4096:
        raise InvalidSignature("the webhook-id, webhook-timestamp or webhook-signature header is missing or malformed")
    signed = f"{id}.{stamp}.".encode() + request.body
    wanted = [hmac.digest(key, signed, hashlib.sha256) for key in map(_standard_key, revealed(signature.secret)) if key]
    parts = [part.partition(",") for part in given.split(" ")]
    candidates = [_canonical(value) for version, _, value in parts[:10] if version == "v1" and value]
    if not any(hmac.compare_digest(one, other) for one in candidates for other in wanted):
        raise InvalidSignature
    if abs(request.received_at.timestamp() - int(stamp)) > TOLERANCE:
        raise InvalidSignature(f"the webhook-timestamp is more than {TOLERANCE} s away from now: is a clock wrong?")


def standard_webhook_id(request: WebhookRequest) -> str | None:
    """The sender's own id of a request, the same for every redelivery."""
    return request.headers.get("webhook-id") or None


@functools.lru_cache(maxsize=64)
def _standard_key(secret: str) -> bytes:
    key = _base64(secret.removeprefix("whsec_"))
    if not key:
        _log.error("a webhook's secret is not a whsec_ secret")
    return key


def _keys(secrets: list[Secret]) -> list[bytes]:
    return [value.encode() for value in revealed(secrets)]


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
        return _canonical(value)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value, re.ASCII):
        raise InvalidSignature
    return bytes.fromhex(value)


def _canonical(value: str) -> bytes:
    """What is written in its one base64 form, padded or not; anything else is empty, which equals no proof."""
    found = _base64(value)
    written = base64.b64encode(found).decode()
    return found if value in (written, written.rstrip("=")) else b""


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
