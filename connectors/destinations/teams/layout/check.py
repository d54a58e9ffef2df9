"""A card as it is sent: how its texts are written, and what holds for it as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from connectors.destinations.teams.escape import address, markdown, misled, plain_words
from connectors.destinations.teams.layout.base import PAGES, TEAMS, Takes
from connectors.destinations.teams.layout.card import LAYOUT
from crmbridge.contract import LaidOut, LayoutFault, Unsaid
from crmbridge.contract.layout.shapes import ObjectKind, Path
from crmbridge.contract.layout.walk import LayoutWalk, Within, bare, refused
from crmbridge.errors import Rejected
from crmbridge.model import Text, dump_json

# https://learn.microsoft.com/en-us/connectors/teams/#known-issues-and-limitations-with-actions : about 28 KB for the whole message, and
# then the workflow fails behind our back. Teams counts the card as a text within its own JSON: a request of 24,453 bytes was refused as
# one of 28,897 ("max allowed size is 28672 bytes", MicrosoftDocs/msteams-docs#11274). The frame around a card takes the rest.
MOST: Final = 28_672 - 1_024
_ACTIONS: Final = 6  # maxActions in Microsoft's host configuration for Teams (AdaptiveCards: samples/HostConfig/microsoft-teams-light.json)
_MESSAGE: Final = Within("message", f"{PAGES}AdaptiveCard.html")
_WRITERS: Final = {Takes.MARKDOWN: markdown, Takes.PLAIN: plain_words, Takes.BARE: bare, Takes.ADDRESS: address}
_SIZE_PAGE: Final = "https://learn.microsoft.com/en-us/connectors/teams/#known-issues-and-limitations-with-actions"


def laid_out(layout: Any) -> LaidOut:
    """`layout` as the card, and what Teams would refuse of it."""
    walk = _Card()
    made = walk.laid_out(layout, LAYOUT, _MESSAGE)
    if not walk.faults and (fault := too_large(_least(made.sent))):
        walk.faults.append(LayoutFault((), fault, walk.key))
    return made


def finished(layout: Any) -> dict[str, Any]:
    """The card; raises Rejected (code `invalid_card`) naming the place, the limit and the page that gives it."""
    made = laid_out(layout)
    if made.faults:
        raise Rejected(refused(made), code="invalid_card")
    sent: dict[str, Any] = made.sent
    return sent


def size(card: Any) -> int:
    """Bytes of a card as Teams counts them."""
    return len(dump_json(dump_json(card)).encode())


def too_large(card: Any) -> str:
    """Why Teams would not take a card of this size; empty if it would."""
    if (has := size(card)) <= MOST:
        return ""
    return f"{has} bytes, and the workflow can post {MOST}: it would take the card and fail behind our back ({_SIZE_PAGE})"


def _least(sent: Any) -> Any:
    """A card in which a text that is not known yet is as long as it will be at least."""
    if isinstance(sent, Unsaid):
        return "x" * sent.least
    if isinstance(sent, Mapping):
        return {name: _least(value) for name, value in sent.items()}
    return [_least(value) for value in sent] if isinstance(sent, list) else sent


class _Card(LayoutWalk):
    network = "Teams"
    key = "card"
    uncut = frozenset({Takes.ADDRESS})

    def __init__(self) -> None:
        super().__init__()
        self._ids: set[str] = set()

    def written(self, text: Text, takes: Enum) -> str:
        return _WRITERS[Takes(takes)](text)

    def remarks(self, text: Unsaid, takes: Enum | None) -> Iterator[str]:
        if takes is Takes.MARKDOWN:
            yield from misled(text.own)

    def leave(self, kind: ObjectKind, made: Mapping[str, Any], path: Path, own: Within) -> None:
        """Each id is there once; buttons beyond the sixth are not shown."""
        name = made.get("id")
        if isinstance(name, str) and kind.type is not None and "fallback" not in path:  # what it falls back to may be called the same
            if name in self._ids:
                self.wrong((*path, "id"), f'another part of the card has the id "{name[:40]}"', own)
            self._ids.add(name)
        actions = made.get("actions")
        shown = [one for one in actions if not _overflows(one)] if isinstance(actions, list) else []
        if len(shown) > _ACTIONS:
            self.note((*path, "actions"), f"Teams shows {_ACTIONS} buttons side by side, and these are {len(shown)} ({TEAMS}cards-actions)")


def _overflows(action: Any) -> bool:
    """True if it stands in the menu behind the buttons."""
    return isinstance(action, Mapping) and str(action.get("mode", "")).lower() == "secondary"
