"""One exchange with a token endpoint (OAuth 2.0: RFC 6749). Sources and destinations say in their own errors what a refusal leads to."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import requests

from crmbridge.errors import AuthFailed, DeliveryError, LoginRefused, RateLimited, SourceError, Transient
from crmbridge.http.answers import retry_after
from crmbridge.http.mark import describe
from crmbridge.http.session import HttpSession
from crmbridge.http.tokens import AccessToken, NotKept
from crmbridge.telemetry import redact

_LONGEST: Final = 10**8  # seconds; no token lives longer
_LIMITED: Final = timedelta(minutes=1)  # how long to wait where a rate limit names no end
_AGAIN: Final = timedelta(minutes=1)  # how long to wait until a refused login is tried again


class Denied(Exception):
    """The token endpoint gave no token. `code` is its own word for the reason (RFC 6749, section 5.2); empty if it gave none.

    `final`: the endpoint does not take these credentials, so a person must act.
    """

    def __init__(self, message: str, *, code: str = "", final: bool = False, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.final = final
        self.retry_at = retry_at


def exchange(
    session: HttpSession,
    url: str,
    form: Mapping[str, str],
    *,
    now: datetime,
    client: tuple[str, str] | None = None,
    facts: Sequence[str] = ("scope",),
) -> AccessToken:
    """Exchange `form` for a token. The token's facts hold what else the endpoint says under the names in `facts`.

    `client` is the id and secret of a confidential client, sent as HTTP Basic (section 2.3.1). If the answer holds no refresh
    token, the one in `form` stays good (section 6). Raises Denied, or requests.RequestException where no answer came.
    """
    headers = {"Accept": "application/json"}
    if client is not None:
        pair = ":".join(quote(part, safe="") for part in client)
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    answer = session.post(url, data=dict(form), headers=headers)
    body = _json(answer)
    if answer.status_code != 200 or isinstance(body.get("error"), str):  # some endpoints refuse with a 200
        raise _denied(answer, body, now)
    value, seconds, refresh = body.get("access_token"), body.get("expires_in"), body.get("refresh_token")
    if not isinstance(value, str) or not value:
        raise Denied("the answer to the login holds no access_token")
    expires_at = now + timedelta(seconds=seconds) if isinstance(seconds, int) and 0 < seconds < _LONGEST else None
    kept = refresh if isinstance(refresh, str) and refresh else form.get("refresh_token", "")
    return AccessToken(value, expires_at, kept, {name: told for name in facts if isinstance(told := body.get(name), str)})


def log_in(
    session: HttpSession,
    url: str,
    form: Mapping[str, str],
    *,
    now: datetime,
    client: tuple[str, str] | None = None,
    facts: Sequence[str] = ("scope",),
) -> AccessToken:
    """Exchange `form` for a token, for a source. Raises LoginRefused where a person must act, else SourceError."""
    try:
        return exchange(session, url, form, now=now, client=client, facts=facts)
    except Denied as error:
        if error.final:
            raise LoginRefused(f"the login is refused: {error}", error.retry_at or now + _AGAIN) from None
        raise SourceError(f"the login failed: {error}", error.retry_at) from None
    except requests.RequestException as error:
        raise SourceError(f"the login failed: {describe(error)}") from None


def claim(claims: Mapping[str, Any], pem: str, option: str) -> str:
    """Make a JWT that an RSA key signs (RS256: RFC 7518, section 3.3), as an assertion of who we are (RFC 7523).

    Raises ValueError if `option` holds no such key, and ImportError where cryptography is not installed.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{option} is not an RSA key in PEM, without a password")
    signed = f"{_part(json.dumps({'alg': 'RS256'}).encode())}.{_part(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{signed}.{_part(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def login_failed(error: Exception) -> DeliveryError:
    """Turn a login that failed into a DeliveryError, for destinations. Nothing of the message was sent."""
    if isinstance(error, DeliveryError):
        return error
    text = redact(f"the login cannot be renewed: {error}" if isinstance(error, (Denied, NotKept)) else describe(error))[:400]
    if isinstance(error, Denied) and error.final:
        return AuthFailed(text, code=error.code or "login")
    if isinstance(error, Denied) and error.retry_at is not None:
        return RateLimited(text, error.retry_at, code=error.code)
    return Transient(text, code="login")


def _denied(answer: requests.Response, body: Mapping[str, Any], now: datetime) -> Denied:
    code = body["error"] if isinstance(body.get("error"), str) else ""
    said = next((text for name in ("error_description", "detail", "title", "message") if isinstance(text := body.get(name), str)), "")
    words = " ".join(f"HTTP {answer.status_code} {code} {said}".split())
    until = retry_after(answer.headers, now) or (now + _LIMITED if answer.status_code == 429 else None)
    meant = answer.status_code == 200 or (400 <= answer.status_code < 500 and answer.status_code not in (408, 425, 429))
    final = meant and bool(body)  # an answer without a JSON body comes from a gateway, not from the endpoint
    return Denied(redact(words)[:300], code=code[:60], final=final, retry_at=until)


def _json(answer: requests.Response) -> Mapping[str, Any]:
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
