"""A driver that uses a destination as the core does, and messages that are hard to publish."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from crmbridge.contract import Destination, Setting
from crmbridge.errors import DeliveryError
from crmbridge.http import classify, marked
from crmbridge.model import Audience, Channel, Literal, Message, Network, Receipt, RecordRef, Value

KEY = "0123456789abcdef0123456789abcdef"
PATIENT = 20.0  # seconds for one call, so that a busy machine fails no test
DEADLINE = 1.0  # seconds, in tests of the deadline itself

HOSTILE = (
    "",
    "\0",
    "a\0b\x1b[2J\x9b31m",
    "\ud800 lone \udfff surrogates",
    "\u202egnp.exe \u2066isolated\u2069 \u061c\ufeff",
    "<!channel> <@U012AB> <https://evil.example|Log in> &lt;!here&gt;",
    "@everyone #hashtag $CASH evil.example https://evil.example/x",
    "*bold* _it_ ~no~ `code` ```block``` > quote :tada:",
    "line\r\nline\rline\u2028line\u2029line\x85",
    "\U000e0041\U000e007f\u200b\u200d\u200c",
    "{{ 7 * 7 }} ${x} %s \\",
    "<" * 2000,
    "a." * 50_000,
    "x" * 100_000,
    ":" * 50_000,
    "@" * 50_000,
)


def message(*text: Literal | Value, **changes: Any) -> Message:
    """Make a message that says `text`, or a greeting if there is none. `changes` replace its other parts."""
    facts: dict[str, Any] = {
        "destination": "here",
        "channel": Channel("C012345", "General"),
        "rule": "rule",
        "step": "step",
        "text": text or (Literal("Welcome, "), Value("Parkers"), Literal("!")),
        "record": RecordRef("crm", "Account", "42"),
        "occurred_at": datetime(2026, 11, 22, 9, 30, tzinfo=timezone.utc),
        "audience": Audience.COMPANY,
    }
    return Message(**(facts | changes))


def hurried(setting: Setting) -> Setting:
    """Return `setting` with a deadline short enough to wait for."""
    return replace(setting, network=Network(deadline=DEADLINE))


class Driver:
    """A caller of a destination's methods as the core calls them: plain or async, within a mark, on one event loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._made: list[Destination] = []

    def own(self, destination: Destination) -> Destination:
        """Keep `destination`, to be closed at the end, and return it."""
        self._made.append(destination)
        return destination

    def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Call the method and return its result, awaited if need be."""

        async def whole() -> Any:
            found = method(*arguments)
            return await found if inspect.isawaitable(found) else found

        return self._runner.run(whole())

    def publish(self, destination: Destination, said: Message, parent: Receipt | None = None) -> Receipt | DeliveryError:
        """Make one attempt and return its outcome. Raises AssertionError if the connector left an exception unmapped."""
        with marked() as mark:
            try:
                receipt = self.call(destination.publish, said, KEY, parent)
            except DeliveryError as error:
                return error
            except Exception as error:
                raise AssertionError(f"not a DeliveryError: {error!r}, which would count as {classify(error, mark.began)!r}") from error
        assert isinstance(receipt, Receipt)
        return receipt

    def order(self, destination: Destination, name: str, receipt: Receipt, said: Message) -> Receipt | DeliveryError | None:
        """Make one `edit` (to `said`) or `delete` of the message of `receipt`, and return its outcome. Raises as `publish` does."""
        given = (receipt, said, KEY) if name == "edit" else (receipt,)
        with marked() as mark:
            try:
                outcome: Receipt | None = self.call(getattr(destination, name), *given)
            except DeliveryError as error:
                return error
            except Exception as error:
                raise AssertionError(f"not a DeliveryError: {error!r}, which would count as {classify(error, mark.began)!r}") from error
        assert isinstance(outcome, Receipt) if name == "edit" else outcome is None
        return outcome

    def close(self) -> None:
        for destination in self._made:
            self.call(destination.close)
