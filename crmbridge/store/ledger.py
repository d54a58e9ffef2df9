"""What the store promises about people's orders: who gave which, by which door, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person ordered."""

    verb: str
    arguments: Mapping[str, Any]
    """JSON values, as they may be shown."""
    meant: str
    """A digest of what is meant: who goes on with an order means the same."""
    actor: str
    """As they call themselves."""
    door: str
    """How they came in, and what that proves of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """An order as it was written down."""

    id: int
    order: Order
    began_at: datetime
    last_at: datetime
    """When a bite of it began or ended last."""
    running: bool
    """A bite of it is carried out."""
    ended_at: datetime | None
    """None while there is more of it to do."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What it came to."""
    error: str = ""
    """Why it was refused or ended early."""


class Ledger(Protocol):
    """The list of orders. Every method is one transaction."""

    async def order_begins(self, order: Order, now: datetime) -> int:
        """Write an order down; returns its number."""

    async def order_goes_on(self, id: int, order: Order, since: datetime, now: datetime) -> bool:
        """Take up an order for its next bite. False unless it is this one, is not ended, nobody is at it, and somebody was `since`."""

    async def order_ends(self, id: int, counts: Mapping[str, int], error: str, now: datetime, *, more: bool = False) -> Mapping[str, int]:
        """Add to what an order came to, and end it unless there is `more` to do; returns the whole."""

    async def orders_cut_short(self, error: str, now: datetime) -> None:
        """End the orders of which there was more to do when the process ended."""

    async def orders(self, since: datetime | None = None, limit: int = 100, id: int | None = None) -> list[LedgerEntry]:
        """Orders, the newest first: those given since an instant, or the one with a number."""
