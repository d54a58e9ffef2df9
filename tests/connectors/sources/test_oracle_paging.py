"""Pages by whole seconds, over a list that changes while it is read; stamps of a zone whose hour comes twice."""

import random
from datetime import datetime, timedelta, timezone

import pytest

from connectors.sources.oracle_crm_on_demand.paging import Place, Row, advance, prove
from connectors.sources.oracle_crm_on_demand.zone import Zone
from crmbridge.errors import SourceError
from crmbridge.model.cursors import Position

BERLIN = Zone("Europe/Berlin")
TWICE = datetime(2026, 10, 25, 0, 0, tzinfo=timezone.utc)  # 02:00 to 03:00 in Berlin comes now, and in an hour again


def read(table, limit, disturb, plain=lambda stamp: True):
    """One pass over `table` (stamps by id); `disturb` may change it between two pages. Returns the ids seen and the pages."""
    place, complete, seen, pages = Place(""), False, set(), 0
    while not complete:
        rows = sorted((stamp, id) for id, stamp in table.items() if stamp >= place.anchor)
        page = [Row(id, stamp, stamp, plain(stamp)) for stamp, id in rows[place.offset : place.offset + limit]]
        place, complete = advance(place, page, limit=limit, ended=place.offset + limit >= len(rows))
        place = Place.of(Position(after=place.after()))
        seen |= {row.id for row in page}
        pages += 1
        assert pages < 500
        disturb(table)
    return seen, pages


def test_a_quiet_list_is_read_once():
    """One record of a page is read twice, and no more."""
    table = {f"{number:03}": f"2026-01-01T00:00:{number // 10:02}" for number in range(100)}
    seen, pages = read(table, 10, lambda table: None)
    assert (seen, pages) == (set(table), 11)


@pytest.mark.parametrize("twice", [False, True])
def test_no_record_is_skipped_whatever_moves(twice):
    """Records leave a tie, come into it late, or are gone; all others are read. So too where no stamp is an anchor."""
    for seed in range(1000):
        chance = random.Random(seed)
        table = {f"{number:03}": f"2026-01-01T00:00:{chance.randrange(4):02}" for number in range(chance.randrange(1, 60))}
        calm = set(table)
        later = iter(f"2026-01-01T00:01:{number // 10:03}" for number in range(40))

        def disturb(table, chance=chance, calm=calm, later=later):
            for id in chance.sample(sorted(table), min(len(table), chance.randrange(3))):
                stamp = next(later, None)
                if stamp is not None:
                    calm.discard(id)
                    if chance.random() < 0.2:
                        del table[id]
                    else:
                        table[id] = stamp
            if chance.random() < 0.1 and next(later, None):
                table[f"{chance.randrange(1000):03}new"] = f"2026-01-01T00:00:{chance.randrange(4):02}"

        plain = (lambda stamp: stamp >= "2026-01-01T00:00:03") if twice else (lambda stamp: True)
        seen, _ = read(table, 10, disturb, plain)
        assert calm <= seen, seed


def test_a_vendor_that_always_says_more_ends():
    """Nothing new is an end, whatever `lastpage` says."""
    row = Row("a", "x", "2026-01-01T00:00:00", True)
    place = Place(row.stamp, 1, row.mark)
    assert advance(place, [row], limit=10, ended=False) == (place, True)
    assert advance(Place(""), [], limit=10, ended=False)[1]


def test_an_answer_to_another_question_is_refused():
    """A vendor that reads a stamp otherwise, or does not sort, would make us miss changes in silence."""
    one, two = (Row(id, "", f"2026-01-01T00:00:0{id}", True) for id in "12")
    prove([one, one, two], one.stamp)
    prove([one, two], "")
    prove([], one.stamp)
    with pytest.raises(SourceError, match="time_zone"):
        prove([one, two], two.stamp)
    with pytest.raises(SourceError, match="order"):
        prove([two, one], "")


def test_a_stamp_is_of_the_users_zone():
    """The Z is a letter."""
    now = TWICE + timedelta(days=30)
    assert Zone("UTC").instant("2026-10-25T02:30:00Z", now) == datetime(2026, 10, 25, 2, 30, tzinfo=timezone.utc)
    assert BERLIN.instant("2026-07-01T12:00:00Z", now) == datetime(2026, 7, 1, 10, tzinfo=timezone.utc)
    assert BERLIN.instant("2026-07-01T12:00:00+00:00", now) == datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
    assert BERLIN.written(datetime(2026, 7, 1, 10, tzinfo=timezone.utc)) == datetime(2026, 7, 1, 12)
    for odd in ("", "None", "yesterday", "0001-01-01T00:00:00Z"):
        assert BERLIN.instant(odd, now) is None


def test_of_two_instants_the_later_that_has_been():
    """A daemon reads what has just changed; nothing changed in the future."""
    text = "2026-10-25T02:30:00Z"
    first, second = TWICE + timedelta(minutes=30), TWICE + timedelta(minutes=90)
    assert (BERLIN.instant(text, first), BERLIN.instant(text, second)) == (first, second)
    assert not BERLIN.is_plain(text)
    assert BERLIN.is_plain("2026-10-25T03:00:00Z")
    assert BERLIN.is_plain("2026-03-29T02:30:00Z")  # left out in spring


def test_what_is_asked_for_means_one_instant():
    """And is never later than what was wanted."""
    for minutes in range(-30, 180):
        moment = TWICE + timedelta(minutes=minutes)
        text = f"{BERLIN.written(moment):%Y-%m-%dT%H:%M:%SZ}"
        assert BERLIN.is_plain(text)
        understood = BERLIN.instant(text, moment)
        assert timedelta(0) <= moment - understood <= timedelta(hours=2, minutes=15)
