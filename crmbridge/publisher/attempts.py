"""Requests at one destination: each ends within its time, and its end is a receipt or a DeliveryError."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from crmbridge import http
from crmbridge.contract import Batched, Caller, Deletable, Destination, Editable
from crmbridge.errors import DeliveryError, OutcomeUnknown, Rejected
from crmbridge.model import Delivery, Message, Receipt
from crmbridge.publisher.parcels import clear
from crmbridge.store import underway
from crmbridge.store.underway import UnderWay

_log = logging.getLogger(__name__)


class Attempts:
    """Speaks to one destination."""

    def __init__(self, name: str, destination: Destination, *, call: Caller, under_way: UnderWay) -> None:
        """`under_way`: where it is noted on what we work."""
        self._name = name
        self._destination = destination
        self._call = call
        self._under_way = under_way

    async def publish(self, batch: Sequence[Delivery], out: Callable[[], object] | None) -> Sequence[Receipt | DeliveryError]:
        """One outcome for each delivery. `out` hears, in whatever thread, that a request begins. Raises nothing but cancellation."""

        def begun() -> None:  # from here on it is the network's turn
            slot.end()
            if out:
                out()

        with self._under_way.slot() as slot, http.marked(begun) as mark:
            slot.begin(underway.deliveries([one.id for one in batch]))
            try:
                if len(batch) > 1 and isinstance(self._destination, Batched):
                    return await self._say_together(self._destination, batch)
                (only,) = batch
                return [clear(await self._say(only))]
            except Exception as error:
                if not isinstance(error, DeliveryError):
                    _log.debug("an attempt raised", exc_info=error, extra={"destination": self._name})
                outcome = http.classify(error, mark.end())
                return [outcome] * len(batch)

    async def _say_together(self, destination: Batched, batch: Sequence[Delivery]) -> Sequence[Receipt | DeliveryError]:
        parcel = [(one.message, one.key, one.parent) for one in batch]
        answers: Sequence[object] = await self._call(destination.publish_many, parcel)
        if len(answers) != len(batch):
            raise OutcomeUnknown(f"{len(batch)} messages were sent and {len(answers)} outcomes came back")
        return [clear(one) for one in answers]

    async def _say(self, one: Delivery) -> Receipt:
        """Publish, or let what was published say this from now on."""
        parent = one.parent if one.parent and one.parent.remote_id else None
        if not one.message.edit:
            return await self._call(self._destination.publish, one.message, one.key, parent)
        if parent is not None and isinstance(self._destination, Editable):
            return await self._call(self._destination.edit, parent, one.message, one.key)
        return await self._call(self._destination.publish, one.message, one.key, None)

    async def check(self) -> None:
        """Log in, and no more. Raises DeliveryError."""
        await self._ask(self._destination.check)

    async def delete(self, receipt: Receipt) -> None:
        """Take a published message back. Raises DeliveryError."""
        if not isinstance(self._destination, Deletable):
            raise Rejected(f"{self._name} cannot take messages back", code="delete")
        await self._ask(self._destination.delete, receipt)

    async def edit(self, receipt: Receipt, message: Message, key: str) -> None:
        """Let a published message say something else. Raises DeliveryError."""
        if not isinstance(self._destination, Editable):
            raise Rejected(f"{self._name} cannot change messages", code="edit")
        await self._ask(self._destination.edit, receipt, message, key)

    async def _ask(self, method: Callable[..., Any], *args: Any) -> None:
        with http.attempt():
            await self._call(method, *args)
