"""What a source means by what it writes: a raw value becomes a field's value by the field's type. This is decided only here. Pure.

A raw value that does not fit its type, or could mean two things, becomes `Unread` with its reason. It never becomes another value, and
it is never dropped silently.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final

from crmbridge.model.markup import markup_words
from crmbridge.model.numbers import is_ordinary, parse_number, read_number
from crmbridge.model.stamps import both, comes_twice, counted, is_midnight, local, read_moment
from crmbridge.model.values import Choice, FieldSpec, FieldType, FieldValue, Ordered, Unread, number_text
from crmbridge.model.words import clean

MOST_ITEMS: Final = 25_000
"""The most items of one field's list. The items of lists inside it count too."""

_ANY, _TEXT, _HTML = FieldType.ANY, FieldType.TEXT, FieldType.HTML  # aliases, for members of an enum are slow to look up
_NUMERIC: Final = frozenset({FieldType.NUMBER, FieldType.MONEY})
_LIKE: Final[Mapping[type, FieldType]] = {
    bool: FieldType.BOOLEAN,
    Decimal: FieldType.NUMBER,
    datetime: FieldType.DATETIME,
    date: FieldType.DATE,
    tuple: FieldType.SET,
    Ordered: FieldType.LIST,
}


def type_of(value: FieldValue) -> FieldType:
    """Return the type with which a field that holds this value would be configured; `any` for an empty value."""
    return _LIKE.get(type(value), _ANY if value is None else _TEXT)


_TRUE: Final = frozenset(
    ["true", "t", "yes", "y", "1", "on", "wahr", "ja", "vrai", "oui", "verdadero", "sí", "si", "vero", "sì", "verdadeiro", "sim", "waar"]
)
_FALSE: Final = frozenset(["false", "f", "no", "n", "0", "off", "falsch", "nein", "faux", "non", "falso", "não", "onwaar", "nee"])
_NOTHING: Final = frozenset(["null", "none"])


