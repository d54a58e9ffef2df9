"""Orders to take back or change what was published, and to remove what is stored of a record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from crmbridge.errors import DeliveryError
from crmbridge.model import Literal, RecordRef, State, digest
from crmbridge.operate import selection as selections
from crmbridge.operate.bites import told
from crmbridge.operate.look import LIMIT
from crmbridge.operate.port import Port, by_order
from crmbridge.operate.queue import DROPPABLE
from crmbridge.operate.selection import OrderRefused, SelectionWords
from crmbridge.publisher.publisher import Publisher
from crmbridge.store.terms import Published, Selection

_DOUBTFUL: Final = (State.SENDING, State.UNKNOWN)
"""States in which nobody knows yet whether a message is published."""


class Retract:
    """Orders that undo."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._store = port.store

    async def retract(
        self, names: Sequence[str] = (), where: SelectionWords | None = None, replacement: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Take back what was published: by number, address or the network's id, or all of a rule since an instant. A text replaces it.

        Deliveries of the selection that still wait are dropped. `doubtful` counts those that may or may not be published by now.
        """
        if (publishers := self._port.publishers) is None:
            raise OrderRefused("no crmbridge runs: only a running one can take messages back")
        if mute := self._port.mute:
            raise OrderRefused(f"nothing can be taken back: {mute}")
        now = self._port.now()
        selection = selections.read(where, now) if where else None
        if selection is not None and (selection.rule is None or selection.since is None):
            raise OrderRefused("a selection to take back names a rule and a time: --rule, --since")
        named = [one for name in names for one in await self._published_as(name)]
        waiting = await self._store.count(DROPPABLE, selection) if selection is not None else 0
        doubtful = await self._store.count(_DOUBTFUL, selection) if selection is not None else 0
        if dry_run:
            published = len(named) + sum([len(bite) async for bite in self._published(selection)])
            if not published and not waiting and not doubtful:
                raise OrderRefused("nothing of that kind is published or waits")
            return {"count": published, "waiting": waiting, "doubtful": doubtful, "dry_run": True} | told([])
        if selection is not None and waiting:
            await self._store.drop(DROPPABLE, selection, by_order(self._port, "retracted before it was said"), now)
        done, problems = 0, list[dict[str, Any]]()

        async def undo(bite: Sequence[Published]) -> None:
            nonlocal done
            for one in bite:
                try:
                    await self._taken_back(one, replacement, publishers)
                    done += 1
                except (DeliveryError, OrderRefused) as error:
                    problems.append({"id": one.delivery.id, "reason": str(error)})

        await undo(named)
        async for bite in self._published(selection):
            await undo(bite)
        if not done and not problems and not waiting and not doubtful:
            raise OrderRefused("nothing of that kind is published or waits")
        return {"count": done, "waiting": waiting, "doubtful": doubtful, "dry_run": False} | told(problems)

    async def _published(self, selection: Selection | None) -> AsyncIterator[Sequence[Published]]:
        """Yield all published deliveries of a selection that were not taken back, portion by portion. A repeat finds what a crash left."""
        below: int | None = None
        while selection is not None and (bite := await self._store.published(selection, LIMIT, below)):
            yield bite
            below = bite[-1].delivery.id

    async def _taken_back(self, one: Published, replacement: str | None, publishers: Mapping[str, Publisher]) -> None:
        delivery = one.delivery
        publisher = publishers.get(delivery.message.destination)
        if publisher is None:
            raise OrderRefused(f"the destination {delivery.message.destination} is not configured")
        if delivery.receipt is None or not delivery.receipt.remote_id:
            raise OrderRefused("its network's id is not known")
        if replacement is None:
            await publisher.attempts.delete(delivery.receipt)
            await self._store.retract(delivery.key, self._port.now())
        else:
            message = replace(delivery.message, text=(Literal(replacement),), link=None, blocks=None, media=None, subject=None, extra={})
            await publisher.attempts.edit(delivery.receipt, message, digest("retract", delivery.key, replacement))

    async def _published_as(self, name: str) -> list[Published]:
        keys = {name}
        for remote_id in selections.remote_ids(name, self._port.config.destinations):
            keys |= set(await self._store.receipts_named(remote_id))
        found = [one for key in sorted(keys) if (one := await self._store.delivery(key)) and one[0].state is State.DELIVERED]
        if not found:
            raise OrderRefused(f"nothing that was published is known as {name}")
        return [Published(one, one.due) for one, _ in found]

    async def forget(self, record: str, dry_run: bool = False) -> dict[str, Any]:
        """Remove all that is stored of one record, named `source/type/id`: journal, snapshot, deliveries, receipts."""
        parts = record.split("/", 2)
        if len(parts) != 3:
            raise OrderRefused("name it source/type/id, like crm/Contact/003")
        ref = RecordRef(*parts)
        if dry_run:
            events = await self._store.events_of(ref, LIMIT)
            deliveries = await self._store.deliveries_of(ref, LIMIT)
            return {"record": record, "gone": {"events": len(events), "deliveries": len(deliveries)}, "dry_run": True}
        return {"record": record, "gone": await self._store.forget(ref), "dry_run": False}
