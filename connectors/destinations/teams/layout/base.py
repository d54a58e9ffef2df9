"""What the kinds of a card have in common: https://adaptivecards.io/explorer/ , by the schema 1.5.0 that lies at
https://github.com/microsoft/AdaptiveCards/blob/main/schemas/1.5.0/adaptive-card.json (read 2026-11-30).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from crmbridge.contract.layout.shapes import (
    Either,
    Field,
    Items,
    Nothing,
    Number,
    ObjectKind,
    Of,
    Shape,
    Truth,
    Verbatim,
    Words,
    may,
    one_of,
)

PAGES: Final = "https://adaptivecards.io/explorer/"
TEAMS: Final = "https://learn.microsoft.com/en-us/microsoftteams/platform/task-modules-and-cards/cards/"


class Takes(Enum):
    """How a record's words may stand in a text, where they may."""

    MARKDOWN = "markdown"  # shown with the Markdown of cards
    PLAIN = "plain"  # shown as it is, but for what looks like an address
    BARE = "bare"  # read aloud, or sent back and never shown
    ADDRESS = "address"  # a web address


# Kinds that hold one another: `card` fills these, once all of them are there.
ELEMENTS: Final[list[ObjectKind]] = []
ACTIONS: Final[list[ObjectKind]] = []
SELECT_ACTIONS: Final[list[ObjectKind]] = []  # all but Action.ShowCard
OPENED: Final[list[ObjectKind]] = []  # the card of an Action.ShowCard


def word(*words: str) -> Words:
    """One of Adaptive Cards' own words, which do not mind capitals."""
    return one_of(*words, any_case=True)


def or_null(shape: Shape) -> Either:
    """The same, or null for what is usual."""
    return Either((shape, Nothing()))


MARKDOWN: Final = Words(least=0, takes=Takes.MARKDOWN)
PLAIN: Final = Words(least=0, takes=Takes.PLAIN)
BARE: Final = Words(least=0, takes=Takes.BARE)
NAME: Final = Words()  # an id, or a word of somebody's own
URL: Final = Words(takes=Takes.ADDRESS)
# "HTTPS URL to the image" (cards-reference#inline-card-images); the trigger's page shows one as data:
# https://learn.microsoft.com/en-us/connectors/teams/#microsoft-teams-webhook
PICTURE: Final = Words(
    takes=Takes.ADDRESS,
    pattern=re.compile(r"https://.+|data:image/(?:png|jpeg|jpg|gif);base64,[A-Za-z0-9+/=]+", re.DOTALL | re.IGNORECASE),
    like="an https address, or a picture as data:image/png;base64,...",
)
PIXELS: Final = Words(pattern=re.compile(r"\d+(?:\.\d+)?(?:px)?", re.ASCII), like="a number of pixels, like 50px")

COLOR: Final = or_null(word("default", "dark", "light", "accent", "good", "warning", "attention"))
STYLE: Final = or_null(word("default", "emphasis", "good", "attention", "warning", "accent"))
LEFT_RIGHT: Final = or_null(word("left", "center", "right"))
TOP_BOTTOM: Final = or_null(word("top", "center", "bottom"))
FONT: Final = {
    "color": may(COLOR),
    "fontType": may(or_null(word("default", "monospace"))),
    "isSubtle": may(or_null(Truth())),
    "size": may(or_null(word("default", "small", "medium", "large", "extraLarge"))),
    "weight": may(or_null(word("default", "lighter", "bolder"))),
}
_WIDTHS: Final = ("veryNarrow", "narrow", "standard", "wide")

_REQUIRES: Final = {"requires": may(Verbatim())}  # features of the one who shows it, and their versions
# Of Teams alone, from https://learn.microsoft.com/en-us/javascript/api/teams-sdk-typescript/@microsoft/teams.cards
_OF_TEAMS: Final = {
    "targetWidth": may(word(*_WIDTHS, *(f"{bound}:{width}" for bound in ("atLeast", "atMost") for width in _WIDTHS))),
    "grid.area": may(NAME),
    "lang": may(NAME),
}
ITEM: Final = {"id": may(NAME), "isVisible": may(Truth()), **_REQUIRES, **_OF_TEAMS}
_FALLBACK: Final = {"fallback": may(Either((word("drop"), Of(ELEMENTS))))}
_PLACED: Final = {
    "separator": may(Truth()),
    "spacing": may(word("default", "none", "extraSmall", "small", "medium", "large", "extraLarge", "padding")),
}
ELEMENT: Final[Mapping[str, Field]] = {
    **ITEM,
    **_PLACED,
    **_FALLBACK,
    "height": may(word("auto", "stretch")),
}
COLUMN: Final[Mapping[str, Field]] = {**ITEM, **_PLACED, "height": may(word("auto", "stretch"))}  # `height`: in Microsoft's own samples
ACTION: Final[Mapping[str, Field]] = {
    **_REQUIRES,
    "id": may(NAME),
    "title": may(PLAIN),
    "tooltip": may(PLAIN),
    "iconUrl": may(Words()),  # an address, or the name of an icon
    "style": may(word("default", "positive", "destructive")),
    "mode": may(word("primary", "secondary")),
    "isEnabled": may(Truth()),
    "fallback": may(Either((word("drop"), Of(ACTIONS)))),
}
SELECT: Final = {"selectAction": may(Of(SELECT_ACTIONS))}

BACKGROUND: Final = ObjectKind(
    name="background image",
    page=f"{PAGES}BackgroundImage.html",
    type="BackgroundImage",
    fields={
        "url": Field(PICTURE, required=True),
        "fillMode": may(word("cover", "repeatHorizontally", "repeatVertically", "repeat")),
        "horizontalAlignment": may(word("left", "center", "right")),
        "verticalAlignment": may(word("top", "center", "bottom")),
    },
)
# What holds elements: a card, a container, a column, a cell.
BOX: Final[Mapping[str, Field]] = {
    **SELECT,
    "style": may(STYLE),
    "verticalContentAlignment": may(TOP_BOTTOM),
    "bleed": may(Truth()),
    "backgroundImage": may(Either((PICTURE, Of((BACKGROUND,), typed=False)))),
    "minHeight": may(PIXELS),
    "rtl": may(or_null(Truth())),
    "layouts": may(Verbatim()),
    "roundedCorners": may(Truth()),
    "showBorder": may(Truth()),
}


def held(least: int = 0) -> Items:
    """A list of elements."""
    return Items(of=Of(ELEMENTS), least=least)


def kind(type: str, *parts: Mapping[str, Field], page: str = "", name: str = "", **more: Any) -> ObjectKind:
    """A kind that the explorer has a page of."""
    fields = {key: one for part in parts for key, one in part.items()}
    return ObjectKind(name=name or type, page=page or f"{PAGES}{type}.html", type=type, fields=fields, **more)


WHOLE_NUMBER: Final = Number(least=0)
