"""A rule's layout on Slack: where a record's words may stand, as what, and how long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import any_layout, odd, places
from shared import examples

from connectors.destinations.slack import CONNECTOR
from connectors.destinations.slack.destination import body
from connectors.destinations.slack.escape import ZW, address
from connectors.destinations.slack.layout import flattened, laid_out
from connectors.destinations.slack.layout.blocks import BLOCKS
from crmbridge.contract import Setting, Unsaid
from crmbridge.contract.layout.shapes import Items, Of
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Receipt, Text, Value, dump_message, load_message
from crmbridge.testing import message

KEY = "0123456789abcdef0123456789abcdef"
EVIL = "<!channel> *b* :tada: & @here"


def mrkdwn(*text: Literal | Value) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def plain(*text: Literal | Value) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def test_every_text_is_flattened_for_its_place() -> None:
    layout = [
        {"type": "header", "text": plain(Literal("New: "), Value(EVIL))},
        {"type": "section", "text": mrkdwn(Literal("*"), Value(EVIL), Literal("*")), "fields": [mrkdwn(Value("a")), plain(Value("b"))]},
        {"type": "divider"},
        {"type": "image", "image_url": (Literal("https://a.example/"), Value("ü >")), "alt_text": (Value(EVIL),)},
        {
            "type": "actions",
            "elements": [{"type": "button", "text": plain(Literal("Open")), "url": (Literal("https://crm.example/"), Value("../x?<"))}],
        },
        {"type": "section", "text": {"type": "mrkdwn", "text": "the *rule's* own"}},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": (Value("<@U1>"),)}]}]},
    ]
    broken = f"&lt;!channel&gt; ∗b∗ :{ZW}tada: &amp; @{ZW}here"
    assert flattened(layout) == [
        {"type": "header", "text": {"type": "plain_text", "text": f"New: <!channel> *b* :{ZW}tada: & @here"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": f"*{broken}*"},
            "fields": [{"type": "mrkdwn", "text": "a"}, {"type": "plain_text", "text": "b"}],
        },
        {"type": "divider"},
        {"type": "image", "image_url": "https://a.example/%C3%BC%20%3E", "alt_text": EVIL},
        {
            "type": "actions",
            "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://crm.example/..%2Fx%3F%3C"}],
        },
        {"type": "section", "text": {"type": "mrkdwn", "text": "the *rule's* own"}},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "<@U1>"}]}]},
    ]


def test_the_text_goes_along_for_those_who_see_no_blocks() -> None:
    said = message(blocks=[{"type": "section", "text": mrkdwn(Value("x"))}])
    arguments = body(load_message(dump_message(said)), KEY, None, CONNECTOR.options(token="t"))
    assert arguments["text"] == "Welcome, Parkers!"
    assert arguments["blocks"] == [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]
    assert "blocks" not in body(message(), KEY, None, CONNECTOR.options(token="t"))


def test_an_edit_brings_its_own_layout() -> None:
    with responses.RequestsMock() as net:
        net.post("https://slack.com/api/chat.update", json={"ok": True})
        destination = CONNECTOR.build(CONNECTOR.options(token="t"), Setting(name="wins"))
        destination.edit(Receipt(remote_id="1.1", extra={"channel": "C1"}), message(blocks=[{"type": "divider"}]), KEY)
        assert json.loads(net.calls[0].request.body)["blocks"] == [{"type": "divider"}]


def section(*text: Literal | Value) -> dict[str, Any]:
    return {"type": "section", "text": mrkdwn(*text)}


X = Literal("x")


PAGES = "https://docs.slack.dev/reference/block-kit/"


def button(**more: Any) -> list[dict[str, Any]]:
    return [{"type": "actions", "elements": [{"type": "button", "text": plain(X), **more}]}]


@pytest.mark.parametrize(
    ("layout", "where"),
    [
        ({}, "blocks: must be a list"),
        ([], "blocks: no entries, Slack takes at least 1 entry"),
        ([5], r"blocks\[0\]: must be an object"),
        ([{"text": "x"}], r"blocks\[0\]: has no `type`"),
        ([{"type": "divider"}] * 51, "blocks: 51 entries, Slack takes at most 50"),
        (
            [{"type": "divider"}, section(Literal("x" * 3001))],
            r"blocks\[1\]\.text\.text: 3001 characters, Slack takes at most 3000 \(section",
        ),
        ([section(Value("&" * 601))], "3005 characters"),
        ([section()], r"blocks\[0\]\.text\.text: is empty"),
        ([section(Value("\0\u202e"[1:]))], "is empty"),
        ([{"type": "header", "text": plain(Literal("x" * 151))}], r"text\.text: 151 characters, Slack takes at most 150 \(header block"),
        ([{"type": "header", "text": mrkdwn(X)}], r'there is no "mrkdwn" in a header block; there is plain_text'),
        ([{"type": "header", "text": "x"}], r"blocks\[0\]\.text: must be an object: with the type plain_text"),
        ([{"type": "section", "fields": [plain(X)] * 11}], "11 entries, Slack takes at most 10"),
        (
            [{"type": "section", "fields": [plain(X), mrkdwn(Literal("x" * 2001))]}],
            r"fields\[1\]\.text: 2001 characters, Slack takes at most 2000",
        ),
        ([{"type": "section"}], "a section block needs `text` or `fields`"),
        ([{"type": "context", "elements": [plain(X)] * 11}], "11 entries, Slack takes at most 10"),
        ([{"type": "actions", "elements": [{"type": "button", "text": plain(X)}] * 26}], "26 entries, Slack takes at most 25"),
        (button(text=plain(Literal("x" * 76))), r"elements\[0\]\.text\.text: 76 characters, Slack takes at most 75"),
        (button(value="x" * 2001), "Slack takes at most 2000"),
        (button(value=5), 'must be text: write it in quotes, like "5"'),
        (button(url=(Literal("https://a.example/" + "x" * 3000),)), "Slack takes at most 3000"),
        (button(style="green"), 'there is no "green" here; there are danger, primary'),
        (button(colour="red"), "a button element has no such field"),
        (
            [{"type": "actions", "elements": [{"type": "button", "text": plain(X), "action_id": "a"}] * 2}],
            r'elements\[1\]\.action_id: another element of this block has the action_id "a"',
        ),
        ([{"type": "section", "text": plain(X), "accessory": {"type": "divider"}}], "a divider block cannot stand in a section block"),
        (
            [
                {
                    "type": "section",
                    "text": plain(X),
                    "accessory": {"type": "static_select", "options": [{"text": plain(Literal("x" * 76)), "value": "v"}]},
                }
            ],
            r"options\[0\]\.text\.text: 76 characters",
        ),
        (
            [{"type": "section", "text": plain(X), "accessory": {"type": "overflow", "options": [{"text": plain(X), "value": "x" * 151}]}}],
            "Slack takes at most 150",
        ),
        ([{"type": "image", "image_url": "https://a.example/", "alt_text": (Literal("x" * 2001),)}], "Slack takes at most 2000"),
        ([{"type": "image", "image_url": (Value("javascript:alert(1)"),), "alt_text": "x"}], "not an http or https address"),
        ([{"type": "image", "alt_text": "x"}], "an? image block needs `image_url` or `slack_file`"),
        ([{"type": "divider", "block_id": "x" * 256}], "Slack takes at most 255"),
        ([{"type": "markdown", "text": (Literal("x" * 12_001),)}], "Slack takes at most 12000"),
        (
            [{"type": "markdown", "text": "x" * 7000}] * 2,
            r"blocks\[1\]: 14000 characters in all markdown blocks, Slack takes at most 12000",
        ),
        ([{"type": "markdown", "text": (Literal("# "), Value("x"))}], r"blocks\[0\]\.text: takes no words of a record"),
        ([{"type": "table", "rows": [[{"type": "raw_text", "text": "x" * 10_001}]]}], "10001 characters in the cells of all table blocks"),
        ([{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}] * 2, "a message takes 1 table block at most"),
        ([{"type": (Value("section"),)}], r"blocks\[0\]\.type: must be one of Slack's own words"),
        (
            [{"type": "sectoin", "text": plain(X)}],
            r'there is no "sectoin" in a message; did you mean "section"\? there are actions, alert, card',
        ),
        (
            [{"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "bullet", "elements": [], "border": "0"}]}],
            "must be a number",
        ),
    ],
)
def test_what_slack_would_not_take_is_named(layout: Any, where: str) -> None:
    with pytest.raises(Rejected, match=where) as caught:
        flattened(layout)
    assert caught.value.code == "invalid_blocks"
    assert PAGES in str(caught.value)


@pytest.mark.parametrize(
    "element",
    [
        {"type": "user", "user_id": (Value("U1"),)},
        {"type": "broadcast", "range": (Value("here"),)},
        {"type": "usergroup", "usergroup_id": (Value("S1"),)},
        {"type": "channel", "channel_id": (Value("C1"),)},
        {"type": "emoji", "name": (Value("tada"),)},
        {"type": "team", "team_id": (Value("T1"),)},
        {"type": "canvas_user_mention", "user_id": (Value("U1"),)},
        {"type": "message_mention", "channel_id": (Value("C1"),), "message_ts": "1.1"},
        {"type": "work_object_mention", "entity_id": (Value("E1"),), "app_id": "A1", "text": "x", "url": "https://a.example"},
    ],
)
def test_a_record_chooses_nobody_and_nothing(element: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="takes no words of a record"):
        flattened([{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}])


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ({"type": (Value("broadcast"),), "range": "here"}, "must be one of Slack's own words"),
        ({"type": "text", "text": "x", "style": {"bold": (Value("1"),)}}, "must be true or false, and what a template fills in is text"),
        ({"type": "date", "timestamp": (Value("1"),), "format": "{date}"}, "must be a number, and what a template fills in is text"),
    ],
)
def test_what_is_filled_in_is_text(element: dict[str, Any], words: str) -> None:
    with pytest.raises(Rejected, match=words):
        flattened([{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}])


def test_before_a_record_is_there_only_what_is_certain_is_a_fault() -> None:
    made = laid_out(
        [
            {"type": "section", "text": {"type": "mrkdwn", "text": Unsaid()}},
            {"type": "image", "image_url": Unsaid(), "alt_text": Unsaid()},
            {
                "type": "actions",
                "elements": [{"type": "button", "text": {"type": "plain_text", "text": Unsaid()}, "style": Unsaid(words=False)}],
            },
        ]
    )
    assert (made.faults, made.notes) == ([], [])
    long = laid_out([{"type": "header", "text": {"type": "plain_text", "text": Unsaid(least=151)}}])
    assert "151 characters at least, whatever is filled in; Slack takes at most 150" in str(long.faults[0])
    chosen = laid_out([{"type": "actions", "elements": [{"type": "button", "text": plain(X), "style": Unsaid()}]}])
    assert "takes no words of a record" in str(chosen.faults[0])
    numbered = laid_out([{"type": "header", "text": plain(X), "level": Unsaid(words=False)}])
    assert "must be a number" in str(numbered.faults[0])


def test_constants_stay_what_they_are() -> None:
    """A text without anything to fill in is the author's, to the last character."""
    layout = [section(X), {"type": "section", "text": {"type": "mrkdwn", "text": "R&D &amp; <https://a.example|A>\t"}}]
    assert flattened(layout)[1] == layout[1]


