"""Numbers as people and programs write them. A way of writing is configured, or only one is possible. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

NUMBERS: Final = ("1234.5", "1,234.5", "1234,5", "1.234,5", "1 234,5", "1 234.5", "1'234.5", "1,23,456.7")
"""Ways of writing a number, each by an example of itself. The separator of thousands may be left out."""


class Ambiguous(ValueError):
    """A text can mean two values, and no configuration says which."""


_LONGEST_NUMBER: Final = 64  # characters
_SIGN: Final = {"-": "-", "\u2212": "-", "\u2013": "-", "+": "+"}
_BLANKS: Final = dict.fromkeys(map(ord, "\u00a0\u202f\u2009\u2007"), " ") | {ord("\u2019"): "'"}
_SIGNS: Final = r"[A-Z]{0,3}[$€£¥₹₩₽₺₪฿₫₴₦₱₵₡₲₸₼₾]|kr\.?|zł|Kč|Ft|lei|Fr\.|Rs\.?"
_MONEY: Final = re.compile(rf"(?P<before>{_SIGNS}|[A-Z]{{3}})?\s*(?P<rest>.*?)\s*(?P<after>{_SIGNS}|[A-Z]{{3}})?")
_CODES: Final = frozenset(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP
    CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY
    KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
    NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
    TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW""".split()  # noqa: SIM905
)
"""The currency codes of ISO 4217."""
_EXPONENT: Final = re.compile(r"[eE][+-]?[0-9]{1,2}\Z")


def read_number(text: str, numbers: str | None, *, money: bool = False) -> Decimal:
    """Read a number that is written as `numbers` (one of NUMBERS). With None, read it if it can mean only one number.

    Raises ValueError that says why it is none.

    A sign may stand before or after the number (as SAP writes it), or be round brackets (as accountants do). Beside money a currency may
    stand.
    """
    bare = text.strip().translate(_BLANKS) if len(text) <= 4 * _LONGEST_NUMBER else text
    if len(bare) > _LONGEST_NUMBER:
        raise ValueError("it is too long for a number")
    negative, bare = _unsigned(bare)
    if money and (amount := _without_currency(bare)) != bare:
        negative, bare = (True, amount) if negative else _unsigned(amount)  # the sign stands on one side of the currency
    exponent = _EXPONENT.search(bare)
    mantissa = bare[: exponent.start()] if exponent else bare
    digits = _digits(mantissa, numbers)
    try:
        number = Decimal(digits + (exponent[0] if exponent else ""))
    except InvalidOperation:
        raise ValueError("it is no number") from None
    if not is_ordinary(number):
        raise ValueError("it is no number that can be worked with")
    return -number if negative else number


def _unsigned(text: str) -> tuple[bool, str]:
    """Say whether a sign makes a number negative, and return the rest of it."""
    if text.startswith("(") and text.endswith(")"):
        return True, text[1:-1].strip()
    if text and text[0] in _SIGN:
        return _SIGN[text[0]] == "-", text[1:].strip()
    if text and text[-1] in _SIGN and text[-2:-1] not in (",", "."):  # `1.250,-` is a whole amount and not negative
        return _SIGN[text[-1]] == "-", text[:-1].strip()
    return False, text


def _without_currency(text: str) -> str:
    """Remove the sign or code of a currency, which may stand on one side of an amount."""
    found = _MONEY.fullmatch(text)
    marks = [mark for name in ("before", "after") if found and (mark := found[name])]
    if found is None or len(marks) != 1 or (marks[0].isalpha() and marks[0].isupper() and marks[0] not in _CODES):
        return text
    return found["rest"]


def _grouping(numbers: str) -> tuple[str, str]:
    """Return what separates thousands (empty: nothing does), and what separates decimals."""
    point = "," if numbers.endswith(",5") else "."
    group = next((char for char in numbers if not char.isdigit() and char != point), "")
    return group, point


def _digits(text: str, numbers: str | None) -> str:
    """Return the digits with a point, as Python reads them. Raises ValueError."""
    if not text or not all(char in "0123456789.,' " for char in text) or not any(char.isdigit() for char in text):
        raise ValueError("it is no number")
    if numbers is None:
        group, point = _found_separators(text)
        example = "a number"
    else:
        (group, point), example = _grouping(numbers), numbers
    whole, at, places = text.partition(point) if point else (text, "", "")
    if (places and not places.isdigit()) or not _grouped(whole, group, numbers):
        raise ValueError(f"it is not written like {example}")
    return (whole.replace(group, "") if group else whole) + ("." + places if at else "")


def _grouped(whole: str, group: str, numbers: str | None) -> bool:
    """Say whether the digits before the decimals are grouped in an allowed way, or not grouped."""
    if not group or group not in whole:
        return whole.isdigit() or not whole
    first, *groups = whole.split(group)
    if not all(part.isdigit() for part in (first, *groups)):
        return False
    by_three = len(first) <= 3 and all(len(part) == 3 for part in groups)
    indian = len(first) <= 2 and len(groups[-1]) == 3 and all(len(part) == 2 for part in groups[:-1])
    if numbers is None:
        return by_three or (indian and group == ",")
    return indian or (by_three and len(groups) == 1) if numbers == "1,23,456.7" else by_three


def _found_separators(text: str) -> tuple[str, str]:
    """Find what separates thousands and decimals in a number for which no way of writing is configured.

    Raises ValueError, also where the number can mean two values (Ambiguous).
    """
    marks = [char for char in text if not char.isdigit()]
    kinds = list(dict.fromkeys(marks))
    if len(kinds) > 2 or (len(kinds) == 2 and marks.count(kinds[1]) > 1) or (len(kinds) == 2 and marks.index(kinds[1]) != len(marks) - 1):
        raise ValueError("it is no number")
    if len(kinds) == 2:
        if kinds[1] not in ".,":
            raise ValueError("it is no number")
        return kinds[0], kinds[1]
    if not kinds or kinds[0] in "' " or len(marks) > 1:
        return (kinds[0] if kinds else ""), ""
    (mark,) = kinds
    before, _, behind = text.partition(mark)
    if len(behind) == 3 and 1 <= len(before) <= 3 and not before.startswith("0"):
        raise Ambiguous(f'it can mean {before}{behind} and {before}.{behind}: say `numbers:` at its source, like numbers: "1.234,5"')
    return "", mark


def is_ordinary(number: Decimal) -> bool:
    """Say whether a number is of ordinary size. Others are written in a few bytes, and take a gigabyte without their exponent."""
    return number.is_finite() and -40 < number.adjusted() < 40 and len(number.as_tuple().digits) <= 64


def parse_number(text: str) -> Decimal | None:
    """Read a plain decimal number as a vendor's interface writes it, else return None. `1_000` and huge exponents are no numbers here."""
    try:
        return read_number(text, "1234.5")
    except ValueError:
        return None
