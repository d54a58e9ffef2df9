"""A message's words as plain text, as HTML, and as a subject: the rule's addresses are links, a record's words are only ever text. Pure.

No mark-up is read: what stands in a text is shown as it stands. Programs that show mail make links by themselves, of whatever looks like
one, and each has another idea of that. So a zero-width space breaks what could be one within a record's words (behind a dot before a
letter, behind the colon of a scheme, behind an @). Where such words touch others that could complete a link, a hair space stands:
browsers drop the former from a host's name, and no program takes the latter for a part of one.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from crmbridge.model import Literal, Text, Value, begin, clean, inside_link, spans, visible, web_address

SUBJECT: Final = 150
"""Characters of a subject. Lists of messages show some 70."""
ZW: Final = "\u200b"
HAIR: Final = "\u200a"

_BREAKS: Final = re.compile(
    r"[.\u3002\uff0e\uff61](?=[^\W\d_])"  # a domain: every top-level one begins with a letter; the other dots are those of IDNA
    r"|(?<=www)[.\u3002\uff0e\uff61]"  # some take it for the beginning of an address, whatever follows
    r"|(?<=[A-Za-z]):(?=\S)"  # a scheme: https://, mailto:, tel:
    r"|@(?=\S)"  # an address
    r"|/(?=/)|\\(?=\\)"  # an address without its scheme, a Windows share
)
_LINKISH: Final = re.compile(r"[.\u3002\uff0e\uff61]\S|\S[.\u3002\uff0e\uff61]|/|@|\\|(?i:www)|[A-Za-z]:")
_CLOSING: Final = re.compile(r"[,;!?)\]}'\"’”»]*(?:[.:]?(?:\s|\Z))")
_OPENING: Final = re.compile(r"(?:\s|\A)[(\[{'\"“‘„«]*\Z")
_FIRST: Final = re.compile(r"\S*")
_LAST: Final = re.compile(r"\S*\Z")
_TAIL: Final = 2048  # characters that can matter on either side of a value
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"\u200a\u200b]+", re.IGNORECASE)
_ENDS: Final = ".,;:!?'\u2019\u201d\u00bb*_~"
_LINES: Final = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_PARAGRAPHS: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def plain_words(text: Text, link: str | None = None) -> str:
    """The text of the plain part; `link` is a web address already."""
    words = "".join(words for words, _ in _pieces(text))
    return words if link is None else f"{words}\n\n{link}"


def html_words(text: Text, link: str | None = None) -> str:
    """The text of the HTML part: paragraphs, lines, and links where the rule wrote an address."""
    body = "".join(_linked(words) if own else html.escape(words) for words, own in _pieces(text))
    paragraphs = [one.strip("\n") for one in _PARAGRAPHS.split(body) if one.strip()]
    if link is not None:
        paragraphs.append(_anchor(link, link))
    shown = "\n".join(f"<p>{one.replace(chr(10), f'<br>{chr(10)}')}</p>" for one in paragraphs)
    # https://developer.apple.com/library/archive/documentation/AppleApplications/Reference/SafariHTMLRef/Articles/MetaTags.html
    quiet = '<meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no">'
    return f'<!DOCTYPE html>\n<html><head><meta charset="utf-8">{quiet}</head>\n<body>\n{shown}\n</body></html>\n'


def subject_line(subject: Text | None, text: Text) -> str:
    """One line: the rule's own subject, else the text's first line; cut at a word where it is too long. Empty only if nothing is said."""
    for line in (plain_words(subject or ()), *plain_words(text).splitlines()):
        if one := " ".join("".join(filter(_shows, line)).split()):
            return _shortened(one)
    return ""


def _shows(one: str) -> bool:
    """Whether a character may stand in a header: no control, no direction mark; what joins or parts letters may."""
    return one.isspace() or one in "\u200b\u200c\u200d" or unicodedata.category(one) not in ("Cc", "Cf", "Cs")


def _shortened(line: str) -> str:
    if len(line) <= SUBJECT:
        return line
    kept = begin(line, SUBJECT - 1)
    at_word = kept.rpartition(" ")[0] if not line[len(kept) :].startswith(" ") else kept
    return f"{(at_word if len(at_word) > SUBJECT // 2 else kept).rstrip()}…"


def _pieces(text: Text) -> Iterator[tuple[str, bool]]:
    """The words in order, each with whether it is the rule's own, with what a record fills into addresses that the rule began."""
    run = ""  # the rule's words under way
    own = ""  # all of the rule's words, a blank for each value: whose address is it?
    out = ""  # the end of what was said before `run`
    for span in spans(map(_seen, text)):
        words = span.text
        if isinstance(span, Literal):
            fence = HAIR if not run and _touches(out, words) and not _CLOSING.match(words[:_TAIL]) else ""
            run, own = f"{run}{fence}{words}", own + words
        elif inside_link(own):
            words = quote(words, safe="", errors="replace").replace(".", "%2E")
            run, own = run + words, own + words
        else:
            if run:
                yield run, True
            out = (out + run)[-_TAIL:]
            fence = HAIR if _touches(out, words) and not _OPENING.search(out) else ""
            words = fence + _BREAKS.sub(lambda mark: mark.group() + ZW, words)
            yield words, False
            run, own, out = "", own + " ", (out + words)[-_TAIL:]
    if run:
        yield run, True


def _touches(before: str, words: str) -> bool:
    """Whether the words on both sides of a boundary could be one link together."""
    last, first = _LAST.search(before), _FIRST.match(words[:_TAIL])
    left, right = last.group() if last else "", first.group() if first else ""
    return bool(left and right and _LINKISH.search(left + right))


def _seen(span: Literal | Value) -> Literal | Value:
    if isinstance(span, Value):
        return Value(visible(span.text))
    return Literal(_LINES.sub("\n", clean(span.text)))


def _linked(words: str) -> str:
    """The rule's words as HTML, its addresses as links."""
    out, done = "", 0
    for found in _ADDRESS.finditer(words):
        shown = found.group().rstrip(_ENDS)
        while shown.endswith((")", "]", "}")) and shown.count(shown[-1]) > shown.count({")": "(", "]": "[", "}": "{"}[shown[-1]]):
            shown = shown[:-1].rstrip(_ENDS)
        try:
            address = web_address(shown)
        except ValueError:
            continue
        out += html.escape(words[done : found.start()]) + _anchor(address, shown)
        done = found.start() + len(shown)
    return out + html.escape(words[done:])


def _anchor(address: str, shown: str) -> str:
    return f'<a href="{html.escape(address)}">{html.escape(shown)}</a>'
