"""The values of a record's fields: how raw ones are read, who may read them, how they are stored. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from crmbridge.model.encoding import canonical_json, load_json
from crmbridge.model.words import clean


@dataclass(frozen=True, slots=True)
class Choice:
    """A picklist entry: `value` is stable and language-independent, `label` is what people read."""

    value: str
    label: str

    def __str__(self) -> str:
        return self.label


FieldValue = str | bool | Decimal | date | datetime | Choice | tuple["FieldValue", ...] | None
Fields = Mapping[str, FieldValue]
"""A record's fields, flat: a related record's field is keyed by its dotted path (`Account.Name`)."""


class FieldType(StrEnum):
    """How a raw value becomes a `FieldValue`. `any` keeps what the source's own type says."""

    ANY = "any"
    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"


class Sensitivity(StrEnum):
    """Who may ever read a field: everyone, the company, or no message at all."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SECRET = "secret"  # noqa: S105


class Audience(StrEnum):
    """Who can read a channel."""

    PUBLIC = "public"
    COMPANY = "company"
    TEAM = "team"

    def may_read(self, sensitivity: Sensitivity) -> bool:
        """The one rule of disclosure: public reads public, everyone else internal, nobody secret."""
        if self is Audience.PUBLIC:
            return sensitivity is Sensitivity.PUBLIC
        return sensitivity is not Sensitivity.SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """What the configuration says of one field of a record type."""

    type: FieldType = FieldType.ANY
    sensitivity: Sensitivity = Sensitivity.INTERNAL
    currency: str | None = None
    """For money: the field that holds the ISO 4217 code."""


_ANY, _TEXT = FieldType.ANY, FieldType.TEXT  # an enum's members are slow to look up
RecordSpec = Mapping[str, FieldSpec]

_TRUE, _FALSE = frozenset({"true", "1", "yes", "t"}), frozenset({"false", "0", "no", "f", ""})


def normalise(raw: Any, type_: FieldType = FieldType.ANY) -> FieldValue:
    """A source's raw value as a `FieldValue`; what does not fit its type stays text, so nothing is lost.

    Numbers become Decimal, dates become aware instants (a naive one is taken as UTC), NUL and lone
    surrogates become U+FFFD, because one database stores them and the next refuses them. Raises ValueError
    for a list of more than MOST_ITEMS: no CRM's field holds one, and everything behind this would work on it for seconds.
    """
    if isinstance(raw, str):  # first, for most values are texts
        text = raw if raw.isascii() and "\0" not in raw else clean(raw)
        return text if type_ is _ANY or type_ is _TEXT else _typed(text, type_)
    if raw is None or isinstance(raw, (bool, Choice)):
        return raw
    if isinstance(raw, (list, tuple)):
        if _items(raw) > MOST_ITEMS:
            raise ValueError(f"a field holds a list of more than {MOST_ITEMS:,} items")
        return _listed(raw, type_)
    if isinstance(raw, datetime):
        return raw if raw.tzinfo else raw.replace(tzinfo=timezone.utc)
    if isinstance(raw, date):
        return raw
    if isinstance(raw, (int, float, Decimal)):
        number = Decimal(str(raw)) if isinstance(raw, float) else Decimal(raw)
        if type_ is FieldType.BOOLEAN and number in (0, 1):
            return bool(number)
        return number if _ordinary(number) else str(raw if isinstance(raw, float) else number)
    if isinstance(raw, Mapping):
        return clean(json.dumps(raw, ensure_ascii=False, sort_keys=True, default=str))
    text = clean(str(raw))
    return _typed(text, type_)


MOST_ITEMS: Final = 25_000
"""Items of one field's list, lists within it counted with theirs."""


def _items(raw: Sequence[Any]) -> int:
    """The items of a list and of the lists in it, counted until there are too many."""
    count = len(raw)
    for item in raw if count <= MOST_ITEMS else ():
        if isinstance(item, (list, tuple)):
            count += _items(item)
            if count > MOST_ITEMS:
                break
    return count


def _listed(raw: Sequence[Any], type_: FieldType) -> FieldValue:
    return tuple(_listed(item, type_) if isinstance(item, (list, tuple)) else normalise(item, type_) for item in raw)


def _typed(text: str, type_: FieldType) -> FieldValue:
    match type_:
        case FieldType.NUMBER | FieldType.MONEY:
            return parse_number(text) if text.strip() else None
        case FieldType.DATE:
            return parse_date(text) if text.strip() else None
        case FieldType.DATETIME:
            return parse_instant(text) or text if text.strip() else None
        case FieldType.BOOLEAN:
            low = text.strip().lower()
            return True if low in _TRUE else False if low in _FALSE else text
    return text


def parse_number(text: str) -> Decimal | str:
    """A plain decimal number, else the text unchanged. Python's `1_000` and huge exponents are not numbers."""
    if len(text) > _LONGEST_NUMBER:  # before it is copied: a text may be a megabyte
        return text
    stripped = text.strip()
    if len(stripped) > 64 or "_" in stripped or not stripped.isascii():
        return text
    try:
        number = Decimal(stripped)
    except InvalidOperation:
        return text
    return number if _ordinary(number) else text


_LONGEST_NUMBER = 256  # characters, blanks around it included


def _ordinary(number: Decimal) -> bool:
    """False for what is written in a few bytes and takes a gigabyte without its exponent."""
    return number.is_finite() and -40 < number.adjusted() < 40 and len(number.as_tuple().digits) <= 64


def parse_date(text: str) -> date | str:
    """An ISO 8601 date, or the date part of an instant; else the text unchanged."""
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return text


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 instant, aware; a naive one is taken as UTC. None where the text is not one that UTC can hold."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):  # the second: in its own zone within the years 1 to 9999, in UTC outside
        return None
    return moment


def number_text(number: Decimal) -> str:
    """A Decimal as people write it: no exponent, no trailing zeros (`1E+3` -> `1000`, `1.50` -> `1.5`)."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"n": number_text(value)}
    if isinstance(value, datetime):
        return {"t": value.astimezone(timezone.utc).isoformat()}
    if isinstance(value, date):
        return {"d": value.isoformat()}
    if isinstance(value, Choice):
        return {"c": [value.value, value.label]}
    raise TypeError(f"not a field value: {type(value).__name__}")


def _decode(value: Any) -> FieldValue:
    if isinstance(value, list):
        return tuple(map(_decode, value))
    if isinstance(value, dict):
        (tag, inner), *_ = value.items()
        match tag:
            case "n":
                return Decimal(inner)
            case "t":
                return datetime.fromisoformat(inner)
            case "d":
                return date.fromisoformat(inner)
            case "c":
                return Choice(*inner)
        raise ValueError(f"unknown tag {tag!r} in stored fields")
    return value  # type: ignore[no-any-return]


def dump_fields(fields: Fields) -> str:
    """Fields as canonical JSON: equal fields give equal text, so it can be compared and hashed."""
    return canonical_json(fields if type(fields) is dict else dict(fields), _encode)


def load_fields(text: str) -> dict[str, FieldValue]:
    """The inverse of `dump_fields`."""
    return {name: _decode(value) for name, value in load_json(text).items()}
