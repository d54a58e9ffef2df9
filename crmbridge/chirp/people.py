"""People, their passwords, and the links that sign in once.

Passwords are checked in one thread of their own. So guesses queue there, and pages do not wait.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from crmbridge.chirp.guessing import Checking, Rank
from crmbridge.chirp.passwords import LONGEST_PASSWORD, Cost, hash_password, password_matches, password_problem
from crmbridge.chirp.posts import SQL
from crmbridge.chirp.text import clean_line
from crmbridge.db import Database
from crmbridge.model import from_us, to_us
from crmbridge.pages.sessions import Sessions, digest_of, drop_sessions

LINK_LIFE = timedelta(minutes=15)
_AT_ONCE: Rank = (0, 0, 0)  # the rank of those who are signed in or administer: they guess nothing


@dataclass(frozen=True, slots=True)
class Account:
    """A row of the administrator's list of people."""

    login: str
    name: str
    has_password: bool
    created_at: datetime


def normal_login(login: str) -> str:
    """Return a login in the form in which logins are compared. Capitals do not count."""
    return clean_line(login).casefold()


# --- people -----------------------------------------------------------------------------------


class People:
    """Accounts and sign-in. Methods that write raise StoreError. A change of a person's rights also ends their sessions."""

    def __init__(
        self, database: Database, sessions: Sessions, now: Callable[[], datetime], token: Callable[[], str], cost: Cost | None = None
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._now = now
        self._token = token
        self._cost = cost or Cost()
        self._checking = Checking()
        # A hash that belongs to no password: an unknown login costs the same work as a known one.
        self._nobody = f"scrypt${self._cost.n}${self._cost.r}${self._cost.p}${base64.b64encode(bytes(16)).decode()}$-"

    async def _hash(self, password: str) -> str:
        salt = hashlib.sha256(self._token().encode()).digest()[:16]
        return str(await self._checking.do(_AT_ONCE, lambda: hash_password(password, salt, self._cost)))

    async def _refuse_weak(self, password: str, *names: str) -> None:
        if problem := await self._checking.do(_AT_ONCE, lambda: password_problem(password, names)):
            raise ValueError(problem)

    async def add(self, login: str, name: str, password: str | None) -> None:
        """Add a person. Raises ValueError that says why: an empty or taken login, an empty name, an unusable password."""
        login, name = normal_login(login), clean_line(name)
        if not login or len(login) > 100 or not name or len(name) > 100:
            raise ValueError("a person needs a login and a name of 1 to 100 characters each")
        if password is not None:
            await self._refuse_weak(password, login, name)
        stored = await self._hash(password) if password is not None else None
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> None:
            if connection.execute(SQL["person_by_login"], {"login": login}).fetchone() is not None:
                raise ValueError(f"there is a person with the login {login!r} already; choose another, or set that one's password")
            connection.execute(SQL["add_person"], {"login": login, "name": name, "password": stored, "now": now})

        await self._database.write(unit)

    async def set_password(self, login: str, password: str, kept: bytes = b"") -> None:
        """Set a password, and end every link and every session but `kept`. Raises ValueError: no such person, an unusable password."""
        name = await self._database.read(lambda connection: str(self._row(connection, login)["name"]))
        await self._refuse_weak(password, normal_login(login), name)
        stored = await self._hash(password)
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> int:
            person = self._known(connection, login)
            connection.execute(SQL["set_password"], {"person": person, "password": stored})
            drop_sessions(connection, person, kept)
            connection.execute(SQL["drop_links"], {"person": person, "now": now})
            return person

        self._sessions.ended(await self._database.write(unit))

    async def remove(self, login: str) -> None:
        """Remove a person: they can no longer sign in, and every session ends. Their posts stay. Raises ValueError: no such person."""
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> int:
            person = self._known(connection, login)
            connection.execute(SQL["remove_person"], {"person": person, "now": now})
            connection.execute(SQL["drop_follows"], {"person": person})
            drop_sessions(connection, person)
            connection.execute(SQL["drop_links"], {"person": person, "now": now})
            return person

        self._sessions.ended(await self._database.write(unit))

    @staticmethod
    def _row(connection: sqlite3.Connection, login: str) -> sqlite3.Row:
        row: sqlite3.Row | None = connection.execute(SQL["person_by_login"], {"login": normal_login(login)}).fetchone()
        if row is None:
            raise ValueError(f"there is no person with the login {login!r}; list them to see who there is")
        return row

    @classmethod
    def _known(cls, connection: sqlite3.Connection, login: str) -> int:
        return int(cls._row(connection, login)["id"])

    async def all(self) -> list[Account]:
        """List everyone who may sign in, by login."""

        def query(connection: sqlite3.Connection) -> list[Account]:
            rows = connection.execute(SQL["people"])
            return [Account(row["login"], row["name"], bool(row["has_password"]), from_us(row["created_at"])) for row in rows]

        return await self._database.read(query)

    async def id_of(self, login: str) -> int:
        """Return a person's id. Raises ValueError: no such person."""
        return await self._database.read(lambda connection: self._known(connection, login))

    async def check_password(self, login: str, password: str, rank: Rank = _AT_ONCE) -> int | None:
        """Return the person's id if the password is theirs, else None. An unknown login costs the same work. Raises BusyError."""
        row = await self._database.read(
            lambda connection: connection.execute(SQL["person_by_login"], {"login": normal_login(login)}).fetchone()
        )
        stored = row["password"] if row is not None and row["password"] else self._nobody
        right = await self._checking.do(rank, lambda: password_matches(password[: LONGEST_PASSWORD + 1], stored))
        return int(row["id"]) if right and row is not None else None

    # --- one-time links

    async def add_link(self, login: str) -> str:
        """Make a token that signs in once, within 15 minutes. Raises ValueError: no such person."""
        token, expires = self._token(), to_us(self._now() + LINK_LIFE)

        def unit(connection: sqlite3.Connection) -> None:
            person = self._known(connection, login)
            connection.execute(SQL["add_link"], {"digest": digest_of(token), "person": person, "expires": expires})

        await self._database.write(unit)
        return token

    async def link_of(self, token: str) -> str | None:
        """Return the name of the person whom a link would sign in, without using it up. Return None if it signs in nobody."""
        values = {"digest": digest_of(token), "now": to_us(self._now())}
        row = await self._database.read(lambda connection: connection.execute(SQL["link"], values).fetchone())
        return str(row["name"]) if row is not None else None

    async def take_link(self, token: str) -> int | None:
        """Use up a link, and return the person whom it signs in. Return None if it was used, has expired or never existed."""
        row = await self._database.write(lambda connection: connection.execute(SQL["take_link"], {"digest": digest_of(token)}).fetchone())
        return int(row["person"]) if row is not None and row["expires_at"] > to_us(self._now()) else None

    def close(self) -> None:
        """Release the password thread."""
        self._checking.close()
