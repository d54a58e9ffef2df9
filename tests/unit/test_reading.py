"""What a source meant: numbers, money, days, instants, truth and sets, in each way of writing. Never another value."""

import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crmbridge.model import (
    DATES,
    NUMBERS,
    Ambiguous,
    Choice,
    FieldType,
    Ordered,
    Reading,
    Unread,
    comes_twice,
    identity,
    marked,
    read_number,
)

UTC = timezone.utc
BERLIN, ANGELES = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")
ASKING = Reading(numbers=None)
GERMAN = Reading(numbers="1.234,5", dates="31/12/2026", zone=BERLIN, days=BERLIN)


def value(raw, type_="any", reading=ASKING):
    return reading.value(raw, FieldType(type_))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250000", "250000"),
        ("250000,5", "250000.5"),
        ("1,50", "1.5"),
        ("1.50", "1.5"),
        ("250.000,50", "250000.5"),
        ("250,000.50", "250000.5"),
        ("1.250.000", "1250000"),
        ("1,250,000", "1250000"),
        ("12,34,567", "1234567"),
        ("12,34,567.5", "1234567.5"),
        ("250'000.00", "250000"),
        ("250\u2019000", "250000"),
        ("1 250 000,5", "1250000.5"),
        ("1\u202f250", "1250"),
        ("1\u00a0250,00", "1250"),
        ("0.125", "0.125"),
        ("0,125", "0.125"),
        ("1234,567", "1234.567"),
        ("1.2345", "1.2345"),
        (".5", "0.5"),
        ("-1,5", "-1.5"),
        ("\u22121,5", "-1.5"),
        ("1,5-", "-1.5"),
        ("(1,5)", "-1.5"),
        ("+7", "7"),
        ("1.5E+3", "1500"),
        ("1,5E3", "1500"),
    ],
)
def test_a_number_that_can_mean_but_one_is_read(text, expected):
    """Without a word about how the source writes."""
    assert value(text, "number") == value(f" {text} ", "money") == Decimal(expected)


@pytest.mark.parametrize("text", ["250.000", "250,000", "1.000", "-1.000", "(999,999)", "12.345"])
def test_what_can_mean_two_numbers_is_none(text):
    """A separator followed by exactly three digits."""
    for type_ in ("number", "money"):
        found = value(text, type_)
        assert isinstance(found, Unread)
        assert (found.text, "numbers:" in found.reason) == (text, True)
    with pytest.raises(Ambiguous):
        read_number(text, None)


@pytest.mark.parametrize(
    "text", ["n/a", "-", "1.2.3", "1,2,3", "1.23.456", "1,234.567,8", "1 2", "12 34", "1_000", "0x10", "NaN", "inf", "1e400", "5 %", "5k",
             "5 Mio", "1.234,5.6", "١٢٣", "9" * 65, "--5", "(5", "5 EUR USD", "1..5", "1''000"]
)  # fmt: skip
def test_what_is_no_number_is_none(text):
    for reading in (ASKING, Reading(), GERMAN):
        for type_ in ("number", "money"):
            assert isinstance(value(text, type_, reading), Unread)


@pytest.mark.parametrize(
    ("text", "numbers", "expected"),
    [
        ("250.000", "1.234,5", "250000"),
        ("250.000", "1,234.5", "250"),
        ("250.000", "1234.5", "250"),
        ("250,000", "1,234.5", "250000"),
        ("250,000", "1234,5", "250"),
        ("1.50", "1.234,5", None),
        ("1,5", "1,234.5", None),
        ("1,5", "1234.5", None),
        ("1,234.5", "1234.5", None),
        ("1.23.456", "1.234,5", None),
        ("1 234,5", "1 234,5", "1234.5"),
        ("1'234.5", "1'234.5", "1234.5"),
        ("1,23,456.7", "1,23,456.7", "123456.7"),
        ("12,345", "1,23,456.7", "12345"),
        ("123,456,789", "1,23,456.7", None),
    ],
)
def test_a_source_that_says_how_it_writes_is_taken_at_its_word(text, numbers, expected):
    """What is written otherwise is no number: nobody guesses that it was an exception."""
    found = value(text, "number", Reading(numbers=numbers))
    assert isinstance(found, Unread) if expected is None else found == Decimal(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("€ 1.234,50", "1234.5"),
        ("1.234,50 €", "1234.5"),
        ("EUR 1.234,50", "1234.5"),
        ("1.234,50 EUR", "1234.5"),
        ("-€5", "-5"),
        ("€-5", "-5"),
        ("(€ 5)", "-5"),
        ("US$5", "5"),
        ("5 kr", "5"),
        ("5 XYZ", None),
        ("€5€", None),
        ("TSD 5", None),
    ],
)
def test_money_may_name_its_currency(text, expected):
    found = value(text, "money", GERMAN)
    assert isinstance(found, Unread) if expected is None else found == Decimal(expected)
    assert isinstance(value(text, "number", GERMAN), Unread), "a number has none"


