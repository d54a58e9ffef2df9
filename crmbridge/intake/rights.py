"""Rights that a source's promises need, looked at when it begins and then slowly: what the login lacks is told, and all else goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from crmbridge.contract import Caller, Entitled, Right
from crmbridge.errors import SourceError
from crmbridge.http import describe

_log = logging.getLogger(__name__)
EVERY: Final = 3600.0  # seconds between two looks: each is a few reads
_AGAIN: Final = 300.0  # seconds after a look at which nobody answered


class Rights:
    """What the login of one source lacks."""

    def __init__(self, name: str, source: Entitled, *, call: Caller, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.lacking: Sequence[Right] = ()
        """As the last look found it."""
        self._name = name
        self._source = source
        self._call = call
        self._monotonic = monotonic
        self._due = 0.0

    def forget(self) -> None:
        """Somebody may have given or taken one: look with the next poll."""
        self._due = 0.0

    async def look(self) -> None:
        """Look, if that is due. Where it fails, what is known stands."""
        if self._monotonic() < self._due:
            return
        self._due = self._monotonic() + EVERY
        try:
            found = await self._call(self._source.rights)
        except Exception as error:  # whatever it is, changes are read all the same
            self._due = self._monotonic() + _AGAIN
            reason = str(error) if isinstance(error, SourceError) else describe(error)
            _log.warning("rights could not be looked at", extra={"source": self._name, "reason": reason})
            return
        before, self.lacking = self.lacking, [one for one in found if one.refused]
        for one in self.lacking:
            if one.name not in {known.name for known in before}:
                facts = {"source": self._name, "right": one.name, "lost": one.lost, "reason": one.refused}
                _log.warning("the login lacks a right", extra=facts)
