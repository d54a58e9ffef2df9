"""Signatures of Standard Webhooks 1.0.0, as pure functions over bytes.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from crmbridge.errors import InvalidSignature

TOLERANCE = 300  # seconds, in both directions
_PREFIX = "whsec_"
_ID = re.compile(r"[!-~]{1,256}", re.ASCII)
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_MAX_SIGNATURES = 10
_MAX_HEADER = 2000  # characters; ten signatures need 480


def key(secret: str) -> bytes:
    """Decode the key in a secret `whsec_<base64>`. The prefix and the padding may be missing. Raises ValueError."""
    encoded = secret.removeprefix(_PREFIX).rstrip("=")
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a signing secret is written whsec_ and then base64; `openssl rand -base64 32` makes one") from None
    if not raw:
        raise ValueError("the signing secret is empty; `openssl rand -base64 32` makes one")
    return raw


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Make the `webhook-signature` of a body: `v1,<base64 of HMAC-SHA256>`. Raises ValueError for an unusable secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key(secret), signed, hashlib.sha256)).decode()


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Prove that a holder of one of `secrets` sent `body` within the tolerance of `now` (seconds since 1970).

    `headers` must find names in lower case. Raises InvalidSignature for anything else, malformed values included. Raises
    ValueError if a secret of ours is unusable.
    """
    message_id, timestamp, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(message_id):
        raise InvalidSignature("webhook-id is missing or malformed")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignature("webhook-timestamp is missing or not a whole number of seconds")
    if abs(now - int(timestamp)) > TOLERANCE:
        raise InvalidSignature(f"webhook-timestamp is more than {TOLERANCE} s from this server's clock")
    if len(given) > _MAX_HEADER or not given.isascii():
        raise InvalidSignature("webhook-signature is malformed")
    candidates = [word.encode() for word in given.split(" ") if word.startswith("v1,")][:_MAX_SIGNATURES]
    # Signatures are compared as text: decoding the given one would accept several spellings of one signature.
    expected = [sign(secret, message_id, int(timestamp), body).encode() for secret in secrets]
    # All of them are compared, whichever matches, so that the time taken tells nothing.
    if True not in [hmac.compare_digest(one, other) for one in candidates for other in expected]:
        raise InvalidSignature("no signature in webhook-signature matches")
