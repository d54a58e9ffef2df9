"""What an order goes through, bite by bite: an answer never holds more than a page of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from crmbridge.model import Delivery, State
from crmbridge.operate.look import LIMIT
from crmbridge.store.interface import Store
from crmbridge.store.terms import Selection

_SHOWN: Final = 100  # problems that one answer names


async def bites(store: Store, states: Sequence[State], selection: Selection) -> AsyncIterator[Sequence[Delivery]]:
    """All of a selection in these states, the oldest first; what becomes of a bite meanwhile changes nothing of the next one."""
    last = 0
    while bite := await store.select(states, selection, limit=LIMIT, oldest=True, after=last):
        last = bite[-1].id
        yield bite


def portions(ids: Sequence[int]) -> Iterator[Selection]:
    """Numbers of deliveries as selections that the store takes."""
    for start in range(0, len(ids), LIMIT):
        yield Selection(ids=ids[start : start + LIMIT])


def told(problems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What could not be done, as far as an answer has room, and how much more there is."""
    return {"problems": list(problems[:_SHOWN]), "more_problems": max(0, len(problems) - _SHOWN)}
