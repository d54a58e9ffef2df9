"""Everything that has a verb, put together over one port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

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

Verb = Callable[..., Awaitable[Any]]


def verbs(port: Port) -> Mapping[str, Verb]:
    """What may be called from outside, by name; each takes and gives JSON values. Nothing else is a verb."""
    look, pauses, asking, undo = Look(port), Pauses(port), Asking(port), Retract(port)
    queue = Queue(port, look)
    dead = Dead(port, queue)
    found: list[Verb] = [
        *(look.overview, look.queue_list, look.dead_list, look.unknown_list, look.show, look.tail, look.emptiness),
        Explain(port, look).explain,
        *(queue.count, queue.queue_hold, queue.queue_release, queue.queue_drop),
        *(dead.dead_retry, dead.dead_drop),
        Unknown(port, look).unknown_resolve,
        *(pauses.pause, pauses.resume),
        Replay(port).replay,
        *(undo.retract, undo.forget),
        *(asking.backfill, asking.audit, asking.state_show, asking.state_set),
    ]
    return {verb.__name__: verb for verb in found}
