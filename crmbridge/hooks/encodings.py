"""How bytes are written as text: strictly, in one form only. Malformed text becomes empty bytes, which equal no proof. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from typing import Final, Literal

Written = Literal["hex", "base64"]
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)


def is_any(given: bytes, wanted: Iterable[bytes]) -> bool:
    """Say whether a proof is one of those that count. Each comparison takes constant time, and none is skipped."""
    good = False
    for one in wanted:
        good |= hmac.compare_digest(given, one)
    return good


def decoded(value: str, written: Written) -> bytes:
    """Decode the bytes of a signature. Malformed text gives empty bytes."""
    if written == "base64":
        return canonical(value)
    return bytes.fromhex(value) if _HEX.fullmatch(value) else b""


def canonical(value: str) -> bytes:
    """Decode base64 that is in its canonical form, padded or not. Other text gives empty bytes."""
    found = loose(value)
    made = base64.b64encode(found).decode()
    return found if value in (made, made.rstrip("=")) else b""


def canonical_url(value: str) -> bytes:
    """Decode base64 in the URL-safe alphabet, without padding (RFC 7515, appendix C). Other text gives empty bytes."""
    if "=" in value or "+" in value or "/" in value:
        return b""
    return canonical(value.translate({ord("-"): "+", ord("_"): "/"}))


def loose(value: str) -> bytes:
    """Decode strict base64, padded or not. The unused last bits may have any value."""
    if not value.isascii():
        return b""
    try:
        return base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
