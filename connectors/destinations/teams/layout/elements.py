"""What a card shows: https://adaptivecards.io/explorer/TextBlock.html and the pages beside it (read 2026-11-30)."""

from __future__ import annotations

import re
from typing import Any, Final

from connectors.destinations.teams.layout.actions import titled
from connectors.destinations.teams.layout.base import (
    ACTIONS,
    BARE,
    BOX,
    COLUMN,
    ELEMENT,
    FONT,
    LEFT_RIGHT,
    MARKDOWN,
    NAME,
    PICTURE,
    PIXELS,
    PLAIN,
    SELECT,
    STYLE,
    TEAMS,
    TOP_BOTTOM,
    URL,
    WHOLE_NUMBER,
    held,
    kind,
    or_null,
    word,
)
from crmbridge.contract.layout.shapes import Either, Items, Number, ObjectKind, Of, Truth, Verbatim, Words, may, needed

TEXT_BLOCK: Final = kind(
    "TextBlock",
    ELEMENT,
    FONT,
    {
        "text": needed(MARKDOWN),
        "horizontalAlignment": may(LEFT_RIGHT),
        "maxLines": may(WHOLE_NUMBER),
        "style": may(or_null(word("default", "heading", "columnHeader"))),
        "wrap": may(Truth()),
    },
)
_TEXT_RUN: Final = kind(
    "TextRun",
    FONT,
    SELECT,
    {
        "text": needed(PLAIN),
        "highlight": may(Truth()),
        "italic": may(Truth()),
        "strikethrough": may(Truth()),
        "underline": may(Truth()),
        "lang": may(NAME),
    },
)
_RICH_TEXT: Final = kind(
    "RichTextBlock",
    ELEMENT,
    {"inlines": needed(Items(of=Either((PLAIN, Of((_TEXT_RUN,)))), least=0)), "horizontalAlignment": may(LEFT_RIGHT)},
)
_FACT: Final = kind("Fact", {"title": needed(MARKDOWN), "value": needed(MARKDOWN)})
_FACT_SET: Final = kind("FactSet", ELEMENT, {"facts": needed(Items(of=Of((_FACT,), typed=False), least=0))})

_IMAGE_SIZE: Final = word("auto", "stretch", "small", "medium", "large")
_IMAGE: Final = kind(
    "Image",
    ELEMENT,
    SELECT,
    {
        "url": needed(PICTURE),
        "altText": may(BARE),
        "backgroundColor": may(Words(pattern=re.compile(r"#(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})", re.ASCII), like="a colour like #DDDDDD")),
        "height": may(
            Either((Words(pattern=re.compile(r"auto|stretch|\d+(?:\.\d+)?px", re.IGNORECASE), like="auto, stretch or pixels, like 50px"),))
        ),
        "width": may(PIXELS),
        "horizontalAlignment": may(LEFT_RIGHT),
        "size": may(_IMAGE_SIZE),
        "style": may(word("default", "person", "roundedCorners")),
        "msTeams": may(Verbatim()),  # {allowExpand: true}: cards-format#stageview-for-images-in-adaptive-cards
        "msteams": may(Verbatim()),
    },
)
_IMAGE_SET: Final = kind(
    "ImageSet",
    ELEMENT,
    {"images": needed(Items(of=Of((_IMAGE,), typed=False), least=0)), "imageSize": may(_IMAGE_SIZE)},
)
_SOURCE: Final = kind("MediaSource", {"mimeType": needed(NAME), "url": needed(URL)})
_MEDIA: Final = kind(
    "Media",
    ELEMENT,
    {"sources": needed(Items(of=Of((_SOURCE,), typed=False), least=0)), "poster": may(PICTURE), "altText": may(BARE)},
    page=f"{TEAMS}cards-format",
    note="a Media element is not supported in Teams, which leaves it out",
)
_ACTION_SET: Final = kind(
    "ActionSet",
    ELEMENT,
    {"actions": needed(Items(of=Of(ACTIONS), least=0)), "horizontalAlignment": may(LEFT_RIGHT)},
    rules=(titled,),
)
_CONTAINER: Final = kind("Container", ELEMENT, BOX, {"items": needed(held())})
_SIZE: Final = Words(
    pattern=re.compile(r"auto|stretch|\d+(?:\.\d+)?(?:px)?", re.IGNORECASE), like="auto, stretch, a weight, or pixels, like 50px"
)
_WIDTH: Final = may(Either((_SIZE, Number(above=0, whole=False))))
_COLUMNS: Final[list[ObjectKind]] = []
_COLUMN: Final = kind(
    "Column", COLUMN, BOX, {"items": may(held()), "width": _WIDTH, "fallback": may(Either((word("drop"), Of(_COLUMNS, typed=False))))}
)
_COLUMNS.append(_COLUMN)
_COLUMN_SET: Final = kind(
    "ColumnSet",
    ELEMENT,
    SELECT,
    {
        "columns": may(Items(of=Of(_COLUMNS, typed=False), least=0)),
        "style": may(STYLE),
        "bleed": may(Truth()),
        "minHeight": may(PIXELS),
        "horizontalAlignment": may(LEFT_RIGHT),
    },
)