def written(number: Decimal, style: str, *, grouped: bool) -> str:
    """A number in a style, by other means than it is read with."""
    point = "," if style.endswith(",5") else "."
    group = style[1] if style[1] != "2" else ""
    whole, _, places = str(abs(number)).partition(".")
    if grouped and group and style.count(group) == 1:
        whole = f"{int(whole):,}".replace(",", group)
    elif grouped and group:
        head, tail = whole[:-3], whole[-3:]
        pairs = [head[max(0, at - 2) : at] for at in range(len(head), 0, -2)][::-1]
        whole = ",".join([*pairs, tail]) if head else tail
    return ("-" if number < 0 else "") + whole + (point + places if places else "")


amounts = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=None).map(
    lambda one: one.quantize(Decimal("1e-4")).normalize()
) | st.integers(-(10**12), 10**12).map(Decimal)


@given(amounts.map(lambda one: Decimal(format(one, "f"))), st.sampled_from(NUMBERS), st.booleans())
@example(Decimal("250000"), "1.234,5", True)
@example(Decimal("1000"), "1,23,456.7", True)
def test_every_number_in_every_way_of_writing(number, style, grouped):
    """Said, it is read exactly. Not said, it is read exactly or not at all: it never becomes another number."""
    text = written(number, style, grouped=grouped)
    for type_ in ("number", "money"):
        assert value(text, type_, Reading(numbers=style)) == number
        unsaid = value(text, type_)
        assert unsaid == number or (isinstance(unsaid, Unread) and "numbers:" in unsaid.reason)


@given(st.text("0123456789.,' -+()eE€%", max_size=14), st.sampled_from([None, *NUMBERS]))
def test_no_text_becomes_a_number_that_it_does_not_show(text, numbers):
    """The digits of what is read stand in the text, in their order."""
    found = value(text, "number", Reading(numbers=numbers))
    if isinstance(found, Decimal) and "e" not in text.lower():
        digits = "".join(one for one in text if one.isdigit())
        assert format(abs(found), "f").replace(".", "").strip("0") == digits.strip("0")


# --- truth


@pytest.mark.parametrize("raw", [True, 1, Decimal(1), "true", "True", "TRUE", "1", "yes", "t", "y", "on", "WAHR", "ja", "Oui", "sí"])
def test_what_is_true(raw):
    assert value(raw, "boolean") is True


@pytest.mark.parametrize("raw", [False, 0, 0.0, "false", "0", "no", "f", "n", "off", "falsch", "Nein", "non"])
def test_what_is_false(raw):
    assert value(raw, "boolean") is False


@pytest.mark.parametrize("raw", [2, -1, 0.5, "maybe", "10", [True, "x"], {"a": 1}, date(2026, 1, 1)])
def test_what_is_neither_true_nor_false(raw):
    assert isinstance(value(raw, "boolean"), Unread)


@pytest.mark.parametrize("type_", [one.value for one in FieldType])
def test_nothing_is_nothing(type_):
    assert value(None, type_) is None
    if type_ not in ("any", "text"):
        assert value("", type_) is None
        assert value("  ", type_) is None


# --- days and instants


