"""People, their passwords and sessions, and the limit on guessing.

A cookie holds a random token; only its digest is stored. Passwords are kept as scrypt hashes (RFC 7914), made in one
thread of their own, so that guesses queue there and pages do not.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from crmbridge.chirp.posts import SQL
from crmbridge.chirp.text import clean, clean_line
from crmbridge.db import Database
from crmbridge.errors import CrmbridgeError, StoreError
from crmbridge.model import from_us, to_us

IDLE = timedelta(days=7)
LONGEST = timedelta(days=30)
LINK_LIFE = timedelta(minutes=15)
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 200  # characters
_SEEN_EVERY = timedelta(minutes=5)
_MAX_GUESSES_WAITING = 16


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who is signed in; `session` is the digest of the cookie's token."""

    id: int
    login: str
    name: str
    session: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """A row of the administrator's list of people."""

    login: str
    name: str
    has_password: bool
    created_at: datetime


def digest_of(token: str) -> bytes:
    """What is stored of a token. Tokens are random and long, so that a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def form_token(token: str) -> str:
    """The proof in a form that the page came from us: derived from the cookie, which other sites cannot read."""
    return base64.urlsafe_b64encode(hmac.digest(token.encode("utf-8", "replace"), b"chirp form", hashlib.sha256)).decode().rstrip("=")


def normal_login(login: str) -> str:
    """Logins do not tell cases apart."""
    return clean_line(login).casefold()


def password_problem(password: str) -> str:
    """Why a new password is not taken; empty if it is."""
    if len(password) < SHORTEST_PASSWORD:
        return f"A password needs at least {SHORTEST_PASSWORD} characters; a few words are easy to remember."
    if len(password) > LONGEST_PASSWORD:
        return f"A password can have at most {LONGEST_PASSWORD} characters."
    return ""


# --- passwords --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """scrypt's work: OWASP's equal of n=2**17, p=1 that needs only 16 MiB at a time."""

    n: int = 2**14
    r: int = 8
    p: int = 5


def hash_password(password: str, salt: bytes, cost: Cost) -> str:
    """`scrypt$n$r$p$salt$hash`, both in base64."""
    made = hashlib.scrypt(clean(password).encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=64 * 1024 * 1024, dklen=32)
    return f"scrypt${cost.n}${cost.r}${cost.p}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def password_matches(password: str, stored: str) -> bool:
    """True if `stored` was made from `password`."""
    _, n, r, p, salt, _ = stored.split("$")
    made = hash_password(password, base64.b64decode(salt), Cost(int(n), int(r), int(p)))
    return hmac.compare_digest(made.encode(), stored.encode())


class Guesses:
    """Counts sign-ins per login and per address that did not succeed, and says how long to wait.

    A proxy in front makes all people one address, so that an address has more tries than a login.
    """

    PER_LOGIN, PER_ADDRESS = 10, 100
    WINDOW = timedelta(minutes=15)
    _MOST = 20_000  # names remembered; beyond that the oldest is forgotten

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def begin(self, login: str, address: str, now: datetime) -> float:
        """Count a try before its outcome is known, so that many at once cannot slip past. Seconds to wait; 0: go on."""
        names = ((f"login {login}", self.PER_LOGIN), (f"address {address}", self.PER_ADDRESS))
        counted = [(most, *self._count(name, now)) for name, most in names]
        waits = [(since + self.WINDOW - now).total_seconds() for most, count, since in counted if count >= most]
        if waits:
            return max(waits)
        for name, _ in names:
            count, since = self._count(name, now)
            self._counts[name] = (count + 1, since)
            self._counts.move_to_end(name)
        while len(self._counts) > self._MOST:
            self._counts.popitem(last=False)
        return 0.0

    def succeed(self, login: str, address: str) -> None:
        """The right password: the login starts anew, and the address is not charged."""
        self._counts.pop(f"login {login}", None)
        if (name := f"address {address}") in self._counts:
            count, since = self._counts[name]
            self._counts[name] = (max(0, count - 1), since)

    def _count(self, name: str, now: datetime) -> tuple[int, datetime]:
        count, since = self._counts.get(name, (0, now))
        return (count, since) if now - since < self.WINDOW else (0, now)


class BusyError(CrmbridgeError):
    """Too many passwords wait to be checked."""


# --- people and sessions ----------------------------------------------------------------------


class People:
    """Accounts, sign-in and sessions. Methods that write raise StoreError; `ended` is called with a
    person some of whose sessions are over."""

    def __init__(self, database: Database, now: Callable[[], datetime], token: Callable[[], str], cost: Cost | None = None) -> None:
        self._database = database
        self._now = now
        self._token = token
        self._cost = cost or Cost()
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="chirp passwords")
        self._waiting = 0
        self.ended: Callable[[int], None] = lambda _: None
        # A hash that no password has: an unknown login costs the same work as a known one.
        self._nobody = f"scrypt${self._cost.n}${self._cost.r}${self._cost.p}${base64.b64encode(bytes(16)).decode()}$-"

    async def _hash(self, password: str) -> str:
        salt = hashlib.sha256(self._token().encode()).digest()[:16]
        return await asyncio.get_running_loop().run_in_executor(self._hashing, hash_password, password, salt, self._cost)

    async def add(self, login: str, name: str, password: str | None) -> None:
        """A new person. Raises ValueError, saying why: an empty or taken login, an empty name, an unusable password."""
        login, name = normal_login(login), clean_line(name)
        if not login or len(login) > 100 or not name or len(name) > 100:
            raise ValueError("a person needs a login and a name of 1 to 100 characters each")
        if password is not None and (problem := password_problem(password)):
            raise ValueError(problem)
        stored = await self._hash(password) if password is not None else None
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> None:
            if connection.execute(SQL["person_by_login"], {"login": login}).fetchone() is not None:
                raise ValueError(f"there is a person with the login {login!r} already; choose another, or set that one's password")
            connection.execute(SQL["add_person"], {"login": login, "name": name, "password": stored, "now": now})

        await self._database.write(unit)

    async def set_password(self, login: str, password: str, kept: bytes = b"") -> None:
        """A new password; every session but `kept` ends. Raises ValueError: no such person, an unusable password."""
        if problem := password_problem(password):
            raise ValueError(problem)
        stored = await self._hash(password)

        def unit(connection: sqlite3.Connection) -> int:
            person = self._known(connection, login)
            connection.execute(SQL["set_password"], {"person": person, "password": stored})
            connection.execute(SQL["drop_sessions"], {"person": person, "kept": kept})
            return person

        self.ended(await self._database.write(unit))

    async def remove(self, login: str) -> None:
        """The person can no longer sign in, and every session ends; their posts stay. Raises ValueError: no such person."""
        now = to_us(self._now())

        def unit(connection: sqlite3.Connection) -> int:
            person = self._known(connection, login)
            connection.execute(SQL["remove_person"], {"person": person, "now": now})
            connection.execute(SQL["drop_follows"], {"person": person})
            connection.execute(SQL["drop_sessions"], {"person": person, "kept": b""})
            connection.execute(SQL["drop_links"], {"person": person, "now": now})
            return person

        self.ended(await self._database.write(unit))

    @staticmethod
    def _known(connection: sqlite3.Connection, login: str) -> int:
        row = connection.execute(SQL["person_by_login"], {"login": normal_login(login)}).fetchone()
        if row is None:
            raise ValueError(f"there is no person with the login {login!r}; list them to see who there is")
        return int(row["id"])

    async def all(self) -> list[Account]:
        """Everyone who may sign in, by login."""

        def query(connection: sqlite3.Connection) -> list[Account]:
            rows = connection.execute(SQL["people"])
            return [Account(row["login"], row["name"], bool(row["has_password"]), from_us(row["created_at"])) for row in rows]

        return await self._database.read(query)

    async def id_of(self, login: str) -> int:
        """A person's id. Raises ValueError: no such person."""
        return await self._database.read(lambda connection: self._known(connection, login))

    async def check_password(self, login: str, password: str) -> int | None:
        """The person's id if the password is theirs. The work is the same for a login that nobody has. Raises BusyError."""
        if self._waiting >= _MAX_GUESSES_WAITING:
            raise BusyError
        row = await self._database.read(
            lambda connection: connection.execute(SQL["person_by_login"], {"login": normal_login(login)}).fetchone()
        )
        stored = row["password"] if row is not None and row["password"] else self._nobody
        self._waiting += 1
        try:
            right = await asyncio.get_running_loop().run_in_executor(
                self._hashing, password_matches, password[: LONGEST_PASSWORD + 1], stored
            )
        finally:
            self._waiting -= 1
        return int(row["id"]) if right and row is not None else None

    # --- sessions

    async def begin_session(self, person: int, replaced: str | None = None) -> str:
        """A new session's token; the session of the token `replaced` ends."""
        token, now = self._token(), self._now()

        def unit(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["drop_old_sessions"], _limits(now))
            if replaced is not None:
                connection.execute(SQL["drop_session"], {"digest": digest_of(replaced)})
            connection.execute(SQL["add_session"], {"digest": digest_of(token), "person": person, "now": to_us(now)})

        await self._database.write(unit)
        return token

    async def who(self, token: str) -> Person | None:
        """Who is signed in with this token; None if nobody is, or no longer."""
        return await self.who_has(digest_of(token), seen=True)

    async def who_has(self, session: bytes, *, seen: bool) -> Person | None:
        """The same by the digest of the token; `seen` keeps the session from going idle."""
        now = self._now()
        row = await self._database.read(
            lambda connection: connection.execute(SQL["session"], {"digest": session, **_limits(now)}).fetchone()
        )
        if row is None:
            return None
        if seen and from_us(row["seen_at"]) < now - _SEEN_EVERY:
            values = {"digest": session, "now": to_us(now)}
            with contextlib.suppress(StoreError):  # what cannot be written can still be read
                await self._database.write(lambda connection: connection.execute(SQL["see_session"], values).rowcount)
        return Person(row["id"], row["login"], row["name"], session)

    async def end_session(self, person: Person) -> None:
        """Sign-out."""
        await self._database.write(lambda connection: connection.execute(SQL["drop_session"], {"digest": person.session}).rowcount)
        self.ended(person.id)

    async def end_sessions(self, person: Person) -> None:
        """Sign-out everywhere, here included."""
        every = {"person": person.id, "kept": b""}
        await self._database.write(lambda connection: connection.execute(SQL["drop_sessions"], every).rowcount)
        self.ended(person.id)

    # --- one-time links

    async def add_link(self, login: str) -> str:
        """A token that signs in once, within 15 minutes. Raises ValueError: no such person."""
        token, expires = self._token(), to_us(self._now() + LINK_LIFE)

        def unit(connection: sqlite3.Connection) -> None:
            person = self._known(connection, login)
            connection.execute(SQL["add_link"], {"digest": digest_of(token), "person": person, "expires": expires})

        await self._database.write(unit)
        return token

    async def take_link(self, token: str) -> int | None:
        """The person whom the link signs in; None if it was used, is over or never was."""
        row = await self._database.write(lambda connection: connection.execute(SQL["take_link"], {"digest": digest_of(token)}).fetchone())
        return int(row["person"]) if row is not None and row["expires_at"] > to_us(self._now()) else None

    def close(self) -> None:
        """Release the password thread."""
        self._hashing.shutdown(wait=False, cancel_futures=True)


def _limits(now: datetime) -> dict[str, int]:
    return {"idle": to_us(now - IDLE), "oldest": to_us(now - LONGEST)}
