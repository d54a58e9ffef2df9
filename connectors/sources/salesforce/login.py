"""Access tokens from the org's own token endpoint.

https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm
https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_client_credentials_flow.htm
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.salesforce.options import JwtBearer, SalesforceOptions
from crmbridge.errors import LoginRefused, SourceError
from crmbridge.http import Refused, Session, Token, understood

_LIFE: Final = timedelta(minutes=60)
"""Nobody says how long a token lasts: the session timeout of the org, two hours by default, each call prolongs it."""
_AGAIN: Final = timedelta(minutes=1)  # until a login that was refused is tried again
_ASSERTION: Final = timedelta(minutes=3)  # how long a signed claim is good; a clock may be off by less than that
_SALESFORCE: Final = re.compile(r"https://[A-Za-z0-9.-]+\.(salesforce|force|cloudforce|database)\.(com|mil)")


class Login:
    """Asks for tokens; each is one login."""

    def __init__(self, options: SalesforceOptions, session: Session, now: Callable[[], datetime]) -> None:
        self._options = options
        self._session = session
        self._now = now

    def obtain(self, _: Token | None) -> Token:
        """A new token; `facts` say at which address to use it. Raises SourceError."""
        form = self._form()
        try:
            answer = understood(
                lambda: self._session.post(f"{self._options.url}/services/oauth2/token", data=form), words=words, now=self._now()
            )
        except Refused as error:
            raise LoginRefused(f"the login is refused: {error}", error.retry_at or self._now() + _AGAIN) from None
        value, instance = (answer.get(name) if isinstance(answer, dict) else None for name in ("access_token", "instance_url"))
        if not isinstance(value, str) or not value:
            raise SourceError("the login brought no access_token")
        scopes = answer.get("scope")
        return Token(
            value, self._now() + _LIFE, facts={"url": self._instance(instance), "scope": scopes if isinstance(scopes, str) else ""}
        )

    def name(self) -> str:
        """Whose tokens these are; raises ValueError for a secret that cannot be read."""
        login = self._options.login
        own = (
            [login.user, login.audience or "", login.private_key.reveal()]
            if isinstance(login, JwtBearer)
            else [login.client_secret.reveal()]
        )
        return "\0".join([self._options.url, login.flow, login.client_id.reveal(), *own])

    def _instance(self, told: Any) -> str:
        """Where the token is good. Nobody else is shown it."""
        instance = told.rstrip("/") if isinstance(told, str) else self._options.url
        if instance != self._options.url and not _SALESFORCE.fullmatch(instance):
            raise SourceError(f"the login names {instance[:100]} as its instance_url, which is not Salesforce")
        return instance

    def _form(self) -> dict[str, str]:
        login = self._options.login
        try:
            client_id = login.client_id.reveal()
            if isinstance(login, JwtBearer):
                return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion(login, client_id)}
            return {"grant_type": "client_credentials", "client_id": client_id, "client_secret": login.client_secret.reveal()}
        except ValueError as error:  # a secret that cannot be read, or is no key: the message names no value
            raise SourceError(str(error)) from None

    def _assertion(self, login: JwtBearer, client_id: str) -> str:
        """A signed claim (RFC 7523) that we are the app."""
        claims = {
            "iss": client_id,
            "sub": login.user,
            "aud": login.audience or self._options.url,
            "exp": int((self._now() + _ASSERTION).timestamp()),
        }
        signed = f"{_part({'alg': 'RS256'})}.{_part(claims)}"
        return f"{signed}.{_base64(_signature(login.private_key.reveal(), signed.encode()))}"


def _signature(pem: str, data: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3). Raises ValueError."""
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise SourceError("the jwt flow needs the extra: pip install 'crmbridge[salesforce]'") from None
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("login.private_key is not an RSA key in PEM, without a password")
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def words(body: Any) -> str:
    """What an error says: a list of {errorCode, message} from the API, one {error, error_description} from the login."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return ""
    parts = (first.get("errorCode") or first.get("error"), first.get("message") or first.get("error_description"))
    return ": ".join(str(part) for part in parts if part)