@pytest.mark.parametrize(
    ("raw", "day", "instant"),
    [
        (1796083200000, "2026-12-01", "2026-12-01T00:00"),
        ("1796083200000", "2026-12-01", "2026-12-01T00:00"),
        (1796083200, "2026-12-01", "2026-12-01T00:00"),
        ("1796083200", "2026-12-01", "2026-12-01T00:00"),
        (Decimal("1796083200.5"), "2026-12-01", "2026-12-01T00:00:00.5"),
        ("/Date(1796083200000)/", "2026-12-01", "2026-12-01T00:00"),
        ("/Date(1796083200000+0100)/", "2026-12-01", "2026-12-01T00:00"),
        (-315619200000, "1960-01-01", "1960-01-01T00:00"),
        ("20261201", "2026-12-01", "2026-12-01T00:00"),
        ("20261201103000", "2026-12-01", "2026-12-01T10:30"),
        ("2026-12-01", "2026-12-01", "2026-12-01T00:00"),
        ("2026-12-01T10:30:00Z", "2026-12-01", "2026-12-01T10:30"),
        ("2026-12-01 10:30", "2026-12-01", "2026-12-01T10:30"),
        ("2026-12-01T10:30:00.1234567+02:00", "2026-12-01", "2026-12-01T08:30:00.123456"),
        ("2026/12/1", "2026-12-01", "2026-12-01T00:00"),
        ("31/12/2026", "2026-12-31", "2026-12-31T00:00"),
        ("12/31/2026", "2026-12-31", "2026-12-31T00:00"),
        ("31.12.2026 14:05", "2026-12-31", "2026-12-31T14:05"),
        ("12/31/2026 2:05:09 PM", "2026-12-31", "2026-12-31T14:05:09"),
        ("12/31/2026 12:00 am", "2026-12-31", "2026-12-31T00:00"),
        ("5-5-2026", "2026-05-05", "2026-05-05T00:00"),
    ],
)
def test_days_and_instants(raw, day, instant):
    """As no other day can be meant, without a word about the source; in UTC."""
    assert value(raw, "date") == date.fromisoformat(day)
    assert value(raw, "datetime") == datetime.fromisoformat(instant.ljust(26, "0") if "." in instant else instant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "raw",
    ["12/01/2026", "1.2.2026", "31/12/26", 5, 10**11 - 1, 99999999, "yesterday", "2026-13-01", "32/12/2026", "31/02/2026", "0000-00-00",
     "13:00", True, "12/31/2026 13:00 PM", "2026-12-01T25:00", "1/Date(5)/", {"date": 1}, "9" * 30, "1796083200000.5x", "2026-1-2-3"],
)  # fmt: skip
def test_what_is_no_day_or_could_be_two(raw):
    assert isinstance(value(raw, "date"), Unread)
    assert isinstance(value(raw, "datetime"), Unread)


@pytest.mark.parametrize(
    ("dates", "text", "expected"),
    [
        ("31/12/2026", "12/01/2026", date(2026, 1, 12)),
        ("12/31/2026", "12/01/2026", date(2026, 12, 1)),
        ("31/12/2026", "12.01.26", date(2026, 1, 12)),
        ("12/31/2026", "1/2/99", date(1999, 1, 2)),
        ("31/12/2026", "12/31/2026", None),
        ("12/31/2026", "31.12.2026", None),
        ("12/31/2026", "2026-01-02", date(2026, 1, 2)),
    ],
)
def test_a_source_that_says_what_comes_first(dates, text, expected):
    found = value(text, "date", Reading(dates=dates))
    assert isinstance(found, Unread) if expected is None else found == expected


@given(st.dates(date(1970, 1, 1), date(2069, 12, 31)), st.sampled_from(["/", ".", "-"]), st.booleans())
def test_every_day_is_read_or_refused(day, mark, month_first):
    """It never becomes another day."""
    first, second = (day.month, day.day) if month_first else (day.day, day.month)
    text = f"{first}{mark}{second:02}{mark}{day.year}"
    assert value(text, "date", Reading(dates=DATES[1] if month_first else DATES[0])) == day
    unsaid = value(text, "date")
    assert unsaid == day or (isinstance(unsaid, Unread) and "dates:" in unsaid.reason)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.sampled_from([1, 1000, 10**6]))
def test_an_epoch_is_the_instant_that_it_counts(moment, per_second):
    """In the unit that its size tells: seconds, milliseconds, microseconds."""
    moment = moment.replace(tzinfo=UTC, microsecond=0)
    counted = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * per_second
    assert value(counted, "datetime") == value(str(counted), "datetime") == moment


