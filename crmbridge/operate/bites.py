"""Portions of large orders: an answer never holds more than a page of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from crmbridge.model import Delivery, State
from crmbridge.operate.look import LIMIT
from crmbridge.store.interface import Store
from crmbridge.store.terms import Selection

_SHOWN: Final = 100  # the most problems that one answer names


async def bites(store: Store, states: Sequence[State], selection: Selection) -> AsyncIterator[Sequence[Delivery]]:
    """Yield all deliveries of a selection in these states, the oldest first. Changes to one portion do not affect the next."""
    last = 0
    while bite := await store.select(states, selection, limit=LIMIT, oldest=True, after=last):
        last = bite[-1].id
        yield bite


def portions(ids: Sequence[int]) -> Iterator[Selection]:
    """Split numbers of deliveries into selections of a size that the store takes."""
    for start in range(0, len(ids), LIMIT):
        yield Selection(ids=ids[start : start + LIMIT])


def told(problems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """List what could not be done, as far as an answer has room, and count the rest."""
    return {"problems": list(problems[:_SHOWN]), "more_problems": max(0, len(problems) - _SHOWN)}
