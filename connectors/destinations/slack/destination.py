"""One attempt to post to Slack, to change a post or to take it back, and what the answer means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import requests

from connectors.destinations.slack import scopes
from connectors.destinations.slack.api import SlackApi
from connectors.destinations.slack.errors import HEAD_GONE
from connectors.destinations.slack.escape import mrkdwn
from connectors.destinations.slack.layout import flattened
from connectors.destinations.slack.lookup import EVENT_TYPE, Lookup
from connectors.destinations.slack.options import SlackOptions
from connectors.destinations.slack.people import People
from crmbridge.contract import Limits, Rate, Right, Setting
from crmbridge.errors import AuthFailed, HeadGone, OutcomeUnknown, Rejected
from crmbridge.http import attempt, looking, web_link
from crmbridge.model import Message, Receipt, Text, clean, shortened

# https://api.slack.com/changelog/2018-04-truncating-really-long-messages : longer text is cut, but posted.
LENGTH = 40_000
# https://docs.slack.dev/reference/methods/chat.update#errors : msg_too_long.
EDIT_LENGTH = 4_000
# https://docs.slack.dev/apis/web-api/rate-limits : one message a second for each channel.
PER_CHANNEL = Rate(count=1, seconds=1)

_CHANNEL = re.compile(r"[A-Z0-9]+", re.ASCII)
_TS = re.compile(r"\d+\.\d+", re.ASCII)


class SlackDestination:
    """A Slack workspace, as one app sees it."""

    limits = Limits(length=LENGTH, per_lane=PER_CHANNEL, concurrency=4)

    def __init__(self, options: SlackOptions, setting: Setting) -> None:
        if options.token is None:
            raise ValueError("a Slack workspace needs a token")
        self._options = options
        self._api = SlackApi(options.api_url, options.token, setting.network)
        self._lookup = Lookup(self._api)
        self._people = People(self._api)
        self._uses = setting.uses
        self._workspace: str | None = None  # the address that links to messages begin with, once `check` has learnt it

    def measure(self, text: Text) -> int:
        """Characters of the text as sent, escapes included."""
        return len(mrkdwn(text))

    def check(self) -> None:
        """auth.test; then the scopes that Slack names in its answer. Learns the address that links to messages begin with."""
        with attempt():
            answer = self._api.call("auth.test", {})
            granted = _scopes(answer)
            if granted is not None and scopes.WRITE not in granted:
                raise AuthFailed(f"the token lacks the scope {scopes.WRITE}", code="missing_scope")
            self._workspace = _address(answer.json().get("url"))

    def rights(self) -> Sequence[Right]:
        """The scopes without which messages arrive, but less well; nothing where Slack does not say which the token has."""
        with looking():
            granted = _scopes(self._api.call("auth.test", {}))
            return [] if granted is None else scopes.rights(self._options, self._uses, granted)

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """chat.postMessage, once."""
        people = self._people.mentioned(message)
        with attempt():
            arguments = body(message, key, parent, self._options, people)
            with hanging_on(parent):
                said = self._api.call("chat.postMessage", arguments).json()
            if not isinstance(said.get("ts"), str):
                raise OutcomeUnknown("Slack said ok and gave no ts")
            self._lookup.learn(arguments["channel"], said.get("channel"))
            return self._receipt(said["ts"], said.get("channel"), parent, alone=parent is not None and _unthreaded(said.get("message")))

    def find(self, message: Message, key: str, parent: Receipt | None, since: datetime) -> Receipt | None:
        """The message whose metadata has `key`. Raises Rejected, code `find`, where the app may not look."""
        with looking():
            channel = _home(parent) or self._lookup.channel_id(_channel(message, self._options))
            thread = parent.remote_id if parent else None
            try:
                ts = self._lookup.find(key, channel, thread, since)
            except HeadGone:  # without its thread it may stand in the channel itself
                ts, parent = self._lookup.find(key, channel, None, since), None
            return self._receipt(ts, channel, parent, alone=thread is not None and parent is None) if ts else None

    def edit(self, receipt: Receipt, message: Message, key: str) -> Receipt:
        """chat.update, once. The metadata stays that of the first publication, whose key it is."""
        people = self._people.mentioned(message)
        with attempt():
            text, blocks = words(message, EDIT_LENGTH, people)
            channel, ts = self._place(receipt, message)
            arguments: dict[str, Any] = {
                "channel": channel,
                "ts": ts,
                "text": text,
                "blocks": blocks or [],  # left out, the former ones would stay
                "parse": "none",
                "link_names": False,
            }
            with hanging_on(receipt):
                self._api.call("chat.update", arguments)
            return receipt

    def delete(self, receipt: Receipt) -> None:
        """chat.delete, once."""
        with attempt():
            channel, ts = self._place(receipt, None)
            try:
                self._api.call("chat.delete", {"channel": channel, "ts": ts})
            except Rejected as error:
                if error.code != "message_not_found":
                    raise

    def _place(self, receipt: Receipt, message: Message | None) -> tuple[str, str]:
        """The channel's id and the ts of a published message."""
        channel = _home(receipt)
        if channel is None and message is not None:
            channel = self._lookup.channel_id(_channel(message, self._options))
        if channel is None or not receipt.remote_id:
            raise Rejected("the receipt does not say where the message is", code="no_receipt")
        return channel, receipt.remote_id

    def _receipt(self, ts: str, channel: object, parent: Receipt | None, *, alone: bool = False) -> Receipt:
        url = permalink(self._workspace, channel, ts, None if alone else parent)
        return Receipt(remote_id=ts, url=url, extra={"channel": channel}, alone=alone)

    def close(self) -> None:
        """Close connections."""
        self._api.close()


