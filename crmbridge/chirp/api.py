"""The ingest API. Signed batches of posts come in, and are durable when they are answered.

    POST /chirp/api/v1/posts    {"posts": [...]} -> {"results": [...]}, in order
    POST /chirp/api/v1/edits    {"edits": [a post and the id of one that is there, ...]} -> {"results": [...]}, in order
    POST /chirp/api/v1/deletes  {"deletes": [{"id": ...}, ...]} -> {"results": [...]}, in order
    GET  /chirp/api/v1/check    -> {"name", "version"}: address and secret are right

Posting is idempotent. A key with the same content again is `repeated` and has the same id and url; with other content it is a
`conflict`. The same holds for edits, which have keys of their own. Only posts that came in here can be edited or deleted; others
are `missing`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiohttp import web

from crmbridge.chirp import signing
from crmbridge.chirp import text as words
from crmbridge.chirp.changes import Changes
from crmbridge.chirp.posts import Draft, Posting, Posts
from crmbridge.errors import InvalidRequest, InvalidSignature
from crmbridge.model import clean, digest, parse_instant
from crmbridge.server import client_of, read_body

VERSION = 1
MAX_POSTS = 100
_MAX_BODY = 4 * 1024 * 1024  # bytes: room for a hundred of the longest posts in a script of three bytes a letter, escaped
_MAX_SPANS = 1000
_log = logging.getLogger("crmbridge.security")

# --- reading a request ------------------------------------------------------------------------


def parse(body: bytes, name: str = "posts") -> list[Any]:
    """Read the entries of a request, not yet validated. Raises InvalidRequest (400) that says what is wrong."""
    try:
        request = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidRequest(f"the body is not JSON in UTF-8: {reason}") from None
    entries = request.get(name) if isinstance(request, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_POSTS:
        raise InvalidRequest(f'the body must be {{"{name}": [...]}} with 1 to {MAX_POSTS} {name}')
    return entries


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def draft(post: Any) -> Draft:
    """Read a post into a draft that may be published. Raises ValueError that names the wrong part and what is expected."""
    if not isinstance(post, dict):
        raise ValueError("a post must be an object")
    channel, record = _object(post, "channel"), _object(post, "record")
    audience = channel.get("audience", "company")
    if audience in ("team", "public"):
        raise ValueError(f"channel.audience: {audience} channels are not there yet; private channels come later, use company")
    if audience != "company":
        raise ValueError("channel.audience: must be company")
    occurred_at = parse_instant(_string(post, "occurred_at", 64))
    if occurred_at is None:
        raise ValueError("occurred_at: must be an ISO 8601 instant")
    return Draft(
        key=clean(_string(post, "key", 128)),
        digest=_content(post),
        channel_key=clean(_string(channel, "key", 512, "channel.")),
        title=words.clean_line(_string(channel, "title", 200, "channel.", empty=True)),
        text=_text(post.get("text")),
        link=_link(post.get("link")),
        parent=clean(_string(post, "parent", 64)) if post.get("parent") is not None else None,
        rule=words.clean_line(_string(post, "rule", 200, empty=True)),
        record=(
            clean(_string(record, "source", 200, "record.", empty=True)),
            clean(_string(record, "type", 200, "record.", empty=True)),
            clean(_string(record, "id", 512, "record.", empty=True)),
        ),
        occurred_at=occurred_at,
    )


def code_of(entry: Any) -> str:
    """Return the id of the post that an edit or a deletion is about. Raises ValueError."""
    if not isinstance(entry, dict):
        raise ValueError("an entry must be an object")
    return clean(_string(entry, "id", 64))


def _content(post: Mapping[str, Any]) -> str:
    """Hash everything in a post, also parts that are not read: any difference under one key is a conflict."""
    try:
        return digest(json.dumps(post, sort_keys=True))
    except RecursionError:
        raise ValueError("the post is nested too deeply") from None


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name}: must be an object")
    return value


def _string(holder: Mapping[str, Any], name: str, most: int, prefix: str = "", *, empty: bool = False) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or len(value) > most or not (value or empty):
        raise ValueError(f"{prefix}{name}: must be a text of {0 if empty else 1} to {most} characters")
    return value


def _text(raw: Any) -> tuple[words.Span, ...]:
    if not isinstance(raw, list) or len(raw) > _MAX_SPANS:
        raise ValueError(f"text: must be a list of at most {_MAX_SPANS} pairs")
    spans: list[words.Span] = []
    length = 0
    for pair in raw:
        match pair:
            case [int(kind), str(said)] if kind in (0, 1) and not isinstance(kind, bool):
                length += len(said)
                if length <= words.MAX_TEXT and (cleaned := words.clean(said)):
                    spans.append((kind, cleaned))
            case _:
                raise ValueError("text: each part must be [0, words of the rule] or [1, words from a record]")
    if length > words.MAX_TEXT:
        raise ValueError(f"text: has {length} characters; at most {words.MAX_TEXT} are taken")
    if not any(said.strip() for _, said in spans):
        raise ValueError("text: is empty")
    return tuple(spans)


def _link(raw: Any) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or not words.usable_link(raw):
        raise ValueError("link: must be null or an http or https address of at most 2000 characters, without a user part")
    return raw


# --- answering --------------------------------------------------------------------------------


class FeedApi:
    """The addresses that the chirp destination speaks to."""

    def __init__(
        self,
        posts: Posts,
        changes: Changes,
        *,
        name: str,
        public_url: str | None,
        secrets: Callable[[], Sequence[str]],
        now: Callable[[], datetime],
    ) -> None:
        self._posts = posts
        self._changes = changes
        self._name = name
        self._public_url = public_url
        self._secrets = secrets
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/chirp/api/v1/posts", self.post),
            web.post("/chirp/api/v1/edits", self.edit),
            web.post("/chirp/api/v1/deletes", self.delete),
            web.get("/chirp/api/v1/check", self.check, allow_head=False),
        ]

    async def _signed(self, request: web.Request) -> bytes:
        body = await read_body(request, _MAX_BODY)
        headers = {f"webhook-{name}": request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")}
        try:
            signing.verify(self._secrets(), headers, body, self._now().timestamp())
        except InvalidSignature as error:
            _log.warning("feed API refused", extra={"address": client_of(request), "path": request.path, "reason": str(error)})
            raise
        return body

    async def check(self, request: web.Request) -> web.Response:
        """Answer with the feed's name, to anyone who knows the secret."""
        await self._signed(request)
        return web.json_response({"name": self._name, "version": VERSION})

    async def post(self, request: web.Request) -> web.Response:
        """Publish the posts that can be published. Answer with one result for each post, in order."""
        raw = parse(await self._signed(request))
        drafts: list[Draft | str] = []
        for post in raw:
            try:
                drafts.append(draft(post))
            except ValueError as error:
                drafts.append(str(error))
        postings = iter(await self._posts.publish([one for one in drafts if isinstance(one, Draft)]))
        return self._answer(
            request, raw, [next(postings) if isinstance(made, Draft) else Posting("invalid", error=made) for made in drafts]
        )

    async def edit(self, request: web.Request) -> web.Response:
        """Make the edits that can be made. Answer with one result for each edit, in order."""
        raw = parse(await self._signed(request), "edits")
        postings = []
        for entry in raw:
            try:
                postings.append(await self._changes.edit(code_of(entry), draft(entry)))
            except ValueError as error:
                postings.append(Posting("invalid", error=str(error)))
        return self._answer(request, raw, postings)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the posts that can be deleted. Answer with one result for each deletion, in order."""
        raw = parse(await self._signed(request), "deletes")
        postings = []
        for entry in raw:
            try:
                postings.append(await self._changes.delete(code_of(entry)))
            except ValueError as error:
                postings.append(Posting("invalid", error=str(error)))
        return self._answer(request, raw, postings)

    def _answer(self, request: web.Request, raw: Sequence[Any], postings: Sequence[Posting]) -> web.Response:
        base = self._public_url or f"{request.scheme}://{request.host}"
        keys = (entry.get("key") if isinstance(entry, dict) else None for entry in raw)
        return web.json_response({"results": [_result(key, posting, base) for key, posting in zip(keys, postings, strict=True)]})


def _result(key: Any, posting: Posting, base: str) -> dict[str, Any]:
    return {
        "key": key if isinstance(key, str) else None,
        "status": posting.status,
        "id": posting.code or None,
        "url": f"{base.rstrip('/')}/chirp/p/{posting.code}" if posting.code else None,
        "error": posting.error or None,
        **({"alone": True} if posting.alone else {}),
    }
