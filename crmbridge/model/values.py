"""The values of a record's fields: which kinds there are, who may read them, and how they are stored. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from crmbridge.model.encoding import canonical_json, load_json
from crmbridge.model.words import clean


@dataclass(frozen=True, slots=True)
class Choice:
    """A picklist entry. `value` is stable and independent of language; `label` is what people read."""

    value: str
    label: str

    def __str__(self) -> str:
        return self.label


class Ordered(tuple[Any, ...]):
    """A list whose order has a meaning. Of any other list, only its items count."""

    __slots__ = ()


_KEPT: Final = 200  # characters that are kept of a value that could not be read


@dataclass(frozen=True, slots=True)
class Unread:
    """A value that does not fit the type of its field, with the reason. No rule can use it."""

    text: str
    reason: str

    @staticmethod
    def of(raw: Any, reason: str) -> Unread:
        """Keep as much of `raw` as people need to recognise it."""
        if isinstance(raw, Mapping):
            text = json.dumps(raw, ensure_ascii=False, default=str)
        else:
            text = str(raw) if isinstance(raw, (str, Decimal, date)) else repr(raw)
        return Unread(clean(text[: 2 * _KEPT])[:_KEPT], reason)

    @property
    def words(self) -> str:
        """What was given, and why it is no value of the field, in words for people."""
        return f"{self.text!r} cannot be read: {self.reason}"


def as_written(value: FieldValue) -> FieldValue:
    """Return the text of a value that could not be read, and any other value unchanged."""
    return value.text if isinstance(value, Unread) else value


FieldValue = str | bool | Decimal | date | datetime | Choice | Unread | tuple["FieldValue", ...] | None
Fields = Mapping[str, FieldValue]
"""The fields of a record, flat. A field of a related record is named by its dotted path (`Account.Name`)."""


class FieldType(StrEnum):
    """How a raw value becomes a `FieldValue` (`model/reading.py`). `any` keeps what the source's own type says."""

    ANY = "any"
    TEXT = "text"
    HTML = "html"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    SET = "set"
    LIST = "list"


class Sensitivity(StrEnum):
    """Who may read a field in a message: everyone, the company, or nobody."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SECRET = "secret"  # noqa: S105  # nosec B105  # a word


class Audience(StrEnum):
    """Who can read a channel."""

    PUBLIC = "public"
    COMPANY = "company"
    TEAM = "team"

    def may_read(self, sensitivity: Sensitivity) -> bool:
        """Say whether this audience may read a field. The one rule of disclosure: public reads public, others internal, nobody secret."""
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
    separator: str = ";"
    """For sets and lists: the separator of their items, where they come as text."""


RecordSpec = Mapping[str, FieldSpec]


def number_text(number: Decimal) -> str:
    """Write a Decimal as people do: no exponent, no trailing zeros (`1E+3` -> `1000`, `1.50` -> `1.5`)."""
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
    if isinstance(value, Ordered):
        return {"l": list(value)}
    if isinstance(value, Unread):
        return {"u": [value.text, value.reason]}
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
            case "l":
                return Ordered(map(_decode, inner))
            case "u":
                return Unread(*inner)
        raise ValueError(f"unknown tag {tag!r} in stored fields")
    return value  # type: ignore[no-any-return]


def dump_fields(fields: Fields) -> str:
    """Write fields as canonical JSON. Equal fields give equal text, which can be compared and hashed."""
    return canonical_json(fields if type(fields) is dict else dict(fields), _encode)


def load_fields(text: str) -> dict[str, FieldValue]:
    """Read what `dump_fields` wrote."""
    return {name: _decode(value) for name, value in load_json(text).items()}
