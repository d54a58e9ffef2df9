"""One page of a JSON API, and where the next one is."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from connectors.sources.rest.options import Basic, Bearer, Header, OAuth2, Resource, RestOptions
from crmbridge.contract import Setting, login_secret
from crmbridge.errors import SourceError
from crmbridge.http import Session, Token, Tokens, Vendor, log_in, look

_LIFE: Final = timedelta(minutes=30)
"""For an OAuth token without expires_in."""
_NEXT: Final = re.compile(r"<([^<>]*)>(?=[^<]*;\s*rel\s*=\s*\"?next\"?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Body:
    """What one request brought."""

    json: Any
    link: str
    """The Link header (RFC 8288), or nothing."""


class Api:
    """Asks one API. Raises SourceError."""

    def __init__(self, options: RestOptions, setting: Setting) -> None:
        self._options = options
        self._now: Callable[[], datetime] = setting.now
        self._session = Session(setting.network)
        self._heard = threading.local()
        auth = options.auth
        keep = setting.token_file if isinstance(auth, OAuth2) else None
        tokens = Tokens(self._obtain, now=setting.now, keep=keep, login=self._login)
        self._vendor = Vendor(self._session, tokens, words=_words, now=setting.now, heard=self._hear, authorize=self._headers)

    def page(self, one: Resource, asked: Mapping[str, str], place: str) -> Body:
        """The page at `place`, which is empty for the first one."""
        paging = one.paging
        params = {**one.parameters, **asked}
        if one.size_parameter:
            params[one.size_parameter] = str(one.size)
        address = self._options.url + one.path
        if place and paging and paging.style == "link":
            address, params = self._own(place), {}
        elif place and paging and paging.parameter:
            params[paging.parameter] = place
        self._heard.link = ""
        body = self._vendor.get(lambda _: address, **params)
        return Body(body, self._heard.link)

    def following(self, one: Resource, body: Body, place: str, count: int) -> str | None:
        """Where the page behind this one is, which held `count` records; None where there is none."""
        paging = one.paging
        if paging is None:
            return None
        match paging.style:
            case "offset":
                return str(int(place or "0") + count) if count >= one.size else None
            case "page":
                return str(int(place or paging.first) + 1) if count >= one.size else None
            case "cursor":
                found = look(paging.next, body.json) if paging.next else None
            case _:
                found = look(paging.next, body.json) if paging.next else _linked(body.link)
        return str(found) if found not in (None, "", False) else None

    def close(self) -> None:
        self._vendor.close()

    # --- who we are

    def _login(self) -> str:
        auth = self._options.auth
        return f"{auth.token_url}\0{auth.client_id}\0{auth.client_secret.reveal()}" if isinstance(auth, OAuth2) else ""

    def _headers(self, token: Token) -> dict[str, str]:
        match self._options.auth:
            case Basic() as basic:
                pair = base64.b64encode(f"{basic.username}:{token.value}".encode()).decode()
                shown = {"Authorization": f"Basic {pair}"}
            case Header() as header:
                shown = {header.name: token.value}
            case _:
                shown = {"Authorization": f"Bearer {token.value}"}
        return {**self._options.headers, **shown}

    def _obtain(self, _: Token | None) -> Token:
        auth = self._options.auth
        match auth:
            case Bearer():
                return Token(login_secret(auth.token))
            case Basic():
                return Token(login_secret(auth.password))
            case Header():
                return Token(login_secret(auth.value))
        form = {"grant_type": "client_credentials", "client_id": auth.client_id, "client_secret": login_secret(auth.client_secret)}
        form |= {"scope": auth.scope} if auth.scope else {}
        token = log_in(self._session, auth.token_url, form, now=self._now())
        return token if token.expires_at else replace(token, expires_at=self._now() + _LIFE)

    def _own(self, address: str) -> str:
        """An address that the API gave, if it is its own: nobody else is shown our credentials."""
        whole = urljoin(self._options.url + "/", address)
        ours, theirs = urlsplit(self._options.url), urlsplit(whole)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise SourceError(f"the API names {theirs.netloc[:100]} for its next page, which is not its own address")
        return whole

    def _hear(self, headers: Mapping[str, str]) -> None:
        self._heard.link = headers.get("Link", "")


def _linked(header: str) -> str | None:
    found = _NEXT.search(header)
    return found[1] if found else None


def _words(body: Any) -> str:
    """What an error says, wherever APIs use to put that."""
    if not isinstance(body, dict):
        return ""
    for name in ("message", "error_description", "detail", "title", "error", "errors"):
        value = body.get(name)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, list) and value:
            value = value[0].get("message") if isinstance(value[0], dict) else value[0]
        if isinstance(value, str) and value:
            return value
    return ""
