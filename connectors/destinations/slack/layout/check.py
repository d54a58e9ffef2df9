"""A layout as the argument `blocks`: what Slack says of its texts, its ids and its places. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from connectors.destinations.slack.escape import address, misnamed, mrkdwn, plain_words, unnamed
from connectors.destinations.slack.layout.blocks import BLOCKS, LAYOUT, whole
from connectors.destinations.slack.layout.shapes import REFERENCE, Takes
from crmbridge.contract import LaidOut, LayoutFault, Unsaid
from crmbridge.contract.layout.shapes import ObjectKind, Of, Path
from crmbridge.contract.layout.walk import LayoutWalk, Within, a, bare, refused
from crmbridge.errors import Rejected
from crmbridge.model import Text, clean

_MESSAGE: Final = Within("message", f"{REFERENCE}blocks")
_TYPES: Final = frozenset(kind.type for kind in BLOCKS if kind.type)


def laid_out(layout: Any, people: Mapping[str, str] | None = None) -> LaidOut:
    """`layout` as the argument `blocks`, and what Slack would refuse of it. `people`: who is mentioned, by address."""
    walk = _Blocks(people or {})
    made = walk.laid_out(layout, LAYOUT, _MESSAGE)
    for path, complaint, page in whole(made.sent) if isinstance(made.sent, list) else ():
        walk.faults.append(LayoutFault(path, f"{complaint} ({page})"))
    return made


def flattened(layout: Any, people: Mapping[str, str] | None = None) -> list[Any]:
    """The argument `blocks`; raises Rejected (code `invalid_blocks`) naming the place, the limit and Slack's page."""
    made = laid_out(layout, people)
    if made.faults:
        raise Rejected(refused(made), code="invalid_blocks")
    sent: list[Any] = made.sent
    return sent


class _Blocks(LayoutWalk):
    network = "Slack"
    key = "blocks"
    uncut = frozenset({Takes.ADDRESS})

    def __init__(self, people: Mapping[str, str]) -> None:
        super().__init__()
        self._people = people
        self._blocks: set[str] = set()
        self._actions: set[str] = set()

    def written(self, text: Text, takes: Enum) -> str:
        if takes is Takes.MRKDWN:
            return mrkdwn(text, people=self._people)
        text = unnamed(text)
        return address(text) if takes is Takes.ADDRESS else plain_words(text) if takes is Takes.PLAIN else bare(text)

    def remarks(self, text: Unsaid, takes: Enum | None) -> Iterator[str]:
        if text.mentions and takes is not Takes.MRKDWN:
            yield "`| mention` names nobody here, only in a mrkdwn object: here it says the name before the @"
        if takes is Takes.MRKDWN:
            yield from misnamed(text.own)

    def strange(self, said: str, shape: Of, holder: Within) -> str:
        where = "a message" if shape.kinds == BLOCKS else a(holder.name)
        return f"{a(said)} block cannot stand in {where}" if said in _TYPES else f'there is no "{clean(said)[:40]}" in {where}'

    def enter(self, kind: ObjectKind, path: Path) -> None:
        if kind in BLOCKS:
            self._actions = set()

    def leave(self, kind: ObjectKind, made: Mapping[str, Any], path: Path, own: Within) -> None:
        """Each block has an id of its own, and each element of a block one within it."""
        action = made.get("action_id")
        if isinstance(action, str):
            if action in self._actions:
                self.wrong((*path, "action_id"), f'another element of this block has the action_id "{action[:40]}"', own)
            self._actions.add(action)
        block = made.get("block_id")
        if isinstance(block, str):
            if block in self._blocks:
                self.note((*path, "block_id"), f'another block has the block_id "{block[:40]}"; each should have its own')
            self._blocks.add(block)
