"""One attempt to post to Slack, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import requests

from connectors.destinations.slack.errors import bad_status, refused
from connectors.destinations.slack.escape import mrkdwn
from connectors.destinations.slack.options import SlackOptions
from crmbridge.contract import Limits, Rate, Setting
from crmbridge.errors import AuthFailed, OutcomeUnknown, Rejected
from crmbridge.http import Session, attempt, credential
from crmbridge.model import Message, Receipt, Text, clean

# https://api.slack.com/changelog/2018-04-truncating-really-long-messages : longer text is cut, but posted.
LENGTH = 40_000
# https://docs.slack.dev/apis/web-api/rate-limits : one message a second for each channel.
PER_CHANNEL = Rate(count=1, seconds=1)


class SlackDestination:
    """A Slack workspace, as one app sees it."""

    limits = Limits(length=LENGTH, per_lane=PER_CHANNEL, concurrency=4)

    def __init__(self, options: SlackOptions, setting: Setting) -> None:
        self._options = options
        self._session = Session(setting.network)

    def measure(self, text: Text) -> int:
        """Characters of the text as sent, escapes included."""
        return len(mrkdwn(text))

    def check(self) -> None:
        """auth.test; then the scopes that Slack names in its answer."""
        with attempt():
            answer = self._call("auth.test", {})
            granted = answer.headers.get("x-oauth-scopes")
            if granted is not None and "chat:write" not in {scope.strip() for scope in granted.split(",")}:
                raise AuthFailed("the token lacks the scope chat:write", code="missing_scope")

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """chat.postMessage, once."""
        with attempt():
            answer = self._call("chat.postMessage", body(message, key, parent, self._options))
            said = answer.json()
            if not isinstance(said.get("ts"), str):
                raise OutcomeUnknown("Slack said ok and gave no ts")
            return Receipt(remote_id=said["ts"], extra={"channel": said.get("channel")})

    def _call(self, method: str, arguments: Mapping[str, Any]) -> requests.Response:
        """One method call whose answer is `ok: true`."""
        headers = {
            "Authorization": f"Bearer {credential(self._options.token.reveal)}",
            "Content-Type": "application/json; charset=utf-8",
        }
        answer = self._session.post(self._options.api_url + method, json=arguments, headers=headers)
        now = datetime.now(timezone.utc)
        said = _object(answer)
        if answer.status_code != 200:
            raise bad_status(answer.status_code, str(said.get("error", "")), answer.headers, now)
        if said.get("ok") is True:
            return answer
        if not isinstance(said.get("error"), str):
            raise OutcomeUnknown("Slack answered 200 with something unreadable")
        raise refused(said["error"], answer.headers, now)

    def close(self) -> None:
        """Close connections."""
        self._session.close()


def body(message: Message, key: str, parent: Receipt | None, options: SlackOptions) -> dict[str, Any]:
    """The arguments of chat.postMessage; raises Rejected if Slack could not take them whole."""
    channel = message.channel.key if message.channel else options.channel
    if not channel:
        raise Rejected("no channel: set one for the destination or the step", code="no_channel")
    text = mrkdwn(message.text, message.link)
    if len(text) > LENGTH:
        raise Rejected(f"the text has {len(text)} characters, Slack takes {LENGTH}", code="msg_too_long")
    arguments: dict[str, Any] = {
        "channel": clean(channel),
        "text": text,
        "mrkdwn": True,
        "parse": "none",
        "link_names": False,
        "unfurl_links": options.unfurl,
        "unfurl_media": options.unfurl,
        "metadata": {"event_type": "crmbridge", "event_payload": {"key": key}},
    }
    if parent is not None:
        arguments["thread_ts"] = parent.remote_id
    return arguments


def _object(answer: requests.Response) -> dict[str, Any]:
    """The body as a JSON object; empty if it is none."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
