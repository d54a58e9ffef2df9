"""Forms: what they say, the proof that one of our pages made them, and where they may lead. Pure.

Two things are asked of a form: an Origin that is ours (OWASP, Cross-Site Request Forgery Prevention: verifying origin), and a
proof that only a page of this very session holds (there: HMAC-based token pattern).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from crmbridge.errors import InvalidRequest

LONGEST: Final = 128 * 1024
"""Bytes: the longest post with every character percent-encoded."""
_MAX_FIELDS: Final = 20
_LABEL: Final = b"chirp form"  # from before there was more than the feed: forms of pages that are open live through an upgrade
_BELOW: Final = re.compile(r"(?:[/?][A-Za-z0-9/_\-?=&%.~+]*)?", re.ASCII)


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of an urlencoded form, the last of repeated ones. Raises InvalidRequest."""
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace"))
    except ValueError:
        raise InvalidRequest("the form is not application/x-www-form-urlencoded") from None


def proof_of(secret: str) -> str:
    """What a form of ours says: derived from the visitor's cookie, which other sites cannot read."""
    return base64.urlsafe_b64encode(hmac.digest(secret.encode("utf-8", "replace"), _LABEL, hashlib.sha256)).decode().rstrip("=")


def proves(said: str, secret: str) -> bool:
    """Whether a form that says this was made for who has this cookie."""
    return bool(secret) and hmac.compare_digest(said.encode("utf-8", "replace"), proof_of(secret).encode())


def origin_of(url: str) -> str:
    """Scheme, host and port of an address as browsers write an Origin."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}" if parts.port in (None, default) else f"{parts.scheme}://{host}:{parts.port}"


def own_path(path: str, root: str) -> str:
    """`path` if it is an address of the site at `root`, else `root`: nobody is sent to another site from a form of ours."""
    ours = path.startswith(root) and _BELOW.fullmatch(path[len(root) :]) and "//" not in path
    return path if ours else root


def from_here(origin: str | None, fetch_site: str | None, ours: str) -> bool:
    """By Origin, which browsers send with every form; programs send neither header, and need the proof all the same."""
    return origin == ours if origin is not None else fetch_site in (None, "same-origin")
