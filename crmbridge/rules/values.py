"""The values of expressions: what is empty, equal, ordered, and how each is printed.

A string knows where it comes from: `Authored` stands in the rule, `Joined` holds both kinds apart, a plain one came from a record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from crmbridge.errors import RenderError
from crmbridge.model import Ambiguous, Choice, Literal, Ordered, Reading, Text, Unread, Value, alike, local, number_text, plain, read_truth

S = TypeVar("S")
T = TypeVar("T")
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


class Empty(RenderError):
    """Something was to be printed or worked on, and is empty. `name`: the lookup it came from, where that is plain."""

    def __init__(self, name: str = "", *, missing: bool = False) -> None:
        super().__init__(f"{name or 'a value'} is {'not known for this record' if missing else 'empty here'}")
        self.name = name
        self.missing = missing


def empty(value: Any) -> bool:
    """Say whether a value is missing or null."""
    return value is None or isinstance(value, Missing)


def flat(value: Any) -> Any:
    """Turn joined and authored words into a plain string. Anything else stays as it is."""
    return str(value) if isinstance(value, (Joined, Authored)) else value


PLAIN: Final = Reading()
"""How a rule writes numbers and days: as in 1234.5 and 2026-12-31."""


def equal(left: Any, right: Any, reading: Reading = PLAIN) -> bool:
    """Equality as a rule's author means it: a picklist by label or value, numbers, days and truth also as written text.

    `reading` is how the source writes. Raises RenderError where the two cannot be compared: false would be a guess.
    """
    left, right = _readable(left), _readable(right)
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Choice):
            return _is_choice(one, flat(other))
    for one, other, how in ((left, right, _how(right, reading)), (right, left, _how(left, reading))):
        other = flat(other)
        match flat(one):
            case bool() as truth:
                return _is_truth(truth, other)
            case Decimal() as number if isinstance(other, str):
                return _read(how.number, other) == number
            case datetime() as moment if isinstance(other, str):
                found = _read(how.moment, other)
                return found is not None and _same_time(moment, found, how)
            case date() as day if isinstance(other, str):
                found = _read(how.moment, other)
                return found is not None and _day(found, how) == day
    left, right = flat(left), flat(right)
    if isinstance(left, str) and isinstance(right, str):
        return left == right or alike(left) == alike(right)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return same_list(left, right)
    if isinstance(left, datetime) != isinstance(right, datetime) and isinstance(left, date) and isinstance(right, date):
        return _day(left, reading) == _day(right, reading)
    return bool(left == right)


def same_list(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two lists hold the same. Their order counts only where one of them says so (`Ordered`)."""
    for key in (_value_key, _label_key):
        mine, yours = [key(item) for item in one], [key(item) for item in other]
        if mine == yours or (not isinstance(one, Ordered) and not isinstance(other, Ordered) and set(mine) == set(yours)):
            return True
    return False


def _value_key(item: Any) -> Any:
    item = flat(item)
    if isinstance(item, tuple):
        return tuple(map(_value_key, item))
    return alike(item.value) if isinstance(item, Choice) else alike(item) if isinstance(item, str) else (type(item), item)


def _label_key(item: Any) -> Any:
    return alike(item.label) if isinstance(item, Choice) else _value_key(item)


def _readable(value: Any) -> Any:
    if isinstance(value, Unread):
        raise RenderError(value.words)
    return value


def _how(value: Any, reading: Reading) -> Reading:
    """How a text is read: the author's own words as rules write, their clock where texts are shown; a record's as its source writes."""
    return Reading(zone=reading.days, days=reading.days) if isinstance(value, (Authored, Joined)) else reading


def _read(read: Callable[[S], T], text: S) -> T | None:
    """Read a text; None if it says no such thing. Raises RenderError where it can mean two."""
    try:
        return read(text)
    except Ambiguous as error:
        raise RenderError(f"{str(text)[:60]!r} cannot be compared: {error}") from None
    except ValueError:
        return None


def _is_choice(choice: Choice, other: Any) -> bool:
    match other:
        case Choice():
            return choice.value == other.value
        case bool():
            return _is_truth(other, choice.value)
        case Decimal():
            return number_text(other) in (alike(choice.value), alike(choice.label))
        case str():
            return alike(other) in (alike(choice.value), alike(choice.label))
    return False


def _is_truth(truth: bool, other: Any) -> bool:
    match other:
        case bool():
            return other is truth
        case str():
            try:
                return read_truth(other) is truth
            except ValueError:
                raise RenderError(f"{other[:60]!r} is compared with {str(truth).lower()}, and is neither true nor false") from None
        case Decimal():
            raise RenderError(f"a number is compared with {str(truth).lower()}: say `type: boolean` where the field is configured")
    return False


