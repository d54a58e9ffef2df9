"""Is it there? Slack's own history, searched for the key that every message carries as metadata.

https://docs.slack.dev/reference/methods/conversations.history ; what the app may not read cannot be asked: Rejected, code `find`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from connectors.destinations.slack.api import SlackApi
from connectors.destinations.slack.errors import not_to_be_asked
from crmbridge.errors import DeliveryError, HeadGone, OutcomeUnknown, Rejected

EVENT_TYPE = "crmbridge"
MARGIN = timedelta(seconds=60)  # Slack's clock and ours may differ
# https://docs.slack.dev/reference/methods/conversations.history : at most 999; apps sold outside the Marketplace get 15.
_PAGE = 200
_HISTORY_PAGES = 5
_LIST_PAGE = 999
_LIST_PAGES = 10
_ID = re.compile(r"[CDG][A-Z0-9]+", re.ASCII)  # names are lower case

_MAY_READ = "the app must be in the channel, with the scope channels:history, or groups:history if it is private"
_MAY_LIST = "the app needs the scope channels:read, and groups:read for private channels; or write the channel's id instead of its name"


class Lookup:
    """Finds messages, and the ids of channels that are configured by name."""

    def __init__(self, api: SlackApi) -> None:
        self._api = api
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def learn(self, name: str, channel: object) -> None:
        """Slack itself said which channel `name` is."""
        if isinstance(channel, str) and _ID.fullmatch(channel):
            with self._lock:
                self._ids[name] = channel

    def find(self, key: str, channel: str, thread: str | None, since: datetime) -> str | None:
        """The ts of the message with `key`, posted at `since` or later; None if it is not there. `thread`: the ts it replies to.

        Raises HeadGone if there is no such thread.
        """
        arguments = {
            "channel": channel,
            "oldest": f"{(since - MARGIN).timestamp():.6f}",
            "inclusive": "true",
            "include_all_metadata": "true",
            "limit": str(_PAGE),
        }
        method = "conversations.history"
        if thread is not None:
            method, arguments = "conversations.replies", {**arguments, "ts": thread}
        for message in self._items(method, "messages", arguments, _HISTORY_PAGES, _MAY_READ):
            if _key(message) == key and isinstance(message.get("ts"), str):
                return str(message["ts"])
        return None

    def channel_id(self, name: str) -> str:
        """The id of the channel `name` (`#wins`, `wins` or already an id). Raises Rejected, code `find`, if nobody says."""
        if _ID.fullmatch(name):
            return name
        with self._lock:
            known = self._ids.get(name)
        if known:
            return known
        # One kind at a time: an app without groups:read may still list the public ones.
        for kind in ("public_channel", "private_channel"):
            arguments = {"types": kind, "exclude_archived": "true", "limit": str(_LIST_PAGE)}
            for found in self._items("conversations.list", "channels", arguments, _LIST_PAGES, _MAY_LIST):
                if found.get("name") == name.removeprefix("#") and isinstance(found.get("id"), str):
                    self.learn(name, found["id"])
                    return str(found["id"])
        raise Rejected("Slack cannot be asked whether the message is there: it lists no channel of that name", code="find")

    def _items(self, method: str, name: str, arguments: dict[str, str], pages: int, hint: str) -> Iterator[dict[str, Any]]:
        """Every object under `name` of at most `pages` answers. Raises Rejected, code `find`, if there would be more."""
        cursor: dict[str, str] = {}
        for _ in range(pages):
            try:
                said = self._api.ask(method, {**arguments, **cursor})
            except DeliveryError as error:
                if error.code == "thread_not_found":
                    raise HeadGone(str(error), code=error.code) from None
                raise not_to_be_asked(error, hint) from None
            found = said.get(name)
            if not isinstance(found, list):
                raise OutcomeUnknown(f"Slack answered {method} with something unreadable")
            yield from (one for one in found if isinstance(one, dict))
            further = said.get("response_metadata")
            following = further.get("next_cursor") if isinstance(further, dict) else None
            if not following:
                return
            cursor = {"cursor": str(following)}
        raise Rejected(f"Slack cannot be asked whether the message is there: {method} has more than {pages} pages", code="find")


def _key(message: dict[str, Any]) -> object:
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != EVENT_TYPE:
        return None
    payload = metadata.get("event_payload")
    return payload.get("key") if isinstance(payload, dict) else None