def test_the_day_of_an_instant():
    """In the source's zone, else in the configured one; but midnight where it was written, or in UTC, is a day."""
    late = "2026-12-01T23:30:00Z"
    assert value(late, "date", Reading(days=BERLIN)) == date(2026, 12, 2)
    assert value(late, "date", Reading(days=BERLIN, zone=ANGELES)) == date(2026, 12, 1)
    assert value("2026-12-01T00:00:00Z", "date", Reading(days=ANGELES)) == date(2026, 12, 1)
    assert value("2026-12-01T00:00:00+02:00", "date", Reading(days=ANGELES)) == date(2026, 12, 1)
    assert value(datetime(2026, 12, 1, 23, 30), "date", Reading(days=BERLIN)) == date(2026, 12, 1)
    assert value(datetime(2026, 12, 1, 23, 30, tzinfo=UTC), "date", Reading(days=BERLIN)) == date(2026, 12, 2)


def test_a_wall_clock_in_the_night_when_it_is_set():
    """The hour that comes twice is its first, or the later one that is not after now; the hour that is left out is an hour on."""
    here = Reading(zone=ANGELES)
    assert here.instant("2026-11-01 01:30") == datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    assert here.instant("2026-11-01 01:30", datetime(2026, 11, 1, 9, 40, tzinfo=UTC)) == datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
    assert here.instant("2026-11-01 01:30", datetime(2026, 11, 1, 9, 20, tzinfo=UTC)) == datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    assert here.instant("2026-03-08 02:30") == datetime(2026, 3, 8, 10, 30, tzinfo=UTC)
    assert [here.is_double(f"2026-11-01 {hour}:30") for hour in ("00", "01", "02")] == [False, True, False]
    assert not Reading().is_double("2026-11-01 01:30")


def changes(zone, years=(2025, 2026, 2027)):
    """The instants of three years at which a zone's clocks are set."""
    moment, found = datetime(years[0], 1, 1, tzinfo=UTC), []
    while moment.year <= years[-1]:
        after = moment + timedelta(hours=1)
        if moment.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            found.append(after)
        moment = after
    return found


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata"]
)
def test_walls_and_days_around_every_change_of_three_years(zone):
    """Whatever a clock shows there is read as an instant at which it shows just that; and an instant's day is the day it shows."""
    place = ZoneInfo(zone)
    here = Reading(zone=place, days=place)
    for change in changes(place) or [datetime(2026, 6, 1, tzinfo=UTC)]:
        for minutes in range(-26 * 60, 26 * 60, 7):
            moment = change + timedelta(minutes=minutes)
            wall = moment.astimezone(place).replace(tzinfo=None, fold=0)
            read = value(wall.isoformat(" "), "datetime", here)
            assert read.astimezone(place).replace(tzinfo=None, fold=0) == wall
            assert read == moment or comes_twice(wall, place)
            assert here.instant(wall.isoformat(), moment) == moment
            if wall.time() != time() and moment.time() != time():
                assert value(moment, "date", here) == wall.date()


# --- sets, lists, and what else there is


def test_sets_and_lists():
    assert value("a; b;;c", "set") == ("a", "b", "c") == value(["a", "b", "c"], "set")
    assert value("a", "set") == ("a",)
    assert value(5, "set") == (Decimal(5),)
    assert isinstance(value(["b", "a"], "list"), Ordered)
    assert isinstance(value("b;a", "list"), Ordered)
    assert not isinstance(value(["b", "a"]), Ordered)
    assert ASKING.value("a,b", FieldType.SET, ",") == ("a", "b")
    assert isinstance(value(["1.000", "5"], "number"), Unread), "a list with an item that cannot be read cannot be read"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\x12\xff", "12ff"),
        (bytearray(b"\x00"), "00"),
        (memoryview(b"\xab"), "ab"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (time(14, 30), "14:30:00"),
        (timedelta(days=1, hours=2, minutes=3), "26:03:00"),
        (-timedelta(seconds=5), "-00:00:05"),
        ({"b": 1, "a": None}, '{"a": null, "b": 1}'),
    ],
)
def test_what_a_driver_may_give(raw, shown):
    """Nothing is shown as Python shows it to programmers."""
    assert value(raw) == value(raw, "text") == shown


