"""What a press does: https://adaptivecards.io/explorer/Action.OpenUrl.html and the pages beside it (read 2026-11-30)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from connectors.destinations.teams.layout.base import ACTION, NAME, OPENED, TEAMS, URL, kind, or_null, word
from crmbridge.contract.layout.shapes import Complaint, Either, Items, Of, Truth, Verbatim, may, needed

_TARGET: Final = kind(
    "TargetElement",
    {"elementId": needed(NAME), "isVisible": may(or_null(Truth()))},
    page="https://adaptivecards.io/explorer/TargetElement.html",
)
OPEN_URL: Final = kind("Action.OpenUrl", ACTION, {"url": needed(URL)})
SHOW_CARD: Final = kind("Action.ShowCard", ACTION, {"card": may(Of(OPENED, typed=False))})
TOGGLE: Final = kind(
    "Action.ToggleVisibility", ACTION, {"targetElements": needed(Items(of=Either((NAME, Of((_TARGET,), typed=False))), least=0))}
)
_SENT: Final = {"data": may(Verbatim()), "associatedInputs": may(word("auto", "none"))}


def _not_from_a_webhook(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    why = "nobody would hear of the press, and Teams would say that something went wrong"
    yield ("type",), f"cards from a webhook have no Action.Submit: {why}. Write Action.OpenUrl, with an address of your CRM"


_SUBMIT: Final = kind("Action.Submit", ACTION, _SENT, page=f"{TEAMS}cards-reference", rules=(_not_from_a_webhook,))
EXECUTE: Final = kind(
    "Action.Execute",
    ACTION,
    _SENT,
    {"verb": may(NAME)},
    page=f"{TEAMS}cards-reference",
    note="an Action.Execute asks the bot that posted the card, and the workflow's answers nothing: Teams says that something went wrong",
)
SELECTING: Final = (EXECUTE, OPEN_URL, _SUBMIT, TOGGLE)
ALL: Final = (*SELECTING, SHOW_CARD)


def titled(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    """Each button says something."""
    for index, one in enumerate(raw["actions"] if isinstance(raw.get("actions"), list) else ()):
        if isinstance(one, Mapping) and not one.get("title") and not one.get("iconUrl"):
            yield ("actions", index), "has neither `title` nor `iconUrl`: the button would be empty"
