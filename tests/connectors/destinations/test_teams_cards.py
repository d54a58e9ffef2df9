"""A rule's card in Teams: what may stand in it, where a record's words may, and what Teams would not show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import any_layout, odd, places
from shared import examples

from connectors.destinations.teams.escape import ZW
from connectors.destinations.teams.layout import finished, laid_out
from connectors.destinations.teams.layout.base import ACTIONS, ELEMENTS, PAGES, SELECT_ACTIONS
from connectors.destinations.teams.layout.card import CARD
from connectors.destinations.teams.layout.check import MOST
from crmbridge.contract import Unsaid
from crmbridge.contract.layout.shapes import Either, Items, ObjectKind, Of, Shape, Words
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Text, Value

EVIL = Value("**b** <at>Ann</at> [x](https://evil.example) {{DATE(x)}}")
BROKEN = f"∗∗b∗∗ <{ZW}at>Ann<{ZW}/at> [x］(https:{ZW}/{ZW}/evil.{ZW}example) {{{ZW}{{DATE(x)}}}}"
PLAIN = f"**b** <{ZW}at>Ann<{ZW}/at> [x](https:{ZW}/{ZW}/evil.{ZW}example) {{{ZW}{{DATE(x)}}}}"
BARE = EVIL.text


def card(*body: Any, **more: Any) -> dict[str, Any]:
    return {"type": "AdaptiveCard", "version": "1.5", "body": list(body) or [{"type": "TextBlock", "text": "x"}], **more}


def text(*said: Literal | Value, **more: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": said or "x", **more}


# --- a whole card, as a designer gives it -----------------------------------------------------

WHOLE = {
    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
    "type": "AdaptiveCard",
    "version": "1.5",
    "fallbackText": "A deal was won",
    "minHeight": "50px",
    "rtl": None,
    "lang": "en",
    "speak": "<s>A deal was won</s>",
    "msteams": {
        "width": "Full",
        "entities": [{"type": "mention", "text": "<at>Ann</at>", "mentioned": {"id": "ann@acme.example", "name": "Ann"}}],
    },
    "backgroundImage": {"url": "https://a.example/b.png", "fillMode": "repeatHorizontally"},
    "body": [
        {
            "type": "TextBlock",
            "text": "**Won** <at>Ann</at>",
            "size": "Large",
            "weight": "BOLDER",
            "color": "good",
            "wrap": True,
            "style": "heading",
        },
        {
            "type": "ColumnSet",
            "separator": True,
            "spacing": "medium",
            "columns": [
                {
                    "type": "Column",
                    "width": "auto",
                    "items": [{"type": "Image", "url": "https://a.example/i.png", "size": "small", "style": "person", "altText": "A"}],
                },
                {
                    "width": 2,
                    "items": [{"type": "TextBlock", "text": "b", "isSubtle": True, "maxLines": 2}],
                    "selectAction": {"type": "Action.OpenUrl", "url": "https://a.example"},
                },
                {
                    "type": "Column",
                    "width": "50px",
                    "style": "emphasis",
                    "verticalContentAlignment": "center",
                    "backgroundImage": "https://a.example/c.png",
                },
            ],
        },
        {"type": "FactSet", "facts": [{"title": "Amount", "value": "€120,000"}]},
        {
            "type": "RichTextBlock",
            "inlines": ["a ", {"type": "TextRun", "text": "b", "highlight": True, "underline": True, "weight": "bolder"}],
        },
        {"type": "ImageSet", "imageSize": "medium", "images": [{"type": "Image", "url": "data:image/png;base64,iVBORw0KGgo="}]},
        {
            "type": "Table",
            "gridStyle": "accent",
            "firstRowAsHeader": True,
            "columns": [{"width": 1}, {"width": "2", "horizontalCellContentAlignment": "right"}],
            "rows": [
                {
                    "type": "TableRow",
                    "cells": [
                        {"type": "TableCell", "items": [{"type": "TextBlock", "text": "a"}], "style": "good"},
                        {"type": "TableCell", "items": []},
                    ],
                }
            ],
        },
        {
            "type": "Container",
            "id": "more",
            "isVisible": False,
            "style": None,
            "bleed": True,
            "targetWidth": "atLeast:narrow",
            "items": [
                {
                    "type": "ActionSet",
                    "actions": [{"type": "Action.OpenUrl", "title": "Go", "url": "https://a.example", "iconUrl": "icon:Calendar"}],
                }
            ],
            "fallback": "drop",
            "requires": {"adaptiveCards": "1.5"},
        },
    ],
    "actions": [
        {"type": "Action.ToggleVisibility", "title": "More", "targetElements": ["more", {"elementId": "more", "isVisible": None}]},
        {"type": "Action.ShowCard", "title": "Details", "card": {"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": "d"}]}},
        {"type": "Action.OpenUrl", "title": "Open", "url": "https://crm.example", "style": "positive", "mode": "secondary", "tooltip": "t"},
    ],
}


def test_what_a_designer_gives_arrives_as_it_is() -> None:
    made = laid_out(WHOLE)
    assert (made.faults, made.notes) == ([], [])
    assert json.dumps(made.sent) == json.dumps(WHOLE)


# --- a record's words ---------------------------------------------------------------------------


def test_every_text_is_written_for_its_place() -> None:
    said = (EVIL,)
    made = finished(
        card(
            text(EVIL),
            {"type": "FactSet", "facts": [{"title": said, "value": said}]},
            {"type": "RichTextBlock", "inlines": [said, {"type": "TextRun", "text": said}]},
            {"type": "Image", "url": (Literal("https://a.example/"), EVIL, Literal(".png")), "altText": said},
            actions=[
                {"type": "Action.OpenUrl", "title": said, "tooltip": said, "url": (Literal("https://crm.example/?q="), Value("a b&c"))}
            ],
            fallbackText=said,
        )
    )
    one, facts, rich, image = made["body"]
    assert one["text"] == made["fallbackText"] == BROKEN
    assert facts["facts"] == [{"title": BROKEN, "value": BROKEN}]
    assert rich["inlines"] == [PLAIN, {"type": "TextRun", "text": PLAIN}]
    assert image["altText"] == BARE
    assert image["url"].startswith("https://a.example/%2A%2Ab%2A%2A%20%3Cat")
    assert made["actions"] == [{"type": "Action.OpenUrl", "title": PLAIN, "tooltip": PLAIN, "url": "https://crm.example/?q=a%20b%26c"}]


@pytest.mark.parametrize(
    "layout",
    [
        card(text(Literal("x"), id=(EVIL,))),
        card(text(Literal("x"), color=(EVIL,))),
        card(text(Literal("x"), size=(Value("large"),))),
        card(speak=(EVIL,)),
        card(lang=(EVIL,)),
        card(
            msteams={
                "entities": [{"type": "mention", "text": (Literal("<at>"), EVIL, Literal("</at>")), "mentioned": {"id": "a", "name": "b"}}]
            }
        ),
        card(
            msteams={
                "entities": [{"type": "mention", "text": "<at>Ann</at>", "mentioned": {"id": (Value("bob@acme.example"),), "name": "b"}}]
            }
        ),
        card(msteams={"width": (Value("Full"),)}),
        card(msteams={"other": [(EVIL,)]}),
        card({"type": "Container", "items": [], "layouts": [{"type": (EVIL,)}]}),
        card({"type": "Container", "items": [], "requires": {"a": (EVIL,)}}),
        card(actions=[{"type": "Action.ToggleVisibility", "title": "x", "targetElements": [(EVIL,)]}]),
        card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": "https://a.example", "iconUrl": (EVIL,)}]),
        card({"type": "Icon", "name": (EVIL,)}),
        card({"type": "CodeBlock", "codeSnippet": (EVIL,)}),
        card({"type": "Badge", "text": [{"deep": (EVIL,)}]}),
        card(version=(Value("1.5"),)),
        card(**{"$schema": (EVIL,)}),
    ],
)
def test_a_record_chooses_nobody_and_nothing(layout: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="takes no words of a record"):
        finished(layout)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (card({"type": (Value("TextBlock"),), "text": "x"}), "must be one of Teams's own words|must be one of Teams"),
        (card(text(Literal("x"), wrap=(Value("true"),))), "must be true or false, and what a template fills in is text"),
        (card(text(Literal("x"), maxLines=(Value("2"),))), "must be a number, and what a template fills in is text"),
        (card({"type": "Image", "url": (Value("javascript:alert(1)"),)}), "not an http or https address"),
        (card({"type": "Image", "url": (Value("http://a.example/x.png"),)}), "must be an https address"),
        (card({"type": "Image", "url": (Value("data:image/png;base64,AAAA"),)}), "not an http or https address"),
        (card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": (Literal("tel:"), Value("1"))}]), "https://"),
    ],
)
def test_what_is_filled_in_is_text_for_its_place(layout: dict[str, Any], words: str) -> None:
    with pytest.raises(Rejected, match=words):
        finished(layout)


def test_an_address_is_never_shortened() -> None:
    long = "https://a.example/" + "x" * 300
    made = finished(card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": (Value(long, shrink=True),)}]))
    assert made["actions"][0]["url"] == long


# --- what Teams would not show ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "where"),
    [
        (None, r"card: must be an object: with the type AdaptiveCard"),
        ([], r"card: must be an object"),
        ({}, r"card: has no `type`: with the type AdaptiveCard"),
        ({"type": "AdaptiveCard"}, r"card: `version` is missing from this card .*; and 1 more"),
        ({"type": "AdaptiveCard", "version": "1.5"}, "card: shows nothing: it has neither `body` nor `actions`"),
        ({"type": "message", "attachments": []}, r'card.type: there is no "message" in a message; there is AdaptiveCard'),
        (card(version="1.6"), r'card.version: Teams shows cards up to version 1.5, and of a "1.6" its fallbackText alone'),
        (card(version=1.5), r'card.version: must be text: write it in quotes, like "1.5"'),
        (card(verson="1.5"), r'card.verson: a card has no such field; did you mean "version"\?'),
        (card({"text": "x"}), r"card.body\[0\]: has no `type`: its type is one of ActionSet, "),
        (card({"type": "TextBlok", "text": "x"}), r'card.body\[0\].type: there is no "TextBlok" in a card; did you mean "TextBlock"\?'),
        (
            card({"type": "TextBlock"}),
            r"card.body\[0\]: `text` is missing from this TextBlock \(TextBlock: https://adaptivecards.io/explorer/TextBlock.html",
        ),
        (
            card(text(Literal("x"), size="huge")),
            r'body\[0\].size: there is no "huge" here; there are default, extraLarge, large, medium, small',
        ),
        (card(text(Literal("x"), wrap="yes")), r"body\[0\].wrap: must be true or false"),
        (card(text(Literal("x"), maxLines=1.5)), "must be a whole number"),
        (card(text(Literal("x"), weight=True)), 'must be text: write it in quotes, like "true"'),
        (card({"type": "Column", "items": []}), r'there is no "Column" in a card; did you mean "ColumnSet"'),
        (card({"type": "Image", "url": "http://a.example/x.png"}), "must be an https address, or a picture as data:image"),
        (card({"type": "Image", "url": "https://a.example", "backgroundColor": "red"}), "must be a colour like #DDDDDD"),
        (card({"type": "Image", "url": "https://a.example", "width": "wide"}), "must be a number of pixels, like 50px"),
        (card({"type": "ColumnSet", "columns": [{"width": "wide"}]}), "must be auto, stretch, a weight, or pixels, like 50px"),
        (card({"type": "ColumnSet", "columns": [{"width": 0}]}), "must be more than 0"),
        (card({"type": "FactSet", "facts": [{"title": "x"}]}), r"facts\[0\]: `value` is missing from this Fact"),
        (card({"type": "Table", "rows": [{"cells": [{"type": "TableCell"}]}]}), r"cells\[0\]: `items` is missing from this TableCell"),
        (
            card({"type": "Container", "items": [{"type": "Container", "items": [{"type": "TextBlock"}]}]}),
            r"items\[0\].items\[0\]: `text` is missing",
        ),
        (
            card(actions=[{"type": "Action.Submit", "title": "x"}]),
            r"actions\[0\].type: cards from a webhook have no Action.Submit: nobody would hear",
        ),
        (card({"type": "Container", "items": [], "selectAction": {"type": "Action.Submit"}}), "cards from a webhook have no Action.Submit"),
        (card(actions=[{"type": "Action.Http", "title": "x", "url": "https://a.example"}]), 'there is no "Action.Http" in a card'),
        (card(actions=[{"type": "Action.OpenUrl", "title": "x"}]), "`url` is missing from this Action.OpenUrl"),
        (
            card(actions=[{"type": "Action.OpenUrl", "url": "https://a.example"}]),
            "has neither `title` nor `iconUrl`: the button would be empty",
        ),
        (card(selectAction={"type": "Action.ShowCard", "title": "x"}), 'there is no "Action.ShowCard" in a card'),
        (
            card(actions=[{"type": "Action.ShowCard", "title": "x", "card": {"body": [{"type": "X"}]}}]),
            r"actions\[0\].card.body\[0\].type: there is no",
        ),
        (
            card(actions=[{"type": "Action.ShowCard", "title": "x", "card": {"version": "2.0"}}]),
            r"actions\[0\].card.version: Teams shows cards up to",
        ),
        (card(text(Literal("x"), id="a"), text(Literal("y"), id="a")), r'body\[1\].id: another part of the card has the id "a"'),
        (
            card(msteams={"entities": [{"type": "mention", "text": "<at>Ann</at>", "mentioned": {"id": "a"}}]}),
            "`name` is missing from this mentioned",
        ),
        (
            card(msteams={"entities": [{"type": "mention", "text": "<at>Ann</at>", "mentioned": {"id": "a", "name": "b"}}] * 21}),
            "21 entries, Teams takes at most 20",
        ),
        (
            card(text(Literal("x" * MOST))),
            r"card: \d+ bytes, and the workflow can post \d+: it would take the card and fail behind our back",
        ),
    ],
)
def test_what_teams_would_not_show_is_named(layout: Any, where: str) -> None:
    with pytest.raises(Rejected, match=where) as caught:
        finished(layout)
    assert caught.value.code == "invalid_card"
    assert "https://" in str(caught.value)


def test_before_a_record_is_there_only_what_is_certain_is_a_fault() -> None:
    made = laid_out(
        card(
            {"type": "TextBlock", "text": Unsaid(), "color": Unsaid(words=False)},
            {"type": "Image", "url": Unsaid(), "altText": Unsaid()},
            actions=[{"type": "Action.OpenUrl", "title": Unsaid(), "url": Unsaid()}],
        )
    )
    assert (made.faults, made.notes) == ([], [])
    assert "takes no words of a record" in str(laid_out(card(text(Literal("x"), id=Unsaid()))).faults[0])
    assert "must be true or false" in str(laid_out(card(text(Literal("x"), wrap=Unsaid(words=False)))).faults[0])
    long = laid_out(card({"type": "TextBlock", "text": Unsaid(least=MOST)}))
    assert "bytes, and the workflow can post" in str(long.faults[0])


def test_what_people_should_know_is_a_note() -> None:
    made = laid_out(
        card(
            {"type": "Input.Text", "id": "a"},
            {"type": "Media", "sources": [{"mimeType": "video/mp4", "url": "https://a.example"}]},
            {"type": "Icon", "name": "Calendar", "size": "xxSmall", "targetWidth": "wide"},
            {"type": "Chart.Donut", "data": [{"legend": "a", "value": 1.5}]},
            {"type": "TextBlock", "text": Unsaid(own="[Open]( ) <at> </at>")},
            actions=[
                {"type": "Action.Execute", "title": "x"},
                *({"type": "Action.OpenUrl", "title": "x", "url": "https://a.example"} for _ in range(6)),
            ],
        )
    )
    assert made.faults == []
    assert {note.place for note in made.notes} == {
        *(f"card.body[{n}]" for n in range(4)),
        "card.body[4].text",
        "card.actions",
        "card.actions[0]",
    }
    words = " ".join(map(str, made.notes))
    for part in (
        "goes nowhere",
        "not supported in Teams",
        "Icon is Teams' own",
        "links nowhere",
        "names nobody",
        "these are 7",
        "something went wrong",
    ):
        assert part in words
    assert (
        laid_out(card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": "https://a.example", "mode": "secondary"}] * 9)).notes == []
    )


# --- the table -------------------------------------------------------------------------------------


def kinds() -> Iterator[ObjectKind]:
    todo, seen = [CARD], set()
    while todo:
        kind = todo.pop()
        if kind in seen:
            continue
        seen.add(kind)
        yield kind
        shapes: list[Shape] = [field.shape for field in kind.fields.values()]
        while shapes:
            shape = shapes.pop()
            if isinstance(shape, Items):
                shapes.append(shape.of)
            elif isinstance(shape, Either):
                shapes += shape.shapes
            elif isinstance(shape, Of):
                todo += shape.kinds


def test_the_table_names_its_pages_and_reaches_every_kind() -> None:
    found = list(kinds())
    assert {kind.type for kind in [*ELEMENTS, *ACTIONS]} <= {kind.type for kind in found}
    assert set(SELECT_ACTIONS) < set(ACTIONS)
    assert len(found) > 50
    assert all(kind.page.startswith((PAGES, "https://learn.microsoft.com/en-us/")) for kind in found)


def test_a_record_s_words_stand_only_where_a_text_is_shown() -> None:
    """What is not among these is for machines, or could name somebody."""
    taking = {
        (kind.type, name)
        for kind in kinds()
        for name, field in kind.fields.items()
        for shape in (field.shape.shapes if isinstance(field.shape, Either) else (field.shape,))
        if isinstance(shape, Words) and shape.takes is not None
    }
    shown = {"text", "title", "value", "label", "errorMessage", "placeholder", "altText", "tooltip", "fallbackText"}
    addresses = {"url", "poster", "backgroundImage"}
    assert {name for _, name in taking} == shown | addresses


# --- whatever stands there ----------------------------------------------------------------------------

_TYPES = sorted({str(kind.type) for kind in kinds() if kind.type})
_NAMES = sorted({name for kind in kinds() for name in kind.fields} | {"type"})
_ODD = odd(["NaN", "1.5", "drop", *_TYPES])


@settings(max_examples=examples(300))
@given(any_layout(_ODD, _NAMES))
def test_whatever_a_card_holds_it_is_judged_and_never_raises(layout: Any) -> None:
    for one in (
        layout,
        card(layout),
        *(card({"type": kind, "items": layout, "text": layout, "card": layout, "rows": layout}) for kind in _TYPES),
    ):
        made = laid_out(one)
        assert all(str(fault) for fault in made.faults)
        assert made.faults or isinstance(made.sent, dict)


@settings(max_examples=examples(300))
@given(st.data())
def test_one_odd_part_of_a_good_card_is_named_and_never_raises(data: Any) -> None:
    layout = json.loads(json.dumps(WHOLE))
    *way, last = data.draw(st.sampled_from(places(layout)[1:]))
    holder = layout
    for key in way:
        holder = holder[key]
    holder[last] = data.draw(_ODD)
    made = laid_out(layout)
    assert all(fault.key == "card" and "https://" in fault.message for fault in made.faults)


@settings(max_examples=examples(200))
@given(
    st.lists(st.sampled_from([*"*_[]()<>#-!&{\n ", "at>", "https://evil.example", '"', "\\", "},{", "\u2028"]), max_size=12).map("".join)
)
def test_no_words_of_a_record_become_another_part_of_a_card(words: str) -> None:
    """They are one text, wherever they stand: the card keeps its form."""
    said: Text = (Literal("a "), Value(words))
    layout = card(text(*said), {"type": "FactSet", "facts": [{"title": said, "value": said}]}, fallbackText=said)
    plain = card(text(Literal("a")), {"type": "FactSet", "facts": [{"title": "a", "value": "a"}]}, fallbackText="a")
    sent = json.loads(json.dumps(finished(layout)))
    assert places(sent) == places(json.loads(json.dumps(finished(plain))))
