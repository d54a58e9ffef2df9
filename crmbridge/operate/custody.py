"""The care for databases: whose they are, copies of them, and room on their disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from crmbridge.db import Database
from crmbridge.errors import CrmbridgeError, StoreError
from crmbridge.model import Why
from crmbridge.operate import copies
from crmbridge.publisher import decide
from crmbridge.publisher.decide import OnUnknown, Policy
from crmbridge.store import SqliteStore, identity
from crmbridge.store.reserve import Reserve
from crmbridge.store.terms import Selection

_log = logging.getLogger(__name__)


class Custody:
    """The keeper of one daemon's databases."""

    def __init__(self, store: SqliteStore, databases: Mapping[str, Database], now: Callable[[], datetime]) -> None:
        """Keep `databases`, by the names of their files: what a backup holds. The store's own database is among them."""
        self.mute = ""
        """The reason why nothing may be published before a person says `adopt`. Empty if there is none."""
        self._store = store
        self.databases = databases
        self._now = now
        self._reserve = Reserve(store.database.path)
        self._copying = asyncio.Lock()

    @property
    def own(self) -> Database:
        """The store's database, without which nothing works."""
        return self._store.database

    async def begin(self) -> None:
        """Find out whether this is the database that ran here last. Otherwise nothing is published until a person adopts it."""
        await asyncio.to_thread(self._reserve.keep)
        path = self._store.database.path
        stored = await self._store.identity()
        marker, inode = await asyncio.to_thread(lambda: (identity.read(path), path.stat().st_ino))
        self.mute = identity.objection(stored, marker, inode, identity.machine())
        if self.mute:
            _log.error("nothing is published before `crmbridge adopt`", extra={"reason": self.mute})
            return
        instance, epoch = stored or (identity.new_instance(), 0)
        await self._ours(instance, epoch + 1)

    async def resolve_orphans(self, configured: Collection[str]) -> None:
        """Hold the interrupted attempts of destinations that are no longer configured. A person must say how they ended."""
        now, held = self._now(), OnUnknown.HOLD
        gone = [one for one in await self._store.interrupted() if one.message.destination not in configured]
        ends = [
            decide.interrupted(one, Policy(destination=one.message.destination, idempotent=False, on_unknown=held), now) for one in gone
        ]
        if ends:
            await self._store.settle([one.settlement for one in ends], [], now)

    async def adopt(self, *, hold: bool) -> int:
        """Adopt this database, because a person says so. With `hold`, hold what waits. Return how many deliveries were held."""
        if not self.mute:
            raise CrmbridgeError("this database is known: there is nothing to adopt")
        held = await self._store.hold(Selection(), Why.ADOPTED.because("it may have been said before"), self._now()) if hold else 0
        await self._ours(identity.new_instance(), 1)
        self.mute = ""
        return held

    async def _ours(self, instance: str, epoch: int) -> None:
        await self._store.identify(instance, epoch)  # first: a crash in between leaves the database ahead, which is no rollback
        await asyncio.to_thread(identity.write, self._store.database.path, instance, epoch)

    async def backup(self, folder: str) -> dict[str, Any]:
        """Copy the databases as they are now into a new folder. Raises CrmbridgeError."""
        target = Path(folder)
        if not target.is_absolute():
            raise CrmbridgeError("give an absolute path: the daemon runs in another folder")
        await self.copy(target)
        return {"folder": str(target), "files": list(self.databases)}

    async def copy(self, target: Path, *, scheduled: bool = False) -> copies.Made:
        """Make a verified backup in the new folder `target`, one at a time. Raises CrmbridgeError."""
        async with self._copying:
            return await copies.make(self.databases, target, instance=await self.instance(), now=self._now(), scheduled=scheduled)

    async def instance(self) -> str:
        """Return the name of the store, which its backups carry too. Empty if it has none yet."""
        stored = await self._store.identity()
        return stored[0] if stored else ""

    @property
    def full(self) -> bool:
        """Whether nothing new is taken in because the disk is full."""
        database = self._store.database
        return self._reserve.given_up or bool(database.refusing and database.full)

    @property
    def refusing(self) -> str:
        """The reason why nothing can be taken in. Empty if there is none."""
        database = self._store.database
        if database.failure:
            return "the database cannot be written"
        if self._reserve.given_up:
            return "the disk is full"
        return f"the database refuses writes: {database.refusing}" if database.refusing else ""

    async def look(self) -> None:
        """Find out whether writing is possible again, and keep the reserve. Called every second."""
        database = self._store.database
        if database.refusing:
            if database.full:
                self._reserve.give_up()
            with contextlib.suppress(StoreError):
                await self._store.probe()
        elif self._reserve.given_up and self._reserve.keep():
            _log.warning("there is room on the disk again: changes are taken in")
