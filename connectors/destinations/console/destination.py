"""Messages as readable blocks or JSON lines on standard output."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from connectors.destinations.console.looks import as_slack, as_tweet
from connectors.destinations.console.options import ConsoleOptions
from crmbridge.contract import Limits, Setting
from crmbridge.errors import OutcomeUnknown
from crmbridge.http import begin, describe
from crmbridge.model import Message, Receipt, Text, unmarked, visible


class ConsoleDestination:
    """A text stream: standard output, unless a test gives another."""

    limits = Limits(concurrency=1)

    def __init__(self, options: ConsoleOptions, setting: Setting, stream: TextIO | None = None) -> None:
        self._style = options.style
        self._channel = options.channel
        self._label = setting.name
        self._stream = stream
        self._lock = threading.Lock()

    def measure(self, text: Text) -> int:
        """Characters as printed."""
        return len(visible(unmarked(text)))

    def check(self) -> None:
        """Standard output is always there."""

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """Print one message."""
        self._print(lambda colour: self._shaped(message, key, parent, colour=colour))
        return Receipt(remote_id=key)

    def edit(self, receipt: Receipt, message: Message, key: str) -> Receipt:
        """Print what a published message would say from now on."""
        self._print(lambda colour: f"{self._order('edit', receipt)}\n{self._shaped(message, key, None, colour=colour)}")
        return receipt

    def delete(self, receipt: Receipt) -> None:
        """Print which message would be taken back."""
        self._print(lambda _: self._order("delete", receipt))

    def _order(self, verb: str, receipt: Receipt) -> str:
        """One line above an edit, or alone."""
        if self._style == "json":
            return json.dumps({"destination": visible(self._label), verb: visible(receipt.remote_id)}, ensure_ascii=False)
        return f"-> {_line(self._label)}  {verb} {_line(receipt.remote_id)[:12]}"

    def _print(self, shape: Callable[[bool], str]) -> None:
        stream = self._stream or sys.stdout
        with self._lock:
            try:
                shaped = shape(stream.isatty())
                encoding = stream.encoding or "utf-8"
                begin()
                stream.write(shaped.encode(encoding, "replace").decode(encoding) + "\n")
                stream.flush()
            except (OSError, ValueError) as error:  # a broken pipe; a closed stream
                raise OutcomeUnknown(f"standard output: {describe(error)}") from None

    def _shaped(self, message: Message, key: str, parent: Receipt | None, *, colour: bool) -> str:
        match self._style:
            case "json":
                return as_json(message, key, parent, self._label)
            case "slack":
                return as_slack(message, colour=colour, channel=self._channel)
            case "twitter":
                return as_tweet(message, colour=colour, label=self._label)
        return as_block(message, key, parent, self._label)

    def close(self) -> None:
        """Standard output stays open."""


def as_block(message: Message, key: str, parent: Receipt | None, label: str) -> str:
    """A heading with the place, then the text indented, so that no line of it can pose as a heading."""
    channel = message.channel
    place = _line(label) + (f" {_line(channel.title or channel.key)}" if channel else "")
    heading = f"-> {place}" + (f"  in reply to {_line(parent.remote_id)[:12]}" if parent else "")
    origin = _line(f"{message.rule}/{message.step} {message.record}")
    lines = visible(unmarked(message.text)).split("\n")
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
            "text": visible(unmarked(message.text)),
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