def test_what_stands_where_nobody_sees_it_is_a_note() -> None:
    alert = {"type": "alert", "text": plain(X)}
    twice = [{"type": "divider", "block_id": "a"}] * 2
    made = laid_out([alert, *twice])
    assert made.faults == []
    assert [note.place for note in made.notes] == ["blocks[0]", "blocks[2].block_id"]


def test_the_table_names_its_pages_and_reaches_every_kind() -> None:
    assert len({kind.type for kind in BLOCKS}) == len(BLOCKS) == 21
    seen: dict[str, str] = {}
    todo: list[Any] = list(BLOCKS)
    while todo:
        kind = todo.pop()
        if kind.name + kind.page in seen:
            continue
        seen[kind.name + kind.page] = kind.page
        shapes = [field.shape for field in kind.fields.values()]
        while shapes:
            shape = shapes.pop()
            if isinstance(shape, Items):
                shapes.append(shape.of)
            elif isinstance(shape, Of):
                todo += shape.kinds
    assert len(seen) > 80
    assert all(page.startswith(PAGES) for page in seen.values())


def test_what_may_be_shortened_fits_its_place() -> None:
    long = Value("&" * 5000, True)
    layout = [
        section(Literal("*"), long, Literal("*")),
        {"type": "header", "text": plain(long)},
        {"type": "image", "image_url": "https://a.example/", "alt_text": (long,)},
        {"type": "actions", "elements": [{"type": "button", "text": plain(long)}]},
    ]
    one, two, three, four = flattened(layout)
    assert 2990 < len(one["text"]["text"]) <= 3000
    assert one["text"]["text"].startswith("*&amp;")
    assert one["text"]["text"].endswith("&amp;…*")
    assert (len(two["text"]["text"]), len(three["alt_text"]), len(four["elements"][0]["text"]["text"])) == (150, 2000, 75)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ((Value(":tada:"),), f":{ZW}tada:"),
        ((Literal(":"), Value("tada:")), f":{ZW}tada:"),
        ((Literal(":"), Value("tada"), Literal(":")), f":tada{ZW}:"),
        ((Value(":tada"), Literal(":")), f":tada{ZW}:"),
        ((Literal(":tada: "), Value("10:30 <b> *x* & y")), ":tada: 10:30 <b> *x* & y"),
    ],
)
def test_plain_text_knows_emoji_only(text: Text, expected: str) -> None:
    ((block),) = flattened([{"type": "header", "text": plain(*text)}])
    assert block["text"]["text"] == expected


