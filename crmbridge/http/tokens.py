"""Access tokens that expire: renewed before they do, by one thread at a time, and kept across restarts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from crmbridge.model import digest, parse_instant
from crmbridge.telemetry import forget, hide

_log = logging.getLogger(__name__)

MARGIN: Final = timedelta(minutes=2)
"""How long before its expiry a token is replaced. Clocks differ, and a request takes its time."""


_REMEMBERED: Final = 8  # secrets of earlier tokens that are still kept out of logs


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that a vendor gave for credentials. Printing it shows no secret."""

    value: str = field(repr=False)
    expires_at: datetime | None = None
    """None: the vendor named no end, and the token lasts until it is refused."""
    refresh: str = field(default="", repr=False)
    facts: Mapping[str, str] = field(default_factory=dict)
    """What came with the token and is no secret, like the address to use it at."""

    def __post_init__(self) -> None:
        for secret in (self.value, self.refresh):
            if secret:
                hide(secret)


class NotKept(Exception):
    """A refresh token that works only once cannot be kept. So it is not used: its successor would be lost, and with it the login."""


class Tokens:
    """The one token of a login, shared by any number of threads, and by other processes that use the same file.

    `obtain(last)` asks the vendor for a token. `last` is the token before, if any, for vendors whose refresh tokens change.
    `keep` is a file (made 0600) that outlives the process. `login` names the credentials, secrets included (only a digest of them
    is written), so that a token that other credentials got is not used. `rotating`: each refresh token works only once. So no token is
    obtained where its successor could not be kept (NotKept), nor while another process may be obtaining one.
    """

    def __init__(
        self,
        obtain: Callable[[AccessToken | None], AccessToken],
        *,
        now: Callable[[], datetime],
        keep: Path | None = None,
        login: Callable[[], str] = lambda: "",
        rotating: bool = False,
    ) -> None:
        self._obtain = obtain
        self._now = now
        self._keep = keep
        self._login = login
        self._rotating = rotating
        self._unwritten = False
        self._name = ""
        """The digest of the login that the token in memory belongs to."""
        self._lock = threading.Lock()
        self._token: AccessToken | None = None
        self._refused = ""
        self._hidden: deque[str] = deque()

    def get(self) -> AccessToken:
        """Return a token that is good for some minutes. Raises what `obtain` raises, and NotKept."""
        with self._lock:
            token = self._token
            if token is not None and self._good(token):
                if self._unwritten:
                    self._unwritten = not self._write(token)
                return token
            with self._alone():
                # Another process may have got a newer token, whose refresh token is the only good one by now.
                name = self._named()
                if token is not None and name != self._name:  # the credentials were changed meanwhile
                    token, self._unwritten = None, False
                token = token if self._unwritten else self._kept() or token
                if token is None or not self._good(token):
                    if self._rotating:
                        self._prove_room()
                    token = self._obtain(token)
                    self._unwritten = not self._write(token) and self._rotating
                    if self._unwritten:
                        _log.error("a new refresh token could not be kept, and the old one is spent: it is lost if this process ends")
                self._name = name
            self._token = token
            self._forget_old(token)
            return token

    def refused(self, token: AccessToken) -> None:
        """Record that the vendor no longer takes `token`. The next `get` obtains another, once for all threads that noticed."""
        with self._lock:
            if self._token is not None and self._token.value == token.value:
                self._refused = token.value

    def _good(self, token: AccessToken) -> bool:
        return token.value not in ("", self._refused) and (token.expires_at is None or token.expires_at - MARGIN > self._now())

    def _forget_old(self, token: AccessToken) -> None:
        """Stop hiding the secrets of old tokens. They are worth nothing, and need not be searched for in every log line for ever."""
        for secret in (token.value, token.refresh):
            if secret and secret not in self._hidden:
                self._hidden.append(secret)
        while len(self._hidden) > _REMEMBERED:
            forget(self._hidden.popleft())

    # --- the file

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process log in at the same time. Of two refresh tokens, one would be lost."""
        if self._keep is None:
            yield
            return
        try:
            descriptor = os.open(self._keep.with_name(f".{self._keep.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if self._rotating:
                raise self._not_kept(error) from None
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _named(self) -> str:
        """Return the digest that names the login on disk; empty if a secret cannot be read."""
        with contextlib.suppress(ValueError):  # a secret cannot be read: `obtain` reports it
            return digest(self._login())
        return ""

    def _kept(self) -> AccessToken | None:
        if self._keep is None:
            return None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            raw = json.loads(self._keep.read_text(encoding="utf-8"))
            if raw["login"] == self._named():
                expires_at = parse_instant(raw["expires_at"]) if raw["expires_at"] else None
                return AccessToken(raw["value"], expires_at, raw["refresh"], dict(raw["facts"]))
        return None

    def _write(self, token: AccessToken) -> bool:
        """Write the token, whole or not at all, readable by nobody else. Return whether it was written.

        If it was not, the next process logs in anew.
        """
        if self._keep is None:
            return False
        raw = {
            "login": self._named(),
            "value": token.value,
            "expires_at": token.expires_at.isoformat() if token.expires_at else None,
            "refresh": token.refresh,
            "facts": dict(token.facts),
        }
        try:
            self._written(json.dumps(raw)).replace(self._keep)
            self._sync_folder(self._keep.parent)
        except OSError:
            return False
        return True

    def _prove_room(self) -> None:
        """Prove that a file of a token's size can be written where the token is kept. Raises NotKept."""
        try:
            self._written(" " * 4096).unlink()
        except OSError as error:
            raise self._not_kept(error) from None

    def _written(self, text: str) -> Path:
        """Write a new file (0600) beside the kept token, and put it on the disk for good."""
        if self._keep is None:
            raise FileNotFoundError("there is no folder for it")
        handle, name = tempfile.mkstemp(dir=self._keep.parent, prefix=f".{self._keep.name}.")  # mkstemp makes it 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        """Put the renaming itself on the disk for good."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _not_kept(self, error: OSError) -> NotKept:
        where = f" in {self._keep.parent}" if self._keep else ""
        return NotKept(f"the login is not renewed, for its new token could not be kept{where}: {error.strerror or error}")
