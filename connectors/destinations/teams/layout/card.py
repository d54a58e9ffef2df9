"""The card itself, and what Teams makes of it as a whole: https://adaptivecards.io/explorer/AdaptiveCard.html (read 2026-11-30)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from connectors.destinations.teams.layout import actions, elements
from connectors.destinations.teams.layout.actions import EXECUTE, titled
from connectors.destinations.teams.layout.base import (
    ACTIONS,
    BOX,
    ELEMENTS,
    MARKDOWN,
    NAME,
    OPENED,
    PAGES,
    SELECT_ACTIONS,
    TEAMS,
    held,
    kind,
    word,
)
from crmbridge.contract.layout.shapes import Complaint, Field, Items, ObjectKind, Of, Verbatim, Words, may, needed

# "Teams platform supports v1.5 or earlier of Adaptive Card features" (cards-reference#support-for-adaptive-cards). "If a client is lower
# than this version, the fallbackText will be rendered" (the explorer).
VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")

_REFRESH: Final = kind("Refresh", {"action": may(Of((EXECUTE,))), "userIds": may(Items(of=NAME, least=0)), "expires": may(NAME)})
_AUTHENTICATION: Final = ObjectKind(
    name="authentication",
    page=f"{PAGES}Authentication.html",
    type="Authentication",
    fields={},
    open=True,
    note="an authentication needs a bot, and a webhook is none",
)
_MENTIONED: Final = ObjectKind(name="mentioned", page=f"{TEAMS}cards-format", fields={"id": needed(NAME), "name": needed(NAME)}, open=True)
_ENTITY: Final = ObjectKind(
    name="mention",
    page=f"{TEAMS}cards-format",
    type="mention",
    fields={"text": needed(Words(least=9)), "mentioned": needed(Of((_MENTIONED,)))},
)
_MSTEAMS: Final = ObjectKind(
    name="msteams",
    page=f"{TEAMS}cards-format",
    fields={"width": may(word("full")), "entities": may(Items(of=Of((_ENTITY,)), most=20, least=0))},  # 20 people: the connector's page
    open=True,
)
_COMMON: Final[Mapping[str, Field]] = {
    **BOX,
    "$schema": may(NAME),
    "body": may(held()),
    "actions": may(Items(of=Of(ACTIONS), least=0)),
    "fallbackText": may(MARKDOWN),
    "refresh": may(Of((_REFRESH,), typed=False)),
    "authentication": may(Of((_AUTHENTICATION,), typed=False)),
    "speak": may(Words(least=0)),  # SSML: a record's words could be mark-up
    "lang": may(NAME),
    "msteams": may(Of((_MSTEAMS,))),
    "metadata": may(Verbatim()),
}


def _says_something(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    if not raw.get("body") and not raw.get("actions"):
        yield (), "shows nothing: it has neither `body` nor `actions`"


def _version(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    version = raw.get("version")
    if isinstance(version, str) and version not in VERSIONS:
        yield ("version",), f'Teams shows cards up to version {VERSIONS[-1]}, and of a "{version[:10]}" its fallbackText alone'


CARD: Final = kind(
    "AdaptiveCard",
    _COMMON,
    {"version": needed(NAME)},
    name="card",
    rules=(_says_something, _version, titled),
)
_OPENED: Final = kind("AdaptiveCard", _COMMON, {"version": may(NAME)}, name="card of an Action.ShowCard", rules=(_version, titled))
LAYOUT: Final = Of((CARD,))
ELEMENTS.extend(elements.ALL)
ACTIONS.extend(actions.ALL)
SELECT_ACTIONS.extend(actions.SELECTING)
OPENED.append(_OPENED)