def test_what_nobody_foresaw_is_not_read():
    class Odd:
        def __repr__(self):
            return "<Odd at 0x7f>"

    found = value(Odd())
    assert isinstance(found, Unread)
    assert "Odd" in found.reason


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(5, "5"), ("5", "5"), (" A-1 ", " A-1 "), ("  ", ""), (b"\x12\x34", "1234"), (uuid.UUID(int=5), str(uuid.UUID(int=5))), (5.0, "5.0"),
     (Decimal("5.00"), "5.00"),
     (float("nan"), ""), (True, ""), ([1], ""), ({}, ""), ("", ""), (None, ""), (object(), ""), (date(2026, 1, 2), "2026-01-02")],
)  # fmt: skip
def test_identities(raw, expected):
    assert identity(raw) == expected


def test_the_types_of_texts():
    assert value(1010, "text") == "1010"
    assert value(True, "text") == "true"
    assert value(datetime(2026, 1, 2, tzinfo=UTC), "text") == "2026-01-02T00:00:00+00:00"
    assert value(Choice("a", "A"), "number") == Choice("a", "A")
    assert value("a\x00\ud800", "text") == "a\ufffd\ufffd"


def test_what_could_not_be_read_is_kept_short():
    found = value("x" * 5000, "number")
    assert (len(found.text), "cannot be read" in found.words) == (200, True)


@pytest.mark.parametrize("text", ["1.250,-", "1250,-", "1.250,\u2013", "\u20ac 1.250,-", "1250,\u2212"])
@pytest.mark.parametrize("numbers", [None, "1.234,5"])
def test_a_dash_in_place_of_cents_is_no_sign(text, numbers):
    """As Germans and Dutchmen write whole amounts: refused, for it must not become money that is owed."""
    assert isinstance(Reading(numbers).value(text, FieldType.MONEY), Unread)
    assert Reading("1.234,5").value("1.250,50-", FieldType.MONEY) == Decimal("-1250.50")


@pytest.mark.parametrize("raw", ["202611220930", 202611220930])
@pytest.mark.parametrize("type_", [FieldType.DATE, FieldType.DATETIME])
def test_twelve_digits_that_say_a_day_are_no_epoch(raw, type_):
    """2026-11-22 09:30 without seconds would else be told as a day of 1976."""
    found = Reading().value(raw, type_)
    assert isinstance(found, Unread)
    assert "2026-11-22 09:30" in found.reason
    assert isinstance(Reading().value("946684800000", FieldType.DATETIME), datetime), "2000-01-01 in milliseconds"


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "9999-12-31T23:00:00-05:00", "0001-01-01T05:00:00+09:00"])
@pytest.mark.parametrize("zone", [None, ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")])
def test_a_day_at_the_ends_of_the_calendar(text, zone):
    """What systems write for `never`: in another zone it would be no day of the calendar, so it is the day that is written."""
    reading = Reading(zone=zone, days=ZoneInfo("Europe/Berlin"))
    for raw in (text, datetime.fromisoformat(text)):
        assert reading.value(raw, FieldType.DATE) in (date.fromisoformat(text[:10]), date(9999, 12, 31), date(1, 1, 1))


def test_the_first_instant_of_a_calendar_comes_once():
    """.NET writes it for `never`."""
    assert not Reading(zone=ZoneInfo("Europe/Berlin")).is_double("0001-01-01 00:00:00")
    assert not Reading(zone=ZoneInfo("America/Los_Angeles")).is_double("9999-12-31 23:59:59")


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("0.0", False), (" 0.00 ", False), (b"\0", False), (Decimal("0.00"), False), ("null", False), ("none", False),
     (b"\1", True), ("2", True),
     ("2026-11-22", True), ("yes", True), ("00:00", True), (None, False), (False, False), ("", False), ("no", False)],
)  # fmt: skip
def test_what_marks_a_deletion(mark, expected):
    """A mark that is nought in any way of writing it is none: a record must not be told as deleted for it."""
    assert marked(mark) is expected


@pytest.mark.parametrize(
    ("raw", "type_", "shown"),
    [
        (Decimal("1.5"), "boolean", "1.5"),
        (Decimal("1E+400"), "number", "1E+400"),
        (datetime(2026, 11, 22, 9, tzinfo=UTC), "number", "2026-11-22 09:00:00+00:00"),
        (date(2026, 11, 22), "money", "2026-11-22"),
        ({"a": 1}, "number", '{"a": 1}'),
    ],
)
def test_what_could_not_be_read_is_shown_as_people_write_it(raw, type_, shown):
    assert value(raw, type_).text == shown
