"""Messages as readable blocks or JSON lines on standard output."""

from __future__ import annotations

import json
import sys
import threading
from typing import TextIO

from connectors.destinations.console.options import ConsoleOptions
from crmbridge.contract import Limits, Setting
from crmbridge.errors import OutcomeUnknown
from crmbridge.http import describe
from crmbridge.model import Message, Receipt, Text, plain, visible


class ConsoleDestination:
    """A text stream: standard output, unless a test gives another."""

    limits = Limits(concurrency=1)

    def __init__(self, options: ConsoleOptions, setting: Setting, stream: TextIO | None = None) -> None:
        self._style = options.style
        self._label = setting.name
        self._stream = stream
        self._lock = threading.Lock()

    def measure(self, text: Text) -> int:
        """Characters as printed."""
        return len(visible(plain(text)))

    def check(self) -> None:
        """Standard output is always there."""

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """Print one message."""
        shape = as_json if self._style == "json" else as_block
        stream = self._stream or sys.stdout
        encoding = stream.encoding or "utf-8"
        printed = shape(message, key, parent, self._label).encode(encoding, "replace").decode(encoding)
        with self._lock:
            try:
                stream.write(printed + "\n")
                stream.flush()
            except (OSError, ValueError) as error:  # a broken pipe; a closed stream
                raise OutcomeUnknown(f"standard output: {describe(error)}") from None
        return Receipt(remote_id=key)

    def close(self) -> None:
        """Standard output stays open."""


def as_block(message: Message, key: str, parent: Receipt | None, label: str) -> str:
    """A heading with the place, then the text indented, so that no line of it can pose as a heading."""
    channel = message.channel
    place = _line(label) + (f" {_line(channel.title or channel.key)}" if channel else "")
    heading = f"-> {place}" + (f"  in reply to {_line(parent.remote_id)[:12]}" if parent else "")
    origin = _line(f"{message.rule}/{message.step} {message.record}")
    lines = visible(plain(message.text)).split("\n")
    if message.link is not None:
        lines.append(_line(message.link))
    return "\n".join([f"{heading}  [{origin}]  {key[:12]}", *(f"   | {line}" for line in lines)])


def as_json(message: Message, key: str, parent: Receipt | None, label: str) -> str:
    """One JSON object without line breaks."""
    channel = message.channel
    return json.dumps(
        {
            "destination": visible(label),
            "channel": visible(channel.key) if channel else None,
            "title": visible(channel.title) if channel else None,
            "text": visible(plain(message.text)),
            "link": visible(message.link) if message.link is not None else None,
            "parent": visible(parent.remote_id) if parent else None,
            "thread": visible(message.thread) if message.thread is not None else None,
            "rule": message.rule,
            "step": message.step,
            "record": visible(str(message.record)),
            "key": key,
        },
        ensure_ascii=False,
    )


def _line(text: str) -> str:
    return " ".join(visible(text).split())
