"""Stamps of the user's time zone, which the vendor writes with a literal Z, as instants. Pure.

"Date and Time Formats": every instant is in the time zone of the user who asks. In the night when summer time ends, an hour
comes twice, and a stamp of it can mean two instants.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

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
            first, second = self._both(moment)
        except OverflowError:  # in its own zone within the years 1 to 9999, in UTC outside
            return None
        return second if first < second <= now else first

    def is_plain(self, text: str) -> bool:
        """Whether a stamp can mean one instant only."""
        moment = _read(text)
        if moment is None or moment.tzinfo is not None:
            return moment is not None
        first, second = self._both(moment)
        return second <= first  # in the hour that is left out in spring, it is the second that is earlier

    def written(self, moment: datetime) -> datetime:
        """The user's naive time for an instant; where it could mean two, the nearest quarter of an hour before that means one."""
        while True:
            local = moment.astimezone(self._zone).replace(tzinfo=None, fold=0)
            first, second = self._both(local)
            if second <= first:
                return local
            moment -= _QUARTER

    def utc(self, local: datetime) -> datetime:
        """The instant of a naive time of the user's that means one only."""
        return self._both(local)[0]

    def offset(self, moment: datetime) -> timedelta:
        """What the zone's clocks show more than UTC."""
        return moment.astimezone(self._zone).utcoffset() or timedelta(0)

    def _both(self, local: datetime) -> tuple[datetime, datetime]:
        first, second = (local.replace(tzinfo=self._zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
        return first, second


def _read(text: str) -> datetime | None:
    """Naive, but for a stamp that names an offset of its own; whole seconds."""
    try:
        return datetime.fromisoformat(text.strip().removesuffix("Z")).replace(microsecond=0)
    except ValueError:
        return None
