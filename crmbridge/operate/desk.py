"""Everything that has a verb, put together over one port. Orders are written down: who gave them, and what they came to."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from crmbridge.errors import CrmbridgeError, InvalidRequest, StoreError
from crmbridge.operate.asking import Asking
from crmbridge.operate.dead import Dead
from crmbridge.operate.explain import Explain
from crmbridge.operate.look import Look
from crmbridge.operate.pauses import Pauses
from crmbridge.operate.port import Port
from crmbridge.operate.queue import Queue
from crmbridge.operate.replay import Replay
from crmbridge.operate.retract import Retract
from crmbridge.operate.unknown import Unknown
from crmbridge.store.ledger import Ledger, Order

Verb = Callable[..., Awaitable[Any]]
"""Takes and gives JSON values."""
_log = logging.getLogger("crmbridge.security")
_HIDDEN: Final = frozenset({"password"})
"""Arguments whose values nobody writes down."""
_NAMED: Final = 20
"""Things of a list that are written down, at most."""
_CUT_SHORT: Final = "the process ended in the middle of it: give it again"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who orders: the name they go by, and the door they came in by, with what it proves."""

    name: str
    door: str


def questions_of(port: Port) -> Mapping[str, Verb]:
    """What changes nothing, by name."""
    look, asking, queue = Look(port), Asking(port), Queue(port, Look(port))
    return _named(
        *(look.overview, look.queue_list, look.dead_list, look.unknown_list, look.show, look.tail, look.emptiness, look.orders),
        *(Explain(port, look).explain, queue.count, asking.audit, asking.state_show),
    )


def orders_of(port: Port) -> Mapping[str, Verb]:
    """What changes something, by name."""
    look, pauses, asking, undo = Look(port), Pauses(port), Asking(port), Retract(port)
    queue = Queue(port, look)
    dead = Dead(port, queue)
    return _named(
        *(queue.queue_hold, queue.queue_release, queue.queue_drop),
        *(dead.dead_retry, dead.dead_drop),
        Unknown(port, look).unknown_resolve,
        *(pauses.pause, pauses.resume),
        Replay(port).replay,
        *(undo.retract, undo.forget),
        *(asking.backfill, asking.state_set),
    )


class Desk:
    """Answers questions and carries out orders. Nothing else can be called from outside.

    An order that goes through much is given bite by bite: its answer says under which number it is written down (`order`), and
    its next bite names that number.
    """

    def __init__(self, port: Port, questions: Mapping[str, Verb] | None = None, orders: Mapping[str, Verb] | None = None) -> None:
        """`questions` and `orders` are the daemon's own, beside those that are the same without one."""
        self._port = port
        self._questions = {**questions_of(port), **(questions or {})}
        self._own = orders or {}
        self._orders = {**orders_of(port), **self._own}

    async def begin(self) -> None:
        """Nobody carries out any more what the last process was at."""
        await self._port.store.orders_cut_short(_CUT_SHORT, self._port.now())

    async def answer(self, verb: str, arguments: Mapping[str, Any], actor: Actor) -> Any:
        """What a verb says. Raises InvalidRequest for one that there is not, or not so; what the verb raises."""
        given = dict(arguments)
        if question := self._questions.get(verb):
            _check(question, given)
            return await question(**given)
        if (order := self._orders.get(verb)) is None:
            raise InvalidRequest("there is no such verb", 404)
        going_on = given.pop("order", None)
        _check(order, given)
        if given.get("dry_run"):
            return await order(**given)
        written = Order(verb=verb, arguments=_written(order, given), actor=actor.name, door=actor.door)
        return await self._carried_out(written, given, going_on)

    async def _carried_out(self, order: Order, given: Mapping[str, Any], going_on: Any) -> dict[str, Any]:
        number = await self._written_down(order, going_on)
        verb = self._own.get(order.verb) or orders_of(self._port.ordered(number))[order.verb]
        told = {"order": number, "verb": order.verb, "arguments": order.arguments, "actor": order.actor, "door": order.door}
        answer: dict[str, Any] = {}
        error = "it was broken off"
        try:
            answer, error = await verb(**given), ""
        except (CrmbridgeError, ValueError) as refused:
            error = str(refused)
            raise
        except Exception as failed:
            error = f"{type(failed).__name__}, see the log"
            raise
        finally:
            counts = _counts(answer)
            _log.info("order refused" if error else "ordered", extra=told | {"came_to": counts} | ({"reason": error} if error else {}))
            await self._ended(number, counts, error)
        return {**answer, "order": number}

    async def _written_down(self, order: Order, going_on: Any) -> int | None:
        """The number of an order; None where it cannot be written: what helps a full disk must not need it."""
        ledger: Ledger = self._port.store
        try:
            if isinstance(going_on, int) and await ledger.order_goes_on(going_on, order):
                return going_on
            return await ledger.order_begins(order, self._port.now())
        except StoreError as error:
            _log.warning("an order is not written down", extra={"verb": order.verb, "actor": order.actor, "reason": str(error)})
            return None

    async def _ended(self, number: int | None, counts: Mapping[str, int], error: str) -> None:
        if number is None:
            return
        try:
            await self._port.store.order_ends(number, counts, error, self._port.now())
        except StoreError as failed:
            _log.warning("the end of an order is not written down", extra={"order": number, "reason": str(failed)})


def _named(*verbs: Verb) -> dict[str, Verb]:
    return {verb.__name__: verb for verb in verbs}


def _check(verb: Verb, arguments: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for arguments that a verb does not take."""
    try:
        inspect.signature(verb).bind(**arguments)
    except TypeError as error:
        raise InvalidRequest(f"the arguments cannot be used: {error}") from None


def _written(verb: Verb, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as they may be kept: no secret, no long list, nothing that says no more than its absence."""
    usual = {name: one.default for name, one in inspect.signature(verb).parameters.items()} | {"most": arguments.get("most")}
    return {name: "***" if name in _HIDDEN else _short(value) for name, value in arguments.items() if value != usual[name]}


def _short(value: Any) -> Any:
    match value:
        case dict():
            return {name: _short(one) for name, one in value.items() if one not in (None, False, [])}
        case list() if len(value) > _NAMED:
            return [*value[:_NAMED], f"and {len(value) - _NAMED} more"]
        case str():
            return value[:1000]
    return value


def _counts(answer: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of an answer: what an order came to."""
    problems = len(answer.get("problems", ())) + answer.get("more_problems", 0)
    numbers = {**answer, **answer.get("gone", {}), "problems": problems, "more_problems": 0}
    return {name: value for name, value in numbers.items() if isinstance(value, int) and not isinstance(value, bool) and value}
