"""The list of orders: who gave each order, by which door, and what it came to. The security log tells the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from crmbridge.errors import CrmbridgeError, StoreError
from crmbridge.model import digest, visible
from crmbridge.store.ledger import Ledger, Order
from crmbridge.telemetry import redact

_log = logging.getLogger("crmbridge.security")
_HIDDEN: Final = frozenset({"password", "replacement"})
"""Arguments whose values are never written down: secrets, and words that replace a published text."""
_PLACES: Final = frozenset({"most", "cursor", "after", "since", "until"})
"""Arguments that only say where a portion begins and ends, and not which order is meant."""
_AGAIN: Final = timedelta(minutes=30)
"""How long after one portion the next may come. A later one is an order of its own."""
_MOST, _LONGEST, _DEEP = 20, 300, 4  # the most that is written down: things of a list or mapping, characters of a text, levels
_CUT_SHORT: Final = "the process ended in the middle of it: give it again"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who gives an order: their name, and the door by which they came, with what that door proves."""

    name: str
    door: str

    @classmethod
    def of(cls, name: str, door: str) -> Actor:
        """Make an actor from any name that somebody goes by."""
        return cls(" ".join(visible(name).split())[:100], door)


class Book:
    """The list of orders, which is written while they are carried out.

    `ledger` is None if there is no database yet that could hold the list.
    """

    def __init__(self, ledger: Ledger | None, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now

    async def begin(self) -> None:
        """Mark the orders that the last process did not finish: nobody carries them out any more."""
        if self._ledger is not None:
            await self._ledger.orders_cut_short(_CUT_SHORT, self._now())

    async def carry_out(
        self, verb: str, given: Mapping[str, Any], actor: Actor, do: Callable[[int | None], Awaitable[dict[str, Any]]], number: Any = None
    ) -> dict[str, Any]:
        """Let `do` carry out what was `given`, and write that down before and after. `do` gets the order's number. Raises what `do` raises.

        A large order is given in portions: `number` is that of the portion before. The answer names the number as `order`.
        """
        order = Order(verb=verb, arguments=written(given), meant=_meant(given), actor=actor.name, door=actor.door)
        own = await self._written_down(order, number)
        answer: dict[str, Any] = {}
        error = "it was broken off, and is perhaps carried out"
        try:
            answer, error = await do(own), ""
        except (CrmbridgeError, ValueError) as refused:
            error = redact(str(refused))[:1000]
            raise
        except Exception as failed:
            error = f"{type(failed).__name__}, see the log"
            raise
        finally:
            await self._ended(own, order, answer, error, more=_more(given, answer))
        return {**answer, "order": own}

    async def _written_down(self, order: Order, number: Any) -> int | None:
        """Write down an order and return its number; None if it cannot be written: an order that helps a full disk must not need it."""
        if self._ledger is None:
            return None
        now = self._now()
        try:
            if type(number) is int and 0 < number < 2**63 and await self._ledger.order_goes_on(number, order, now - _AGAIN, now):
                return number
            return await self._ledger.order_begins(order, now)
        except StoreError as error:
            _log.warning("an order is not written down", extra={"verb": order.verb, "actor": order.actor, "reason": str(error)})
            return None

    async def _ended(self, number: int | None, order: Order, answer: Mapping[str, Any], error: str, *, more: bool) -> None:
        counts: Mapping[str, int] = _counts(answer)
        if number is not None and self._ledger is not None:
            try:
                counts = await self._ledger.order_ends(number, counts, error, self._now(), more=more)
            except StoreError as failed:
                _log.warning("the end of an order is not written down", extra={"order": number, "reason": str(failed)})
        if not more or error:
            told: dict[str, Any] = {
                "order": number,
                "verb": order.verb,
                "arguments": order.arguments,
                "actor": order.actor,
                "door": order.door,
            }
            said = {"came_to": dict(counts)} | ({"reason": error} if error else {})
            _log.info("order refused" if error else "ordered", extra=told | said)


def written(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as they may be kept and shown: without secrets, long values, and what was not given."""
    found = {name: "***" if name in _HIDDEN else _short(value, 0) for name, value in arguments.items() if name != "most"}
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def _short(value: Any, deep: int) -> Any:
    if deep >= _DEEP and isinstance(value, (dict, list)):
        return "..."
    match value:
        case dict():
            first = list(value.items())[:_MOST]
            kept = {_text(str(name)): _short(one, deep + 1) for name, one in first if one not in (None, False, [], {})}
            return kept | ({"...": f"and {len(value) - _MOST} more"} if len(value) > _MOST else {})
        case list():
            more = [f"and {len(value) - _MOST} more"] if len(value) > _MOST else []
            return [*(_short(one, deep + 1) for one in value[:_MOST]), *more]
        case bool() | None:
            return value
        case int() if abs(value) < 2**63:
            return value
    return _text(str(value) if not isinstance(value, int) else "a number beyond all bounds")


def _text(words: str) -> str:
    short = redact(words[: _LONGEST + 1])
    return short if len(words) <= _LONGEST else f"{short[:_LONGEST]}..."


def _meant(given: Mapping[str, Any]) -> str:
    return digest(json.dumps({name: value for name, value in given.items() if name not in _PLACES}, sort_keys=True))


def _more(given: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Say whether more portions follow: the answer says where to go on, or this portion did as much as one may."""
    if "next" in answer:
        return answer["next"] is not None
    most = given.get("most")
    return isinstance(most, int) and sum(_counts(answer).values()) >= most


def _counts(answer: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers in an answer: what the order came to."""
    problems = len(answer.get("problems", ())) + answer.get("more_problems", 0)
    numbers = {**answer, **answer.get("gone", {}), "problems": problems, "more_problems": 0, "next": None}
    return {name: value for name, value in numbers.items() if type(value) is int and value}
