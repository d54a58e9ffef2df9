"""At most so many requests in any minute, whoever asks: the vendor refuses what is more."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import requests

from connectors.sources.oracle_crm_on_demand import dialect
from crmbridge.errors import SourceError
from crmbridge.http import HttpSession
from crmbridge.model import Network


class Pace:
    """Counts what was sent in the last minute. The vendor's own minute begins with a session, which we need not know:
    what holds for any 60 seconds holds for its minute."""

    def __init__(self, per_minute: int) -> None:
        self._sent: deque[float] = deque(maxlen=per_minute)
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def wait(self) -> None:
        """Until one more may be sent. Raises SourceError once it is closed, at once."""
        while (pause := self._take()) > 0:
            self._closed.wait(pause)

    def close(self) -> None:
        """Nothing more is sent, and nobody waits any longer."""
        self._closed.set()

    def _take(self) -> float:
        """Seconds to wait; 0 if it was taken."""
        if self._closed.is_set():
            raise SourceError("the source is closed")
        with self._lock:
            now = time.monotonic()
            full = len(self._sent) == self._sent.maxlen
            if full and (left := self._sent[0] + dialect.RATE_WINDOW.total_seconds() - now) > 0:
                return left
            self._sent.append(now)
            return 0.0


class PacedSession(HttpSession):
    """A session each of whose requests keeps the pace: repeats and logins too."""

    def __init__(self, network: Network, pace: Pace) -> None:
        super().__init__(network)
        self._pace = pace

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self._pace.wait()
        return super().send(request, **kwargs)
