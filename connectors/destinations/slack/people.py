"""Who is mentioned: people's ids by their e-mail addresses, as Slack knows them. A message is never lost for it.

https://docs.slack.dev/reference/methods/users.lookupByEmail (read 2026-11-30): Tier 3, scope users:read.email.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from connectors.destinations.slack.api import SlackApi
from connectors.destinations.slack.escape import mailbox
from crmbridge.errors import AuthFailed, DeliveryError, RateLimited, Rejected
from crmbridge.http import aside, looking
from crmbridge.model import Message, Value

_log = logging.getLogger(__name__)
MOST: Final = 10
"""Addresses that are looked up for one message; who is beyond is called by name."""
_KEPT: Final = 5000  # addresses that are remembered
_FOUND: Final = 3600.0  # seconds a person is remembered
_UNKNOWN: Final = 600.0  # seconds it is remembered that nobody has an address: somebody may join
_TROUBLE: Final = 60.0  # seconds without a look after one that failed
_PATIENCE: Final = 2.0  # seconds for one look: the message waits for it
_ADDRESS: Final = re.compile(r"[^\s<>@,;:\"]{1,64}@[^\s<>@,;:\"]{1,253}")
_ID: Final = re.compile(r"[UW][A-Z0-9]{1,30}", re.ASCII)


class People:
    """A workspace's people, by address."""

    def __init__(self, api: SlackApi, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[str | None, float]] = OrderedDict()
        """Id, or None for nobody, and until when that is believed."""
        self._silent_until = 0.0
        self._lock = threading.Lock()

    def mentioned(self, message: Message) -> Mapping[str, str]:
        """The ids of those that a message mentions, by address; without those who are not known, or may not be looked up now."""
        addresses = dict.fromkeys(mailbox(words) for words in _mentions((message.text, message.blocks)))
        if not addresses:
            return {}
        found: dict[str, str] = {}
        asked = 0
        for address in addresses:
            known, id = self._remembered(address)
            if not known and asked < MOST and self._monotonic() >= self._silent_until and _ADDRESS.fullmatch(address):
                asked += 1
                id = self._asked(address)
            if id:
                found[address] = id
        return found

    def _remembered(self, address: str) -> tuple[bool, str | None]:
        with self._lock:
            id, until = self._known.get(address, (None, 0.0))
            return (True, id) if self._monotonic() < until else (False, None)

    def _asked(self, address: str) -> str | None:
        try:
            with aside(), looking():
                said = self._api.ask("users.lookupByEmail", {"email": address}, timeout=_PATIENCE)
        except Rejected as error:
            if error.code in ("users_not_found", "user_not_found"):
                return self._learn(address, None, _UNKNOWN)
            self._trouble(error)
            return None
        except DeliveryError as error:
            self._trouble(error)
            return None
        user = said.get("user") if isinstance(said, dict) else None
        id = user.get("id") if isinstance(user, dict) and not user.get("deleted") else None
        good = isinstance(id, str) and _ID.fullmatch(id) is not None
        return self._learn(address, id if good else None, _FOUND if good else _UNKNOWN)

    def _learn(self, address: str, id: str | None, seconds: float) -> str | None:
        with self._lock:
            self._known[address] = (id, self._monotonic() + seconds)
            self._known.move_to_end(address)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return id

    def _trouble(self, error: DeliveryError) -> None:
        """Nobody can be looked up for a while; whoever is mentioned meanwhile is called by name."""
        seconds = _UNKNOWN if isinstance(error, (AuthFailed, RateLimited)) else _TROUBLE
        self._silent_until = self._monotonic() + seconds
        _log.warning("people who are mentioned cannot be looked up, and are called by name", extra={"reason": str(error)})


def _mentions(raw: Any) -> Iterator[str]:
    """Every address that is mentioned in a text or a layout."""
    if isinstance(raw, Value):
        if raw.mention:
            yield raw.text
    elif isinstance(raw, Mapping):
        for value in raw.values():
            yield from _mentions(value)
    elif isinstance(raw, (list, tuple)):
        for value in raw:
            yield from _mentions(value)
