"""The Markdown of Adaptive Cards, and texts without mark-up: the rule's words pass as written, a record's words can only be text.

https://learn.microsoft.com/en-us/adaptive-cards/authoring-cards/text-features and
https://learn.microsoft.com/en-us/microsoftteams/platform/task-modules-and-cards/cards/cards-format (read 2026-11-30).

Teams reads the same text with different parsers: CommonMark on the desktop and in browsers, a smaller parser of its own on phones
(source/shared/cpp/ObjectModel/MarkDown* of https://github.com/microsoft/AdaptiveCards), and there iOS makes links of whatever looks
like an address. They do not agree on backslashes (microsoft/AdaptiveCards#4677, #5758, msteams-docs#5793) nor on entities, so nothing is
escaped with either. What holds in all of them:

- a look-alike in place of `* ~` and the backtick, of `_` but between two ASCII letters or digits (`snake_case`), of a backslash that
  would escape, and of brackets that could become a link's;
- an invisible space (U+200B) wherever two characters mean something only together, or something at the start of a line;
- percent-encoding within an address that the rule began, and a blank where a record would choose its host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final
from urllib.parse import quote

from crmbridge.errors import Rejected
from crmbridge.http import web_link
from crmbridge.model import Literal, Text, Value, clean, inside_link, marked_lines, spans, visible
from crmbridge.model import address as web

ZW: Final = "\u200b"
_DOTS: Final = ".\u3002\uff0e\uff61"  # those of IDNA
_TAIL: Final = 2048  # characters that can matter on either side of a value

_LOOKALIKE: Final = {"*": "\u2217", "_": "\u02cd", "~": "\u223c", "`": "\u02cb", "\\": "\u2216", "[": "\uff3b", "]": "\uff3d"}
_FORMATTING: Final = re.compile(
    r"[*~`]"
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
    r"|\\(?=[!-/:-@\[-`{-~\n]|\Z)"  # an escape; C:\temp and DOMAIN\user stay
    r"|\](?=[\[(:]|\Z)"  # the end of a link's words, or of a definition's name
)
_BRACKETS: Final = re.compile(r"[\[\]]")
_BROKEN: Final = re.compile(
    r"(?<=<)(?=\S)"  # a tag or an address: <at> names people, <a@b> leads somewhere
    r"|(?<=&)(?=\#?\w{1,32}(?:;|\Z))"  # an entity
    r"|(?<=[{$])(?={)"  # {{DATE(...)}}, and ${...} of templates
    r"|(?<=:)(?=//)|(?<=/)(?=/)|(?i:(?<=mailto))(?=:)"  # the scheme of an address
    r"|(?:(?<=\S[.\u3002\uff0e\uff61])|(?<=\A[.\u3002\uff0e\uff61]))(?=[^\W\d_]{2})"  # the parts of a host
    r"|(?<=[\[\])])(?=(?:[-+]|\d+\.)(?:\s|\Z))"  # phones begin a list behind a bracket too
)
_LINES: Final = re.compile(r"(?<![ \t])[ \t]*\n\s*")
_ENDS: Final = re.compile(r"\A[ \t]*\n\s*|(?<!\s)\s*\n\s*\Z")
_STARTS: Final = re.compile(r"^(?=[ \t]*(?:[-+#>=|:]|\d+[.)](?:\s|\Z))|[ \t]*\t| {4})", re.MULTILINE)
_LINE_BEGUN: Final = re.compile(r"(?:\A|[\n\[\])])[ \t]*(?:(?:[-+*>]|\d+[.)])[ \t]+)*\Z")
_LINE_MARK: Final = re.compile(r"(?:\A|\n)[ \t]*(?:[-+*>=|]+|\d+[.)]|\#{1,6})\Z")
_LINE_NUMBER: Final = re.compile(r"(?:\A|[\n\[\])])[ \t]*\d+\Z")
_NUMBERED: Final = re.compile(r"\d*[.)](?:\s|\Z)")
_MARKED: Final = re.compile(r"(?:[-+*]|\d+\.)(?:\s|\Z)")
_ENTITY: Final = re.compile(r"&\#?\w{0,32}\Z")
_HOST_BEGUN: Final = re.compile(r"(?:https?://[^\s/<>|]*|\bwww\.\S*|mailto:\S*)\Z", re.IGNORECASE)
_TAG_BEGUN: Final = re.compile(r"<[^\s<>][^<>\n]*\Z|<at(?:\s[^<>]*)?>(?:(?!</at>).)*\Z", re.IGNORECASE | re.DOTALL)


class _Place(Enum):
    """Where in the rule's own words a value stands."""

    TEXT = auto()
    LABEL = auto()  # a link's words
    TAG = auto()  # within < >, or the name that <at> is to notify
    ADDRESS = auto()  # within an address whose host is the rule's
    HOST = auto()  # where the host of an address is to stand


def markdown(text: Text) -> str:
    """A text that Teams reads as Markdown."""
    out = own = ""  # `own`: the rule's words alone, a blank for each value
    after_value = False
    for span in spans(map(_seen, text)):
        words = span.text
        if isinstance(span, Literal):
            out += ZW + words if after_value and _joins(out[-_TAIL:], words[:_TAIL]) else words
            own += words
        else:
            place = _place(own[-_TAIL:])
            words = _value(words, out[-_TAIL:], place)
            out += words
            own += words if place is _Place.ADDRESS else " "
        after_value = isinstance(span, Value)
    return out