# --- whatever stands there

_PARTS = {"plain_text", "mrkdwn", "button", "static_select", "raw_text", "rich_text_section", "pie", "bar"}
_TYPES = sorted({str(kind.type) for kind in BLOCKS} | _PARTS)
_INNER = {"type", "text", "value", "options", "label", "data", "categories", "axis_config"}
_NAMES = sorted({name for kind in BLOCKS for name in kind.fields} | _INNER)
_ODD = odd(["NaN", "sNaN", "1e999", *_TYPES])


@settings(max_examples=examples(400))
@given(any_layout(_ODD, _NAMES))
def test_whatever_a_layout_holds_it_is_judged_and_never_raises(layout: Any) -> None:
    for one in (layout, [layout], [{"type": kind, "elements": layout, "text": layout, "rows": layout, "chart": layout} for kind in _TYPES]):
        made = laid_out(one)
        assert all(str(fault) for fault in made.faults)
        assert made.faults or isinstance(made.sent, list)


@settings(max_examples=examples(300))
@given(st.data())
def test_one_odd_part_of_a_good_layout_is_named_and_never_raises(vectors: Path, data: Any) -> None:
    good = [json.loads(line)["blocks"] for line in (vectors / "slack-blocks" / "valid.jsonl").read_text("utf-8").splitlines()]
    layout = json.loads(json.dumps(data.draw(st.sampled_from(good))))
    *way, last = data.draw(st.sampled_from(places(layout)[1:]))
    holder = layout
    for key in way:
        holder = holder[key]
    holder[last] = data.draw(_ODD)
    made = laid_out(layout)
    assert all(isinstance(fault.path, tuple) and "(" in fault.message for fault in made.faults)


@pytest.mark.parametrize("words", ["@evil.example/x", ".evil.example/login", "s.evil.example", "//evil.example"])
def test_a_record_leads_no_button_elsewhere(words: str) -> None:
    """An address in a layout is put together as a link is."""
    with pytest.raises(Rejected):
        address((Literal("https://crm.example"), Value(words)))


def test_an_address_of_a_layout_is_encoded_by_its_places() -> None:
    assert address((Literal("https://crm.example?q="), Value("a&b=c"))) == "https://crm.example?q=a%26b%3Dc"
    assert address((Literal("https://crm.example"), Value("/deals/7?tab=1"))) == "https://crm.example/deals/7?tab=1"
