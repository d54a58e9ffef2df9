"""tweepy with crmbridge's manners: our session beneath it, the documented host, no reading of refusals by it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import requests
import tweepy

from connectors.destinations.twitter.login import Login, login
from connectors.destinations.twitter.options import TwitterOptions
from crmbridge.contract import Setting
from crmbridge.errors import DeliveryError
from crmbridge.http import HttpSession, attempt
from crmbridge.model import Network

HOST: Final = "https://api.x.com"
"""The one host of X's documents and of its OpenAPI description (read 2026-11-30)."""
_TWEEPYS: Final = "https://api.twitter.com"  # fixed inside tweepy.Client.request

# At DEBUG tweepy and the OAuth libraries log headers and bodies whole.
for _name in ("tweepy", "requests_oauthlib", "oauthlib"):
    logging.getLogger(_name).setLevel(logging.WARNING)

Call: TypeAlias = Callable[[Any, bool], object]
"""`call(client, user_auth)`: one method of a tweepy.Client."""


class _Refusal(DeliveryError):
    """An answer other than 2xx."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(f"HTTP {answer.status_code}")
        self.answer = answer


class _Beneath(HttpSession):
    """The session that tweepy works on."""

    def __init__(self, network: Network, address: str) -> None:
        super().__init__(network)
        self._address = address

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Asks our address where tweepy says its own; it is signed afterwards, so the signature is over what is really asked."""
        return super().request(method, str(url).replace(_TWEEPYS, self._address, 1), *args, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Takes refusals out of tweepy's hands: it crashes on some, reads little in others, and we know more of all."""
        answer = super().send(request, **kwargs)
        if not 200 <= answer.status_code < 300:
            raise _Refusal(answer)
        return answer


class Api:
    """X's API v2 as one account."""

    def __init__(self, options: TwitterOptions, setting: Setting) -> None:
        address = options.api_url or HOST
        self._beneath = _Beneath(setting.network, address)
        self._beside = HttpSession(setting.network)
        self.login: Login = login(options, setting, self._beside, address)

    def ask(self, call: Call) -> requests.Response:
        """One request and its answer, whatever its status. A token that X refuses is renewed, once: a 401 has done nothing."""
        client = self.login.client()
        answer = self._once(call, client)
        if answer.status_code == 401 and self.login.renew(client):
            answer = self._once(call, self.login.client())
        return answer

    def _once(self, call: Call, client: tweepy.Client) -> requests.Response:
        client.session.close()
        client.session = self._beneath
        try:
            with attempt():  # with a mark of its own: what was asked before it (a token, a picture) has posted nothing
                answer = call(client, self.login.user_auth)
        except _Refusal as refusal:
            return refusal.answer
        if not isinstance(answer, requests.Response):
            raise TypeError(f"tweepy answered {type(answer).__name__}")
        return answer

    def close(self) -> None:
        """Close connections; safe to call twice."""
        self._beneath.close()
        self._beside.close()
