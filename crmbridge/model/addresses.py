"""Web addresses that hold a record's words. Each word is encoded for the place in which it stands. Pure.

The parts of an address are those of RFC 3986, section 3: https://www.rfc-editor.org/rfc/rfc3986#section-3
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

from crmbridge.model.words import Text, Value, clean, visible

MAX_ADDRESS: Final = 2000
"""The most characters of an address that browsers and networks take."""

_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_UNSAFE: Final = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME: Final = re.compile(r"[\w.~-]+|[0-9a-f:.]+", re.ASCII)
_HOST: Final = re.compile(r"[^\W_](?:[\w.-]*[^\W_])?(?::\d{1,5})?")
_AUTHORITY: Final = re.compile(r"https?://([^/?#]*?)(?::\d*)?(?=[/?#]|\Z)", re.IGNORECASE)
_ENDS_PATH: Final = re.compile(r"[/?#]")
_LINK_BEGUN: Final = re.compile(r"https?://[^\s/?#<>|]*[^\s/?#<>|:][/?#][^\s<>|]*\Z", re.IGNORECASE)  # `http://http://` names no host yet
_HOST_OPEN: Final = re.compile(r"https?://[^\s/?#<>|]+\Z", re.IGNORECASE)


def web_address(url: str) -> str:
    """Return `url` as plain ASCII that no mark-up can be hidden in. Raises ValueError unless it is http or https with a host."""
    text = url.strip()
    try:
        parts = urllib.parse.urlsplit(text)
        host = parts.hostname or "" if parts.port is None or parts.port else ""
        ascii_host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:  # UnicodeError is one
        parts, host, ascii_host = None, "", ""
    if parts is None or parts.scheme not in ("http", "https") or not _NAME.fullmatch(ascii_host):
        raise ValueError("it is not an http or https address")
    if ascii_host != host:
        text = text.replace(parts.netloc, parts.netloc.lower().replace(host, ascii_host), 1)
    return _UNSAFE.sub(lambda odd: urllib.parse.quote(odd.group(), safe="", errors="replace"), text)


def address(text: Text, most: int = MAX_ADDRESS) -> str:
    """Return the web address that `text` spells, as plain ASCII; empty if it spells nothing.

    If a record's words are the whole or the beginning of `text`, they are taken as an address. After a host in the rule's words, a
    record's words fill a part of the path, a value of the query or the fragment, and cannot end it. Only words that begin with `/`
    directly after the host are a path of their own. Raises ValueError that says what is wrong.
    """
    out = whose = ""
    for span in text:
        words = visible(span.text).strip() if isinstance(span, Value) else span.text
        words = _encoded(words, out.lstrip()) if isinstance(span, Value) else words
        out += words
        whose += ("v" if isinstance(span, Value) else "l") * len(words)
    whose = whose[len(out) - len(out.lstrip()) :]
    out = out.strip()
    if not out:
        return ""
    if any(ord(one) <= 0x20 or ord(one) == 0x7F for one in out):
        raise ValueError("an address holds no blanks")
    found = _LONE_PERCENT.sub("%25", web_address(out))
    if _led_elsewhere(out, whose):
        raise ValueError("a record's words end its host, and could lead anywhere")
    if len(found) > most:
        raise ValueError(f"the address has {len(found)} characters, and {most} are the limit")
    return found


def _led_elsewhere(out: str, whose: str) -> bool:
    """Say whether the host begins with the rule's words and ends with a record's. `whose` has an `l` or a `v` for each character."""
    host = _AUTHORITY.match(out)
    if host is None:
        return False
    letters = whose[host.start(1) : host.end(1)]
    return "l" in letters and letters.endswith("v")


def _encoded(words: str, before: str) -> str:
    """Encode a record's words as they may stand after `before`. Raises ValueError where they may not."""
    if not before or not words:
        return re.sub(r"\s", lambda blank: urllib.parse.quote(blank.group()), words)
    begun = _SCHEME.match(before)
    if not begun:
        raise ValueError("a record's words stand where the address says https://")
    authority = before[begun.end() :]
    if _ENDS_PATH.search(authority):
        if words in (".", "..") and authority.endswith("/"):
            raise ValueError(f"`{words}` would lead to another place")
        return urllib.parse.quote(words, safe="", errors="replace")
    if authority and words.startswith("/") and not words.startswith("//"):
        return re.sub(r"\s", lambda blank: urllib.parse.quote(blank.group()), words)
    if not _HOST.fullmatch(words):
        raise ValueError(f"`{words[:60]}` stands where the host is, and is no part of one")
    return words


def unmarked(text: Text) -> str:
    """Return the words alone, for networks without mark-up.

    A record's words are written as people see them, and encoded inside an address that the rule began.
    """
    out = own = ""
    for span in text:
        words = visible(span.text) if isinstance(span, Value) else clean(span.text)
        inside = isinstance(span, Value) and inside_link(own)
        words = urllib.parse.quote(words, safe="", errors="replace") if inside else words
        out += words
        own += words if inside or not isinstance(span, Value) else " "  # an address that a record begins is not the rule's
    return out


def filled(template: str, **values: str) -> str:
    """Replace each `{name}` in `template` by that value, encoded so that it cannot end its part of the address."""
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", urllib.parse.quote(value, safe="", errors="replace"))
    return template


def open_host(before: str) -> bool:
    """Say whether `before` ends within the host of a web address, so that what follows would be read as the rest of the host."""
    return _HOST_OPEN.search(before, max(0, len(before) - 2048)) is not None


def inside_link(before: str) -> bool:
    """Say whether `before` ends within a web address whose host is complete.

    A record's value that follows must be percent-encoded. So it can choose neither host nor scheme.
    """
    return _LINK_BEGUN.search(before, max(0, len(before) - 2048)) is not None
