"""HubSpot's signature, version 3. Anything malformed is a bad signature, never an exception of another kind.

https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Sequence
from typing import Final

from crmbridge.contract import Secret, WebhookRequest, revealed
from crmbridge.errors import InvalidSignature
from crmbridge.model import to_us

TOLERANCE: Final = 300_000  # milliseconds, in both directions
_STAMP: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_DECODED: Final = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.ASCII | re.IGNORECASE)
_log = logging.getLogger(__name__)


def verify(secrets: Sequence[Secret], url: str, request: WebhookRequest) -> None:
    """Raises InvalidSignature unless HubSpot signed `request` for the public address `url` within the last five minutes."""
    given = request.headers.get("x-hubspot-signature-v3", "")
    stamp = request.headers.get("x-hubspot-request-timestamp", "")
    if not given or not given.isascii() or not _STAMP.fullmatch(stamp):
        raise InvalidSignature("the X-HubSpot-Signature-v3 or X-HubSpot-Request-Timestamp header is missing or malformed")
    try:
        signed = f"POST{signed_address(url, request.query)}".encode() + request.body + stamp.encode()
    except UnicodeEncodeError:
        raise InvalidSignature("the query is not text") from None
    proofs = [signature(key, signed) for key in revealed(secrets)]
    # Compared as written: base64 has other forms of the same bytes, and HubSpot sends none of them.
    if not any(hmac.compare_digest(given, one) for one in proofs):
        raise InvalidSignature
    age = to_us(request.received_at) - int(stamp) * 1000
    if abs(age) > TOLERANCE * 1000:
        raise InvalidSignature(f"the request's timestamp is more than {TOLERANCE // 1000} s away from now: is a clock wrong?")


def signature(secret: str, signed: bytes) -> str:
    """What HubSpot writes into the header for method, address, body and timestamp, one behind the other."""
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


def signed_address(url: str, query: str) -> str:
    """The address as it is signed: the configured one with the query as sent, and just these twelve escapes decoded."""
    address = url.partition("?")[0] + (f"?{query}" if query else "")
    return _DECODED.sub(lambda escape: chr(int(escape[1], 16)), address)
