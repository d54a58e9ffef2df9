"""Orders on dead letters, and on requests that nobody could interpret: try them again, or leave them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from crmbridge.errors import RenderError
from crmbridge.intake.deliveries import rerender
from crmbridge.model import Delivery, Message, State, load_observation
from crmbridge.operate import selection as selections
from crmbridge.operate.bites import bites, told
from crmbridge.operate.look import LIMIT
from crmbridge.operate.port import Port, by_order
from crmbridge.operate.queue import Queue
from crmbridge.operate.selection import SelectionWords


class Dead:
    """Orders on what could not be said. Each order goes through all it means in portions. A repeat does not do again what is done."""

    def __init__(self, port: Port, queue: Queue) -> None:
        self._port = port
        self._store = port.store
        self._queue = queue

    async def dead_retry(self, where: SelectionWords, requests: Sequence[int] = ()) -> dict[str, Any]:
        """Queue dead letters again, as they were accepted. An unrenderable one is rendered by the present rules first."""
        done, problems = 0, list[dict[str, Any]]()
        async for bite in self._dead(where, requests):
            for delivery in bite:
                try:
                    message = delivery.message if delivery.message.text else await self._rendered(delivery)
                    done += await self._store.requeue(delivery, message, self._port.now())
                except RenderError as error:
                    problems.append({"id": delivery.id, "reason": str(error)})
            if done:
                self._port.queued()
        retried = 0
        for id in await self._requests(where, requests):
            if why := await self._unreadable(id):
                problems.append(
                    {
                        "id": f"request:{id}",
                        "reason": f"its source must give it again (change the record, or touch the export): {why}",
                    }
                )
            else:
                retried += await self._store.retry_request(id)
        if retried:
            self._port.requests_queued()
        return {"count": done, "requests": retried} | told(problems)

    async def dead_drop(self, where: SelectionWords, requests: Sequence[int] = ()) -> dict[str, Any]:
        """Drop dead letters for good. They stay in the journal until retention removes them."""
        done = 0
        if not requests or where.get("names") or where.get("all"):
            meant = await self._queue.meant(where, [State.DEAD])
            done = await self._store.drop([State.DEAD], meant, by_order(self._port, "dropped by hand"), self._port.now())
        dropped = [await self._store.drop_request(id) for id in await self._requests(where, requests)]
        return {"count": done, "requests": sum(dropped)} | told([])

    async def _dead(self, where: SelectionWords, requests: Sequence[int]) -> AsyncIterator[Sequence[Delivery]]:
        """Yield the dead letters that are meant, portion by portion. Yield none if only requests are meant."""
        if requests and selections.read(where, self._port.now(), whole=True).everything and not where.get("names") and not where.get("all"):
            return
        async for bite in bites(self._store, [State.DEAD], await self._queue.meant(where, [State.DEAD])):
            yield bite

    async def _requests(self, where: SelectionWords, requests: Sequence[int]) -> Sequence[int]:
        """Return the numbers of the requests that are meant: those named, or all that wait for a person."""
        if not (where.get("all") and selections.read(where, self._port.now(), whole=True).everything):
            return requests
        found: list[int] = []
        while bite := await self._store.failed_requests(LIMIT, found[-1] if found else 0):
            found += [row.id for row, _ in bite]
        return found

    async def _unreadable(self, id: int) -> str:
        """Say why a source could not read what was put aside. Empty for everything else."""
        found = await self._store.failed_request(id)
        try:
            return load_observation(found[0].body).unreadable if found and found[0].record is not None else ""
        except ValueError:
            return ""

    async def _rendered(self, delivery: Delivery) -> Message:
        event = await self._store.event(delivery.event_id)
        if event is None:
            raise RenderError("its change is no longer in the journal")
        message = rerender(self._port.engine, event, delivery.key, delivery.generation)
        if message.destination != delivery.message.destination:
            # Its place in the outbox is in the lane of the old destination, whose readers may be other people.
            raise RenderError(f"its rule now publishes to {message.destination}: drop this one")
        return message
