"""Changes of the bridge to what it has published: edits and deletions of its own posts, never of a person's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from crmbridge.chirp.posts import SQL, Draft, Post, Posting, read_posts, stored
from crmbridge.db import Database
from crmbridge.model import to_us


@dataclass(frozen=True, slots=True)
class Change:
    """A post that was changed, as its readers see it now. `post` is None if it is gone. `id` orders changes."""

    id: int
    code: str
    post: Post | None


class Changes:
    """Edits and deletions. `announce` is called after each commit that changed something."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self.announce: Callable[[], None] = lambda: None

    async def edit(self, code: str, draft: Draft) -> Posting:
        """Change the post to `draft`, in the channel where it is. The result is edited, repeated, conflict or missing. Raises StoreError.

        The same key again changes nothing, whatever was edited in between.
        """
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> Posting:
            there = connection.execute(SQL["edit_by_key"], {"key": draft.key}).fetchone()
            if there is not None:
                if there["digest"] == draft.digest:
                    return Posting("repeated", code)
                return Posting("conflict", error="an edit with this key is there already, and says something else")
            post = connection.execute(SQL["own_post"], {"code": code}).fetchone()
            if post is None or post["deleted_at"] is not None:
                return Posting("missing", error="there is no such post by the bridge")
            words = {
                "id": post["id"],
                "text": stored(draft.text),
                "link": draft.link,
                "rule": draft.rule,
                "occurred_at": to_us(draft.occurred_at),
                "now": now,
            }
            connection.execute(SQL["edit_post"], words)
            connection.execute(SQL["add_edit"], {"key": draft.key, "digest": draft.digest, "post": post["id"]})
            connection.execute(SQL["add_change"], {"post": post["id"]})
            return Posting("edited", code)

        posting = await self._database.write(unit)
        if posting.status == "edited":
            self.announce()
        return posting

    async def delete(self, code: str) -> Posting:
        """Delete the post and its words. The result is deleted (also if it was deleted before) or missing. Raises StoreError."""
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> tuple[Posting, bool]:
            post = connection.execute(SQL["own_post"], {"code": code}).fetchone()
            if post is None:
                return Posting("missing", error="there is no such post by the bridge"), False
            if post["deleted_at"] is not None:
                return Posting("deleted", code), False
            connection.execute(SQL["delete_post"], {"id": post["id"], "now": now})
            connection.execute(SQL["add_change"], {"post": post["id"]})
            if post["parent"] is not None and connection.execute(SQL["let_go"], {"id": post["parent"]}).rowcount:
                connection.execute(SQL["add_change"], {"post": post["parent"]})
            connection.execute(SQL["untouch_channel"], {"post": post["id"], "channel": post["channel"]})
            return Posting("deleted", code), True

        posting, changed = await self._database.write(unit)
        if changed:
            self.announce()
        return posting

    async def since(self, viewer: int, channel: int | None, after: int, count: int) -> list[Change]:
        """Return at most `count` changes after the change `after`, in order, of one channel or of all that are followed."""
        name = "changes_followed" if channel is None else "changes_of_channel"

        def query(connection: sqlite3.Connection) -> list[Change]:
            values = {"viewer": viewer, "channel": channel, "after": after, "count": count}
            rows = connection.execute(SQL[name], values).fetchall()
            return [Change(row["id"], row["code"], _current(connection, viewer, row)) for row in rows]

        return await self._database.read(query)

    async def newest(self) -> int:
        """Return the id of the newest change, as a place to begin from. 0 if there is none."""
        return int((await self._database.read(lambda connection: connection.execute(SQL["newest_change"]).fetchone()))["id"])


def _current(connection: sqlite3.Connection, viewer: int, row: sqlite3.Row) -> Post | None:
    found = [] if row["gone"] else read_posts(connection, "post_by_code", viewer, {"viewer": viewer, "code": row["code"]})
    return found[0] if found else None
