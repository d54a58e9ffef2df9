"""A record in the feed's pages, as an HTML parser reads them: whatever it says, the elements are those of a harmless post."""

from __future__ import annotations

from datetime import datetime, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shared import examples

from connectors.destinations.chirp.destination import post_of
from crmbridge.chirp import text as words
from crmbridge.chirp.api import draft
from crmbridge.chirp.feed import look
from crmbridge.chirp.posts import Post
from crmbridge.model import Channel, Literal, RecordRef, Value, visible
from crmbridge.testing import message

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
LOOK = look("Chirp", lambda: NOW)


class Tokens(HTMLParser):
    """Elements with the names of their attributes; the values too where a browser acts on them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, ...]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        acting = (f"{name}={value}" if name in ("href", "src", "action", "class", "id", "type") else name for name, value in attrs)
        self.found.append((tag, *acting))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("declaration", decl))

    def handle_pi(self, data: str) -> None:
        self.found.append(("instruction", data))

    def unknown_decl(self, data: str) -> None:
        self.found.append(("unknown", data))


def shown(parts: list[Literal | Value], title: str) -> list[Tokens] | None:
    """The pages of a post as the connector sends it and the API takes it; None if it is refused."""
    said = message(*parts, channel=Channel("1", title), record=RecordRef("crm", "Account", "1"), link="https://crm.example/1")
    try:
        taken = draft({**post_of(said, "k" * 32, None), "rule": visible(title)})
    except ValueError:
        return None
    post = Post(
        id=1, code="abc", channel="def", title=taken.title or "x", author=None, rule=taken.rule, text=taken.text, link=taken.link,
        occurred_at=NOW, published_at=NOW, parent="ghi", parent_text=taken.text, replies=0, edited_at=NOW,
    )  # fmt: skip
    pages = [LOOK.render("one_post.html", post=post, place=place) for place in ("timeline", "channel", "thread")]
    whole = {"replies": [post], "more": False, "problem": "", "said": title, "key": "k", "proof": "p"}
    pages.append(LOOK.render("post.html", post=post, person=None, followed=[("def", title)], path="/chirp", **whole))
    return [Tokens(page) for page in pages]


def harmless(text: str) -> str:
    """`text` with every character but blanks replaced by an x."""
    return "".join(char if char.isspace() else "x" for char in words.clean(visible(text)))


def elements(parts: list[Literal | Value], title: str) -> None:
    hostile = shown(parts, title)
    if hostile is None:
        return
    tame = [Value(harmless(part.text), part.shrink) if isinstance(part, Value) else part for part in parts]
    benign = shown(tame, harmless(title))
    assert benign is not None
    for one, other in zip(hostile, benign, strict=True):
        assert one.found == other.found


MARKUP = st.lists(
    st.sampled_from(
        ["<", ">", "</", "/>", "<!--", "-->", "<![CDATA[", "]]>", "<?", "&lt;", "&#60;", "&", '"', "'", "`", "=", "script", "img src=x",
         " onerror=alert(1)", "javascript:", "https://evil.example/", "</bdi>", "</div>", "</title>", "</textarea>", "<style>", "{{ 7*7 }}",
         "{% raw %}", "\n", "\r", "\t", " ", "\x00", "\u202e", "\u2028", "\ud800", "\u200b", "é", "x"]
    ),
    max_size=12,
).map("".join)  # fmt: skip
SPANS = st.one_of(
    st.builds(Value, MARKUP, st.booleans()),
    st.builds(lambda piece: Value(piece * 900, True), MARKUP),
    st.sampled_from(["Now ", "see https://crm.example/a", "https://crm.example/?q=", " (", ")", "<b>", "\n", "https://"]).map(Literal),
)


@settings(max_examples=examples(300))
@given(st.lists(SPANS, min_size=1, max_size=5), MARKUP)
@example([Value("<" * 1800, True), Value("<" * 1800, True), Value("\0" * 1800, True), Value("</" * 900, True)], "")
def test_the_elements_are_those_of_a_harmless_post(parts: list[Literal | Value], title: str) -> None:
    elements(parts, title[:200])


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=10_000)
@given(st.lists(SPANS, min_size=1, max_size=5), MARKUP)
def test_the_elements_are_those_of_a_harmless_post_ten_thousand_times(parts: list[Literal | Value], title: str) -> None:
    elements(parts, title[:200])


def test_the_test_can_fail() -> None:
    assert Tokens("<p>a</p>").found != Tokens("<p><b>a</b></p>").found
    assert Tokens('<a href="/chirp">a</a>').found != Tokens('<a href="javascript:x">a</a>').found
