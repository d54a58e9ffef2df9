"""The filters of templates and conditions: `{{ record.Amount | money("EUR") }}`.

Each takes a value that is not empty and returns text or a number; TypeError and ValueError become render errors.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from crmbridge.model import Ambiguous, Literal, Reading, Value, begin, local, markup_words
from crmbridge.rules.compiler import COSTLY, READING
from crmbridge.rules.values import MAX_TEXT, PLAIN, Joined, flat, shown
from crmbridge.rules.values import number as to_number

_SYMBOLS: Final = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CHF": "CHF ", "INR": "₹", "CNY": "CN¥", "BRL": "R$", "KRW": "₩"}
_WITHOUT_CENTS: Final = frozenset({"JPY", "KRW", "CLP", "ISK", "UGX", "VND", "XAF", "XOF"})
_MAX_WIDTH: Final = 10_000


def _grouped(value: Decimal, places: int) -> str:
    quantum = Decimal(1).scaleb(-places)
    return f"{value.quantize(quantum, ROUND_HALF_UP):,f}"


def money(value: Any, currency: str = "", *, reading: Reading = PLAIN) -> str:
    """Write an amount with its currency: `€1,200.50`; whole amounts lose their cents: `€120,000`."""
    amount = to_number(value, reading, money=True)
    code = str(currency).upper()
    whole = code in _WITHOUT_CENTS or amount == amount.to_integral_value()
    digits = _grouped(abs(amount), 0 if whole else 2)
    sign = "-" if amount < 0 else ""
    if not code:
        return sign + digits
    symbol = _SYMBOLS.get(code)
    return f"{sign}{symbol}{digits}" if symbol else f"{sign}{digits} {code}"


def number(value: Any, places: Any = 0, *, reading: Reading = PLAIN) -> str:
    """Write a number with thousands separated and `places` decimals (0 to 10): `1,234`."""
    wanted = int(places)
    if not 0 <= wanted <= 10:
        raise ValueError("places must be from 0 to 10")
    return _grouped(to_number(value, reading), wanted)


def as_date(value: Any, pattern: str = "%-d %B %Y", *, reading: Reading = PLAIN) -> str:
    """Write a date or instant by a strftime pattern, in the configured zone: `22 November 2026`."""
    value = flat(value)
    if isinstance(value, str):
        value = _moment(value, reading)
    if isinstance(value, datetime):
        value = local(reading.aware(value), reading.days)
    if not isinstance(value, date):
        raise TypeError("it is not a date")
    if len(pattern) > 100:
        raise ValueError("the pattern is longer than 100 characters")
    return value.strftime(pattern)


def _moment(text: str, reading: Reading) -> date:
    try:
        return reading.moment(text)
    except Ambiguous:
        raise
    except ValueError:
        raise TypeError("it is not a date") from None


def slug(value: Any) -> str:
    """Lower-case ASCII words joined by `-`: `Parkers GmbH & Co` -> `parkers-gmbh-co`."""
    ascii_text = unicodedata.normalize("NFKD", shown(value)[:MAX_TEXT]).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")


def truncate(value: Any, length: Any = 80) -> str:
    """At most `length` characters, the last of them `…` if something was cut, without splitting a word if it can."""
    wanted = int(length)
    if not 1 <= wanted <= _MAX_WIDTH:
        raise ValueError(f"length must be from 1 to {_MAX_WIDTH}")
    text = shown(value)
    if len(text) <= wanted:
        return text
    cut = begin(text, wanted - 1)
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) >= wanted // 2 else cut).rstrip() + "…"


def plain(value: Any) -> str:
    """Take the words out of a rich-text field, without its tags: `<p>Hello&nbsp;<b>world</b></p>` -> `Hello world`."""
    return markup_words(shown(value))


def plural(value: Any, one: str, many: str = "", *, reading: Reading = PLAIN) -> str:
    """Write a count with its noun: `{{ record.Seats | plural("seat") }}` -> `1 seat`, `2 seats`."""
    count = to_number(value, reading)
    noun = one if count == 1 else (many or f"{one}s")
    return f"{number(count) if count == count.to_integral_value() else shown(count)} {noun}"


def upper(value: Any) -> str:
    """In capitals."""
    return shown(value).upper()


def lower(value: Any) -> str:
    """In small letters."""
    return shown(value).lower()


def trim(value: Any) -> str:
    """Without white space at both ends."""
    return shown(value).strip()


def first_word(value: Any) -> str:
    """Take the first word of a text: a given name, mostly."""
    words = shown(value).split()
    return words[0] if words else ""


def join(value: Any, separator: str = ", ") -> str:
    """Join a list's items with `separator` between them."""
    items = value if isinstance(value, tuple) else (value,)
    return str(separator).join(shown(item) for item in items if item is not None)


def mention(value: Any) -> Joined:
    """Name a person by e-mail address, so that they are notified where the network can do that: `{{ record.Owner.Email | mention }}`."""
    items = [shown(item).strip() for item in (value if isinstance(value, tuple) else (value,)) if item is not None]
    parts: list[Literal | Value] = []
    for item in filter(None, items):
        parts += [Literal(", "), Value(item, mention=True)] if parts else [Value(item, mention=True)]
    return Joined(tuple(parts))


def length(value: Any) -> Decimal:
    """Count a list's items or a text's characters."""
    return Decimal(len(value) if isinstance(value, tuple) else len(shown(value)))


def rounded(value: Any, places: Any = 0, *, reading: Reading = PLAIN) -> Decimal:
    """Round a number to `places` decimals (0 to 10), half up."""
    wanted = int(places)
    if not 0 <= wanted <= 10:
        raise ValueError("places must be from 0 to 10")
    return to_number(value, reading).quantize(Decimal(1).scaleb(-wanted), ROUND_HALF_UP)


def default(value: Any, _: Any) -> Any:
    """Put something in place of an empty or missing value: `{{ record.City | default("somewhere") }}`."""
    return value


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "date": as_date,
    "default": default,
    "first_word": first_word,
    "join": join,
    "length": length,
    "lower": lower,
    "mention": mention,
    "money": money,
    "number": number,
    "plain": plain,
    "plural": plural,
    "round": rounded,
    "slug": slug,
    "trim": trim,
    "truncate": truncate,
    "upper": upper,
}
COSTLY.add(plain)
READING.update((as_date, money, number, plural, rounded))
