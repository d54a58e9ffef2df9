"""The words of a rich-text field, as people read them: HTML becomes plain text, by libxml2's parser. Pure.

The parser of Python's own library takes half a minute for some texts of 64 kB (CVE-2025-6069, fixed in 3.11.14).
No text makes this parser slow.
"""

from __future__ import annotations

import html
import re
from typing import Any, Final

MOST_MARKUP: Final = 256 * 1024
"""The most characters of a field that are read. Pictures within the text make some fields very long."""

_MARKUP: Final = re.compile(r"<[A-Za-z/!?]")
_PICTURE: Final = re.compile(r"""(\bsrc\s*=\s*)(?:"data:[^"]*"|'data:[^']*')""", re.IGNORECASE)
_BLANKS: Final = re.compile(r"[ \t\r\n\f\xa0]+")
# Elements by how they separate words: an empty line, a new line, a blank. The last ones have content that nobody sees.
_PARAGRAPHS: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl", "table", "hr"})
_LINES: Final = frozenset(
    {"div", "section", "article", "header", "footer", "main", "aside", "nav", "address", "figure", "figcaption", "form", "fieldset"}
    | {"li", "dt", "dd", "tr", "caption", "details", "summary", "body"}
)
_CELLS: Final = frozenset({"td", "th"})
_UNSAID: Final = frozenset(
    {"script", "style", "head", "title", "template", "noscript", "svg", "math", "object", "iframe", "select", "textarea"}
)


def markup_words(text: str) -> str:
    """Return the words of an HTML fragment: paragraphs, lines and items apart, without tags, and with entities decoded.

    A text without any tag keeps its lines. Raises ValueError for a text that is too long to be read.
    """
    if not _MARKUP.search(text):
        return html.unescape(text).replace("\xa0", " ") if "&" in text else text
    text = _PICTURE.sub(r"\1''", text)
    if len(text) > MOST_MARKUP:
        raise ValueError(f"it has {len(text)} characters of HTML, and {MOST_MARKUP} are read")
    from lxml import etree  # imported here: it takes some tens of milliseconds, and only some need it

    parser: Any = etree.HTMLParser(target=_VisibleWords(), no_network=True, remove_comments=True, remove_pis=True)
    parser.feed(text)
    return str(parser.close())


class _VisibleWords:
    """A receiver of what the parser finds. It writes down what people would see."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._gap = ""  # what separates the next words from the last ones: "", " ", "\n", "\n\n"
        self._unsaid = 0  # open elements whose content is not said
        self._kept = 0  # open elements whose blanks count
        self._items: list[int | None] = []  # open lists: the number of the next item; None without numbers

    def start(self, tag: str, attributes: Any) -> None:
        if tag in _UNSAID or self._unsaid:
            self._unsaid += 1
            return
        if tag == "br":
            self._out.append(self._between() + "\n") if self._out else None
            self._gap = ""
        elif tag in _PARAGRAPHS:
            self._part("\n" if self._items and tag in ("ul", "ol") else "\n\n")
        elif tag in _LINES:
            self._part("\n")
        elif tag in _CELLS:
            self._part(" ")
        elif tag == "img" and attributes.get("alt"):
            self.data(attributes["alt"])
        self._kept += tag == "pre"
        if tag in ("ul", "ol"):
            self._items.append(1 if tag == "ol" else None)
        elif tag == "li":
            self._item()

    def _item(self) -> None:
        number = self._items[-1] if self._items else None
        if number is not None:
            self._items[-1] = number + 1
        indent = "  " * max(0, len(self._items) - 1)
        self._say(f"{indent}{number}. " if number is not None else f"{indent}• ")

    def end(self, tag: str) -> None:
        if self._unsaid:
            self._unsaid -= 1
            return
        self._kept -= tag == "pre"
        if tag in ("ul", "ol") and self._items:
            self._items.pop()
        if tag in _PARAGRAPHS:
            self._part("\n" if self._items else "\n\n")
        elif tag in _LINES:
            self._part("\n")
        elif tag in _CELLS:
            self._part(" ")

    def data(self, data: str) -> None:
        if self._unsaid:
            return
        if self._kept:
            self._say(data.replace("\xa0", " "))
            return
        words = _BLANKS.sub(" ", data)
        if words.startswith(" "):
            self._part(" ")
        if words.strip(" "):
            self._say(words.strip(" "))
        if words.endswith(" "):
            self._part(" ")

    def comment(self, text: str) -> None: ...

    def pi(self, target: str, data: str | None = None) -> None: ...

    def close(self) -> str:
        return "".join(self._out).strip()

    def _part(self, gap: str) -> None:
        """Separate the next words from the last ones by at least `gap`."""
        if len(gap) > len(self._gap) or (gap == "\n" and self._gap == " "):
            self._gap = gap

    def _between(self) -> str:
        return self._gap if self._gap.startswith("\n") else ""

    def _say(self, words: str) -> None:
        if self._out and not (self._gap == " " and self._out[-1].endswith((" ", "\n"))):
            self._out.append(self._gap)
        self._out.append(words)
        self._gap = ""
