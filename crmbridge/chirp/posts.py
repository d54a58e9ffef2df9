"""The words of the feed: every transaction and every read of channels, posts and follows.

Each read takes the viewer and joins the view `readable`. So it is decided in one place, in SQL, who may read what.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crmbridge.chirp import text as words
from crmbridge.db import Database
from crmbridge.model import digest, from_us, to_us
from crmbridge.schema import statements

SQL = statements(Path(__file__).with_name("queries.sql"))
PAGE = 30  # posts on a page
_EVERYTHING = 2**62


# --- shapes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A post that may be published: validated, with its text cleaned. `key` is the sender's own; `digest` is a hash of the content."""

    key: str
    digest: str
    channel_key: str
    title: str
    text: tuple[words.Span, ...]
    link: str | None = None
    parent: str | None = None
    rule: str = ""
    record: tuple[str, str, str] = ("", "", "")
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Posting:
    """The result for a draft: published, repeated (it was there already) or conflict (its key was used for another content).

    For a change, the result is edited or deleted, repeated, conflict, or missing (there is no such post).
    """

    status: str
    code: str = ""
    error: str = ""
    alone: bool = False
    """The post was meant as a reply, and the post that it replies to is no longer shown to anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A post as its readers see it. `code` is part of its address; `id` orders posts."""

    id: int
    code: str
    channel: str
    title: str
    author: str | None
    rule: str
    text: tuple[words.Span, ...]
    link: str | None
    occurred_at: datetime
    published_at: datetime
    parent: str | None
    parent_text: tuple[words.Span, ...]
    replies: int
    edited_at: datetime | None = None
    deleted: bool = False
    """The post was taken back, and is kept only for its replies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelView:
    """A channel as its readers see it."""

    id: int
    code: str
    title: str
    followers: int
    followed: bool
    last_post: int
    last_at: datetime | None
    last_text: tuple[words.Span, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnPost:
    """The post that a person's form made. `new` is false if the same form had made it before."""

    code: str
    channel: str
    new: bool


def short_code(token: str, length: int) -> str:
    """Make a name for an address from a-z and 2-7, which tells nothing about what it names. Each character holds five bits."""
    return base64.b32encode(hashlib.sha256(token.encode()).digest()).decode().lower()[:length]


def _spans(stored: str | None) -> tuple[words.Span, ...]:
    return tuple((kind, text) for kind, text in json.loads(stored)) if stored else ()


def stored(spans: Sequence[words.Span]) -> str:
    """Write a text as the database keeps it."""
    return json.dumps(spans, ensure_ascii=False, separators=(",", ":"))


# --- the posts --------------------------------------------------------------------------------


