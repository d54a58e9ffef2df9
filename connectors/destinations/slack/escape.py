"""Slack's mrkdwn and plain text: the rule's words pass as written, a record's words can only be text.

https://docs.slack.dev/messaging/formatting-message-text . Three means, the gentlest that is certain:

- `& < >` become entities; Slack decodes them once, for display only, so no mention, link or date can be opened.
- `* _ ~` and the backtick have no escape in mrkdwn, and whether an invisible character beside them stops the
  formatting depends on Slack's parser of the day; so they become look-alikes (U+2217, U+02CD, U+223C, U+02CB).
  Between two ASCII letters or digits they never format and stay (`snake_case`, `5*3`).
- `@word`, `#word`, `:emoji:`, `scheme://` and list or quote marks at the start of a line only work when unbroken;
  a zero-width space (U+200B) goes in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from urllib.parse import quote

from crmbridge.errors import Rejected
from crmbridge.http import web_link
from crmbridge.model import Literal, Text, Value, clean, inside_link, marked_lines, open_host, spans, visible
from crmbridge.model import address as web

ZW = "\u200b"
LINK_LABEL = "Open in CRM"

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt);)")
_LOOKALIKE = {"*": "\u2217", "_": "\u02cd", "~": "\u223c", "`": "\u02cb"}
_FORMATTING = re.compile(r"(?<![A-Za-z0-9])[*_~]|[*_~](?![A-Za-z0-9])|`")
_BREAKS = re.compile(
    r"(?<![A-Za-z0-9])@(?=\w)"  # a mention; an e-mail address stays whole
    r"|\#(?=[^\W\d])"  # a channel
    r"|:(?=//|[^\s:]+:)"  # a link's scheme; an emoji code
)
_EMOJI = re.compile(r":(?=[^\s:]+:)")
_BULLET = r"[-+*\u2022\u25e6\u25aa\u2023\u2043]"
_LINE_START = re.compile(rf"^(?=[ \t]*(?:>|(?:{_BULLET}|\d+[.)])(?:\s|$)))", re.MULTILINE)
_LINE_BEGUN = re.compile(r"(?:\A|\n)[ \t]*\Z")
_LINE_ITEM = re.compile(rf"(?:\A|\n)[ \t]*(?:{_BULLET}|\d+[.)])\Z")
_LINE_NUMBER = re.compile(r"(?:\A|\n)[ \t]*\d+\Z")
_OPEN_ANGLE = re.compile(r"<(?:[!@#][^<>\n|]*|[^<>\s|]*)\Z")
_OPEN_CODE = re.compile(r":[^\s:<>|]*\Z")
_TAIL = 2048  # characters that can matter on either side of a value


def mrkdwn(text: Text, link: str | None = None, people: Mapping[str, str] | None = None) -> str:
    """The `text` argument of chat.postMessage; raises Rejected if `link` is not a web address.

    `people`: the ids of those who are mentioned, by address. Who is not among them is called by what stands before the @.
    """
    out = ""
    own = ""  # the rule's words alone, a space for each value: whose address is it?
    after_value = False
    for span in spans(map(_seen, text)):
        if isinstance(span, Value) and span.mention:
            apart = not inside_link(own) and _OPEN_ANGLE.search(out[-_TAIL:]) is None
            span = _person(span, people or {} if apart else {})
        words = span.text
        if isinstance(span, Literal):
            words = _BARE_AMPERSAND.sub("&amp;", words)
            own += words
            head, before = words[:_TAIL], out[-_TAIL:]
            itemised = _LINE_BEGUN.search(before) is not None and _LINE_START.match(head) is not None
            out += ZW + words if after_value and (itemised or _completes(head, before)) else words
            after_value = False
        elif inside_link(own):
            words = _FORMATTING.sub(lambda mark: f"%{ord(mark.group()):02X}", quote(words, safe="", errors="replace"))
            own += words
            out += words
        else:
            fence = ZW if words and open_host(own) else ""
            own += " "
            out += fence + _value(words, out[-_TAIL:])
            if _LINE_ITEM.search(out, max(0, len(out) - _TAIL)):
                out += ZW
            after_value = True
    if link is not None:
        out += f"\n<{web_link(link).replace('&', '&amp;')}|{LINK_LABEL}>"
    return out


def plain_words(text: Text) -> str:
    """The text of a plain_text object, in which nothing but emoji codes is ever more than text."""
    out = ""
    after_value = False
    for span in spans(map(_seen, text)):
        fence = ZW if (after_value or isinstance(span, Value)) and _completes_code(span.text[:_TAIL], out[-_TAIL:]) else ""
        after_value = isinstance(span, Value)
        out += fence + (_EMOJI.sub(f":{ZW}", span.text) if after_value else span.text)
    return out


def address(text: Text) -> str:
    """The text of a field that is an address; raises Rejected unless it is one of the web."""
    try:
        return web_link(web(tuple(map(_seen, text)), most=sys.maxsize))  # the table of layouts knows how long it may be
    except ValueError as error:
        raise Rejected(str(error), code="link") from None


def _seen(span: Literal | Value) -> Literal | Value:
    return Value(visible(span.text), mention=span.mention) if isinstance(span, Value) else Literal(clean(span.text))


_CHOSEN = re.compile(r"<([@#][A-Z0-9]*|!(?:subteam\^[A-Z0-9]*|date\^)?) [^<>]*>", re.ASCII)


def misnamed(own: str) -> list[str]:
    """Names that a record would choose, in the rule's own words with a blank for each value: they are broken on purpose."""
    return [
        f"`<{found[1]}{{{{ ... }}}}>` names nobody, for no record chooses whom it names: write {{{{ record.Owner.Email | mention }}}}"
        for found in _CHOSEN.finditer(own)
    ]


