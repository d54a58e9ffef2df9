"""Text as the feed keeps and shows it: cleaned when it comes in, and cut into plain words, record words and links.

Nothing here makes mark-up; templates escape every piece.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from crmbridge.model import clean as storable

MAX_TEXT = 5000  # characters of a post
Span = tuple[int, str]
"""(0, words of the author) or (1, words from a record)."""

# Characters that are not seen but change what is seen: bidi controls, zero-width, invisible operators, tags, annotations.
_INVISIBLE = frozenset(
    {0x061C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC)}
    | {*range(0xE0000, 0xE0080)}
)
_CONTROLS = frozenset({*range(0x20), *range(0x7F, 0xA0)} - {0x0A})
_REMOVED = dict.fromkeys((_INVISIBLE | _CONTROLS) - {0x200C, 0x200D})
_LINE_ENDS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
_JOINER = re.compile("[\u200c\u200d]")

# Scripts whose letters change shape by a joiner, and the pictures that a joiner makes into one.
_JOINING = re.compile(
    "[\u0600-\u06ff\u0700-\u074f\u0750-\u077f\u0840-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ua8e0-\ua8ff\ufb50-\ufdff\ufe70-\ufefc]"
)
_PICTURE = re.compile("[\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff]")


def _keep_joiner(match: re.Match[str]) -> str:
    text, at = match.string, match.start()
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if _JOINING.match(before) and (_JOINING.match(after) or match[0] == "\u200d"):
        return match[0]
    return match[0] if match[0] == "\u200d" and _PICTURE.match(before) and _PICTURE.match(after) else ""


def clean(text: str) -> str:
    """Return `text` in NFC without controls (line ends stay) and without characters that reorder or hide others.

    Joiners stay where they shape letters.
    NUL and lone surrogates become U+FFFD, as everywhere in crmbridge.
    """
    text = _LINE_ENDS.sub("\n", text).replace("\t", " ")
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    text = storable(text).translate(_REMOVED)
    return unicodedata.normalize("NFC", _JOINER.sub(_keep_joiner, text))


def clean_line(text: str) -> str:
    """Clean a text and put it on one line, for titles and names."""
    return " ".join(clean(text).split())


def fold(text: str) -> str:
    """Fold `text` as search compares it: case and accents do not count."""
    stripped = (char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return "".join(stripped)


def like(words: str) -> str:
    """Make a LIKE pattern (escape: backslash) that finds `words` anywhere in a folded title."""
    escaped = re.sub(r"([\\%_])", r"\\\1", fold(clean_line(words)))
    return f"%{escaped}%"


def usable_link(url: str) -> bool:
    """Say whether `url` is an absolute http or https address that leads where it seems to: no user part, no blank, no control."""
    if len(url) > 2000 or any(char.isspace() or not char.isprintable() or char in '<>"\\' for char in url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and port != 0


# --- showing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """One stretch of a shown text: `words`, `record` (isolated from its surroundings) or `link`."""

    kind: str
    text: str


_URL = re.compile(r"https?://[^\s<>\"'\\]+", re.IGNORECASE)
_TRAILING = ".,;:!?…»”’*_~"


def pieces(spans: Sequence[Span]) -> list[Piece]:
    """Cut a stored text into pieces for the page. Only complete addresses of the author become links, never those in a record's words."""
    shown: list[Piece] = []
    for at, (kind, text) in enumerate(spans):
        if kind == 1:
            shown.append(Piece("record", text))
            continue
        follows = spans[at + 1][1] if at + 1 < len(spans) else ""
        shown.extend(_linked(text, runs_on=bool(follows) and not follows[0].isspace()))
    return shown


def _linked(text: str, *, runs_on: bool) -> list[Piece]:
    """Cut an author's words into words and links.

    `runs_on`: a record's words follow without a blank, so an address at the end is not whole and becomes no link.
    """
    shown: list[Piece] = []
    done = 0
    for match in _URL.finditer(text):
        url = _without_trailing(match[0])
        if not usable_link(url) or (runs_on and match.end() == len(text)):
            continue
        if match.start() > done:
            shown.append(Piece("words", text[done : match.start()]))
        shown.append(Piece("link", url))
        done = match.start() + len(url)
    if done < len(text):
        shown.append(Piece("words", text[done:]))
    return shown


def _without_trailing(url: str) -> str:
    """Remove the punctuation of the surrounding sentence from `url`. A closing bracket goes too if `url` does not open it."""
    while url:
        last = url[-1]
        if last in _TRAILING or (last == ")" and url.count(")") > url.count("(")) or (last == "]" and url.count("]") > url.count("[")):
            url = url[:-1]
        else:
            break
    return url


def summary(spans: Sequence[Span], most: int = 120) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join("".join(text for _, text in spans).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def lengthy(spans: Sequence[Span]) -> bool:
    """Say whether a text is so long that a list of posts shows only its beginning."""
    return sum(len(text) for _, text in spans) > 500 or sum(text.count("\n") for _, text in spans) > 10


def initials(title: str) -> str:
    """Return one or two letters that stand for a title."""
    letters = [word[0] for word in re.findall(r"\w+", title)[:2]]
    return "".join(letters).upper()[:2] or "#"
