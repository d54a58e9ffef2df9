"""Addresses, signatures, and what the status and headers of an answer mean. Pure."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected
from crmbridge.model import web_address
from crmbridge.peers import is_this_machine
from crmbridge.telemetry import redact


def web_link(url: str) -> str:
    """Return `url` as plain ASCII that no mark-up can be hidden in. Raises Rejected unless it is http or https with a host."""
    try:
        return web_address(url)
    except ValueError:
        raise Rejected("the link is not an http or https address", code="link") from None


def is_loopback(url: str) -> bool:
    """Say whether `url` names this machine itself."""
    return is_this_machine(urllib.parse.urlsplit(url).hostname or "")


def signed(key: bytes, message_id: str, moment: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks 1.0.0 for one attempt at `moment`. `message_id` must hold no dot.

    `key` is what `signing_key` made of the secret.
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    stamp = str(int(moment.timestamp()))
    mac = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": f"v1,{base64.b64encode(mac).decode()}"}


def signing_key(secret: str) -> bytes:
    """Decode a secret, which is base64 with or without `whsec_`, into its bytes. Raises ValueError that never names the secret."""
    text = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("the signing secret is not whsec_ followed by base64")
    return key


# --- answers ----------------------------------------------------------------------------------

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return the instant that Retry-After names, as seconds or as an HTTP date (RFC 9110, section 10.2.3); None if it names none."""
    value = (headers.get("Retry-After") or headers.get("retry-after") or "").strip()
    if _SECONDS.fullmatch(value):
        return now + timedelta(seconds=float(value))
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def refusal(status: int, words: str, headers: Mapping[str, str], now: datetime) -> DeliveryError:
    """Turn a non-2xx answer into a DeliveryError, for a network that gives a status no meaning of its own.

    429 waits as long as the answer says, or a minute. 401 and 403 pause the destination. After 408 and 5xx the network may have
    acted. Everything else is refused for good.
    """
    text = redact(f"HTTP {status} {' '.join(words.split())}".strip())[:300]
    code = str(status)
    if status == 429:
        return RateLimited(text, retry_after(headers, now) or now + timedelta(minutes=1), code=code)
    if status in (401, 403):
        return AuthFailed(text, code=code)
    if status == 408 or status >= 500:
        return OutcomeUnknown(text, code=code)
    return Rejected(text, code=code)