# --- tables

_ALIGNED: Final = {"horizontalCellContentAlignment": may(LEFT_RIGHT), "verticalCellContentAlignment": may(TOP_BOTTOM)}
_CELL: Final = kind("TableCell", BOX, {"items": needed(held())})
_ROW: Final = kind("TableRow", _ALIGNED, {"cells": may(Items(of=Of((_CELL,), typed=False), least=0)), "style": may(STYLE)})
_TABLE_COLUMN: Final = kind("TableColumnDefinition", _ALIGNED, {"width": _WIDTH})
_TABLE: Final = kind(
    "Table",
    ELEMENT,
    _ALIGNED,
    {
        "columns": may(Items(of=Of((_TABLE_COLUMN,), typed=False), least=0)),
        "rows": may(Items(of=Of((_ROW,), typed=False), least=0)),
        "firstRowAsHeader": may(Truth()),
        "firstRowAsHeaders": may(Truth()),  # as Teams and its designer have it
        "showGridLines": may(Truth()),
        "gridStyle": may(STYLE),
    },
)

# --- inputs: they are shown, and what is typed goes nowhere

_UNHEARD: Final = "an input needs a bot that takes what is typed: from a webhook's card it goes nowhere"


def _input(type: str, **fields: Any) -> ObjectKind:
    own = {"id": needed(NAME), "label": may(MARKDOWN), "errorMessage": may(MARKDOWN), "isRequired": may(Truth())}
    return kind(type, ELEMENT, fields, own, note=_UNHEARD)


_CHOICE: Final = kind("Input.Choice", {"title": needed(MARKDOWN), "value": needed(BARE)})
_DAY: Final = {"max": may(NAME), "min": may(NAME), "placeholder": may(PLAIN), "value": may(BARE)}
_NUMBER: Final = Number(whole=False)
INPUTS: Final = (
    _input(
        "Input.ChoiceSet",
        choices=may(Items(of=Of((_CHOICE,), typed=False), least=0)),
        isMultiSelect=may(Truth()),
        style=may(word("compact", "expanded", "filtered")),
        value=may(BARE),
        placeholder=may(PLAIN),
        wrap=may(Truth()),
    ),
    _input("Input.Date", **_DAY),
    _input("Input.Number", max=may(_NUMBER), min=may(_NUMBER), placeholder=may(PLAIN), value=may(_NUMBER)),
    _input(
        "Input.Text",
        isMultiline=may(Truth()),
        maxLength=may(WHOLE_NUMBER),
        placeholder=may(PLAIN),
        regex=may(NAME),
        style=may(word("text", "tel", "url", "email", "password")),
        inlineAction=may(Of(ACTIONS)),
        value=may(BARE),
    ),
    _input("Input.Time", **_DAY),
    _input("Input.Toggle", title=needed(MARKDOWN), value=may(BARE), valueOff=may(NAME), valueOn=may(NAME), wrap=may(Truth())),
)

# --- of Teams alone

_SDK: Final = "https://learn.microsoft.com/en-us/javascript/api/teams-sdk-typescript/@microsoft/teams.cards"


def _beyond(type: str) -> ObjectKind:
    """An element that Teams shows and the schema does not have."""
    return ObjectKind(
        name=type,
        page=_SDK,
        type=type,
        fields=ELEMENT,
        open=True,
        note=f"{type} is Teams' own and in no schema of Adaptive Cards: it goes out as it is written, and unchecked",
    )


_CHARTS: Final = ("Donut", "Gauge", "HorizontalBar", "HorizontalBar.Stacked", "Line", "Pie", "VerticalBar", "VerticalBar.Grouped")
_BEYOND: Final = (
    *("Badge", "Carousel", "CodeBlock", "CompoundButton", "Icon", "ProgressBar", "ProgressRing", "Rating"),
    *(f"Chart.{name}" for name in _CHARTS),
)
ALL: Final = (
    *(_ACTION_SET, _COLUMN_SET, _CONTAINER, _FACT_SET, _IMAGE, _IMAGE_SET, *INPUTS, _MEDIA, _RICH_TEXT, _TABLE, TEXT_BLOCK),
    *map(_beyond, _BEYOND),
)