@dataclass(frozen=True, slots=True)
class Reading:
    """The way in which a source writes values as text."""

    numbers: str | None = "1234.5"
    """One of NUMBERS. None: not configured, so a text that could mean two numbers is unread."""
    dates: str | None = None
    """One of DATES. None: not configured."""
    zone: tzinfo | None = None
    """The time zone of its clock, for stamps without an offset. None: they are in UTC."""
    days: tzinfo = timezone.utc
    """The time zone that decides which day an instant belongs to, unless `zone` is given."""

    def value(self, raw: Any, type_: FieldType = FieldType.ANY, separator: str = ";") -> FieldValue:
        """Read a source's raw value as a field of `type_` holds it. `any` keeps what the source's own type says.

        NUL and lone surrogates become U+FFFD, because one database stores them and the next refuses them. Raises ValueError
        for a list of more than MOST_ITEMS: no CRM's field holds one, and all later steps would work on it for seconds.
        """
        if isinstance(raw, str):  # first, because most values are texts
            text = raw if raw.isascii() and "\0" not in raw else clean(raw)
            return text if type_ is _ANY or type_ is _TEXT else self._typed(text, type_, separator)
        if raw is None or isinstance(raw, Choice):
            return raw
        if isinstance(raw, (list, tuple)):
            return self._listed(raw, type_, separator)
        try:
            return self._converted(_plain(raw), _TEXT if type_ is _HTML else type_, separator)
        except ValueError as error:
            return Unread.of(raw, str(error))

    def read(self, raw: Any, spec: FieldSpec) -> FieldValue:
        """Read a raw value for a configured field."""
        return self.value(raw, spec.type, spec.separator)

    def again(self, kept: FieldValue, now: FieldValue, spec: FieldSpec) -> FieldValue:
        """Read a value that was kept before as it is read today: by the configured type, else by the type of the value `now`."""
        type_ = spec.type if spec.type is not _ANY else _LIKE.get(type(now), _ANY)
        return self.value(kept, type_, spec.separator)

    def instant(self, raw: Any, now: datetime | None = None) -> datetime:
        """Read an instant, with its offset. Raises ValueError that says why it is none.

        In the night when a wall clock is set back, a time can mean two instants. The later one is taken if it is not after `now`, else the
        first.
        """
        moment = self.moment(raw)
        if not isinstance(moment, datetime):
            moment = datetime.combine(moment, time())
        return self.aware(moment, now)

    def moment(self, raw: Any) -> datetime | date:
        """Read a day, or an instant that may still be naive. Raises ValueError that says why it is neither."""
        raw = _plain(raw)
        match raw:
            case date():
                return raw
            case Decimal():
                return counted(raw)
            case str():
                return read_moment(raw.strip(), self.dates)
        raise ValueError("it is neither a day nor an instant")

    def aware(self, moment: datetime, now: datetime | None = None) -> datetime:
        """Give an instant its offset, as `instant` does. Raises ValueError for an instant that UTC cannot hold."""
        try:
            if moment.tzinfo is not None:
                moment.astimezone(timezone.utc)
                return moment
            first, second = both(moment, self.zone or timezone.utc)
        except OverflowError:
            raise ValueError(f"{moment.isoformat()} is outside the years 1 to 9999 in UTC") from None
        return second if now is not None and first < second <= now else first

    def is_double(self, raw: Any) -> bool:
        """Say whether a stamp can mean two instants, because a wall clock shows its hour twice."""
        moment = self.moment(raw)
        return isinstance(moment, datetime) and moment.tzinfo is None and self.zone is not None and comes_twice(moment, self.zone)

    def day(self, moment: datetime) -> date:
        """Return the day of an instant. Midnight, as written or in UTC, is how a system without a type for days writes a day."""
        if moment.tzinfo is None or is_midnight(moment):
            return moment.date()
        utc = local(moment, timezone.utc)
        return utc.date() if is_midnight(utc) else local(moment, self.zone or self.days).date()

    def number(self, text: str, *, money: bool = False) -> Decimal:
        """Read a number in this source's way of writing. Raises ValueError that says why it is none."""
        return read_number(text, self.numbers, money=money)

    # --- by type

    def _typed(self, text: str, type_: FieldType, separator: str) -> FieldValue:
        if not text.strip():
            return None
        try:
            match type_:
                case FieldType.NUMBER | FieldType.MONEY:
                    return self.number(text, money=type_ is FieldType.MONEY)
                case FieldType.DATE:
                    moment = self.moment(text)
                    return self.day(moment) if isinstance(moment, datetime) else moment
                case FieldType.DATETIME:
                    return self.instant(text)
                case FieldType.BOOLEAN:
                    return read_truth(text)
                case FieldType.HTML:
                    return markup_words(text).strip() or None
                case FieldType.SET | FieldType.LIST:
                    items = (item for part in text.split(separator) if (item := part.strip()))
                    return self._listed(list(items), type_, separator)
        except ValueError as error:
            return Unread.of(text, str(error))
        return text

    def _converted(self, raw: Any, type_: FieldType, separator: str) -> FieldValue:
        """Convert a value that is neither text nor list nor null. Raises ValueError if it does not fit."""
        match raw:
            case str():
                return self._typed(clean(raw), type_, separator)
            case bool():
                if type_ is _TEXT:
                    return str(raw).lower()
                _want(type_, "true or false", FieldType.BOOLEAN, FieldType.SET, FieldType.LIST)
                return raw if type_ not in (FieldType.SET, FieldType.LIST) else self._listed([raw], type_, separator)
            case Decimal():
                return self._number_as(raw, type_, separator)
            case datetime():
                if type_ is FieldType.DATE:
                    return self.day(raw)
                _want(type_, "an instant", FieldType.DATETIME, _TEXT)
                moment = self.aware(raw)
                return moment.isoformat() if type_ is _TEXT else moment
            case date():
                _want(type_, "a day", FieldType.DATE, FieldType.DATETIME, _TEXT)
                return raw.isoformat() if type_ is _TEXT else raw
            case Mapping():
                _want(type_, "a mapping", _TEXT)
                return clean(json.dumps(raw, ensure_ascii=False, sort_keys=True, default=str))
        raise ValueError(f"it is of the type {type(raw).__name__}, which nothing here can read")

    def _number_as(self, number: Decimal, type_: FieldType, separator: str) -> FieldValue:
        match type_:
            case FieldType.DATE | FieldType.DATETIME:
                moment = counted(number)
                return self.day(moment) if type_ is FieldType.DATE else moment
            case FieldType.BOOLEAN:
                if number not in (0, 1):
                    raise ValueError("it is a number other than 0 and 1")
                return bool(number)
            case FieldType.SET | FieldType.LIST:
                return self._listed([number], type_, separator)
        if not is_ordinary(number):
            if type_ in _NUMERIC:
                raise ValueError("it is no number that can be worked with")
            return str(number)
        return number_text(number) if type_ is _TEXT else number

    def _listed(self, raw: Sequence[Any], type_: FieldType, separator: str) -> FieldValue:
        if _items(raw) > MOST_ITEMS:
            raise ValueError(f"a field holds a list of more than {MOST_ITEMS:,} items")
        inner = FieldType.ANY if type_ in (FieldType.SET, FieldType.LIST) else type_
        items = tuple(self.value(item, inner, separator) for item in raw)
        for item in items:
            if isinstance(item, Unread):
                return item
        return Ordered(items) if type_ is FieldType.LIST else items


