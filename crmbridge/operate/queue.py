"""Orders on what waits: hold it, release it, or drop it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from crmbridge.model import Delivery, State, Why
from crmbridge.operate import selection as selections
from crmbridge.operate.look import LIMIT, Answers
from crmbridge.operate.port import Port, by_order
from crmbridge.operate.selection import OrderRefused, SelectionWords
from crmbridge.store.terms import Selection

DROPPABLE: Final = (State.QUEUED, State.HELD)


class Queue:
    """Orders on what waits. `most` bounds one answer, so that a caller can show progress. With a count below `most`, the order is done."""

    def __init__(self, port: Port, look: Answers) -> None:
        self._port = port
        self._store = port.store
        self._look = look

    async def queue_hold(self, where: SelectionWords, reason: str = "", most: int | None = None) -> dict[str, Any]:
        """Hold queued deliveries for a person."""
        selection = await self.meant(where, [State.QUEUED])
        return {"count": await self._store.hold(selection, Why.BY_HAND.because(by_order(self._port, reason)), self._port.now(), most)}

    async def queue_release(self, where: SelectionWords, outdated: bool = False, most: int | None = None) -> dict[str, Any]:
        """Release held deliveries. Those that their record no longer is are dropped, unless `outdated` wants them published too."""
        selection = await self.meant(where, [State.HELD])
        released = dropped = 0
        if outdated:
            released = await self._store.release(selection, self._port.now(), most)
        while not outdated and (most is None or released + dropped < most):
            page = await self._store.select([State.HELD], selection, limit=LIMIT, oldest=True)
            if not page:
                break
            for reason, ids in (await self._no_longer_so(page)).items():
                those = Selection(ids=ids)
                if reason:
                    dropped += await self._store.drop([State.HELD], those, f"outdated: {reason}", self._port.now())
                else:
                    released += await self._store.release(those, self._port.now())
        self._port.queued()
        return {"count": released, "outdated": dropped}

    async def _no_longer_so(self, held: Sequence[Delivery]) -> dict[str, list[int]]:
        """Group the numbers of held deliveries by the reason why they are outdated; empty if they are not."""
        records = list({one.message.record for one in held})
        known = (await self._store.known(records)).snapshots
        found: dict[str, list[int]] = {}
        for one in held:
            record = known.get(one.message.record)
            reason = self._port.engine.outdated(one.message.rule, record.fields) if record else ""
            found.setdefault(reason, []).append(one.id)
        return found

    async def queue_drop(self, where: SelectionWords, most: int | None = None) -> dict[str, Any]:
        """Drop waiting deliveries for good."""
        selection = await self.meant(where, DROPPABLE)
        return {"count": await self._store.drop(DROPPABLE, selection, by_order(self._port, "dropped by hand"), self._port.now(), most)}

    async def count(self, where: SelectionWords, states: Sequence[str]) -> dict[str, Any]:
        """Count the deliveries that an order would touch."""
        wanted = [State(state) for state in states]
        return {"count": await self._store.count(wanted, await self.meant(where, wanted))}

    async def meant(self, where: SelectionWords, states: Sequence[State]) -> Selection:
        """Return the selection that a person stated. Raises OrderRefused if a named delivery is not in one of `states`."""
        selection = selections.read(where, self._port.now())
        await self._look.refuse_misspelt(where)
        names = where.get("names") or ()
        found = [(await self._look.find(name))[0] for name in names]
        for one in found:
            if one.state not in states:
                raise OrderRefused(f"delivery {one.id} is {one.state}, not {' or '.join(states)}")
        return replace(selection, ids=[one.id for one in found])
