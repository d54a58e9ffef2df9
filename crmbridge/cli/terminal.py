"""The one way in which words reach a terminal. No word of a record can move the cursor, colour, hide, turn text round or begin a line."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any, Final

import click

from crmbridge.errors import Problem
from crmbridge.telemetry import redact

_ODD: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for tab and line feed: ESC, OSC, carriage return, C1
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # turns text round, separates lines, or is not seen
    "\ud800-\udfff\U000e0000-\U000e007f]"  # halves of characters, tags
)
_WIPE: Final = "\r\033[K"
_NEXT: Final = "\n    | "
"""The beginning of each further line of one entry, so that a record's line feed makes no entry of its own."""


def safe(text: str) -> str:
    """Write every odd character in `text` as JSON writes it: `\\u001b`, `\\r`, `\\u202e`."""
    return _ODD.sub(lambda odd: json.dumps(odd.group())[1:-1], text)


def say(text: str = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Print `text`, with a `style` as click.style takes it. It may hold several lines of ours."""
    click.echo(click.style(safe(text), **style) if style else safe(text), err=err, nl=nl)


def say_entry(text: str, *, err: bool = False) -> None:
    """Print one entry of a list. Its further lines are indented."""
    say(text.replace("\n", _NEXT), err=err)


def say_over(text: str) -> None:
    """Print `text` over the last line of the terminal, to standard error. An empty text clears the line."""
    click.echo(f"{_WIPE}{safe(text)}" if text else _WIPE, err=True, nl=False)


_BEFORE, _SHOWN = 60, 100  # characters of a line that are shown before the place of the problem, and in all


def say_problem(one: Problem, folder: Path | None, *, err: bool = False) -> None:
    """Print a problem, and on a terminal the line that it is about. A log must keep no line of a configuration: it may hold a secret."""
    say_entry(redact(str(one)), err=err)
    if folder is not None and (sys.stderr if err else sys.stdout).isatty():
        for line in excerpt(one, folder):
            say(redact(line), err=err)


def excerpt(one: Problem, folder: Path) -> list[str]:
    """Return the line that a problem is about, with a caret under its place. Return nothing if there is no such line."""
    try:
        lines = (folder / one.file).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    if not 0 < one.line <= len(lines) or one.column > len(lines[one.line - 1]) + 1:
        return []
    begin = max(0, one.column - 1 - _BEFORE)
    shown = safe(lines[one.line - 1][begin : begin + _SHOWN].replace("\t", " "))
    before = safe(lines[one.line - 1][begin : one.column - 1].replace("\t", " "))
    number = f"    {one.line} | "
    return [f"{number}{shown}", f"{' ' * (len(number) - 2)}| {' ' * _width(before)}^"]


def _width(text: str) -> int:
    """Count the cells that a text takes on a terminal: two for each wide character (UAX #11)."""
    return sum(0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
