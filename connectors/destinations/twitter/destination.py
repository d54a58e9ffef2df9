"""One attempt to post on X through tweepy, to find a post or to take it back, and what the answer means."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import requests

from connectors.destinations.twitter.api import Api, Call
from connectors.destinations.twitter.errors import meaning
from connectors.destinations.twitter.login import WRITE
from connectors.destinations.twitter.lookup import FIELDS, MARGIN, PAGE, PAGES, among
from connectors.destinations.twitter.media import XPictures
from connectors.destinations.twitter.options import TwitterOptions
from connectors.destinations.twitter.prices import PRICE, PRICE_OF_WORDS, PRICE_WITH_ADDRESS
from connectors.destinations.twitter.text import has_address, post_text, weight
from crmbridge.contract import Limits, Rate, Setting
from crmbridge.errors import AuthFailed, OutcomeUnknown, Rejected
from crmbridge.http import NoPicture, attempt, looking
from crmbridge.model import Message, Receipt, Text, shortened

# https://docs.x.com/fundamentals/counting-characters ; long posts: https://docs.x.com/changelog (2024-08-20)
LENGTH = 280
LONG_LENGTH = 25_000
# https://docs.x.com/x-api/fundamentals/rate-limits (read 2026-11-30): POST /2/tweets, per user; beside it 10,000 in 24 hours
# for the app, which the answers tell.
WINDOW = Rate(count=100, seconds=900)


class TwitterDestination:
    """An X account."""

    def __init__(self, options: TwitterOptions, setting: Setting) -> None:
        self._api = Api(options, setting)
        self._pictures = XPictures(options, setting, self._api)
        self._now = setting.now
        self._account: str | None = None  # our own numeric id
        # One at a time: posts of one account are read in order, and a reply needs its parent.
        self.limits = Limits(length=LONG_LENGTH if options.long_posts else LENGTH, per_destination=WINDOW, concurrency=1)

    def measure(self, text: Text) -> int:
        """X's weighted length."""
        return weight(post_text(text))

    def check(self) -> None:
        """GET /2/users/me: proves the login, and that it may write. X bills it as one user read."""
        with looking():
            answer = self._api.ask(lambda client, user: client.get_me(user_auth=user))
            if answer.status_code != 200:
                raise self._meaning(answer)
            login, level = self._api.login, answer.headers.get("x-access-level", "")
            lacking = "x-access-level: read" if level.strip().lower() == "read" else ""
            if not login.grants(WRITE):
                lacking = f"the token has no {WRITE}, only: {login.scopes()}"
            if lacking:
                raise AuthFailed(
                    f"the login may not post ({lacking}): set the app to Read and write, then make new tokens", code="no_write"
                )

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """POST /2/tweets, once."""
        with attempt():
            text = fitting(message, self.limits.length or LENGTH)
            reply = parent.remote_id if parent else None
            picture, note = self._picture(message, key)
            try:
                return _receipt(self._posted(text, reply, picture), note)
            except Rejected as error:
                if picture is None or error.code != "media":
                    raise
                return _receipt(self._posted(text, reply, None), _left_out(error))  # a refusal: nothing was posted

    def _picture(self, message: Message, key: str) -> tuple[str | None, str]:
        """X's id of the message's picture, or why it goes out without one. Raises a DeliveryError where it is to wait."""
        if message.media is None:
            return None, ""
        try:
            return self._pictures.given(message.media, key), ""
        except NoPicture as error:
            return None, _left_out(error)

    def _posted(self, text: str, reply: str | None, picture: str | None) -> str:
        """The id of the post that is made."""
        media = [picture] if picture else None
        answer = self._api.ask(
            lambda client, user: client.create_tweet(text=text, in_reply_to_tweet_id=reply, media_ids=media, user_auth=user)
        )
        said = _json(answer)
        data = said.get("data") if isinstance(said, dict) else None
        if answer.status_code != 201 or not isinstance(data, dict) or not isinstance(data.get("id"), str):
            raise self._meaning(answer, reply=reply is not None)
        return str(data["id"])

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
        return self._look(lambda client, user: client.get_users_tweets(account, **wanted, user_auth=user))

    def delete(self, receipt: Receipt) -> None:
        """DELETE /2/tweets/:id, once; a post that is gone is fine."""
        with attempt():
            if not receipt.remote_id.isdecimal():
                raise Rejected("the receipt names no post", code="no_receipt")
            answer = self._api.ask(lambda client, user: client.delete_tweet(receipt.remote_id, user_auth=user))
            said = _json(answer)
            data = said.get("data") if isinstance(said, dict) else None
            done = answer.status_code == 200 and isinstance(data, dict) and data.get("deleted") is True
            if not done and answer.status_code != 404:
                raise self._meaning(answer)

    def price(self, message: Message) -> Decimal:
        """What X asks for this post, in US dollars; raises Rejected for a message that cannot be posted."""
        words = PRICE_OF_WORDS if message.media else Decimal(0)
        return price(fitting(message, self.limits.length or LENGTH)) + words

    def _own_id(self) -> str:
        """Our numeric user id, from the credentials where they tell it; else X is asked, once."""
        if known := self._api.login.account() or self._account:
            return known
        data = self._look(lambda client, user: client.get_me(user_auth=user)).get("data")
        if not isinstance(data, dict) or not isinstance(data.get("id"), str):
            raise OutcomeUnknown("X did not say who we are")
        self._account = str(data["id"])
        return self._account

    def _look(self, call: Call) -> dict[str, Any]:
        """A read's answer. A refusal says nothing about the post, and must not pause an account that may still publish."""
        answer = self._api.ask(call)
        said = _json(answer)
        if answer.status_code != 200:
            error = self._meaning(answer)
            if isinstance(error, Rejected) or (answer.status_code == 403 and isinstance(error, AuthFailed)):
                raise Rejected(f"X cannot be asked whether the post is there: {error} (the app must be able to read)", code="find")
            raise error
        if not isinstance(said, dict) or not isinstance(said.get("data") or said.get("meta"), (dict, list)):
            raise OutcomeUnknown("X answered 200 with something unreadable")
        return said

    def _meaning(self, answer: requests.Response, *, reply: bool = False) -> Exception:
        return meaning(answer.status_code, answer.headers, _json(answer), self._now(), reply=reply)

    def close(self) -> None:
        """Close connections."""
        self._pictures.close()
        self._api.close()


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


def _receipt(post: str, note: str = "") -> Receipt:
    return Receipt(remote_id=post, url=f"https://x.com/i/status/{post}", extra={"note": note} if note else {})


def _left_out(why: Exception) -> str:
    return f"posted without its picture: {why}"[:400]


def _json(answer: requests.Response) -> Any:
    """The body as JSON, or None."""
    try:
        return answer.json()
    except ValueError:
        return None
