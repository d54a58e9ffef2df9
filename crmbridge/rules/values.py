"""The values of expressions: what is empty, equal, ordered, and how each is printed.

A string knows where it comes from: `Authored` stands in the rule, `Joined` holds both kinds apart, a plain one came from a record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Final

from crmbridge.errors import RenderError
from crmbridge.model import Choice, Literal, Text, Value, number_text, parse_date, parse_instant, parse_number, plain

MAX_TEXT: Final = 64 * 1024
"""Characters of one rendering."""


class Authored(str):
    """A string that stands in the rule itself."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """Strings of both origins, joined by `~`."""

    spans: Text

    def __str__(self) -> str:
        return plain(self.spans)


class Missing:
    """A field that this record does not have, with its name for the error."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __bool__(self) -> bool:
        return False


def empty(value: Any) -> bool:
    """True for a missing or null value."""
    return value is None or isinstance(value, Missing)


def flat(value: Any) -> Any:
    """Joined and authored words as a plain string; anything else unchanged."""
    return str(value) if isinstance(value, (Joined, Authored)) else value


def equal(left: Any, right: Any) -> bool:
    """Equality as a rule's author means it: a picklist by label or value, numbers and dates also as written text."""
    left, right = flat(left), flat(right)
    for one, other in ((left, right), (right, left)):
        match one:
            case Choice():
                return other == one or (isinstance(other, str) and other in (one.value, one.label))
            case bool():
                return other is one or (isinstance(other, str) and other.lower() == str(one).lower())
            case Decimal() if isinstance(other, str):
                return other == str(one) or parse_number(other) == one
            case datetime() if isinstance(other, str):
                return parse_instant(other) == one
            case date() if isinstance(other, str):
                return parse_date(other) == one
    if isinstance(left, datetime) != isinstance(right, datetime) and isinstance(left, date) and isinstance(right, date):
        return _day(left) == _day(right)
    return bool(left == right)


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def ordered(left: Any, right: Any, compare: Callable[[Any, Any], bool]) -> bool:
    """`compare` on two numbers, two dates or two texts; a text beside a number or date is read as one.

    Raises RenderError where the two cannot be ordered.
    """
    left, right = _alike(flat(left), right), _alike(flat(right), left)
    if isinstance(left, datetime) != isinstance(right, datetime) and isinstance(left, date) and isinstance(right, date):
        left, right = _day(left), _day(right)
    if type(left) is type(right) and isinstance(left, (Decimal, date, str)):
        return compare(left, right)
    raise RenderError(f"cannot compare {kind_of(left)} with {kind_of(right)}")


def _alike(value: Any, other: Any) -> Any:
    if isinstance(value, str):
        if isinstance(other, Decimal):
            return parse_number(value)
        if isinstance(other, datetime):
            return parse_instant(value) or value
        if isinstance(other, date):
            return parse_date(value)
    return value


def kind_of(value: Any) -> str:
    """A value's kind, for messages."""
    names = {
        Decimal: "a number",
        str: "a text",
        datetime: "an instant",
        date: "a date",
        bool: "true/false",
        tuple: "a list",
        Choice: "a choice",
    }
    return "an empty value" if empty(value) else names.get(type(value), "this value")


def to_spans(value: Any, zone: Any = timezone.utc) -> Text:
    """A value as it is printed. Raises RenderError for what is empty, naming it."""
    if type(value) is str:  # most values are
        return (Value(value),)
    match value:
        case Authored():
            return (Literal(str(value)),)
        case Joined():
            return value.spans
        case None:
            raise RenderError('is empty here; write `| default("...")` to say what stands in its place')
        case Missing():
            raise RenderError(f'{value.name} is not known for this record; write `| default("...")` to say what stands in its place')
    return (Value(shown(value, zone)),)


def shown(value: Any, zone: Any = timezone.utc) -> str:
    """A field value as people read it, without any filter."""
    match value:
        case str() | Choice() | Joined():
            return str(value)
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return number_text(value)
        case datetime():
            return value.astimezone(zone).strftime("%Y-%m-%d %H:%M")
        case date():
            return value.isoformat()
        case tuple():
            return ", ".join(shown(item, zone) for item in value if not empty(item))
    raise RenderError(f"{kind_of(value)} cannot be shown")


def number(value: Any) -> Decimal:
    """`value` as a number. Raises RenderError where it is none."""
    value = flat(value)
    if isinstance(value, str):
        value = parse_number(value)
    if isinstance(value, Decimal):
        return value
    raise RenderError(f"{kind_of(value)} is not a number")


def contains(container: Any, item: Any) -> bool:
    """True if a list has `item`, or a text has it as a part."""
    container = flat(container)
    if isinstance(container, tuple):
        return any(equal(one, item) for one in container)
    if isinstance(container, (str, Choice)):
        return str(flat(item)) in str(container)
    raise RenderError(f"{kind_of(container)} contains nothing")


def bounded(text: Text) -> Text:
    """`text`, or RenderError if it is longer than any message may be."""
    if sum(len(span.text) for span in text) > MAX_TEXT:
        raise RenderError(f"the text is longer than {MAX_TEXT} characters")
    return text


def divide(left: Decimal, right: Decimal) -> Decimal:
    """A quotient. Raises RenderError for a zero divisor."""
    if not right:
        raise RenderError("division by zero")
    return left / right
