"""Stamps of the user's time zone, which the vendor writes with a literal Z, as instants. Pure.

"Date and Time Formats": every instant is in the time zone of the user who asks. In the night when summer time ends, an hour
comes twice, and a stamp of it can mean two instants.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from crmbridge.model import both

_QUARTER = timedelta(minutes=15)


class Zone:
    """The time zone of the integration user."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._zone = ZoneInfo(name)

    def instant(self, text: str, now: datetime) -> datetime | None:
        """A stamp in UTC; None if it is none. Of two instants that it may mean, the later one that is not after `now`."""
        moment = _read(text)
        if moment is None:
            return None
        try:
            if moment.tzinfo is not None:
                return moment.astimezone(timezone.utc)
            first, second = both(moment, self._zone)
        except OverflowError:  # in its own zone within the years 1 to 9999, in UTC outside
            return None
        return second if first < second <= now else first

    def is_plain(self, text: str) -> bool:
        """Whether a stamp can mean one instant only."""
        moment = _read(text)
        if moment is None or moment.tzinfo is not None:
            return moment is not None
        first, second = both(moment, self._zone)
        return second <= first  # in the hour that is left out in spring, it is the second that is earlier

    def written(self, moment: datetime) -> datetime:
        """The user's naive time for an instant; where it could mean two, the nearest quarter of an hour before that means one."""
        while True:
            local = moment.astimezone(self._zone).replace(tzinfo=None, fold=0)
            first, second = both(local, self._zone)
            if second <= first:
                return local
            moment -= _QUARTER

    def utc(self, local: datetime) -> datetime:
        """The instant of a naive time of the user's that means one only."""
        return both(local, self._zone)[0]

    def offset(self, moment: datetime) -> timedelta:
        """What the zone's clocks show more than UTC."""
        return moment.astimezone(self._zone).utcoffset() or timedelta(0)


def _read(text: str) -> datetime | None:
    """Naive, but for a stamp that names an offset of its own; whole seconds."""
    try:
        return datetime.fromisoformat(text.strip().removesuffix("Z")).replace(microsecond=0)
    except ValueError:
        return None
