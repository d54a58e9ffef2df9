"""Days and instants as people and programs write them, and the instants that a wall clock's time can mean. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Final

from crmbridge.model.numbers import Ambiguous, is_ordinary

DATES: Final = ("31/12/2026", "12/31/2026")
"""Ways of writing a day besides ISO 8601, which differ in what comes first. Points and hyphens may stand for strokes."""
EPOCHS: Final[tuple[tuple[int, int, int], ...]] = (
    (10**8, 10**10, 1),
    (10**11, 10**13, 10**3),
    (10**14, 10**16, 10**6),
)
"""Numbers that are instants (1973 to 2286) in seconds, milliseconds, microseconds: least, greatest, per second."""
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_LENGTHS: Final = frozenset({9, 10, 12, 13, 15, 16})
_WITHOUT_SECONDS: Final = re.compile(r"(?:19|20|21)[0-9]{10}", re.ASCII)
_MS_DATE: Final = re.compile(r"/Date\((-?[0-9]{1,15})(?:[+-][0-9]{4})?\)/")
_WRITTEN: Final = re.compile(
    r"(?P<one>[0-9]{1,4})(?P<mark>[./-])(?P<two>[0-9]{1,2})(?P=mark)(?P<three>[0-9]{1,4})"
    r"(?:(?:[ T]|, ?)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]{1,6})[0-9]*)?)?"
    r"(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?)?(?P<offset>\s?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?",
    re.ASCII,
)


def local_moment(moment: datetime, zone: tzinfo) -> str:
    """Write an instant as people read it, like `2026-11-30 23:11:50 CET`."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def parse_instant(text: str) -> datetime | None:
    """Read an aware ISO 8601 instant, as a vendor's interface writes it. A naive one is in UTC.

    Returns None for what is no instant, or one that UTC cannot hold.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):  # OverflowError: it lies in the years 1 to 9999 in its own zone, and outside in UTC
        return None
    return moment


def epoch(number: Decimal | float) -> datetime | None:
    """Read a number as the instant that it counts from 1970, in the unit that its size tells. Return None if its size tells none."""
    size = -number if number < 0 else number
    for least, greatest, per_second in EPOCHS:
        if least <= size < greatest:
            try:
                return _BEGINNING + timedelta(microseconds=int(Decimal(number) * 1_000_000 / per_second))
            except OverflowError:
                return None
    return None


def counted(number: Decimal) -> datetime:
    """Return the instant that a number counts from 1970.

    Raises ValueError if it counts none, or could as well be the digits of a day: 202611220930.
    """
    moment = epoch(number) if is_ordinary(number) else None
    if moment is None:
        raise ValueError("as a number it is no instant between 1973 and 2286")
    text = str(number)
    if _WITHOUT_SECONDS.fullmatch(text):
        try:
            other = datetime.fromisoformat(f"{text[:8]}T{text[8:]}")
        except ValueError:
            return moment
        raise Ambiguous(f"it can mean {moment:%Y-%m-%d %H:%M} and {other:%Y-%m-%d %H:%M}: give it as ISO 8601")
    return moment


def read_moment(text: str, dates: str | None) -> datetime | date:
    """Read a day, or an instant that may still be naive. Raises ValueError."""
    if len(text) > 64:
        raise ValueError("it is too long for a day or an instant")
    if text.isdigit() and text.isascii():
        return _from_digits(text)
    if found := _MS_DATE.fullmatch(text):
        try:
            return _BEGINNING + timedelta(milliseconds=int(found[1]))
        except OverflowError:
            raise ValueError("it is outside the years 1 to 9999") from None
    if text[:4].isdigit():
        try:
            return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
        except ValueError:
            pass
    if (found := _WRITTEN.fullmatch(text)) is None:
        raise ValueError("it is neither a day nor an instant that can be read")
    day = _day(found["one"], found["two"], found["three"], dates)
    if found["hour"] is None:
        if found["offset"]:
            raise ValueError("it is neither a day nor an instant that can be read")
        return day
    return datetime.combine(day, _time(found))


def _from_digits(text: str) -> datetime | date:
    try:
        if len(text) == 8:
            return date.fromisoformat(text)
        if len(text) == 14:
            return datetime.fromisoformat(f"{text[:8]}T{text[8:]}")
    except ValueError:
        raise ValueError("it is no day of the calendar") from None
    if len(text) in _EPOCH_LENGTHS:
        return counted(Decimal(text))
    raise ValueError("as a number it is no instant between 1973 and 2286")


def _day(one: str, two: str, three: str, dates: str | None) -> date:
    if len(one) == 4 and len(three) <= 2:
        year, month, day = int(one), int(two), int(three)
    else:
        if len(one) > 2 or len(three) not in (2, 4):
            raise ValueError("it is no day of the calendar")
        if dates is None and len(three) == 2:
            raise Ambiguous('it has a year of two digits: say `dates:` at its source, like dates: "31/12/2026"')
        year = int(three) if len(three) == 4 else int(three) + (2000 if int(three) < 70 else 1900)  # the century as POSIX sets it
        first, second = int(one), int(two)
        if dates is None and first <= 12 and second <= 12 and first != second:
            raise Ambiguous(
                f"it can mean {year}-{second:02}-{first:02} and {year}-{first:02}-{second:02}: "
                'say `dates:` at its source, like dates: "31/12/2026"'
            )
        month_first = dates == DATES[1] or (dates is None and second > 12)
        month, day = (first, second) if month_first else (second, first)
    try:
        return date(year, month, day)
    except ValueError:
        words = f'; `dates: "{dates}"` says what comes first' if dates else ""
        raise ValueError(f"it is no day of the calendar{words}") from None


def _time(found: re.Match[str]) -> time:
    hour, half = int(found["hour"]), (found["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("it is no time of the day")
        hour = hour % 12 + (12 if half == "p" else 0)
    micro = int((found["part"] or "").ljust(6, "0") or 0)
    zone = datetime.fromisoformat(f"2000-01-01T00:00{found['offset'].strip()}").tzinfo if found["offset"] else None
    try:
        return time(hour, int(found["minute"]), int(found["second"] or 0), micro, zone)
    except ValueError:
        raise ValueError("it is no time of the day") from None


def is_midnight(moment: datetime) -> bool:
    return moment.hour == moment.minute == moment.second == moment.microsecond == 0


def local(moment: datetime, zone: tzinfo) -> datetime:
    """Return `moment` as a clock in `zone` shows it. An end of the years 1 to 9999, which means `never`, stays as it is written."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment


def both(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the two instants that a wall clock's time can mean. Mostly they are one. In the hour left out in spring, the second
    is earlier.
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
    return first, second


def comes_twice(wall: datetime, zone: tzinfo) -> bool:
    """Say whether a wall clock shows this time twice, in the night when it is set back."""
    try:
        first, second = both(wall, zone)
    except OverflowError:
        return False
    return first < second
