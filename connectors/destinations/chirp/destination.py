"""Posts to a Chirp server, up to a hundred in a request, each published once however often it is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from connectors.destinations.chirp.options import ChirpOptions
from crmbridge.contract import Limits, Secret, Setting
from crmbridge.errors import AuthFailed, DeliveryError, HeadGone, OutcomeUnknown, Rejected, Transient
from crmbridge.http import Answer, Client, attempt, credential, describe, refusal, signed, signing_key, web_link
from crmbridge.model import Message, Receipt, Text, Value, clean, digest, shortened, visible
from crmbridge.telemetry import redact

LENGTH = 5000  # characters; Chirp's own limit
BATCH = 100  # posts in one request; Chirp's own limit

Item = tuple[Message, str, Receipt | None]
Outcome = Receipt | DeliveryError

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ChirpDestination:
    """A Chirp server."""

    limits = Limits(length=LENGTH, concurrency=4, batch=BATCH)

    def __init__(self, options: ChirpOptions, setting: Setting) -> None:
        self._url, self._secret = place(options, setting)
        self._client = Client(setting.network, connections=self.limits.concurrency)

    def measure(self, text: Text) -> int:
        """Characters as shown."""
        return _length(text)

    async def check(self) -> None:
        """Prove that the server knows our secret."""
        with attempt():
            await self._ask("GET", "/chirp/api/v1/check", digest("check"), b"")

    async def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """One post."""
        (outcome,) = await self.publish_many([(message, key, parent)])
        if isinstance(outcome, DeliveryError):
            raise outcome
        return outcome

    async def publish_many(self, batch: Sequence[Item]) -> Sequence[Outcome]:
        """One request for all; one outcome for each, in order. What Chirp cannot take stays out of the request."""
        prepared = [_prepare(*item) for item in batch]
        posts = [post for post in prepared if not isinstance(post, DeliveryError)]
        answered = iter(await self._post(posts) if posts else ())
        return [entry if isinstance(entry, DeliveryError) else next(answered) for entry in prepared]

    async def edit(self, receipt: Receipt, message: Message, key: str) -> Receipt:
        """Let a post say something else; Chirp takes our key, so a repeat changes nothing more."""
        with attempt():
            post = {"id": receipt.remote_id, **post_of(message, key, None)}
            (outcome,) = await self._order("edits", key, post)
            if isinstance(outcome, DeliveryError):
                raise outcome
            return outcome

    async def delete(self, receipt: Receipt) -> None:
        """Take a post back."""
        with attempt():
            (outcome,) = await self._order("deletes", None, {"id": receipt.remote_id})
            if isinstance(outcome, DeliveryError) and outcome.code != "missing":
                raise outcome

    async def _order(self, name: str, key: str | None, entry: dict[str, Any]) -> list[Outcome]:
        body = _encode({name: [entry]}).encode("utf-8", "replace")
        return outcomes(await self._ask("POST", f"/chirp/api/v1/{name}", digest(name, key or entry["id"]), body), [key])

    async def _post(self, posts: list[dict[str, Any]]) -> list[Outcome]:
        with attempt():
            body = _encode({"posts": posts}).encode("utf-8", "replace")
            keys = [post["key"] for post in posts]
            return outcomes(await self._ask("POST", "/chirp/api/v1/posts", digest(*keys), body), keys)

    async def _ask(self, method: str, path: str, request_id: str, body: bytes) -> Answer:
        key = credential(lambda: signing_key(self._secret.reveal()))
        headers = {"Content-Type": "application/json", **signed(key, request_id, datetime.now(timezone.utc), body)}
        return await self._client.ask(method, self._url + path, meaning=_meaning, body=body, headers=headers)

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def place(options: ChirpOptions, setting: Setting) -> tuple[str, Secret]:
    """The server's address and secret; raises ValueError if there is no server."""
    if options.url is not None and options.secret is not None:
        return options.url, options.secret
    if setting.feed is None:
        raise ValueError("this daemon runs no feed; set url and secret")
    url, secret = setting.feed
    return url.rstrip("/"), secret


def shown(text: Text) -> list[tuple[int, str]]:
    """The text as Chirp takes it: 0 for the rule's words, 1 for a record's, without what cannot be seen."""
    return [(1, visible(span.text)) if isinstance(span, Value) else (0, clean(span.text)) for span in text]


def _length(text: Text) -> int:
    return sum(len(words) for _, words in shown(text))


def _prepare(message: Message, key: str, parent: Receipt | None) -> dict[str, Any] | DeliveryError:
    try:
        return post_of(message, key, parent)
    except DeliveryError as error:
        return error


def post_of(message: Message, key: str, parent: Receipt | None) -> dict[str, Any]:
    """One entry of `posts`; raises Rejected for what Chirp would not take."""
    if message.channel is None:
        raise Rejected("no channel: a post on Chirp needs one", code="no_channel")
    text = shown(shortened(message.text, lambda short: _length(short) <= LENGTH))
    length = sum(len(words) for _, words in text)
    if length > LENGTH:
        raise Rejected(f"the text has {length} characters, Chirp takes {LENGTH}", code="length")
    record = message.record
    return {
        "key": key,
        "channel": {
            "key": clean(message.channel.key),
            "title": visible(message.channel.title),
            "audience": message.audience,
        },
        "text": text,
        "link": web_link(message.link) if message.link is not None else None,
        "parent": parent.remote_id if parent else None,
        "rule": message.rule,
        "record": {"source": record.source, "type": record.type, "id": clean(record.id)},
        "occurred_at": message.occurred_at.astimezone(timezone.utc).isoformat(),
    }


def outcomes(answer: Answer, keys: Sequence[str | None]) -> list[Outcome]:
    """A good answer's results, one for each key in order; raises OutcomeUnknown if they do not match what was sent."""
    try:
        results = answer.json()["results"]
        if [result["key"] for result in results] != list(keys):
            raise ValueError("the results are not for the posts that were sent")
        return [_outcome(result) for result in results]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutcomeUnknown(f"Chirp's answer cannot be read: {describe(error)}") from None


def _outcome(result: dict[str, Any]) -> Outcome:
    words = redact(" ".join(str(result.get("error") or "").split()))[:200]
    match result["status"]:
        case "published" | "repeated" | "edited" | "deleted":
            url = result.get("url")
            return Receipt(remote_id=str(result["id"]), url=str(url) if url else None, alone=result.get("alone") is True)
        case "conflict":
            return Rejected(f"Chirp already has other content under this key: {words}", code="conflict")
        case "invalid":
            return Rejected(f"Chirp refused the post: {words}", code="invalid")
        case "missing":
            return HeadGone(f"Chirp has no such post: {words}", code="missing")
        case other:
            return OutcomeUnknown(f"Chirp answered with an unknown status: {redact(str(other))[:40]}")


def _meaning(answer: Answer, now: datetime) -> DeliveryError:
    """A status that is not 2xx."""
    if answer.status == 401:
        return AuthFailed("Chirp does not accept our signature: compare the secrets and both clocks", code="401")
    if answer.status == 503:  # Chirp says this only when it has stored nothing
        return Transient("Chirp cannot store just now", code="503")
    return refusal(answer.status, "from Chirp", answer.headers, now)
