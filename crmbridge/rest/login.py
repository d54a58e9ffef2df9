"""The login of a rest source: its token, and the headers that show it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from crmbridge.contract import login_secret
from crmbridge.http import AccessToken, HttpSession, log_in
from crmbridge.rest.login_options import Auth, BasicLogin, BearerLogin, HeaderLogin, KeyLogin, OAuth2Login

_LIFE: Final = timedelta(minutes=30)
"""How long an OAuth token without expires_in is used."""


class Login:
    """One login at an API. Raises SourceError."""

    def __init__(self, auth: Auth, session: HttpSession, now: Callable[[], datetime]) -> None:
        self._auth = auth
        self._session = session
        self._now = now

    @property
    def keeps(self) -> bool:
        """Whether the login's tokens are worth keeping across restarts."""
        return isinstance(self._auth, OAuth2Login)

    def name(self) -> str:
        """Return the credentials, secrets included. Raises ValueError if a secret cannot be read."""
        auth = self._auth
        if not isinstance(auth, OAuth2Login):
            return ""
        named = f"{auth.token_url}\0{auth.client_id}\0{auth.client_secret.reveal()}"
        given = auth.refresh_token or auth.code  # another login: it must not use what was kept of the one before
        return f"{named}\0{given.reveal()}" if given else named

    def headers(self, token: AccessToken) -> dict[str, str]:
        """Return the headers that show the token."""
        match self._auth:
            case BasicLogin() as basic:
                return {"Authorization": _pair(basic.username, token.value)}
            case KeyLogin():
                return {"Authorization": _pair(token.value, "")}
            case HeaderLogin() as header:
                return {header.name: header.prefix + token.value}
            case OAuth2Login() as oauth:
                return {"Authorization": oauth.prefix + token.value}
        return {"Authorization": f"Bearer {token.value}"}

    def obtain(self, last: AccessToken | None) -> AccessToken:
        """Obtain a token. `last` is the one before; its refresh token is newer than the configured one."""
        match self._auth:
            case BearerLogin() as bearer:
                return AccessToken(login_secret(bearer.token))
            case BasicLogin() as basic:
                return AccessToken(login_secret(basic.password))
            case KeyLogin() as key:
                return AccessToken(login_secret(key.key))
            case HeaderLogin() as header:
                return AccessToken(login_secret(header.value))
            case OAuth2Login() as oauth:
                token = log_in(self._session, oauth.token_url, self._form(oauth, last), now=self._now())
        return token if token.expires_at else replace(token, expires_at=self._now() + _LIFE)

    @staticmethod
    def _form(oauth: OAuth2Login, last: AccessToken | None) -> dict[str, str]:
        form = {"grant_type": "client_credentials", "client_id": oauth.client_id, "client_secret": login_secret(oauth.client_secret)}
        newest = last.refresh if last is not None else ""
        if not newest and oauth.refresh_token is not None:
            newest = login_secret(oauth.refresh_token)
        if newest and (oauth.refresh_token is not None or oauth.code is not None):
            form |= {"grant_type": "refresh_token", "refresh_token": newest}
        elif oauth.code is not None:
            form |= {"grant_type": "authorization_code", "code": login_secret(oauth.code)}
            form |= {"redirect_uri": oauth.redirect_uri} if oauth.redirect_uri else {}
        return form | ({"scope": oauth.scope} if oauth.scope else {})


def _pair(user: str, password: str) -> str:
    """Write a user and a password as HTTP Basic (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
