"""Backups on schedule: when one is due, how the last one went, and which ones are no longer kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from datetime import datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from crmbridge.config.backup import KeepModel
from crmbridge.config.config import Config
from crmbridge.http import describe
from crmbridge.operate import copies
from crmbridge.operate.copies import Made
from crmbridge.operate.custody import Custody
from crmbridge.troubles.facts import BackupFacts

_log = logging.getLogger(__name__)
_AGAIN: Final = timedelta(minutes=15)
"""How long to wait after a failure."""


def due(at: time, zone: tzinfo, last: datetime | None, now: datetime) -> bool:
    """Say whether a backup should have been made since the `last` one. One is made each day at `at` in `zone`. Pure."""
    day = now.astimezone(zone).date()
    moments = (datetime.combine(one, at, zone).astimezone(timezone.utc) for one in (day, day - timedelta(days=1)))
    return last is None or last < next(one for one in moments if one <= now)


def kept(made: Collection[datetime], daily: int, weekly: int, zone: tzinfo) -> set[datetime]:
    """Return those of `made` that stay: the newest of each of the latest `daily` days and `weekly` weeks that have one. Pure."""
    newest_first = sorted(made, reverse=True)

    def newest(of: Callable[[datetime], Hashable], count: int) -> Iterator[datetime]:
        seen: set[Hashable] = set()
        for one in newest_first:
            if (group := of(one.astimezone(zone))) not in seen and len(seen) < count:
                seen.add(group)
                yield one

    return {*newest(lambda one: one.date(), daily), *newest(lambda one: one.isocalendar()[:2], weekly)}


class Backups:
    """The scheduled backups of one daemon. It is asked once a minute whether one is due."""

    def __init__(self, custody: Custody, config: Callable[[], Config], now: Callable[[], datetime]) -> None:
        self._custody, self._config, self._now = custody, config, now
        self._last: tuple[Path, Made] | None = None
        self._failure = ""
        self._failing_since: datetime | None = None
        self._tried: datetime | None = None
        self._looking = asyncio.Lock()

    @property
    def facts(self) -> BackupFacts | None:
        """How the backups go. None if none are configured."""
        if (folder := self._config().backup_folder) is None:
            return None
        made = self._last[1] if self._last and self._last[0] == folder else None
        last, size = (made.made, made.size) if made else (None, 0)
        return BackupFacts(str(folder), last, size, self._failure, self._failing_since if self._failure else None)

    async def look(self) -> None:
        """Make a backup if one is due, and remove those that are no longer kept."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        config, now = self._config(), self._now()
        folder, model = config.backup_folder, config.model.backup
        if folder is None or model is None:
            self._failure = ""
            return
        try:
            instance = await self._custody.instance()
            ours = await asyncio.to_thread(_ours, folder, instance)
            past = {path: one for path, one in ours.items() if one.made <= now}  # not those of the future: a clock may have been ahead
            if newest := max(past.values(), key=lambda one: one.made, default=None):
                self._last = (folder, newest)
            if not due(model.at, ZoneInfo(config.model.timezone), newest.made if newest else None, now):
                self._failure = ""
                return
            if self._failure and self._tried and self._tried <= now < self._tried + _AGAIN:
                return
            self._tried = now
            target = folder / f"{config.store_path.stem}-{now.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}"
            made = await self._custody.copy(target, scheduled=True)
        except Exception as error:  # whatever the error is, people must learn that there is no backup
            self._failing_since = self._failing_since if self._failure else now
            self._failure = describe(error)
            _log.error("the backup failed", extra={"folder": str(folder), "reason": self._failure})
            return
        self._last, self._failure = (folder, made), ""
        _log.info("backup made and verified", extra={"folder": str(target), "bytes": made.size})
        if not self._custody.mute:  # a restored database that is not adopted removes no backup
            await asyncio.to_thread(self._prune, past | {target: made}, model.keep, ZoneInfo(config.model.timezone), instance)

    def _prune(self, ours: Mapping[Path, Made], keep: KeepModel, zone: tzinfo, instance: str) -> None:
        stay = kept([one.made for one in ours.values()], keep.daily, keep.weekly, zone)
        for path, one in ours.items():
            if one.made in stay:
                continue
            try:
                copies.remove(path, instance)
                _log.info("backup removed, past keeping", extra={"folder": str(path)})
            except OSError as error:
                _log.warning("a backup past keeping cannot be removed", extra={"folder": str(path), "reason": error.strerror})


def _ours(folder: Path, instance: str) -> dict[Path, Made]:
    """Find the scheduled backups of this very database in `folder`. Backups of others, and those that people ordered, are left out."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink() or path.name.startswith("."):
            continue
        try:
            made = copies.manifest(path)
        except ValueError:
            continue
        if made and made.scheduled and made.instance == instance:
            found[path] = made
    return found
