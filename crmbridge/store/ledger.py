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
    """JSON values, without secrets."""
    actor: str
    """As they call themselves."""
    door: str
    """How they came in, and what that proves of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An order as it was written down."""

    id: int
    order: Order
    began_at: datetime
    ended_at: datetime | None
    """None while it is carried out."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What it came to."""
    error: str = ""
    """Why it was refused or ended early."""


class Ledger(Protocol):
    """The list of orders. Every method is one transaction."""

    async def order_begins(self, order: Order, now: datetime) -> int:
        """Write an order down; returns its number."""

    async def order_goes_on(self, id: int, order: Order) -> bool:
        """Take up an order again, for its next bite. False if that number is another's, another order's or unknown."""

    async def order_ends(self, id: int, counts: Mapping[str, int], error: str, now: datetime) -> None:
        """Add to what an order came to."""

    async def orders_cut_short(self, error: str, now: datetime) -> None:
        """End the orders that were carried out when the process ended."""

    async def orders(self, since: datetime | None = None, limit: int = 100, id: int | None = None) -> list[Given]:
        """Orders, the newest first: those given since an instant, or the one with a number."""
