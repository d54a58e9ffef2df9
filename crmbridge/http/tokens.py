"""Access tokens that expire: got before they do, one at a time, kept across restarts."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from crmbridge.model import parse_instant
from crmbridge.telemetry import hide

MARGIN: Final = timedelta(minutes=2)
"""A token is replaced this long before it expires: clocks differ, and a request takes its time."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a vendor gave for credentials. Printed, it shows no secret."""

    value: str = field(repr=False)
    expires_at: datetime | None = None
    """None: nobody said; it lasts until it is refused."""
    refresh: str = field(default="", repr=False)
    facts: Mapping[str, str] = field(default_factory=dict)
    """What came with it and is no secret, like the address to use it at."""

    def __post_init__(self) -> None:
        for secret in (self.value, self.refresh):
            if secret:
                hide(secret)


class Tokens:
    """The one token of a login, for any number of threads.

    `obtain(last)` asks the vendor for one; `last` is the token before, if any, for vendors whose refresh tokens change.
    `keep` is a file (made 0600) that outlives the process; `login` names the credentials, so that a kept token of others is not used.
    """

    def __init__(
        self, obtain: Callable[[Token | None], Token], *, now: Callable[[], datetime], keep: Path | None = None, login: str = ""
    ) -> None:
        self._obtain = obtain
        self._now = now
        self._keep = keep
        self._login = login
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._read = False

    def get(self) -> Token:
        """A token that is good for some minutes; raises what `obtain` raises."""
        with self._lock:
            if not self._read:
                self._token, self._read = self._kept(), True
            token = self._token
            if token is None or not token.value or (token.expires_at and token.expires_at - MARGIN <= self._now()):
                token = self._token = self._obtain(token)
                self._write(token)
            return token

    def refused(self, token: Token) -> None:
        """The vendor does not take `token` any more: the next `get` brings another, once for all who noticed."""
        with self._lock:
            if self._token is not None and self._token.value == token.value:
                self._token = Token("", token.expires_at, token.refresh, token.facts)

    # --- the file

    def _kept(self) -> Token | None:
        if self._keep is None:
            return None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            raw = json.loads(self._keep.read_text(encoding="utf-8"))
            if raw["login"] == self._login:
                expires_at = parse_instant(raw["expires_at"]) if raw["expires_at"] else None
                return Token(raw["value"], expires_at, raw["refresh"], dict(raw["facts"]))
        return None

    def _write(self, token: Token) -> None:
        """Whole or not at all, and readable by nobody else. Where it cannot be written, the next process logs in anew."""
        if self._keep is None:
            return
        raw = {
            "login": self._login,
            "value": token.value,
            "expires_at": token.expires_at.isoformat() if token.expires_at else None,
            "refresh": token.refresh,
            "facts": dict(token.facts),
        }
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self._keep.parent, prefix=f".{self._keep.name}.")  # mode 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(raw, file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._keep)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
