"""Sessions: who is signed in, where, and until when. A cookie holds a random token, of which only the digest is stored."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from crmbridge.db import Database
from crmbridge.errors import StoreError
from crmbridge.model import from_us, to_us, visible
from crmbridge.schema import statements

IDLE: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=30)
_SEEN_EVERY: Final = timedelta(minutes=5)
_SQL: Final = statements(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who is signed in. `session` is the digest of the cookie's token."""

    id: int
    login: str
    name: str
    session: bytes


@dataclass(frozen=True, slots=True)
class PersonSession:
    """One of a person's sessions, as it is shown to them. `code` names the session in a form, and is worth nothing elsewhere."""

    code: str
    agent: str
    address: str
    created_at: datetime
    seen_at: datetime


def digest_of(token: str) -> bytes:
    """Return the digest of a token, which is stored for it. Tokens are random and long, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def session_code(digest: bytes) -> str:
    """Return the code that names a session in a form."""
    return hashlib.sha256(b"session" + digest).hexdigest()[:20]


class Sessions:
    """The sessions in a database that has people. Methods that write raise StoreError."""

    def __init__(self, database: Database, now: Callable[[], datetime], token: Callable[[], str]) -> None:
        """Keep sessions. `token` makes a new unguessable text of at least 128 bits in URL-safe characters."""
        self._database = database
        self._now = now
        self._token = token
        self.ended: Callable[[int], None] = lambda _: None
        """A function that is called with the id of a person some of whose sessions have ended."""

    async def begin(self, person: int, replaced: str | None = None, *, agent: str = "", address: str = "") -> str:
        """Begin a session and return its token. The session of the token `replaced` ends."""
        token, now = self._token(), self._now()
        shown = " ".join(visible(agent).split())[:200]
        begun = {"digest": digest_of(token), "person": person, "now": to_us(now), "agent": shown, "address": address}

        def unit(connection: sqlite3.Connection) -> None:
            connection.execute(_SQL["drop_old_sessions"], _limits(now))
            if replaced is not None:
                connection.execute(_SQL["drop_session"], {"digest": digest_of(replaced)})
            connection.execute(_SQL["add_session"], begun)

        await self._database.write(unit)
        return token

    async def who(self, token: str) -> Person | None:
        """Return the person who is signed in with this token. Return None if nobody is, or no longer."""
        return await self.who_has(digest_of(token), seen=True)

    async def who_has(self, session: bytes, *, seen: bool) -> Person | None:
        """Return the person of a session by the digest of its token, as `who` does. `seen` keeps the session from going idle."""
        now = self._now()
        row = await self._database.read(
            lambda connection: connection.execute(_SQL["session"], {"digest": session, **_limits(now)}).fetchone()
        )
        if row is None:
            return None
        if seen and from_us(row["seen_at"]) < now - _SEEN_EVERY:
            values = {"digest": session, "now": to_us(now)}
            with contextlib.suppress(StoreError):  # the session can be read even if it cannot be written
                await self._database.write(lambda connection: connection.execute(_SQL["see_session"], values).rowcount)
        return Person(row["id"], row["login"], row["name"], session)

    async def of(self, person: Person) -> list[PersonSession]:
        """Return all sessions of a person, the last used first."""
        limits = _limits(self._now())

        def query(connection: sqlite3.Connection) -> list[PersonSession]:
            rows = connection.execute(_SQL["sessions"], {"person": person.id, **limits})
            return [
                PersonSession(
                    session_code(row["digest"]), row["agent"], row["address"], from_us(row["created_at"]), from_us(row["seen_at"])
                )
                for row in rows
            ]

        return await self._database.read(query)

    async def end(self, person: Person) -> None:
        """End the session with which a person is signed in here."""
        await self._database.write(lambda connection: connection.execute(_SQL["drop_session"], {"digest": person.session}).rowcount)
        self.ended(person.id)

    async def end_all(self, person: Person) -> None:
        """End all sessions of a person, this one included."""
        await self._database.write(lambda connection: drop_sessions(connection, person.id))
        self.ended(person.id)

    async def end_other(self, person: Person, code: str) -> bool:
        """End one of a person's own sessions by its code. Return False if they have none with this code."""

        def unit(connection: sqlite3.Connection) -> bool:
            rows = connection.execute(_SQL["sessions"], {"person": person.id, **_limits(self._now())}).fetchall()
            found = [row["digest"] for row in rows if session_code(row["digest"]) == code]
            for digest in found:
                connection.execute(_SQL["drop_session"], {"digest": digest})
            return bool(found)

        ended = await self._database.write(unit)
        if ended:
            self.ended(person.id)
        return ended


def drop_sessions(connection: sqlite3.Connection, person: int, kept: bytes = b"") -> int:
    """End a person's sessions but `kept`, in a transaction that changes their rights. Return how many. Then call `Sessions.ended`."""
    return connection.execute(_SQL["drop_sessions"], {"person": person, "kept": kept}).rowcount


def _limits(now: datetime) -> dict[str, int]:
    return {"idle": to_us(now - IDLE), "oldest": to_us(now - LONGEST)}
