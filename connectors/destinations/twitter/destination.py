"""One attempt to post on X through tweepy, and what its answer means."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import requests
import tweepy

from connectors.destinations.twitter.errors import meaning
from connectors.destinations.twitter.options import TwitterOptions
from connectors.destinations.twitter.text import post_text, weight
from crmbridge.contract import Limits, Rate, Setting
from crmbridge.errors import Rejected
from crmbridge.http import Session, attempt, credential
from crmbridge.model import Message, Network, Receipt, Text

# https://docs.x.com/fundamentals/counting-characters ; long posts: https://docs.x.com/changelog (2024-08-20)
LENGTH = 280
LONG_LENGTH = 25_000
# https://docs.x.com/x-api/fundamentals/rate-limits : POST /2/tweets, per user.
WINDOW = Rate(count=100, seconds=900)

_HOST = "https://api.twitter.com"  # fixed inside tweepy.Client.request

# At DEBUG tweepy and the OAuth libraries log headers and bodies whole.
for _name in ("tweepy", "requests_oauthlib", "oauthlib"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class _Rerouted(Session):
    """A Session that speaks to `api_url` where tweepy says api.twitter.com; the signature is made before, over the latter."""

    def __init__(self, network: Network, api_url: str | None) -> None:
        super().__init__(network)
        self._api_url = api_url

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if self._api_url and request.url:
            request.url = self._api_url + request.url.removeprefix(_HOST)
        return super().send(request, **kwargs)


class _Once:
    """What tweepy.Client is given as its session: passes the request on and keeps the answer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.answer: requests.Response | None = None

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.answer = self._session.request(*args, **kwargs)
        return self.answer


class TwitterDestination:
    """An X account."""

    def __init__(self, options: TwitterOptions, setting: Setting) -> None:
        self._options = options
        self._session = _Rerouted(setting.network, options.api_url)
        # One at a time: posts of one account are read in order, and a reply needs its parent.
        self.limits = Limits(length=LONG_LENGTH if options.long_posts else LENGTH, per_destination=WINDOW, concurrency=1)

    def measure(self, text: Text) -> int:
        """X's weighted length."""
        return weight(post_text(text))

    def check(self) -> None:
        """GET /2/users/me: proves the four secrets. X bills it as one user read."""
        with attempt():
            answer = self._ask(lambda client: client.get_me(user_auth=True))
            if answer.status_code != 200:
                raise self._meaning(answer)

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """POST /2/tweets, once."""
        with attempt():
            text = fitting(message, self.limits.length or LENGTH)
            reply = parent.remote_id if parent else None
            answer = self._ask(lambda client: client.create_tweet(text=text, in_reply_to_tweet_id=reply, user_auth=True))
            said = _json(answer)
            data = said.get("data") if isinstance(said, dict) else None
            if answer.status_code != 201 or not isinstance(data, dict) or not isinstance(data.get("id"), str):
                raise self._meaning(answer)
            return Receipt(remote_id=data["id"], url=f"https://x.com/i/status/{data['id']}")

    def _ask(self, call: Callable[[Any], object]) -> requests.Response:
        """One tweepy call and the answer it got. What tweepy makes of it is not asked: some answers crash it."""
        secrets = self._options
        client = tweepy.Client(
            consumer_key=credential(secrets.consumer_key.reveal),
            consumer_secret=credential(secrets.consumer_secret.reveal),
            access_token=credential(secrets.access_token.reveal),
            access_token_secret=credential(secrets.access_token_secret.reveal),
            return_type=requests.Response,
            wait_on_rate_limit=False,
        )
        client.session.close()
        client.session = once = _Once(self._session)
        try:
            call(client)
        except Exception:
            if once.answer is None:
                raise
        if once.answer is None:
            raise RuntimeError("tweepy asked nothing")
        return once.answer

    @staticmethod
    def _meaning(answer: requests.Response) -> Exception:
        return meaning(answer.status_code, answer.headers, _json(answer), datetime.now(timezone.utc))

    def close(self) -> None:
        """Close connections."""
        self._session.close()


def fitting(message: Message, length: int) -> str:
    """The post's text; raises Rejected if it is empty or longer than `length`."""
    text = post_text(message.text, message.link)
    if not text.strip():
        raise Rejected("the text is empty", code="empty")
    if (units := weight(text)) > length:
        raise Rejected(f"the text weighs {units} on X, {length} is the limit", code="length")
    return text


def _json(answer: requests.Response) -> Any:
    """The body as JSON, or None."""
    try:
        return answer.json()
    except ValueError:
        return None