class Posts:
    """Reads and writes of posts, channels and follows. `announce` is called with the ids of new posts, after their commit."""

    def __init__(self, database: Database, now: Callable[[], datetime], token: Callable[[], str]) -> None:
        self._database = database
        self._now = now
        self._token = token
        self.announce: Callable[[Sequence[int]], None] = lambda _: None

    # --- writing

    async def publish(self, drafts: Sequence[Draft]) -> list[Posting]:
        """Publish all drafts in one transaction, durable on return. Return one posting for each. Raises StoreError: then none is stored."""
        if not drafts:
            return []
        now = to_us(self._now())
        new: list[int] = []

        def unit(connection: sqlite3.Connection) -> list[Posting]:
            new.clear()
            return [self._publish_one(connection, draft, now, new) for draft in drafts]

        postings = await self._database.write(unit)
        if new:
            self.announce(new)
        return postings

    def _publish_one(self, connection: sqlite3.Connection, draft: Draft, now: int, new: list[int]) -> Posting:
        key = f"api:{draft.key}"
        there = connection.execute(SQL["post_by_key"], {"key": key}).fetchone()
        if there is not None:
            if there["digest"] == draft.digest:
                return Posting("repeated", there["code"], alone=draft.parent is not None and there["parent"] is None)
            return Posting("conflict", error="a post with this key is there already, and says something else")
        channel = self._channel(connection, draft.channel_key, draft.title, now)
        row = {
            "code": short_code(self._token(), 13),
            "key": key,
            "digest": draft.digest,
            "channel": channel,
            "parent": _parent(connection, draft.parent, channel),
            "author": None,
            "rule": draft.rule,
            "source": draft.record[0],
            "record_type": draft.record[1],
            "record_id": draft.record[2],
            "text": stored(draft.text),
            "link": draft.link,
            "occurred_at": to_us(draft.occurred_at),
            "now": now,
        }
        new.append(_add(connection, row))
        return Posting("published", str(row["code"]), alone=draft.parent is not None and row["parent"] is None)

    def _channel(self, connection: sqlite3.Connection, key: str, title: str, now: int) -> int:
        """Return the channel's id. The channel is made when it is first posted to, and takes the newest title."""
        there = connection.execute(SQL["channel_by_key"], {"key": key}).fetchone()
        if there is not None:
            if title and title != there["title"]:
                connection.execute(SQL["retitle"], {"id": there["id"], "title": title, "folded": words.fold(title)})
            return int(there["id"])
        title = title or words.clean_line(key) or "Untitled"
        values = {"key": key, "code": short_code(self._token(), 10), "title": title, "folded": words.fold(title)}
        added = connection.execute(SQL["add_channel"], {**values, "audience": "company", "now": now}).lastrowid
        assert added is not None
        return added

    async def follow_key(self, person: int, key: str, title: str) -> None:
        """Follow the channel with this key, which is made if it is not there yet."""
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> None:
            channel = self._channel(connection, key, title, now)
            connection.execute(SQL["follow"], {"person": person, "channel": channel, "now": now})

        await self._database.write(unit)

    async def say(self, viewer: int, channel_code: str, text: str, form_key: str, parent: str | None = None) -> OwnPost | None:
        """Publish a person's post, or their reply to the post `parent`. Return None if there is no such channel.

        The same `form_key` again returns the same post.

        `text` must be clean and within MAX_TEXT. Raises StoreError.
        """
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> tuple[OwnPost, int] | None:
            channel = connection.execute(SQL["channel"], {"viewer": viewer, "code": channel_code}).fetchone()
            if channel is None:
                return None
            key = f"form:{viewer}:{form_key}"
            there = connection.execute(SQL["post_by_key"], {"key": key}).fetchone()
            if there is not None:
                return OwnPost(there["code"], channel_code, False), 0
            code = short_code(self._token(), 13)
            added = _add(
                connection,
                {
                    "code": code,
                    "key": key,
                    "digest": digest(text),
                    "channel": channel["id"],
                    "parent": _parent(connection, parent, channel["id"]),
                    "author": viewer,
                    "rule": "",
                    "source": "",
                    "record_type": "",
                    "record_id": "",
                    "text": stored([(0, text)]),
                    "link": None,
                    "occurred_at": now,
                    "now": now,
                },
            )
            return OwnPost(code, channel_code, True), added

        done = await self._database.write(unit)
        if done is None:
            return None
        if done[1]:
            self.announce([done[1]])
        return done[0]

    async def follow(self, viewer: int, channel_code: str, *, follows: bool) -> bool:
        """Follow a channel, or no longer follow it. Return False if there is no such channel for this viewer."""
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> bool:
            channel = connection.execute(SQL["channel"], {"viewer": viewer, "code": channel_code}).fetchone()
            if channel is None:
                return False
            connection.execute(SQL["follow" if follows else "unfollow"], {"person": viewer, "channel": channel["id"], "now": now})
            return True

        return await self._database.write(unit)

    # --- reading

    async def timeline(self, viewer: int, before: int | None = None) -> tuple[list[Post], bool]:
        """Read one page of the followed channels, newest first, from before the post `before`. Also say whether more posts follow."""
        return await self._page("posts_followed", viewer, before, {})

    async def channel_posts(self, viewer: int, channel: int, before: int | None = None) -> tuple[list[Post], bool]:
        """Read one page of a channel, newest first. Also say whether more posts follow."""
        return await self._page("posts_of_channel", viewer, before, {"channel": channel})

    async def _page(self, name: str, viewer: int, before: int | None, more: dict[str, int]) -> tuple[list[Post], bool]:
        values = {"viewer": viewer, "before": before or _EVERYTHING, "count": PAGE + 1, **more}
        found = await self._posts(name, viewer, values)
        return found[:PAGE], len(found) > PAGE

    async def news(self, viewer: int, channel: int | None, after: int, count: int) -> list[Post]:
        """Return at most `count` posts after the post `after`, oldest first, of one channel or of all that are followed."""
        name = "news_followed" if channel is None else "news_of_channel"
        return await self._posts(name, viewer, {"viewer": viewer, "channel": channel, "after": after, "count": count})

    async def thread(self, viewer: int, code: str, after: int = 0) -> tuple[Post, list[Post], bool] | None:
        """Return a post, a page of its replies (oldest first), and whether more follow. Return None if this viewer has no such post."""

        def query(connection: sqlite3.Connection) -> tuple[Post, list[Post], bool] | None:
            found = read_posts(connection, "post_by_code", viewer, {"viewer": viewer, "code": code})
            if not found:
                return None
            values = {"viewer": viewer, "post": found[0].id, "after": after, "count": PAGE * 4 + 1}
            replies = read_posts(connection, "replies", viewer, values)
            return found[0], replies[: PAGE * 4], len(replies) > PAGE * 4

        return await self._database.read(query)

    async def channel(self, viewer: int, code: str) -> ChannelView | None:
        """Return a channel's head. Return None if there is no such channel for this viewer."""

        def query(connection: sqlite3.Connection) -> ChannelView | None:
            row = connection.execute(SQL["channel"], {"viewer": viewer, "code": code}).fetchone()
            return _channel_view(row) if row else None

        return await self._database.read(query)

    async def channels(self, viewer: int, search: str = "", before: int | None = None) -> tuple[list[ChannelView], bool]:
        """Read one page of all channels by their last post, from before the last post `before`. `search` looks in titles."""

        def query(connection: sqlite3.Connection) -> list[ChannelView]:
            values = {"viewer": viewer, "wanted": words.like(search), "before": before or _EVERYTHING, "count": PAGE + 1}
            return [_channel_view(row) for row in connection.execute(SQL["channels"], values)]

        found = await self._database.read(query)
        return found[:PAGE], len(found) > PAGE

    async def followed(self, viewer: int, count: int = 12) -> list[tuple[str, str]]:
        """Return (code, title) of the followed channels, those with the newest posts first."""

        def query(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            return [(row["code"], row["title"]) for row in connection.execute(SQL["channels_followed"], {"viewer": viewer, "count": count})]

        return await self._database.read(query)

    async def newest(self) -> int:
        """Return the id of the newest post, readable or not, as a place to begin from. 0 if there is none."""
        return int((await self._database.read(lambda connection: connection.execute(SQL["newest"]).fetchone()))["id"])

    async def _posts(self, name: str, viewer: int, values: Mapping[str, object]) -> list[Post]:
        return await self._database.read(lambda connection: read_posts(connection, name, viewer, values))


def read_posts(connection: sqlite3.Connection, name: str, viewer: int, values: Mapping[str, object]) -> list[Post]:
    """Read the posts whose ids the statement `name` returns, in its order, as `viewer` may read them."""
    ids = [row["id"] for row in connection.execute(SQL[name], values)]
    rows = (connection.execute(SQL["post"], {"viewer": viewer, "id": one}).fetchone() for one in ids)
    return [_post(row) for row in rows if row is not None]


def _parent(connection: sqlite3.Connection, code: str | None, channel: int) -> int | None:
    """Return the first post of the thread. Return None if it is not in this channel: news without its thread is better than no news."""
    if code is None:
        return None
    row = connection.execute(SQL["parent_by_code"], {"code": code, "channel": channel}).fetchone()
    return row["id"] if row else None


def _add(connection: sqlite3.Connection, row: dict[str, object]) -> int:
    added = connection.execute(SQL["add_post"], row).lastrowid
    assert added is not None
    connection.execute(SQL["touch_channel"], {"post": added, "channel": row["channel"]})
    return added


def _post(row: sqlite3.Row) -> Post:
    return Post(
        id=row["id"],
        code=row["code"],
        channel=row["channel_code"],
        title=row["channel_title"],
        author=row["author"],
        rule=row["rule"],
        text=_spans(row["text"]),
        link=row["link"],
        occurred_at=from_us(row["occurred_at"]),
        published_at=from_us(row["published_at"]),
        parent=row["parent_code"],
        parent_text=_spans(row["parent_text"]),
        replies=row["replies"],
        edited_at=from_us(row["edited_at"]) if row["edited_at"] is not None else None,
        deleted=bool(row["deleted"]),
    )


def _channel_view(row: sqlite3.Row) -> ChannelView:
    return ChannelView(
        id=row["id"],
        code=row["code"],
        title=row["title"],
        followers=row["followers"],
        followed=bool(row["followed"]),
        last_post=row["last_post"],
        last_at=from_us(row["last_at"]) if row["last_at"] is not None else None,
        last_text=_spans(row["last_text"]) if "last_text" in row.keys() else (),  # noqa: SIM118
    )
