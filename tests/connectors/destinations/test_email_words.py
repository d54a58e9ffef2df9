"""A record's words in an e-mail: never a header, a recipient, a tag or a link, wherever they stand; and what the rule may do."""

from __future__ import annotations

import html
import html.parser
import itertools
import re
from email import message_from_bytes
from email.policy import compat32, default
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from linkify_it import LinkifyIt
from standins.mail import KEY, Mail, publish, said

from connectors.destinations.email.addresses import Mailbox
from connectors.destinations.email.message import said as with_subject
from connectors.destinations.email.message import subject, written
from connectors.destinations.email.words import HAIR, SUBJECT, ZW, html_words, plain_words, subject_line
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Receipt, Text, Value
from crmbridge.testing.driver import HOSTILE

HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "List-Id"]
HEADERS += ["MIME-Version", "Content-Type"]
ATTACKS = (
    *HOSTILE,
    "x\r\nBcc: evil@evil.com",
    "x\nBcc: evil@evil.com",
    "x\rTo: evil@evil.com\r\r\n\r\nbody",
    "x\r\n\r\n<script>alert(1)</script>",
    "\r\n.\r\nMAIL FROM:<evil@evil.com>\r\nRCPT TO:<evil@evil.com>\r\nDATA\r\n",
    ".\n.\n..\r\n.",
    "\x85Bcc: evil@evil.com\u2028Cc: evil@evil.com\u2029To: evil@evil.com\x0bCc: x\x0cCc: y\x1cCc: z",
    "=?utf-8?q?Bcc:=20evil=40evil.com?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAZXZpbC5jb20=?= =?utf-8?q?x?=",
    "=?us-ascii?Q?=0D=0ABcc:_evil@evil.com?=",
    "From: evil@evil.com",
    "Subject: x",
    '"; To: evil@evil.com <evil@evil.com>, ',
    f"--=_{KEY}\r\nContent-Type: text/html\r\n\r\n<b>",
    f"--=_{KEY}--",
    "</p></body><script src=//evil.com/x></script>",
    "<a href='https://evil.com'>here</a> <img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp;#60; &#x3c;script&#x3e;",
    '" onmouseover="alert(1)',
    "https://evil.com http://evil.com/x ftp://evil.com //evil.com/x www.evil.com evil.com/x evil.co.uk",
    "HTTPS://EVIL.COM evil\u3002com evil\uff0ecom \u0435vil.com xn--vil-8cd.com m\u00fcller.com",
    "javascript:alert(1) data:text/html,x mailto:evil@evil.com tel:+1234567 file:///etc/passwd \\\\evil.com\\share",
    "evil@evil.com <evil@evil.com> mailto:evil@evil.com?bcc=x@evil.com",
    "\u202emoc.live//:sptth \u2066evil.com\u2069",
    "ev\u200bil.com evil\u2060.com evil\u00ad.com",
    "*b* _i_ [x](https://evil.com) ![](https://evil.com/a.png) <https://evil.com>",
    "\0\x01\x02\x1b]8;;https://evil.com\x07x\x1b]8;;\x07",
    "a" * 65_536,
    "https://evil.com/" * 4_000,
    "=?" * 30_000,
    "\r\n" * 30_000,
    "evil.com,evil@evil.com;" * 2_500,
)
PLACES: tuple[tuple[str, Any], ...] = (
    ("alone", lambda words: (Value(words),)),
    ("in a sentence", lambda words: (Literal("Hello "), Value(words), Literal(", bye."))),
    ("touching", lambda words: (Literal("x"), Value(words), Literal("y"))),
    ("behind a scheme", lambda words: (Literal("https://"), Value(words), Literal("/x"))),
    ("behind half a scheme", lambda words: (Literal("https:"), Value(words))),
    ("behind a host", lambda words: (Literal("https://crm.com"), Value(words))),
    ("within a link", lambda words: (Literal("https://crm.com/"), Value(words), Literal(" more"))),
    ("before a domain", lambda words: (Value(words), Literal(".com is ours"))),
    ("before an at", lambda words: (Value(words), Literal("@ours.com"))),
    ("behind an at", lambda words: (Literal("news@"), Value(words))),
    ("on a line", lambda words: (Literal("x\n\n"), Value(words), Literal("\n\ny"))),
    ("in two", lambda words: (Value(words[: len(words) // 2], True), Value(words[len(words) // 2 :]))),
    ("after www", lambda words: (Literal("www."), Value(words))),
)
OURS = {"https://crm.com", "https://crm.com/", "news@ours.com"}
_JUDGE = LinkifyIt()


class Tags(html.parser.HTMLParser):
    """What a page holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.outside = ""
        self._inside = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside += tag == "a"
        if tag == "a":
            assert [name for name, _ in attributes] == ["href"]
            self.links.append(str(attributes[0][1]))
        elif tag != "meta":
            assert not attributes, attributes

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "a"

    def handle_data(self, data: str) -> None:
        self.words += data
        self.outside += " " if self._inside else data


def judged(text: str) -> list[str]:
    """The addresses that a mail program may make of words, as markdown-it's linkifier has it, and by two plainer patterns."""
    found = [one.url for piece in re.split(r"\s", text[:20_000]) for one in _JUDGE.match(piece[:500]) or ()]
    found += re.findall(
        r"(?:https?|ftp|file)://\S+|www\.[^\s\u200b]\S*|\\\\[a-z]\S+|(?:mailto|tel|javascript|data):[^\s\u200b]\S*", text, re.IGNORECASE
    )
    return found + re.findall(r"[^\s\u200b]@[a-z0-9]\S*", text)


def sent(text: Text, subject_: Text | None = None, parent: Receipt | None = None) -> bytes:
    what = said(*text, subject=subject_)
    body = with_subject(what, parent)
    return written(what, body, KEY, parent, Mailbox("news", "acme.example", "N"), (Mailbox("a", "acme.example"),), "mail")


def check(content: bytes, allowed: set[str]) -> None:
    """Exactly our headers and parts; no tag of a record's; no link but the rule's, in either form."""
    assert content.isascii()
    for line in content.split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line
        assert len(line) <= 78
    read, strict = message_from_bytes(content, policy=default), message_from_bytes(content, policy=compat32)
    assert [name for name in read if name not in ("In-Reply-To", "References")] == HEADERS
    assert read["To"] == "a@acme.example"
    assert not read.defects
    assert not strict.defects
    plain, page = read.iter_parts()  # type: ignore[attr-defined]
    assert [part.get_content_type() for part in (plain, page)] == ["text/plain", "text/html"]
    tags = Tags(page.get_content())
    assert set(tags.tags) <= {"html", "head", "meta", "body", "p", "br", "a"}
    assert tags.tags.count("meta") == 2
    for link in tags.links:
        assert link.startswith(tuple(allowed)), link
    assert [one for one in judged(tags.outside) if one != "https:///x"] == []  # the rule's own, around nothing
    for link in judged(plain.get_content().replace("https:///x", "")):
        assert link.removeprefix("mailto:").startswith(tuple(allowed)), link
        assert "evil" not in link.split("/")[2] if "//" in link else True


@pytest.mark.parametrize("place", [name for name, _ in PLACES])
def test_a_record_adds_nothing_but_text(place: str) -> None:
    """Each attack in each place, in the text and in the subject, and in a thread of that name."""
    build = dict(PLACES)[place]
    for words in ATTACKS:
        text = build(words)
        allowed = OURS if "crm" in str(text) or "ours" in str(text) else {"https://nothing.example"}
        if len(words) < 20_000:
            check(sent(text), allowed)
        what = said(Literal("x"), subject=text)
        check(sent((Literal("x"),), text), allowed)
        named = subject(what, None)
        assert len(named) <= SUBJECT
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", named)
        assert str(message_from_bytes(sent((Literal("x"),), text), policy=default)["Subject"]) == named
        check(sent((Literal("x"),), text, Receipt(remote_id=f"<{KEY}@acme.example>", extra={"subject": named})), allowed)


FRAGMENTS = [
    "evil",
    ".",
    "com",
    "://",
    "https",
    "http",
    "@",
    "/",
    "www",
    ":",
    "\r\n",
    "<",
    ">",
    "&",
    '"',
    " ",
    "=?",
    "?=",
    "-",
    "mailto",
    "\u200b",
]
FRAGMENTS += ["\u202e", "\\", "\\\\", "?", "#", ",", "\u3002", "tel", "ä", "日本", "\0", "b", "_", "\t", "'", "(", ")"]
hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)


@given(st.lists(st.tuples(st.booleans(), hostile), max_size=5), st.sampled_from(["", "https://crm.com/x/", "See https://crm.com/", "a "]))
@example([(True, "evil"), (False, "."), (True, "com")], "")
@example([(True, "www..")], "")
@example([(True, "evil"), (True, ".com")], "")
@example([(True, "https:"), (False, "/"), (True, "/evil.com")], "")
@example([(True, "tel:://")], "")
def test_pieces_of_addresses_make_none(parts: list[tuple[bool, str]], begin: str) -> None:
    """Whatever a record and the rule write in turns. The rule's own pieces hold no address here."""
    own = {".", "/", " ", ",", "-", "(", ")", "a", ""}
    text: Text = (Literal(begin), *(Value(words) if record else Literal(words if words in own else " ") for record, words in parts))
    check(sent(text), {"https://crm.com/"})
    check(sent((Literal("x"),), text), {"https://crm.com/"})


@given(st.text(max_size=400))
def test_a_subject_is_read_as_it_was_meant(words: str) -> None:
    text = (Literal(words),)
    named = subject_line(text, (Literal("x"),))
    assert str(message_from_bytes(sent((Literal("x"),), text), policy=default)["Subject"]) == named
    assert len(named) <= SUBJECT


@given(st.text(max_size=400))
def test_both_forms_say_the_same(words: str) -> None:
    text = (Literal("A "), Value(words), Literal(" b"))
    plain, page = plain_words(text), Tags(html_words(text)).words
    assert "".join(page.split()) == "".join(plain.split())


# --- what the rule may


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://a.example/x.", ["https://a.example/x"]),
        ("(https://a.example/x_(y)) and http://b.example?q=1&r=2, too", ["https://a.example/x_(y)", "http://b.example?q=1&r=2"]),
        ("<https://a.example/x>", ["https://a.example/x"]),
        ("HTTPS://A.example/", ["HTTPS://A.example/"]),
        ("https://bücher.example/ü", ["https://xn--bcher-kva.example/%C3%BC"]),
        ("https:// nothing, http://, ftp://a.example, a.example", []),
        ('"https://a.example"', ["https://a.example"]),
        ("https://a.example/\nhttps://b.example/", ["https://a.example/", "https://b.example/"]),
    ],
)
def test_the_rules_addresses_are_links(text: str, links: list[str]) -> None:
    tags = Tags(html_words((Literal(text),)))
    assert tags.links == links
    assert "".join(tags.words.split()) == "".join(text.split())


def test_a_record_fills_in_an_address_and_cannot_end_it() -> None:
    for words, there in (
        ("42", "42"),
        ("a b", "a%20b"),
        ("../x", "%2E%2E%2Fx"),
        ("?q=1#x", "%3Fq%3D1%23x"),
        ("@evil.com", "%40evil%2Ecom"),
    ):
        text = (Literal("https://crm.example/deal/"), Value(words), Literal("/view now"))
        assert Tags(html_words(text)).links == [f"https://crm.example/deal/{there}/view"]
        assert plain_words(text) == f"https://crm.example/deal/{there}/view now"


def test_ordinary_words_stay_as_they_are() -> None:
    """Nothing invisible goes into what cannot be a link."""
    for words in (
        "Parkers & Sons Ltd.",
        "1.250,50 €",
        "12:30",
        "v1.2",
        "A - B",
        "snake_case",
        "O'Neil (Jr.)",
        "50 %",
        "2026-11-30",
        "№ 5",
        "a/b",
    ):
        for text in ((Value(words),), (Literal("x "), Value(words), Literal(", y")), (Literal("("), Value(words), Literal(")."))):
            assert ZW not in plain_words(text)
            assert HAIR not in plain_words(text)
    assert plain_words((Value("Acme Inc"), Literal("'s deal: "), Value("5"), Literal("%"))) == "Acme Inc's deal: 5%"


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "https://a.example/\r\nBcc: x@y", "https://a b", "//a.example", "ftp://a.example", "https://"]
)
def test_a_link_is_an_address_of_the_web_or_none(link: str) -> None:
    with Mail() as server:
        try:
            publish(server, said(link=link))
        except Rejected:
            return
        (taken,) = server.taken
        (found,) = Tags(taken.text("html")).links
        assert re.fullmatch(r"https://a[!-~]*", found), found
        assert taken.recipients == ["sales@acme.example"]


def test_dots_are_dots() -> None:
    """No line of a text ends the message, however it stands there."""
    texts = [".", "..", ".\n.", "\n.\n", ".\r\n.\r\nQUIT", "x\n.\ny"]
    with Mail() as server:
        for text in texts:
            publish(server, said(Literal(text)))
        for text, taken in itertools.zip_longest(texts, server.taken):
            assert taken.text().removesuffix("\n") == text.replace("\r\n", "\n")
        assert server.commands().count("QUIT") == len(texts)
        assert html.unescape(server.taken[0].text("html")).count("<p>.</p>") == 1
