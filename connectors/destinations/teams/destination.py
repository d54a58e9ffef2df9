"""Teams through a workflow: one address, one channel or chat, and nothing comes back.

https://learn.microsoft.com/en-us/connectors/teams/#microsoft-teams-webhook (read 2026-11-30).
The address is the secret: it stands in no error.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from connectors.destinations.teams.errors import meaning
from connectors.destinations.teams.escape import markdown, paragraphs
from connectors.destinations.teams.layout import finished
from connectors.destinations.teams.layout.check import MOST, size, too_large
from connectors.destinations.teams.options import TeamsOptions, is_old, url_complaint
from crmbridge.contract import Limits, Rate, Setting
from crmbridge.errors import Rejected
from crmbridge.http import Answer, Client, attempt, credential, web_link
from crmbridge.model import Message, Receipt, Text, dump_json, shortened
from crmbridge.telemetry import hide

LINK_LABEL: Final = "Open in CRM"
_SCHEMA: Final = "http://adaptivecards.io/schemas/adaptive-card.json"
_VERSION: Final = "1.2"  # all that a plain message needs: phones know it too
LENGTH: Final = MOST - 2_500
"""Bytes of a plain message's text: the rest is for its frame and its link."""


class TeamsDestination:
    """One workflow. What it posted can be neither answered, changed, taken back nor found."""

    # https://learn.microsoft.com/en-us/connectors/teams/#throttling-limits : the workflow posts as its bot 25 times in 300 seconds, and
    # no more than 4 requests in a second: https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
    limits = Limits(length=LENGTH, per_lane=Rate(count=4, seconds=1), per_destination=Rate(count=25, seconds=300), concurrency=1)

    def __init__(self, options: TeamsOptions, setting: Setting) -> None:
        self._url = options.url
        self._client = Client(setting.network, connections=1)

    def measure(self, text: Text) -> int:
        """Bytes of the text as Teams counts them: it is a text within a card, which is a text within Teams' own message."""
        return weight(worded(text))

    def check(self) -> None:
        """Read the address; nothing is sent, for every post would be a message."""
        with attempt():
            credential(self._address)

    async def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """One POST. The receipt has no id: the workflow has the message, and has not posted it yet."""
        with attempt():
            if message.channel is not None:
                raise Rejected("a workflow posts to its own channel only: take the channel off the step", code="no_channel")
            said = dump_json(body(card(message))).encode("utf-8", "replace")
            url = credential(self._address)
            refused = partial(meaning, old_address=is_old(url))
            headers = {"Content-Type": "application/json; charset=utf-8"}
            answer = await self._client.ask("POST", url, meaning=refused, body=said, headers=headers)
            return Receipt(remote_id="", extra=accepted(answer))

    def _address(self) -> str:
        url = self._url.reveal()
        if complaint := url_complaint(url):
            raise ValueError(f"url {complaint}")
        parts = urlsplit(url)
        signatures = [value for name, _, value in (pair.partition("=") for pair in parts.query.split("&")) if name == "sig"]
        for part in (parts.path, parts.query, *signatures, *map(unquote, signatures)):  # errors name parts of an address
            hide(part)
        return url

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


_RUN: Final = re.compile(r"[0-9A-Za-z]{8,64}", re.ASCII)


def accepted(answer: Answer) -> dict[str, str]:
    """What is kept of a 2xx, for people: where its owner finds what became of the message."""
    run = answer.headers.get("x-ms-workflow-run-id") or ""
    which = f"run {run} in its history" if _RUN.fullmatch(run) else "its run history"
    return {"note": f"accepted by the workflow and not posted yet: {which} tells what became of it"}


def body(content: dict[str, Any]) -> dict[str, Any]:
    """The request's body: https://learn.microsoft.com/en-us/connectors/teams/#request-body-schema"""
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def weight(words: str) -> int:
    """Bytes of a text within a card, as Teams counts them."""
    return size(words) - size("")


def worded(text: Text) -> str:
    """A step's text as a card shows it: its lines are lines."""
    return paragraphs(markdown(text))


def card(message: Message) -> dict[str, Any]:
    """The card that says `message`: the step's own, or one made of its text. Raises Rejected for what Teams would not take whole."""
    button = [{"type": "Action.OpenUrl", "title": LINK_LABEL, "url": web_link(message.link)}] if message.link is not None else []
    if message.blocks is None:
        return _of_text(message.text, button)
    made = finished(message.blocks)
    made = made | ({"actions": [*made.get("actions", ()), *button]} if button else {})
    if fault := too_large(made):  # with the button, whose link nobody knew before
        raise Rejected(f"the card has {fault}", code="too_large")
    told = made | {"fallbackText": worded(message.text)}  # for whom the card is too new
    return made if "fallbackText" in made or too_large(told) else told


def _of_text(text: Text, actions: list[dict[str, Any]]) -> dict[str, Any]:
    words = worded(shortened(text, lambda one: weight(worded(one)) <= LENGTH))
    if (has := weight(words)) > LENGTH:
        raise Rejected(f"the text has {has} bytes as Teams counts them, and {LENGTH} are the limit", code="too_large")
    block = {"type": "TextBlock", "text": words, "wrap": True}
    made = {"$schema": _SCHEMA, "type": "AdaptiveCard", "version": _VERSION, "body": [block], **({"actions": actions} if actions else {})}
    if fault := too_large(made):  # with a link of unusual length
        raise Rejected(f"the message has {fault}", code="too_large")
    return made
