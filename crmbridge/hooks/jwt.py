"""JSON Web Tokens signed with a shared secret: HS256, and nothing else. Anything malformed is no token. Pure.

https://www.rfc-editor.org/rfc/rfc7515 (compact form), https://www.rfc-editor.org/rfc/rfc7519 (claims)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from crmbridge.hooks.encodings import canonical_url, is_any
from crmbridge.http import strict_json

LONGEST: Final = 4_096  # characters of a token
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)


def claims(token: str, keys: Sequence[bytes]) -> Mapping[str, Any] | None:
    """Return the claims of a token that one of `keys` signed. Return None for any other text.

    The algorithm is fixed to HS256. The token's head must name it too (RFC 8725, 3.1). A token with extensions that must be
    understood (`crit`) is refused.
    """
    match = _COMPACT.fullmatch(token) if len(token) <= LONGEST else None
    if match is None:
        return None
    head, said, given = (canonical_url(part) for part in match.groups())
    signed = f"{match[1]}.{match[2]}".encode()
    if not is_any(given, [hmac.digest(key, signed, hashlib.sha256) for key in keys]):
        return None
    try:
        header, found = strict_json(head), strict_json(said)
    except ValueError:
        return None
    if not isinstance(header, dict) or header.get("alg") != "HS256" or "crit" in header or "b64" in header:
        return None
    return found if isinstance(found, dict) else None


def in_its_time(found: Mapping[str, Any], now: float, leeway: int) -> bool:
    """Say whether claims hold now: not ended (`exp`), not of the future (`nbf`, `iat`), and with an end, or no older than `leeway`."""
    stamps = {name: found[name] for name in ("exp", "nbf", "iat") if name in found}
    if not all(isinstance(one, (int, Decimal)) and not isinstance(one, bool) and 0 <= one < 10**11 for one in stamps.values()):
        return False
    if "exp" not in stamps and "iat" not in stamps:
        return False
    moments = {name: float(one) for name, one in stamps.items()}
    ended = moments["exp"] < now - leeway if "exp" in moments else moments["iat"] < now - leeway
    return not ended and all(moments[name] <= now + leeway for name in ("nbf", "iat") if name in moments)
