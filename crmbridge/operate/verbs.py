"""All verbs, put together over one port: questions, and orders, which are written down."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from crmbridge.errors import InvalidRequest
from crmbridge.operate.asking import Asking
from crmbridge.operate.book import Actor, Book
from crmbridge.operate.dead import Dead
from crmbridge.operate.explain import Explain
from crmbridge.operate.look import Answers
from crmbridge.operate.pauses import Pauses
from crmbridge.operate.port import Port
from crmbridge.operate.queue import Queue
from crmbridge.operate.replay import Replay
from crmbridge.operate.retract import Retract
from crmbridge.operate.unknown import Unknown

Verb = Callable[..., Awaitable[Any]]
"""A function behind a verb. It takes and gives JSON values."""


def questions_of(port: Port) -> Mapping[str, Verb]:
    """Return all questions by name. They change nothing."""
    look, asking, queue = Answers(port), Asking(port), Queue(port, Answers(port))
    return _named(
        *(look.overview, look.queue_list, look.dead_list, look.unknown_list, look.show, look.tail, look.emptiness, look.orders),
        *(Explain(port, look).explain, queue.count, asking.audit, asking.state_show),
    )


def orders_of(port: Port) -> Mapping[str, Verb]:
    """Return all orders by name. They change something."""
    look, pauses, asking, undo = Answers(port), Pauses(port), Asking(port), Retract(port)
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


class Verbs:
    """The verbs that can be called from outside. It answers questions and carries out orders."""

    def __init__(self, port: Port, questions: Mapping[str, Verb] | None = None, orders: Mapping[str, Verb] | None = None) -> None:
        """Put together the verbs. `questions` and `orders` are those of a daemon, beside the ones that also work without a daemon."""
        self._port = port
        self._questions = {**questions_of(port), **(questions or {})}
        self._own = orders or {}
        self._orders = {**orders_of(port), **self._own}
        self._book = Book(port.store, port.now)

    async def begin(self) -> None:
        """Begin the list of orders. Called once, before anything is asked."""
        await self._book.begin()

    async def answer(self, name: str, arguments: Mapping[str, Any], actor: Callable[[], Actor]) -> Any:
        """Answer a question or carry out an order.

        Raises InvalidRequest for an unknown verb or wrong arguments, and what the verb raises.
        """
        given = dict(arguments)
        if question := self._questions.get(name):
            _check(question, given)
            return await question(**given)
        if (verb := self._orders.get(name)) is None:
            raise InvalidRequest("there is no such verb", 404)
        number = given.pop("order", None)
        _check(verb, given)
        if given.get("dry_run"):
            return await verb(**given)

        async def do(own: int | None) -> dict[str, Any]:
            ordered = self._own.get(name) or orders_of(self._port.ordered(own))[name]
            answer: dict[str, Any] = await ordered(**given)
            return answer

        return await self._book.carry_out(name, _unusual(verb, given), actor(), do, number)


def _named(*verbs: Verb) -> dict[str, Verb]:
    return {verb.__name__: verb for verb in verbs}


def _unusual(verb: Verb, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that differ from their defaults."""
    usual = inspect.signature(verb).parameters
    return {name: value for name, value in arguments.items() if value != usual[name].default}


def _check(verb: Verb, arguments: Mapping[str, Any]) -> None:
    """Check that a verb takes these arguments. Raises InvalidRequest."""
    try:
        inspect.signature(verb).bind(**arguments)
    except TypeError as error:
        raise InvalidRequest(f"the arguments cannot be used: {error}") from None
