"""Filters, each at its bounds."""

from datetime import date, datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from crmbridge.errors import RenderError
from crmbridge.model import Ambiguous, Choice, Reading
from crmbridge.rules import filters
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.values import Authored

BERLIN = Reading(zone=ZoneInfo("Europe/Berlin"), days=ZoneInfo("Europe/Berlin"))
LATE = datetime(2026, 11, 22, 23, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("name", "value", "args", "expected"),
    [
        ("money", Decimal("1200.5"), ("eur",), "€1,200.50"),
        ("money", Decimal("1200"), ("EUR",), "€1,200"),
        ("money", Decimal("1200.00"), (), "1,200"),
        ("money", Decimal("0.005"), ("EUR",), "€0.01"),
        ("money", Decimal("-0.5"), ("USD",), "-$0.50"),
        ("money", Decimal("-1234.5"), ("SEK",), "-1,234.50 SEK"),
        ("money", Decimal("-1234.5"), (), "-1,234.50"),
        ("money", Decimal(0), ("EUR",), "€0"),
        ("money", Decimal("1200.5"), ("JPY",), "¥1,201"),
        ("money", Decimal("1200.5"), ("KRW",), "₩1,201"),
        *(("money", Decimal("7.5"), (code,), f"8 {code}") for code in ("CLP", "ISK", "UGX", "VND", "XAF", "XOF")),
        ("money", Decimal("7.5"), ("GBP",), "£7.50"),
        ("money", Decimal("7.5"), ("CHF",), "CHF 7.50"),
        ("money", Decimal("7.5"), ("INR",), "₹7.50"),
        ("money", Decimal("7.5"), ("CNY",), "CN¥7.50"),
        ("money", Decimal("7.5"), ("BRL",), "R$7.50"),
        ("money", "7.5 EUR", ("EUR",), "€7.50"),
        ("number", Decimal("1234.5"), (), "1,235"),
        ("number", Decimal("-1234.5"), (), "-1,235"),
        ("number", Decimal("1234.5"), (2,), "1,234.50"),
        ("number", Decimal(1), (10,), "1.0000000000"),
        ("number", Decimal(1), (Decimal(1),), "1.0"),
        ("round", Decimal("2.5"), (), Decimal(3)),
        ("round", Decimal("2.45"), (1,), Decimal("2.5")),
        ("round", Decimal(1), (10,), Decimal(1)),
        ("plural", Decimal(1), ("seat",), "1 seat"),
        ("plural", Decimal(0), ("seat",), "0 seats"),
        ("plural", Decimal(-1), ("seat",), "-1 seats"),
        ("plural", Decimal("1.5"), ("seat",), "1.5 seats"),
        ("plural", Decimal("2.00"), ("child", "children"), "2 children"),
        ("plural", Decimal(1200), ("seat",), "1,200 seats"),
        ("date", date(2026, 11, 2), (), "2 November 2026"),
        ("date", LATE, (), "23 November 2026"),
        ("date", datetime(2026, 11, 22, 23, 30), ("%d %H:%M",), "22 23:30"),
        ("date", Authored("2026-11-22"), ("%d.%m.",), "22.11."),
        ("date", date(2026, 11, 2), ("x" * 100,), "x" * 100),
        ("slug", "Parkers GmbH & Co.", (), "parkers-gmbh-co"),
        ("slug", " Ärzte -- ß 2 ", (), "arzte-2"),
        ("slug", "&", (), ""),
        ("truncate", "x" * 80, (), "x" * 80),
        ("truncate", "x" * 81, (), "x" * 79 + "…"),
        ("truncate", "abc", (3,), "abc"),
        ("truncate", "abcd", (3,), "ab…"),
        ("truncate", "abcd", (1,), "…"),
        ("truncate", "a bcdefgh", (6,), "a bcd…"),  # a word is split where half the room would be lost
        ("truncate", "ab cdefgh", (6,), "ab cd…"),
        ("truncate", "abc defgh", (6,), "abc…"),
        ("truncate", "abcd  fgh", (6,), "abcd…"),
        ("truncate", "x" * 10_001, (10_000,), "x" * 9_999 + "…"),
        ("upper", Choice("a", "Straße"), (), "STRASSE"),
        ("lower", Choice("A", "Won"), (), "won"),
        ("trim", "\u00a0 a b ", (), "a b"),
        ("first_word", " Ann Lee ", (), "Ann"),
        ("first_word", " ", (), ""),
        ("join", ("a", None, Decimal("1.50")), (), "a, 1.5"),
        ("join", ("a", "b"), (" + ",), "a + b"),
        ("join", "a", (" + ",), "a"),
        ("length", ("a", "b"), (), Decimal(2)),
        ("length", "abc", (), Decimal(3)),
        ("length", Decimal("1.50"), (), Decimal(3)),
        ("length", (), (), Decimal(0)),
    ],
)
def test_what_a_filter_gives(name, value, args, expected):
    told = {"reading": BERLIN} if FILTERS[name] in filters.READING else {}
    found = FILTERS[name](value, *args, **told)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "value", "args", "error"),
    [
        ("number", Decimal(1), (11,), "places must be from 0 to 10"),
        ("number", Decimal(1), (-1,), "places must be from 0 to 10"),
        ("round", Decimal(1), (11,), "places must be from 0 to 10"),
        ("round", Decimal(1), (-1,), "places must be from 0 to 10"),
        ("truncate", "abc", (0,), "length must be from 1 to 10000"),
        ("truncate", "abc", (10_001,), "length must be from 1 to 10000"),
        ("date", date(2026, 11, 2), ("x" * 101,), "the pattern is longer than 100 characters"),
        ("date", "soon", (), "it is not a date"),
        ("date", Decimal(5), (), "it is not a date"),
        ("money", True, (), "true/false is not a number"),
        ("number", (), (), "a list is not a number"),
    ],
)
def test_what_a_filter_refuses(name, value, args, error):
    with pytest.raises((ValueError, TypeError, RenderError)) as found:
        FILTERS[name](value, *args)
    assert str(found.value) == error


def test_a_day_that_could_be_two_is_refused():
    with pytest.raises(Ambiguous):
        filters.as_date("12/01/2026")