def _same_time(moment: datetime, found: date, how: Reading) -> bool:
    if isinstance(found, datetime):
        return _read(how.aware, found) == moment
    return _day(moment, how) == found


def _day(value: date, reading: Reading) -> date:
    return local(value, reading.days).date() if isinstance(value, datetime) and value.tzinfo else _bare(value)


def _bare(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def ordered(left: Any, right: Any, compare: Callable[[Any, Any], bool], reading: Reading = PLAIN) -> bool:
    """`compare` on two numbers, two dates or two texts; a text beside a number or date is read as one, as `reading` says.

    Raises RenderError where the two cannot be ordered.
    """
    left, right = _readable(left), _readable(right)
    one, other = _alike(left, right, _how(left, reading)), _alike(right, left, _how(right, reading))
    if isinstance(one, datetime) != isinstance(other, datetime) and isinstance(one, date) and isinstance(other, date):
        one, other = _day(one, reading), _day(other, reading)
    if type(one) is type(other) and isinstance(one, (Decimal, date, str)):
        return compare(one, other)
    raise RenderError(f"cannot compare {kind_of(one)} with {kind_of(other)}")


def _alike(value: Any, other: Any, how: Reading) -> Any:
    """`value` as something that can be put in order with `other`."""
    value, other = flat(value), flat(other)
    if not isinstance(value, str):
        return value
    if isinstance(other, Decimal):
        number = _read(how.number, value)
        return value if number is None else number
    if isinstance(other, date):
        found = _read(how.moment, value)
        return value if found is None else (_read(how.aware, found) or value) if isinstance(found, datetime) else found
    return alike(value)


def kind_of(value: Any) -> str:
    """Name a value's kind, for messages."""
    names = {
        Decimal: "a number",
        str: "a text",
        datetime: "an instant",
        date: "a date",
        bool: "true/false",
        tuple: "a list",
        Choice: "a choice",
        Unread: "a value that cannot be read",
        Ordered: "a list",
    }
    return "an empty value" if empty(value) else names.get(type(value), "this value")


def to_spans(value: Any, reading: Reading = PLAIN) -> Text:
    """Write a value as it is printed. Raises RenderError for an empty one, naming it."""
    if type(value) is str:  # most values are
        return (Value(value),)
    match value:
        case Authored():
            return (Literal(str(value)),)
        case Joined():
            return value.spans
        case None:
            raise Empty
        case Missing():
            raise Empty(value.name, missing=True)
    return (Value(shown(value, reading)),)


def shown(value: Any, reading: Reading = PLAIN) -> str:
    """Write a field value as people read it, without any filter."""
    match value:
        case str() | Choice() | Joined():
            return str(value)
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return number_text(value)
        case datetime():
            return f"{local(value, reading.days):%Y-%m-%d %H:%M}"
        case date():
            return value.isoformat()
        case tuple():
            return ", ".join(shown(item, reading) for item in value if not empty(item))
        case Unread():
            raise RenderError(value.words)
    raise RenderError(f"{kind_of(value)} cannot be shown")


def told(value: Any, reading: Reading = PLAIN) -> str:
    """Write a field value for who looks after crmbridge, who also wants to see what could not be read."""
    return value.words if isinstance(value, Unread) else shown(value, reading)


def number(value: Any, reading: Reading = PLAIN, *, money: bool = False) -> Decimal:
    """`value` as a number, a text as `reading` says. Raises RenderError where it is none."""
    how, value = _how(value, reading), flat(value)
    if isinstance(value, str):
        try:
            return how.number(value, money=money)
        except Ambiguous as error:
            raise RenderError(f"{value[:60]!r} is no number here: {error}") from None
        except ValueError:
            raise RenderError(f"{kind_of(value)} is not a number") from None
    if isinstance(value, Decimal):
        return value
    raise RenderError(f"{kind_of(value)} is not a number")


def contains(container: Any, item: Any, reading: Reading = PLAIN) -> bool:
    """Say whether a list has `item`, or a text has it as a part."""
    container = flat(_readable(container))
    if isinstance(container, tuple):
        return any(equal(one, item, reading) for one in container)
    if isinstance(container, (str, Choice)):
        return alike(str(flat(item))) in alike(str(container))
    raise RenderError(f"{kind_of(container)} contains nothing")


def bounded(text: Text) -> Text:
    """`text`, or RenderError if it is longer than any message may be."""
    if sum(len(span.text) for span in text) > MAX_TEXT:
        raise RenderError(f"the text is longer than {MAX_TEXT} characters")
    return text


def divide(left: Decimal, right: Decimal) -> Decimal:
    """Divide. Raises RenderError for a zero divisor."""
    if not right:
        raise RenderError("division by zero")
    return left / right
