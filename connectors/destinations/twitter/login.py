"""Who we are for X: an app's four keys (OAuth 1.0a), or an account's token of two hours that is renewed (OAuth 2.0)."""

from __future__ import annotations

from typing import Any, Final, Protocol

import requests
import tweepy

from connectors.destinations.twitter.options import TwitterOptions
from crmbridge.contract import Secret, Setting
from crmbridge.errors import AuthFailed
from crmbridge.http import AccessToken, Denied, HttpSession, Tokens, credential, exchange, login_failed

RENEWAL: Final = "/2/oauth2/token"  # https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token (read 2026-11-30)
WRITE: Final = "tweet.write"


class Login(Protocol):
    """One of the two ways."""

    user_auth: bool
    """What tweepy's methods are told: sign with the four keys, or show a token."""

    def client(self) -> tweepy.Client:
        """tweepy with the credentials of this moment. Raises a DeliveryError that says that nothing was sent."""

    def renew(self, refused: tweepy.Client) -> bool:
        """X refused the credentials of that client: whether the next one will have others."""

    def account(self) -> str | None:
        """Our own numeric id, if the credentials tell it."""

    def grants(self, scope: str) -> bool:
        """Whether the login may do this, as far as that is known. Raises a DeliveryError that says that nothing was sent."""

    def scopes(self) -> str:
        """All that it may do, where it was told; for people."""


def login(options: TwitterOptions, setting: Setting, session: HttpSession, address: str) -> Login:
    """The way that is configured. `address` is X's. Raises ValueError if it is not exactly one."""
    if wrong := options.objections(public=False):
        (path, words), *_ = wrong
        raise ValueError(f"{path[0]} {words}")
    return Keys(options) if options.client_id is None else User(options, setting, session, address)


class Keys:
    """OAuth 1.0a. https://docs.x.com/fundamentals/authentication/oauth-1-0a/overview"""

    user_auth = True

    def __init__(self, options: TwitterOptions) -> None:
        self._options = options

    def client(self) -> tweepy.Client:
        options = self._options
        return tweepy.Client(
            consumer_key=_shown(options.consumer_key),
            consumer_secret=_shown(options.consumer_secret),
            access_token=_shown(options.access_token),
            access_token_secret=_shown(options.access_token_secret),
            **_MANNERS,
        )

    def renew(self, refused: tweepy.Client) -> bool:
        return False

    def account(self) -> str | None:
        """An OAuth 1.0a access token begins with the account's id and a dash."""
        begin, dash, _ = _shown(self._options.access_token).partition("-")
        return begin if dash and begin.isascii() and begin.isdecimal() else None

    def grants(self, scope: str) -> bool:
        return True

    def scopes(self) -> str:
        return ""


class User:
    """OAuth 2.0 with a refresh token, each of which X takes once."""

    user_auth = False

    def __init__(self, options: TwitterOptions, setting: Setting, session: HttpSession, address: str) -> None:
        self._options = options
        self._now = setting.now
        self._session = session
        self._url = f"{address}{RENEWAL}"
        keep = setting.state_folder / f"{setting.name}.x.token" if setting.state_folder else None
        self._tokens = Tokens(self._renewed, now=setting.now, keep=keep, login=self._name, rotating=True)

    def client(self) -> tweepy.Client:
        # tweepy takes a user's token where it takes an app's.
        return tweepy.Client(bearer_token=self._token().value, **_MANNERS)

    def renew(self, refused: tweepy.Client) -> bool:
        self._tokens.refused(AccessToken(refused.bearer_token))
        return True

    def account(self) -> str | None:
        return None

    def grants(self, scope: str) -> bool:
        granted = self._token().facts.get("scope")
        return granted is None or scope in granted.split()

    def scopes(self) -> str:
        return self._token().facts.get("scope", "")

    def _token(self) -> AccessToken:
        try:
            return self._tokens.get()
        except Exception as error:  # whatever it is, the post was not sent
            failed = login_failed(error)
            if isinstance(error, Denied) and isinstance(failed, AuthFailed):
                failed = AuthFailed(
                    f"{failed} (each refresh token works once: make a new one, see the connector's README)", code=failed.code
                )
            raise failed from None

    def _name(self) -> str:
        options = self._options
        return "\0".join([self._url, options.client_id or "", options.refresh_token.reveal() if options.refresh_token else ""])

    def _renewed(self, last: AccessToken | None) -> AccessToken:
        """The next token. The configured refresh token is the first one, the kept ones follow."""
        options = self._options
        form = {"grant_type": "refresh_token", "refresh_token": (last.refresh if last else "") or _shown(options.refresh_token)}
        if options.client_secret is None:
            return exchange(self._session, self._url, form | {"client_id": options.client_id or ""}, now=self._now())
        client = (options.client_id or "", _shown(options.client_secret))
        return exchange(self._session, self._url, form, now=self._now(), client=client)


# The answer itself, and none of tweepy's waits.
_MANNERS: Final[dict[str, Any]] = {"return_type": requests.Response, "wait_on_rate_limit": False}


def _shown(secret: Secret | None) -> str:
    if secret is None:
        raise AuthFailed("the login is not configured", code="secret")
    return credential(secret.reveal)