def plain_words(text: Text) -> str:
    """A text without mark-up: there iOS still makes links of addresses, and dates may be filled in."""
    out = ""
    for span in spans(map(_seen, text)):
        value = isinstance(span, Value)
        fence = ZW if value and _joins(out[-_TAIL:], span.text[:_TAIL]) else ""
        out += fence + (_BROKEN.sub(ZW, span.text) if value else span.text)
    return out


def paragraphs(said: str) -> str:
    """Markdown in which each line of the rule's is a line: between two items of a list one newline, else an empty line.

    https://learn.microsoft.com/en-us/microsoftteams/platform/task-modules-and-cards/cards/cards-format#newlines-for-adaptive-cards
    """
    lines = [line.rstrip() for line in said.split("\n") if line.strip()]
    out = ""
    for before, line in zip([None, *lines], lines, strict=False):
        if before is not None:
            out += "\n" if _ITEM.match(line) and _ITEM.match(before) else "\n\n"
        out += line
    return out


_ITEM: Final = re.compile(r"[ \t]*(?:[-+*]|\d+[.)])[ \t]+\S")


def address(text: Text) -> str:
    """An address; raises Rejected unless it is one of the web. What a record fills in cannot end the part where it stands."""
    try:
        return web_link(web(text))
    except ValueError as error:
        raise Rejected(str(error), code="link") from None


def misled(own: str) -> Iterator[str]:
    """Links and names that a record would choose, in the rule's own words with a blank for each value: they are broken on purpose."""
    if re.search(r"\]\( |\]\(https?://[^\s/)]* ", own, re.IGNORECASE):
        yield (
            "`[...]({{ ... }})` links nowhere, for no record chooses where a link leads: write the beginning of the address yourself, or "
            "use `link`, or an Action.OpenUrl"
        )
    if re.search(r"<at(?:\s[^<>]*)?>[^<]* [^<]*</at>|<at[^<>]* ", own, re.IGNORECASE):
        yield "`<at>{{ ... }}</at>` names nobody, for no record chooses whom it names"


def _seen(span: Literal | Value) -> Literal | Value:
    return Value(visible(span.text), mention=span.mention) if isinstance(span, Value) else Literal(clean(span.text))


def _place(own: str) -> _Place:
    link = own.rfind("](")
    if link >= 0 and ")" not in own[link:]:
        return _Place.ADDRESS if inside_link(own[link + 2 :]) else _Place.HOST
    rest = own[own.rfind(")") + 1 :]
    if inside_link(rest):
        return _Place.ADDRESS
    if _HOST_BEGUN.search(rest):
        return _Place.HOST
    if _TAG_BEGUN.search(own):
        return _Place.TAG
    return _Place.LABEL if own.rfind("[") > own.rfind("]") else _Place.TEXT


def _value(words: str, before: str, place: _Place) -> str:
    """A record's words as they may stand after `before`."""
    if place is _Place.ADDRESS:
        return re.sub(r"[_~]", lambda mark: f"%{ord(mark.group()):02X}", quote(words, safe="", errors="replace"))
    fence = ZW if _joins(before, words[:_TAIL]) else ""
    if place is _Place.HOST:  # a blank first, for phones; another between two things, for CommonMark
        fence, before = f" {ZW} {ZW}", ""
    elif place is _Place.TAG:
        fence, words = ZW, words.replace(">", "\u203a")
    words = _FORMATTING.sub(lambda mark: _LOOKALIKE[mark.group()], words)
    words = _BROKEN.sub(ZW, words)
    if place is _Place.LABEL:
        words = _BRACKETS.sub(lambda mark: _LOOKALIKE[mark.group()], words)
        words = words.replace("\n", " ")
    words = _LINES.sub("\n\n", _ENDS.sub(" ", words))  # no line of the rule's begins with a record's
    # No line of a record's begins as a list, a heading, a quote, a table or code.
    return fence + marked_lines(words, _STARTS, ZW, begun=fence == "" and _LINE_BEGUN.search(before) is not None)


def _joins(before: str, words: str) -> bool:
    """True if the end of `before` and the beginning of `words` would mean something together."""
    if not before or not words:
        return False
    last, first = before[-1], words[0]
    return (
        (last == "]" and first in "([:")
        or (last == "!" and first == "[")
        or (last == "<" and not first.isspace())
        or ((first == "#" or first.isalnum() or first == "_") and _ENTITY.search(before) is not None)
        or (last in "{$" and first == "{")
        or (last in ":/" and first == "/")
        or (last in _DOTS and words[:2].isalpha() and len(words) > 1)
        or (last.isalpha() and first.isalpha() and len(before) > 1 and before[-2] in _DOTS)  # a part of a host, of which each has a half
        or (last in "[])" and _MARKED.match(words) is not None)
        or ((first.isspace() or first in "#-=|+>") and _LINE_MARK.search(before) is not None)
        or (_NUMBERED.match(words) is not None and _LINE_NUMBER.search(before) is not None)
    )
