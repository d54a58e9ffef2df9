"""One signed post for each message (Standard Webhooks 1.0.0).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from connectors.destinations.webhook.options import WebhookOptions, require_address
from crmbridge.contract import Limits, Setting
from crmbridge.errors import AuthFailed, DeliveryError, RateLimited
from crmbridge.http import Answer, Client, attempt, credential, refusal, retry_after, signed, signing_key
from crmbridge.model import Message, Receipt, Text, clean, digest, dump_json, unmarked
from crmbridge.telemetry import hide

# The specification's words on overload: 429, 502 and 504 mean "slow down". After 502 and 504 the receiver may
# have acted, so only 429, and 503 with a Retry-After, are taken as "not done".
_BUSY = 503


class WebhookDestination:
    """One endpoint. A repeat carries the same `webhook-id`, and the receiver drops it: that makes it idempotent."""

    limits = Limits(concurrency=64)

    def __init__(self, options: WebhookOptions, setting: Setting) -> None:
        self._options = options
        self._client = Client(setting.network, connections=self.limits.concurrency)
        if isinstance(options.url, str):
            hide(options.url)

    def measure(self, text: Text) -> int:
        """Characters of the plain text."""
        return len(unmarked(text))

    def check(self) -> None:
        """Read the address and the secrets; nothing is sent, for every post would be a message."""
        with attempt():
            self._address()
            self._key()
            self._own_headers()

    async def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """One POST."""
        await self._send(key, body(message, key, parent))
        return Receipt(remote_id=key)

    async def edit(self, receipt: Receipt, message: Message, key: str) -> Receipt:
        """One POST of type `crmbridge.edit`, which names the first message as its parent."""
        await self._send(key, body(message, key, receipt, "crmbridge.edit"))
        return receipt

    async def delete(self, receipt: Receipt) -> None:
        """One POST of type `crmbridge.delete`; a repeat has the same id and body."""
        content = {"type": "crmbridge.delete", "data": {"parent": receipt.remote_id}}
        await self._send(digest("delete", receipt.remote_id), dump_json(content).encode())

    async def _send(self, request_id: str, content: bytes) -> None:
        with attempt():
            proof = signed(self._key(), request_id, datetime.now(timezone.utc), content)
            headers = {**self._own_headers(), "Content-Type": "application/json", **proof}
            await self._client.ask("POST", self._address(), meaning=meaning, body=content, headers=headers)

    def _key(self) -> bytes:
        return credential(lambda: signing_key(self._options.secret.reveal()))

    def _address(self) -> str:
        url = self._options.url
        if isinstance(url, str):
            return url

        def checked() -> str:
            value = url.reveal()
            require_address(value, self._options.allow_http)
            return value

        return credential(checked)

    def _own_headers(self) -> dict[str, str]:
        return {name: credential(secret.reveal) for name, secret in self._options.headers.items()}

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def body(message: Message, key: str, parent: Receipt | None, kind: str = "crmbridge.message") -> bytes:
    """The request's body: UTF-8 JSON."""
    channel = message.channel
    data: dict[str, Any] = {
        "key": key,
        "text": unmarked(message.text),
        "channel": channel.key if channel else None,
        "title": channel.title if channel else None,
        "link": clean(message.link) if message.link is not None else None,
        "thread": message.thread,
        "parent": parent.remote_id if parent else None,
        "rule": message.rule,
        "step": message.step,
        "record": {"source": message.record.source, "type": message.record.type, "id": message.record.id},
        "audience": message.audience,
    }
    if message.edit:
        data["edit"] = True
    moment = message.occurred_at.astimezone(timezone.utc).isoformat()
    return dump_json({"type": kind, "timestamp": moment, "data": data}).encode()


def meaning(answer: Answer, now: datetime) -> DeliveryError:
    """An answer that is not 2xx; its words are the receiver's and stay out of it."""
    if answer.status == 410:
        # The specification asks senders to disable an endpoint that says so; pausing keeps what waits for it.
        return AuthFailed("the endpoint says it is gone (410)", code="410")
    if answer.status == _BUSY and (until := retry_after(answer.headers, now)):
        return RateLimited("the endpoint is busy (503)", until, code="503")
    if 300 <= answer.status < 400:
        return refusal(answer.status, "a redirect, which is never followed", answer.headers, now)
    return refusal(answer.status, "from the endpoint", answer.headers, now)
