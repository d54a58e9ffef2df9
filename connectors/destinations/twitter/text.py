"""X's text: how long it is, and how a record's words stay text.

Length is config v3 of https://github.com/twitter/twitter-text : most scripts weigh 1 for a character, the rest and
every emoji 2, every address 23. https://docs.x.com/fundamentals/counting-characters
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import sys
import threading
import types
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from crmbridge.http import web_link
from crmbridge.model import Literal, Text, Value, clean, inside_link, spans, visible

ZW = "\u200b"  # zero-width space; weighs 1
HAIR = "\u200a"  # hair space, where X would take a zero-width one for a part of a host; weighs 1
URL_WEIGHT = 23

# --- length -----------------------------------------------------------------------------------

_HEAVY = re.compile(r"[^\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")
_MAYBE_URL = re.compile(r"\.(?=[^\W\d_])")  # every top-level domain begins with a letter
_CHUNK = re.compile(r"[^ \t\n]+")
_HOST_RUN = re.compile(r"[^\s!-,/:-@\[-^`{-~]+")
_EMOJI_RUN = re.compile(r"[#*0-9\u00a9\u00ae\u200d\u2030-\u32ff\ufe0f\U0001f000-\U0001ffff\U000e0020-\U000e007f]+")

# twitter-text-parser is quadratic in dots ('a.' 20 times takes 4 ms, 1,000 times 9 s) and in the length of a word
# beside a dot. Where a text would cost it more than this (about 80 ms at worst), or is longer than any honest post, a
# bound is counted instead.
_BUDGET = 4000
_CHUNK_COST = 20
_LONGEST_HOST = 253
_LONGEST_EXACT = 5600


def weight(text: str) -> int:
    """The weighted length that X counts; never too small, and exact for what people write.

    Texts over 5,600 characters, and those built to be slow to parse, get an upper bound in linear time: no emoji is
    merged, and every dot before a letter counts as an address.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    if len(text) > _LONGEST_EXACT:
        return _bound(text)
    chunks = [chunk for chunk in _CHUNK.finditer(text) if _MAYBE_URL.search(chunk.group())]
    if sum(map(_cost, chunks)) > _BUDGET:
        return _bound(text)
    total, done = 0, 0
    for chunk in chunks:
        for entity in _parser()[0](chunk.group()):
            start, end = (chunk.start() + index for index in entity["indices"])
            total += _letters(text[done:start]) + URL_WEIGHT
            done = end
    return total + _letters(text[done:])


def has_address(text: str) -> bool:
    """True if X sees an address in `text`; also where that would take too long to tell."""
    chunks = [chunk for chunk in _CHUNK.finditer(unicodedata.normalize("NFC", text)) if _MAYBE_URL.search(chunk.group())]
    if len(text) > _LONGEST_EXACT or sum(map(_cost, chunks)) > _BUDGET:
        return bool(chunks)
    return any(_parser()[0](chunk.group()) for chunk in chunks)


def _cost(chunk: re.Match[str]) -> int:
    cost = _CHUNK_COST
    for run in _HOST_RUN.findall(chunk.group()):
        dots = run.count(".")
        if dots and len(run) > _LONGEST_HOST:
            return _BUDGET + 1
        cost += len(run) * dots or len(run) ** 2 // 280
    return cost


def _bound(text: str) -> int:
    marks = text.count("\u00a9") + text.count("\u00ae")
    return len(text) + len(_HEAVY.findall(text)) + marks + URL_WEIGHT * len(_MAYBE_URL.findall(text))


def _letters(text: str) -> int:
    """The weight of text without addresses."""
    total = len(text) + len(_HEAVY.findall(text))
    for run in _EMOJI_RUN.findall(text):
        if not run.isascii():
            for entity in _parser()[1](run):
                emoji = entity["emoji"]
                total += 2 - len(emoji) - len(_HEAVY.findall(emoji))
    return total


_importing = threading.Lock()


@functools.cache
def _parser() -> tuple[Callable[[str], list[dict[str, Any]]], Callable[[str], list[dict[str, Any]]]]:
    """twitter-text-parser's two extractors: of addresses, and of emoji.

    It reads its emoji table through setuptools' pkg_resources, which it does not declare, Python 3.12 no longer installs
    and setuptools is giving up; a stand-in with the one function it calls takes that place during the import.
    """

    def resource_string(module: str, name: str) -> bytes:
        return importlib.resources.files(module.rpartition(".")[0]).joinpath(name).read_bytes()

    stand_in: Any = types.ModuleType("pkg_resources")
    stand_in.resource_string = resource_string
    with _importing:
        real = sys.modules.get("pkg_resources")
        sys.modules["pkg_resources"] = stand_in
        try:
            import twitter_text
        finally:
            if real is None:
                del sys.modules["pkg_resources"]
            else:
                sys.modules["pkg_resources"] = real
    return twitter_text.extract_urls_with_indices, twitter_text.extract_emojis_with_indices


# --- safety -----------------------------------------------------------------------------------

_BREAKS = re.compile(
    r"[@＠](?=[A-Za-z0-9_])"  # a mention
    r"|[#＃](?!\d+(?:[\s,.;:!?)\]]|$))(?=\S)"  # a hashtag; a number alone never is one
    r"|\$(?=[A-Za-z])"  # a cashtag
    r"|:(?=//)"  # an address with its scheme, whose host may hold any character
    r"|\.(?=[^\W\d_](?:\w|[^\x00-\x7f]))"  # a domain: its last label begins with a letter and has two
)
_CLOSING = re.compile(r"[,;!?)\]}'\"’”»]|[.:](?:\s|\Z)")
_HOST_BEGUN = re.compile(r"https?://[^\s/]*\Z", re.IGNORECASE)
_OPENING = re.compile(r"(?:\s|\A)[(\[{'\"“‘„«]*\Z")
_INVALID = dict.fromkeys((0xFEFF, 0xFFFE, 0xFFFF))  # X refuses a post with one of these


def post_text(text: Text, link: str | None = None) -> str:
    """The text of a post; raises Rejected if `link` is not a web address.

    A zero-width space breaks what could become an entity within a record's words, and stands where these touch other
    words that could complete one (beside a half-written host it is a hair space); so the mentions, tags and addresses
    are exactly the rule's own. Only within an address that the rule began may a record's words continue it,
    percent-encoded.
    """
    out = ""
    own = ""  # the rule's words alone, a space for each value: whose address is it?
    fence = False  # the last words came from a record, outside an address
    for span in spans(map(_seen, text)):
        words = span.text
        if isinstance(span, Literal):
            if fence and not (words[0].isspace() or _CLOSING.match(words)):
                out += HAIR if _MAYBE_URL.search(words.split(None, 1)[0]) else ZW
            out += words
            own += words
            fence = False
        elif inside_link(own):
            words = quote(words, safe="", errors="replace").replace(".", "%2E")  # X may not know this address as one
            out += words
            own += words
            fence = False
        else:
            if not (words[0].isspace() or _OPENING.search(out, max(0, len(out) - 64))):
                out += HAIR if _HOST_BEGUN.search(out, max(0, len(out) - 2048)) else ZW
            out += _BREAKS.sub(lambda mark: mark.group() + ZW, words)
            own += " "
            fence = not words[-1].isspace()
    if link is not None:
        out += f"\n{web_link(link)}" if out else web_link(link)
    return unicodedata.normalize("NFC", out)


def _seen(span: Literal | Value) -> Literal | Value:
    return Value(visible(span.text)) if isinstance(span, Value) else Literal(clean(span.text).translate(_INVALID))
