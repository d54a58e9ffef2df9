"""About how a message would look on a network: enough to judge its words, drawn with a frame in the terminal."""

from __future__ import annotations

import re
from typing import Final

from crmbridge.model import Literal, Message, unmarked, visible

_EMOJI: Final = {
    "tada": "🎉",
    "rocket": "🚀",
    "star": "⭐",
    "warning": "⚠️",
    "white_check_mark": "✅",
    "moneybag": "💰",
    "trophy": "🏆",
    "wave": "👋",
}
_BOLD, _PLAIN, _DIM = "\x1b[1m", "\x1b[0m", "\x1b[2m"
_MARK: Final = "\x01"  # an author's asterisk; a record's words lose control characters, so it can only be ours


def as_slack(message: Message, *, colour: bool, channel: str | None) -> str:
    """A message by an app in a channel. Only the rule's own `*bold*` and :emoji: are drawn; a record's stay text."""
    place = message.channel.key if message.channel else channel or ""
    words = "".join(_mrkdwn(span.text) if isinstance(span, Literal) else visible(span.text) for span in message.text)
    on, off = (_BOLD, _PLAIN) if colour else ("*", "*")
    words = re.sub(f"{_MARK}([^{_MARK}\n]+){_MARK}", rf"{on}\1{off}", words).replace(_MARK, "*")
    return _frame(f"Slack  {_line(place)}", "crmbridge APP", words, colour)


def as_tweet(message: Message, *, colour: bool, label: str) -> str:
    """A post of an account."""
    return _frame("X", f"@{_line(label)}", visible(unmarked(message.text)), colour)


def _mrkdwn(text: str) -> str:
    named = re.sub(r":([a-z_]+):", lambda found: _EMOJI.get(found[1], found[0]), visible(text))
    return named.replace("*", _MARK)


def _frame(place: str, who: str, words: str, colour: bool) -> str:
    dim, bold, off = (_DIM, _BOLD, _PLAIN) if colour else ("", "", "")
    lines = [f"{dim}┌ {place}{off}", f"{dim}│{off} {bold}{who}{off}"]
    lines += [f"{dim}│{off} {line}" for line in words.split("\n")]
    return "\n".join([*lines, f"{dim}└{off}"])


def _line(text: str) -> str:
    return " ".join(visible(text).split())
