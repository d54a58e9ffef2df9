"""The memory of since when each trouble is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from crmbridge.telemetry import redact
from crmbridge.troubles.facts import Facts
from crmbridge.troubles.find import find
from crmbridge.troubles.trouble import Trouble


class Memory:
    """One daemon's memory of its troubles."""

    def __init__(self, told: Mapping[str, datetime] | None = None) -> None:
        """Begin with what people were told of before: `told` holds since when, by the name of the trouble."""
        self._since = dict(told or {})
        self.last: list[Trouble] = []
        """The troubles that the last look found."""

    def look(self, facts: Facts) -> list[Trouble]:
        """Find all troubles, each with its beginning: as the facts have it, else when it was first found."""
        found = [replace(one, what=redact(one.what), since=one.since or self._since.get(one.name, facts.now)) for one in find(facts)]
        self._since = {one.name: one.since for one in found if one.since}
        self.last = found
        return found
