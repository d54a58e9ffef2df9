"""Orders on messages that may or may not be published: a person says what became of them."""

from __future__ import annotations

from typing import Any

from crmbridge.model import Receipt, State
from crmbridge.operate.look import Answers
from crmbridge.operate.port import Port, by_order
from crmbridge.operate.selection import OrderRefused
from crmbridge.publisher.decide import RESENT
from crmbridge.store.terms import Selection


class Unknown:
    """Orders on messages in doubt."""

    def __init__(self, port: Port, look: Answers) -> None:
        self._port = port
        self._store = port.store
        self._look = look

    async def unknown_resolve(self, name: str, outcome: str, url: str | None = None) -> dict[str, Any]:
        """Settle a message in doubt after a person has looked: `published` (perhaps with its address), `resend`, or `drop`."""
        delivery, _ = await self._look.find(name)
        if delivery.state is not State.UNKNOWN:
            raise OrderRefused(f"delivery {delivery.id} is {delivery.state}, not unknown")
        match outcome:
            case "published":
                receipt = Receipt(remote_id="", url=url, extra={"found": "by hand"})
                done = int(await self._store.confirm(delivery, receipt, by_order(self._port, "found by hand"), self._port.now()))
            case "resend":
                done = int(await self._store.requeue(delivery, delivery.message, self._port.now(), RESENT))
            case "drop":
                why = by_order(self._port, "dropped by hand")
                done = await self._store.drop([State.UNKNOWN], Selection(ids=[delivery.id]), why, self._port.now())
            case _:
                raise OrderRefused("an outcome is published, resend or drop")
        self._port.queued()
        return {"count": done, "problems": []}
