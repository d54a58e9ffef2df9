"""Text of the feed: what is removed, what stays readable, and what becomes a link."""

from __future__ import annotations

import random
import unicodedata
from datetime import datetime, timedelta, timezone

import pytest

from crmbridge.chirp import text as words
from crmbridge.chirp.passwords import Cost, hash_password, password_matches
from crmbridge.chirp.people import normal_login
from crmbridge.pages.forms import origin_of, own_path
from crmbridge.pages.theme import ago

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)

READABLE = [
    "The roll-out at Parkers is live.",
    "Müller & Söhne GmbH",
    "مرحبا بالعالم",
    "می‌خواهم",  # Persian, with a zero-width non-joiner that shapes it
    "क्‍ष",  # Hindi, with a joiner
    "שלום",
    "👩‍👩‍👧‍👦 👍🏽 ❤️ 🏳️‍🌈 🇩🇪",
    "one\ntwo",
    "日本語 한국어",
]


@pytest.mark.parametrize("text", READABLE)
def test_honest_text_is_untouched(text):
    assert words.clean(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("a\u202eb", "ab"),
        ("a\u2066b\u2069", "ab"),
        ("ad\u200bmin", "admin"),
        ("ad\u200dmin", "admin"),
        ("ad\u200cmin", "admin"),
        ("\u200d👩", "👩"),
        ("a\ufeffb\u061cc", "abc"),
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("a\x1b[31mb\x7f\x9b", "a[31mb"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\tb", "a b"),
        ("e\u0301", "é"),
        ("a\U000e0041\U000e007fb", "ab"),
    ],
)
def test_hostile_text_is_cleaned(hostile, harmless):
    assert words.clean(hostile) == harmless


def test_nothing_forbidden_survives_whatever_comes():
    drawn = random.Random(3)
    alphabet = [chr(code) for code in (*range(0x100), *range(0x2000, 0x2070), 0x61C, 0xFEFF, 0xD800, 0xDFFF, 0x1F469, 0x627, 0x915, 0xFE0F)]
    forbidden = {*map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0x200E, 0x200F, 0xFEFF, 0x61C, 0xD800, 0))}
    for _ in range(2000):
        cleaned = words.clean("".join(drawn.choices(alphabet, k=30)))
        assert not forbidden & set(cleaned)
        assert all(char == "\n" or unicodedata.category(char) != "Cc" for char in cleaned)
        assert unicodedata.is_normalized("NFC", cleaned)
        cleaned.encode()


def kinds(*spans: words.Span) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text) for piece in words.pieces(spans)]


def test_links_only_in_the_authors_own_words():
    assert kinds((0, "see https://a.example/x, "), (1, "https://evil.example")) == [
        ("words", "see "),
        ("link", "https://a.example/x"),
        ("words", ", "),
        ("record", "https://evil.example"),
    ]


def test_an_address_that_a_record_would_complete_is_no_link():
    assert kinds((0, "https://crm.example/"), (1, "@evil.example")) == [("words", "https://crm.example/"), ("record", "@evil.example")]
    assert kinds((0, "https://crm.example/"), (1, " x"))[0] == ("link", "https://crm.example/")


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("(https://a.example/b)", "https://a.example/b"),
        ("https://a.example/b_(c).", "https://a.example/b_(c)"),
        ("HTTPS://A.example", "HTTPS://A.example"),
        ("“https://a.example/?q=1&r=2”", "https://a.example/?q=1&r=2"),
    ],
)
def test_punctuation_around_an_address_is_not_in_it(said, url):
    assert [piece.text for piece in words.pieces([(0, said)]) if piece.kind == "link"] == [url]


UNUSABLE = [
    "javascript:alert(1)",
    "data:text/html,x",
    "//a.example",
    "https://",
    "https://user@evil.example",
    "https://a b",
    "http://a:x/",
    "ftp://a",
]


@pytest.mark.parametrize("url", [*UNUSABLE, "https://a.example/\u202e", "https://[::1", "", "https://a.example\\@b", "vbscript:x"])
def test_unusable_links(url):
    assert not words.usable_link(url)


def test_search_folds_case_and_accents_and_escapes_wildcards():
    assert words.fold("MÜLLER Straße") == words.fold("muller STRASSE")
    assert words.like("100%_\\") == "%100\\%\\_\\\\%"


def test_initials_and_summary():
    assert words.initials("Parkers") == "P"
    assert words.initials("Müller & Söhne GmbH") == "MS"
    assert words.initials("!!!") == "#"
    assert words.summary([(0, "a  b\n"), (1, "c")]) == "a b c"
    assert not words.lengthy([(0, "x" * 500)])
    assert words.lengthy([(0, "x" * 300), (1, "y" * 201)])
    assert words.lengthy([(0, "\n" * 11)])
    assert len(words.summary([(0, "x" * 500)])) == 120


@pytest.mark.parametrize(
    ("back", "short", "long"),
    [
        (timedelta(seconds=-5), "now", "now"),
        (timedelta(seconds=59), "now", "now"),
        (timedelta(minutes=5), "5 min", "5 min ago"),
        (timedelta(hours=23, minutes=59), "23 h", "23 h ago"),
        (timedelta(days=6), "6 d", "6 d ago"),
        (timedelta(days=40), "13 Oct", "13 Oct"),
        (timedelta(days=400), "18 Oct 2025", "18 Oct 2025"),
    ],
)
def test_how_long_ago(back, short, long):
    assert (ago(NOW - back, NOW), ago(NOW - back, NOW, long=True)) == (short, long)


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/chirp//evil.example",
        "/chirp\\evil",
        "/other",
        "/chirpevil",
        "",
        "/chirp\n",
        "javascript:x",
    ],
)
def test_redirects_stay_here(path):
    assert own_path(path, "/chirp") == "/chirp"


@pytest.mark.parametrize("path", ["/chirp", "/chirp/channels?q=a%20b&before=3", "/chirp/p/abc"])
def test_own_addresses_are_kept(path):
    assert own_path(path, "/chirp") == path


def test_origins_are_written_as_browsers_do():
    assert origin_of("https://Bridge.example.com:443/base/") == "https://bridge.example.com"
    assert origin_of("http://127.0.0.1:8080") == "http://127.0.0.1:8080"
    assert origin_of("http://[::1]:8080") == "http://[::1]:8080"


def test_passwords_match_only_themselves():
    stored = hash_password("correct horse", b"0123456789abcdef", Cost(2**4, 8, 1))
    assert "correct" not in stored
    assert password_matches("correct horse", stored)
    assert not password_matches("correct hors", stored)
    assert normal_login("  Susan ") == "susan"