def _want(type_: FieldType, what: str, *fits: FieldType) -> None:
    if type_ is not FieldType.ANY and type_ not in fits:
        raise ValueError(f"it is {what}")


def _plain(raw: Any) -> Any:
    """Turn `raw` into one of the types that are read here, if it is like one of them."""
    match raw:
        case bool() | str() | Decimal() | datetime() | date() | Mapping():
            return raw
        case int():
            return Decimal(raw)
        case float():
            return Decimal(str(raw))
        case bytes() | bytearray() | memoryview():
            return bytes(raw).hex()
        case time():
            return raw.isoformat()
        case timedelta():
            return _clock(raw)
        case uuid.UUID() | IPv4Address() | IPv6Address() | IPv4Network() | IPv6Network():
            return str(raw)
    return raw


def identity(raw: Any) -> str:
    """Write a record's id as text, bytes in hexadecimal. Return an empty text for what is no id.

    Stored ids have this form for ever. Another way to write an id, `5` for `5.0` or without the blanks of a CHAR(10), would be another
    record, and the known one would be told as deleted.
    """
    plain = _plain(raw)
    if isinstance(raw, bool) or not isinstance(plain, (str, Decimal, date)) or (isinstance(plain, Decimal) and not is_ordinary(plain)):
        return ""
    text = clean(plain if isinstance(plain, str) else str(raw))
    return text if text.strip() else ""


def marked(raw: Any) -> bool:
    """Say whether a mark is set, as on a deleted record. It is if it is true, or anything else that is not empty, like a stamp."""
    if isinstance(raw, (bytes, bytearray, memoryview)):
        return any(bytes(raw))
    plain = _plain(raw)
    if isinstance(plain, str):
        word = plain.strip().casefold()
        # The last test is for MySQL's word for no day.
        return bool(word) and word not in _FALSE | _NOTHING and parse_number(word) != 0 and not word.startswith("0000-00-00")
    return bool(plain)


def _clock(span: timedelta) -> str:
    """Write a span as hours, minutes and seconds: `26:03:00`."""
    seconds = abs(span) // timedelta(seconds=1)
    return f"{'-' if span < timedelta(0) else ''}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _items(raw: Iterable[Any]) -> int:
    """Count the items of a list and of the lists in it, until there are too many."""
    count = 0
    for item in raw:
        count += 1 + (_items(item) if isinstance(item, (list, tuple)) else 0)
        if count > MOST_ITEMS:
            break
    return count


# --- truth


def read_truth(text: str) -> bool:
    """Read a word for true or false, as exports in several languages have it. Raises ValueError."""
    word = text.strip().casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("it is neither true nor false")