def _person(span: Value, people: Mapping[str, str]) -> Literal | Value:
    """A person as Slack names them, else as words: what stands before the @ of their address."""
    known = people.get(mailbox(span.text))
    return Literal(f"<@{known}>") if known else Value(name_in(span.text))


def unnamed(text: Text) -> Text:
    """`text` with everybody who is mentioned called by name only: for places where Slack knows no mentions."""
    return tuple(_person(span, {}) if isinstance(span, Value) and span.mention else span for span in text)


def mailbox(address: str) -> str:
    """An e-mail address as it is compared."""
    return address.strip().lower()


def name_in(address: str) -> str:
    """What stands before the @ of an address; the whole where nothing does."""
    return address.partition("@")[0].strip() or address


def _value(words: str, before: str) -> str:
    """A record's words as they may stand after `before`."""
    if _OPEN_ANGLE.search(before):  # the rule opened `<` and the record would say what to
        return ZW + quote(words, safe="", errors="replace")
    fence = ZW if _completes(words[:_TAIL], before) or (words[0].isspace() and _LINE_ITEM.search(before)) else ""
    safe = marked_lines(words, _LINE_START, ZW, begun=_LINE_BEGUN.search(before) is not None)  # no list, no quote
    safe = _FORMATTING.sub(lambda mark: _LOOKALIKE[mark.group()], safe)
    return fence + _BREAKS.sub(lambda mark: mark.group() + ZW, safe).translate(_ENTITIES)


def _completes(words: str, before: str) -> bool:
    """True if `words` would turn the end of `before` into a mention, an emoji, a link or a list item."""
    first = words.split(None, 1)[0] if not words[0].isspace() else ""
    return (
        (before.endswith(("@", "#")) and first != "" and first[0] not in ",.;:!?)]}'\"")
        or _completes_code(words, before)
        or (first.startswith("/") and before.endswith((":", ":/")))
        or (first[:1] in (".", ")") and _LINE_NUMBER.search(before) is not None)
    )


def _completes_code(words: str, before: str) -> bool:
    """True if `words` would turn the end of `before` into an emoji."""
    return not words[0].isspace() and ":" in words.split(None, 1)[0] and _OPEN_CODE.search(before) is not None
