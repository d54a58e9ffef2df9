"""Slack's incoming webhooks: one address, one channel, and nothing comes back.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks . The address is the secret: it stands in no error.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from connectors.destinations.slack.destination import LENGTH, words
from connectors.destinations.slack.errors import CODES, refused
from connectors.destinations.slack.escape import mrkdwn
from connectors.destinations.slack.options import SlackOptions, hook_complaint
from crmbridge.contract import Limits, Rate, Setting
from crmbridge.errors import AuthFailed, DeliveryError, Rejected
from crmbridge.http import Answer, Client, attempt, credential, refusal
from crmbridge.model import Message, Receipt, Text, dump_json
from crmbridge.telemetry import hide, redact

# https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks , and what others report. All of these
# say that the webhook itself is of no use any more: every message would fail alike, so the destination pauses.
_GONE = frozenset(
    {"action_prohibited", "channel_is_archived", "channel_not_found", "user_not_found", "no_service", "no_service_id"}
    | {"no_active_hooks", "no_team", "team_disabled", "invalid_token", "posting_to_general_channel_denied"}
)
_REFUSED = frozenset({"invalid_payload", "no_text", "invalid_blocks", "too_many_attachments"})
KNOWN = _GONE | _REFUSED | {"rollup_error"}


class SlackWebhook:
    """One incoming webhook. What it posted can be neither answered, changed, taken back nor found."""

    # https://docs.slack.dev/apis/web-api/rate-limits : one message a second.
    limits = Limits(length=LENGTH, per_destination=Rate(count=1, seconds=1), concurrency=1)

    def __init__(self, options: SlackOptions, setting: Setting) -> None:
        if options.webhook_url is None:
            raise ValueError("an incoming webhook needs webhook_url")
        self._url = options.webhook_url
        self._unfurl = options.unfurl
        self._client = Client(setting.network, connections=1)

    def measure(self, text: Text) -> int:
        """Characters of the text as sent, escapes included."""
        return len(mrkdwn(text))

    def check(self) -> None:
        """Read the address; nothing is sent, for every post would be a message."""
        with attempt():
            credential(self._address)

    async def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """One POST. The receipt is empty, for Slack answers `ok` and nothing else."""
        with attempt():
            if message.channel is not None:
                raise Rejected("an incoming webhook posts to its own channel only: take the channel off the step", code="no_channel")
            text, blocks = words(message, LENGTH)
            said: dict[str, Any] = {"text": text, "unfurl_links": self._unfurl, "unfurl_media": self._unfurl}
            if blocks is not None:
                said["blocks"] = blocks
            headers = {"Content-Type": "application/json; charset=utf-8"}
            url = credential(self._address)
            answer = await self._client.send("POST", url, body=dump_json(said).encode("utf-8", "replace"), headers=headers)
            if 200 <= answer.status < 300:
                return Receipt(remote_id="", extra=said_yes(answer))
            raise meaning(answer, datetime.now(timezone.utc))

    def _address(self) -> str:
        url = self._url.reveal()
        if complaint := hook_complaint(url):
            raise ValueError(f"webhook_url {complaint}")
        hide(urlsplit(url).path)  # errors name a path without its host
        return url

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def said_yes(answer: Answer) -> dict[str, str]:
    """What is kept of a 2xx. Slack says 200 `ok`; whatever else an answer says, its status is a yes, and a repeat would be a double."""
    words = " ".join(answer.body[:200].decode("utf-8", "replace").split())
    return {} if answer.status == 200 and words == "ok" else {"answered": redact(f"{answer.status} {words}".strip())[:100]}


def meaning(answer: Answer, now: datetime) -> DeliveryError:
    """An answer other than 2xx. Slack's words are one short code; whatever else stands there is not shown."""
    words = answer.body[:100].decode("utf-8", "replace").strip()
    code = words if words in KNOWN or words in CODES else ""
    if answer.status == 429:
        return refused("ratelimited", answer.headers, now)
    if answer.status < 500 and code in _GONE:
        return AuthFailed(f"Slack refused the webhook: {code}", code=code)
    if answer.status < 500 and code in _REFUSED:
        return Rejected(f"Slack refused: {code}", code=code)
    if answer.status < 500 and code in CODES:
        return refused(code, answer.headers, now)
    return refusal(answer.status, code or "from Slack", answer.headers, now)
