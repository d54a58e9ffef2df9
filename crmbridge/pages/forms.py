"""Forms: what they say, the proof that one of our pages made them, and where they may lead. Pure.

A form must have an Origin that is ours (OWASP, Cross-Site Request Forgery Prevention: verifying origin), and a proof that only a page
of this very session holds (the same document: HMAC-based token pattern).
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
"""Bytes of the longest form: the longest post with every character percent-encoded."""
_MAX_FIELDS: Final = 20
_LABEL: Final = b"chirp form"  # a name from when there was only the feed; it stays, so that forms on open pages survive an upgrade
_BELOW: Final = re.compile(r"(?:[/?][A-Za-z0-9/_\-?=&%.~+]*)?", re.ASCII)


def parse_form(body: bytes) -> dict[str, str]:
    """Read the fields of an urlencoded form, the last of repeated ones. Raises InvalidRequest."""
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace"))
    except ValueError:
        raise InvalidRequest("the form is not application/x-www-form-urlencoded") from None


def proof_of(secret: str) -> str:
    """Derive the proof in our forms from the visitor's cookie, which other sites cannot read."""
    return base64.urlsafe_b64encode(hmac.digest(secret.encode("utf-8", "replace"), _LABEL, hashlib.sha256)).decode().rstrip("=")


def proves(said: str, secret: str) -> bool:
    """Say whether the proof `said` by a form was made for the holder of the cookie `secret`."""
    return bool(secret) and hmac.compare_digest(said.encode("utf-8", "replace"), proof_of(secret).encode())


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, as browsers write an Origin."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}" if parts.port in (None, default) else f"{parts.scheme}://{host}:{parts.port}"


def own_path(path: str, root: str) -> str:
    """Return `path` if it is an address of the site at `root`, else `root`. A form of ours sends nobody to another site."""
    ours = path.startswith(root) and _BELOW.fullmatch(path[len(root) :]) and "//" not in path
    return path if ours else root


def from_here(origin: str | None, fetch_site: str | None, ours: str) -> bool:
    """Say whether a form comes from our site.

    Browsers send an Origin with every form. Programs send neither header, and still need the proof.
    """
    return origin == ours if origin is not None else fetch_site in (None, "same-origin")
