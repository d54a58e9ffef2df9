"""One attempt to post on X through tweepy, to find a post or to take it back, and what the answer means."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import requests
import tweepy

from connectors.destinations.twitter.errors import meaning
from connectors.destinations.twitter.lookup import FIELDS, MARGIN, PAGE, PAGES, among
from connectors.destinations.twitter.options import TwitterOptions
from connectors.destinations.twitter.text import has_address, post_text, weight
from crmbridge.contract import Limits, Rate, Setting
from crmbridge.errors import OutcomeUnknown, Rejected
from crmbridge.http import Session, attempt, credential, looking
from crmbridge.model import Message, Network, Receipt, Text, shortened

# https://docs.x.com/fundamentals/counting-characters ; long posts: https://docs.x.com/changelog (2024-08-20)
LENGTH = 280
LONG_LENGTH = 25_000
# https://docs.x.com/x-api/fundamentals/rate-limits : POST /2/tweets, per user.
WINDOW = Rate(count=100, seconds=900)
# https://docs.x.com/x-api/getting-started/pricing : US dollars for each request, pay-per-use, since 2026-02-06.
PRICE = Decimal("0.015")
PRICE_WITH_ADDRESS = Decimal("0.20")

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
        self._account: str | None = None  # our own numeric id
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
            return _receipt(data["id"])

    def find(self, message: Message, key: str, parent: Receipt | None, since: datetime) -> Receipt | None:
        """Our own timeline, searched for the text. Raises Rejected, code `find`, where the account may not look."""
        with looking():
            wanted, reply = fitting(message, self.limits.length or LENGTH), parent.remote_id if parent else None
            account, following = self._own_id(), None
            for _ in range(PAGES):
                said = self._page(account, since, following)
                if (found := among(said, wanted, reply)) is not None:
                    return _receipt(found)
                following = said["meta"].get("next_token")
                if not following:
                    return None
            raise Rejected(f"X cannot be asked whether the post is there: more than {PAGES * PAGE} posts since", code="find")

    def _page(self, account: str, since: datetime, token: str | None) -> dict[str, Any]:
        """GET /2/users/:id/tweets: one page of our own posts, newest first."""
        # tweepy joins lists with commas, and nothing else.
        begin = (since - MARGIN).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = {"start_time": begin, "max_results": PAGE, "tweet_fields": list(FIELDS), "exclude": "retweets", "pagination_token": token}
        return self._look(lambda client: client.get_users_tweets(account, **wanted, user_auth=True))

    def delete(self, receipt: Receipt) -> None:
        """DELETE /2/tweets/:id, once; a post that is gone is fine."""
        with attempt():
            if not receipt.remote_id.isdecimal():
                raise Rejected("the receipt names no post", code="no_receipt")
            answer = self._ask(lambda client: client.delete_tweet(receipt.remote_id, user_auth=True))
            said = _json(answer)
            data = said.get("data") if isinstance(said, dict) else None
            done = answer.status_code == 200 and isinstance(data, dict) and data.get("deleted") is True
            if not done and answer.status_code != 404:
                raise self._meaning(answer)

    def price(self, message: Message) -> Decimal:
        """What X asks for this post, in US dollars; raises Rejected for a message that cannot be posted."""
        return price(fitting(message, self.limits.length or LENGTH))

    def _own_id(self) -> str:
        """Our numeric user id, which an OAuth 1.0a access token begins with; else X is asked, once."""
        begin, dash, _ = credential(self._options.access_token.reveal).partition("-")
        if dash and begin.isdecimal():
            return begin
        if self._account is None:
            data = self._look(lambda client: client.get_me(user_auth=True)).get("data")
            if not isinstance(data, dict) or not isinstance(data.get("id"), str):
                raise OutcomeUnknown("X did not say who we are")
            self._account = data["id"]
        return self._account

    def _look(self, call: Callable[[Any], object]) -> dict[str, Any]:
        """A read's answer. A refusal says nothing about the post, and must not pause an account that may still publish."""
        answer = self._ask(call)
        said = _json(answer)
        if answer.status_code != 200:
            error = self._meaning(answer)
            if answer.status_code == 403 or isinstance(error, Rejected):
                raise Rejected(f"X cannot be asked whether the post is there: {error} (the app must be able to read)", code="find")
            raise error
        if not isinstance(said, dict) or not isinstance(said.get("data") or said.get("meta"), (dict, list)):
            raise OutcomeUnknown("X answered 200 with something unreadable")
        return said

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
    link = message.link
    text = post_text(shortened(message.text, lambda short: weight(post_text(short, link)) <= length), link)
    if not text.strip():
        raise Rejected("the text is empty", code="empty")
    if (units := weight(text)) > length:
        raise Rejected(f"the text weighs {units} on X, {length} is the limit", code="length")
    return text


def price(text: str) -> Decimal:
    """What X asks for creating a post with `text`, link included, in US dollars."""
    return PRICE_WITH_ADDRESS if has_address(text) else PRICE


def _receipt(post: str) -> Receipt:
    return Receipt(remote_id=post, url=f"https://x.com/i/status/{post}")


def _json(answer: requests.Response) -> Any:
    """The body as JSON, or None."""
    try:
        return answer.json()
    except ValueError:
        return None