@contextmanager
def hanging_on(head: Receipt | None) -> Iterator[None]:
    """A refusal that says that `head`, which is replied to or changed, is not there any more, as HeadGone."""
    try:
        yield
    except Rejected as error:
        if head is not None and error.code in HEAD_GONE:
            raise HeadGone(str(error), code=error.code) from None
        raise


def _unthreaded(posted: object) -> bool:
    """True if Slack took a reply and made a message of the channel of it: it does so where the first message was deleted just now.

    The answer to a reply holds its `thread_ts`: https://github.com/slack-go/slack/issues/1571
    """
    return isinstance(posted, dict) and "thread_ts" not in posted


def _scopes(answer: requests.Response) -> frozenset[str] | None:
    """The scopes of the token, as every answer has them: https://docs.slack.dev/authentication/installing-with-oauth ; None if not."""
    granted = answer.headers.get("x-oauth-scopes")
    return None if granted is None else frozenset(scope.strip() for scope in granted.split(",")) - {""}


def body(
    message: Message, key: str, parent: Receipt | None, options: SlackOptions, people: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The arguments of chat.postMessage; raises Rejected if Slack could not take them whole. `people`: who is mentioned, by address."""
    channel = _channel(message, options)
    # What is to be edited must fit as an edit too: better refused at once than when it changes.
    text, blocks = words(message, EDIT_LENGTH if message.edit else LENGTH, people)
    arguments: dict[str, Any] = {
        "channel": channel,
        "text": text,
        "mrkdwn": True,
        "parse": "none",
        "link_names": False,
        "unfurl_links": options.unfurl,
        "unfurl_media": options.unfurl,
        "metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": key}},
    }
    if blocks is not None:
        arguments["blocks"] = blocks
    if parent is not None:
        arguments["thread_ts"] = parent.remote_id
    return arguments


def words(message: Message, length: int, people: Mapping[str, str] | None = None) -> tuple[str, list[Any] | None]:
    """`text` and `blocks` as Slack takes them; raises Rejected for what would not fit."""
    fitting = shortened(message.text, lambda text: len(mrkdwn(text, message.link, people)) <= length)
    text = mrkdwn(fitting, message.link, people)
    if len(text) > length:
        raise Rejected(f"the text has {len(text)} characters, Slack takes {length}", code="msg_too_long")
    return text, None if message.blocks is None else flattened(message.blocks, people)


def permalink(workspace: str | None, channel: object, ts: str, parent: Receipt | None) -> str | None:
    """The address of a message in its workspace; None where a part of it is not known.

    As chat.getPermalink gives it, which would cost a call for each message:
    https://docs.slack.dev/reference/methods/chat.getPermalink
    """
    if workspace is None or not isinstance(channel, str) or not _CHANNEL.fullmatch(channel) or not _TS.fullmatch(ts):
        return None
    url = f"{workspace}archives/{channel}/p{ts.replace('.', '')}"
    return f"{url}?thread_ts={parent.remote_id}&cid={channel}" if parent and _TS.fullmatch(parent.remote_id) else url


def _address(url: object) -> str | None:
    """The workspace's address from auth.test, ending in a slash; None if it is none."""
    try:
        return web_link(url).rstrip("/") + "/" if isinstance(url, str) else None
    except Rejected:
        return None


def _channel(message: Message, options: SlackOptions) -> str:
    channel = message.channel.key if message.channel else options.channel
    if not channel:
        raise Rejected("no channel: set one for the destination or the step", code="no_channel")
    return clean(channel)


def _home(receipt: Receipt | None) -> str | None:
    """The id of the channel where a message was published."""
    channel = receipt.extra.get("channel") if receipt else None
    return channel if isinstance(channel, str) and channel else None
