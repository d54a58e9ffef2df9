"""Access tokens from the org's own token endpoint.

https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm
https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_client_credentials_flow.htm
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.salesforce.options import JwtBearer, SalesforceOptions
from crmbridge.errors import SourceError
from crmbridge.http import AccessToken, HttpSession, claim, log_in

_LIFE: Final = timedelta(minutes=60)
"""Nobody says how long a token lasts: the session timeout of the org, two hours by default, each call prolongs it."""
_ASSERTION: Final = timedelta(minutes=3)  # how long a signed claim is good; a clock may be off by less than that
_SALESFORCE: Final = re.compile(r"https://[A-Za-z0-9.-]+\.(salesforce|force|cloudforce|database)\.(com|mil)")


class Login:
    """Asks for tokens; each is one login."""

    def __init__(self, options: SalesforceOptions, session: HttpSession, now: Callable[[], datetime]) -> None:
        self._options = options
        self._session = session
        self._now = now

    def obtain(self, _: AccessToken | None) -> AccessToken:
        """A new token; `facts` say at which address to use it. Raises SourceError."""
        url = f"{self._options.url}/services/oauth2/token"
        token = log_in(self._session, url, self._form(), now=self._now(), facts=("scope", "instance_url"))
        facts = {"url": self._instance(token.facts.get("instance_url")), "scope": token.facts.get("scope", "")}
        return replace(token, expires_at=self._now() + _LIFE, facts=facts)

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
        try:
            return claim(claims, login.private_key.reveal(), "login.private_key")
        except ImportError:
            raise SourceError("the jwt flow needs the extra: pip install 'crmbridge[salesforce]'") from None


def words(body: Any) -> str:
    """What an error says: a list of {errorCode, message} from the API, one {error, error_description} from the login."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return ""
    parts = (first.get("errorCode") or first.get("error"), first.get("message") or first.get("error_description"))
    return ": ".join(str(part) for part in parts if part)
