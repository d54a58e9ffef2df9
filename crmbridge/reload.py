"""A changed configuration: read, judged, applied; or refused, and the old one runs on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crmbridge.config import files
from crmbridge.config.config import Config
from crmbridge.config.load import load
from crmbridge.crew import Crew
from crmbridge.errors import CrmbridgeError
from crmbridge.http import describe
from crmbridge.lookout import Lookout
from crmbridge.model import State, counted
from crmbridge.store.terms import Overview
from crmbridge.telemetry import Metrics, configure_logging, tell_systemd

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reload:
    """Applies the configuration file as it is now; `applied` hears that it was."""

    crew: Crew
    lookout: Lookout
    metrics: Metrics
    has_feed: bool
    applied: Callable[[], object]

    async def reload(self) -> dict[str, Any]:
        """Read the file and apply it. Raises ConfigError or CrmbridgeError; then the old one runs on."""
        async with self.crew.exchanging:
            tell_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            old = self.crew.config
            try:
                before = files.fingerprints(old.path, old.model.include)
                config = await asyncio.to_thread(load, old.path)
                refuse_unsafe(old, config, await self.crew.store.overview(), has_feed=self.has_feed)
                await self.crew.exchange(config)
            except Exception as error:  # whatever it is, people must hear of it, and the old one runs on
                self.lookout.reload_error = str(error) if isinstance(error, CrmbridgeError) else describe(error)
                self.metrics.reload_ok.set(0)
                self.metrics.reloads.labels("refused").inc()
                _log.error("the new configuration is refused; the old one runs on", extra={"reason": self.lookout.reload_error})
                raise CrmbridgeError(self.lookout.reload_error) from error
            else:
                if (log := config.model.log) != old.model.log:
                    configure_logging(level=log.level, style=log.style)
                self.lookout.reload_error, self.lookout.files = "", before
                self.metrics.reload_ok.set(1)
                self.metrics.reloads.labels("applied").inc()
                self.applied()
                _log.info("the configuration was reloaded", extra={"rules": len(config.rules)})
                return {"rules": len(config.rules)}
            finally:
                tell_systemd("READY=1")


def refuse_unsafe(old: Config, new: Config, overview: Overview, *, has_feed: bool) -> None:
    """Refuse what cannot change while a daemon runs. Raises CrmbridgeError. Pure."""
    fixed = {
        "store.path": (new.store_path, old.store_path),
        "chirp": (new.model.chirp, old.model.chirp),
        "server": (new.model.server, old.model.server),
        "admin.listen": (new.admin_listen, old.admin_listen),
    }
    for name, (wanted, present) in fixed.items():
        if wanted != present:
            raise CrmbridgeError(f"{name} cannot change while crmbridge runs: restart it")
    if new.embeds_feed and not has_feed:
        raise CrmbridgeError("the embedded feed cannot be added while crmbridge runs: restart it")
    for one in overview.tallies:
        if one.destination not in new.destinations and one.state is not State.DEAD:
            messages = counted(one.count, f"{one.state} message")
            raise CrmbridgeError(f"the destination {one.destination} has {messages}: it cannot be removed yet")
