"""The feed as the rest of crmbridge sees it: its database schema, its routes, and what an administrator does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from crmbridge.chirp import text as words
from crmbridge.chirp.account import AccountPages
from crmbridge.chirp.api import FeedApi
from crmbridge.chirp.changes import Changes
from crmbridge.chirp.live import Live
from crmbridge.chirp.passwords import Cost
from crmbridge.chirp.people import Account, People
from crmbridge.chirp.posts import Posts
from crmbridge.chirp.site import Site
from crmbridge.db import Database
from crmbridge.pages import Frame, Person, Sessions, Theme
from crmbridge.schema import Schema
from crmbridge.telemetry import Metrics

_HERE: Final = Path(__file__).parent
SCHEMA: Final = Schema("feed", 0x43485250, _HERE / "migrations")
_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "pieces": words.pieces,
    "summary": words.summary,
    "initials": words.initials,
    "lengthy": words.lengthy,
}


def look(name: str, now: Callable[[], datetime]) -> Theme:
    """Make the theme of the feed called `name`."""
    return Theme(_HERE, "/chirp", filters=_FILTERS, words={"site": name, "most": words.MAX_TEXT}, now=now)


class Feed:
    """One feed. It uses its database and does not close it: the one who opened it does.

    `public_url` is the address that people use, without `/chirp`; None on one machine. `secrets` gives the accepted signing
    secrets (`whsec_<base64>`), read anew for every request. `now` returns an aware instant. `token` makes a new unguessable text of
    at least 128 bits in URL-safe characters (`secrets.token_urlsafe(32)`).
    """

    def __init__(
        self,
        database: Database,
        *,
        name: str,
        public_url: str | None,
        secrets: Callable[[], Sequence[str]],
        now: Callable[[], datetime],
        token: Callable[[], str],
        cost: Cost | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        metrics = metrics or Metrics()
        self._posts = Posts(database, now, token)
        self._changes = Changes(database, now)
        sessions = Sessions(database, now, token)
        self._people = People(database, sessions, now, token, cost)
        self._live = Live(self._posts, self._changes, sessions)
        self._posts.announce = self._announce
        self._posted = metrics.posts
        metrics.streams.set_function(lambda: self._live.open)
        self._changes.announce = self._live.changed
        sessions.ended = self._live.ended
        frame = Frame(sessions, look(name, now), cookie="chirp", public_url=public_url, now=now, token=token, around=self._beside_each_page)
        self._routes = [
            *FeedApi(self._posts, self._changes, name=name, public_url=public_url, secrets=secrets, now=now).routes(),
            *AccountPages(frame, self._people, sessions, secrets, token, lambda result: metrics.sign_ins.labels(result).inc()).routes(),
            *Site(frame, self._posts, self._changes, self._live, token).routes(),
            *frame.routes(),
        ]

    def routes(self) -> list[web.RouteDef]:
        """Return all routes below /chirp, for a crmbridge.server.Server."""
        return self._routes

    def _announce(self, posts: Sequence[int]) -> None:
        self._posted.inc(len(posts))
        self._live.announce(posts)

    async def _beside_each_page(self, person: Person | None) -> Mapping[str, Any]:
        return {"followed": await self._posts.followed(person.id) if person else []}

    async def add_user(self, login: str, name: str, password: str | None) -> None:
        """Add a person. Without a password, only a one-time link signs them in. Raises ValueError that says what is wrong."""
        await self._people.add(login, name, password)

    async def set_password(self, login: str, password: str) -> None:
        """Set a person's password, and end every session of theirs. Raises ValueError."""
        await self._people.set_password(login, password)

    async def remove_user(self, login: str) -> None:
        """Remove a person: they can sign in no more, and every session and open page ends. Their posts stay. Raises ValueError."""
        await self._people.remove(login)

    async def users(self) -> list[Account]:
        """List everyone who may sign in."""
        return await self._people.all()

    async def one_time_link(self, login: str) -> str:
        """Make a path that signs this person in once, within 15 minutes. Raises ValueError if there is no such person."""
        return f"/chirp/enter/{await self._people.add_link(login)}"

    async def follow(self, login: str, channel_key: str, title: str = "") -> None:
        """Let a person follow a channel, made with `title` if nothing was posted there yet. Raises ValueError for an unknown person."""
        await self._posts.follow_key(await self._people.id_of(login), channel_key, title)

    def close(self) -> None:
        """Release what the feed holds besides its database."""
        self._people.close()
