"""Tests of polling: nothing is missed, told twice, or told though it is old."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from crmbridge.contract import Baseline, Rewindable
from crmbridge.model import ChangeKind
from crmbridge.model import Reading as Values
from crmbridge.testing.source.parts import OVERLAP, Can, SourceParts, needs
from crmbridge.testing.standin import StandIn
from crmbridge.testing.world import World

_POISON, _POISONED = "a poisonous title", "nobody can read this title"


def _poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every value with the poisonous words raise where a connector reads it."""
    read = Values.value

    def poisoned(self: Values, raw: Any, *more: Any) -> Any:
        if raw == _POISON:
            raise ValueError(_POISONED)
        return read(self, raw, *more)

    monkeypatch.setattr(Values, "value", poisoned)


class ReadingContract(SourceParts):
    """The tests of what every poll must find."""

    @needs(Can.POLL)
    def test_a_first_start_publishes_nothing_old(self, world: World, crm: StandIn) -> None:
        for number in range(3 * self.page):
            crm.create(title=f"Deal {number}")
            crm.tick()
        crm.tick(120)
        assert world.poll() == []
        assert world.baselined is isinstance(world.source, Baseline)
        crm.tick(120)
        assert world.poll() == []

    @needs(Can.POLL)
    def test_what_changes_is_told_with_what_it_was(self, world: World, crm: StandIn) -> None:
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        (changed,) = world.poll()
        assert (changed.kind, changed.record_type, changed.record_id) == (ChangeKind.UPDATED, self.record_type, id)
        assert (self.says(changed, "stage"), self.says(changed, "stage", before=True)) == ("won", "open")
        assert (self.says(changed, "title"), self.says(changed, "amount")) == ("Parkers", Decimal("100.50"))
        assert abs(changed.occurred_at - crm.now) < timedelta(seconds=2)
        crm.tick(5)
        new = crm.create(title="Acme", amount="7")
        (made,) = world.poll()
        assert (made.kind, made.record_id, self.says(made, "title")) == (ChangeKind.CREATED, new, "Acme")
        assert world.poll() == []

    @needs(Can.POLL)
    def test_an_odd_row_costs_only_itself(self, world: World, crm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        """Expect an unreadable row to be put aside and named, and all other rows to be told. Once mended, it is told too."""
        self.begun(crm, world)
        _poison(monkeypatch)
        good = [crm.create(title="Good")]
        crm.tick()
        odd = crm.create(title=_POISON)
        crm.tick()
        good.append(crm.create(title="Fine"))
        assert sorted(one.record_id for one in world.poll()) == sorted(good)
        (reason,) = world.failed()
        assert _POISONED in reason
        crm.tick(5)
        crm.update(good[0], stage="won")
        assert [one.record_id for one in world.poll()] == [good[0]]
        crm.tick(5)
        crm.update(odd, title="Mended")
        assert [(one.record_id, self.says(one, "title")) for one in world.poll()] == [(odd, "Mended")]
        assert world.failed() == []

    @needs(Can.POLL)
    def test_a_b_a_is_three(self, world: World, crm: StandIn) -> None:
        id = self.begun(crm, world)
        told = []
        for stage in ("won", "open", "won"):
            crm.update(id, stage=stage)
            told += world.poll()
            crm.tick()
        assert [self.says(one, "stage") for one in told] == ["won", "open", "won"]
        assert len({one.id for one in told}) == 3

    @needs(Can.POLL)
    def test_more_ties_than_a_page(self, world: World, crm: StandIn) -> None:
        """Expect all changes to be told if one second holds more than a page: an import stamps thousands of records with one second."""
        self.begun(crm, world)
        ids = [crm.create(title=f"Deal {number}") for number in range(3 * self.page + 1)]
        assert sorted(one.record_id for one in world.poll()) == sorted(ids)
        late = crm.create(title="of the same second")
        assert [one.record_id for one in world.poll()] == [late]
        for id in ids:
            crm.update(id, stage="won")
        assert sorted(one.record_id for one in world.poll()) == sorted(ids)

    @needs(Can.POLL)
    def test_what_was_committed_late_is_found(self, world: World, crm: StandIn) -> None:
        """Expect a record to be found that was committed late, so that its stamp is before what was read already."""
        self.begun(crm, world)
        first = crm.create()
        assert [one.record_id for one in world.poll()] == [first]
        late = crm.create(at=crm.now - timedelta(seconds=OVERLAP / 2))
        assert [one.record_id for one in world.poll()] == [late]

    @needs(Can.POLL)
    def test_records_that_change_while_they_are_paged(self, world: World, crm: StandIn) -> None:
        """Expect no record to be skipped when others move to the end during a pass."""
        ids = [self.begun(crm, world)]
        for number in range(3 * self.page):
            ids.append(crm.create(title=f"Deal {number}"))
            crm.tick()
        real, moved = crm.respond, iter(ids[1 : self.page : 3])

        def respond(exchange: Any) -> None:
            real(exchange)
            if (id := next(moved, None)) is not None:
                crm.update(id, stage="moved")

        crm.respond = respond  # type: ignore[method-assign]
        seen = {one.record_id for one in world.poll()}
        crm.tick()
        seen |= {one.record_id for one in world.poll()}
        assert seen == set(ids[1:])

    @pytest.mark.parametrize("skew", [-3600, 3600])
    @needs(Can.POLL)
    def test_clocks_may_differ(self, make: Any, worlds: Any, crm: StandIn, skew: int) -> None:
        """Expect changes to be told when our clock is an hour off the vendor's."""
        source = make(now=lambda: crm.now + timedelta(seconds=skew))
        world = worlds(source)
        id = self.begun(crm, world)
        for stage in ("won", "open"):
            crm.update(id, stage=stage)
            assert [self.says(one, "stage") for one in world.poll()] == [stage]
            crm.tick(2)

    @needs(Can.POLL)
    def test_what_was_deleted_before_is_no_news(self, world: World, crm: StandIn) -> None:
        id = crm.create()
        crm.tick(10)
        crm.delete(id)
        self.begun(crm, world)
        crm.tick(120)
        assert world.poll() == []

    @needs(Can.MERGES, Can.POLL)
    def test_merges(self, world: World, crm: StandIn) -> None:
        """Expect one event for the loser of a merge, which says that it was merged into the winner."""
        winner = crm.create()
        loser = self.begun(crm, world)
        crm.merge(loser, winner)
        crm.tick(120)
        told = [one for one in world.poll() if one.record_id == loser]
        assert [one.kind for one in told] == [ChangeKind.MERGED]

    @needs(Can.POLL)
    def test_what_leaves_our_sight_is_not_deleted(self, world: World, crm: StandIn) -> None:
        """Expect a record that leaves our sight not to be told as deleted. One that comes into sight, and is older than all that was read,
        is not new.
        """
        id = self.begun(crm, world)
        old = crm.create(title="old")
        crm.hide(old)
        crm.tick(OVERLAP * 10)
        other = crm.create()
        assert [one.record_id for one in world.poll()] == [other]
        crm.hide(id)
        crm.tick(120)
        assert world.poll() == []
        crm.show(id)
        crm.show(old)
        for one in (id, old):
            crm.update(one, amount="100.50")  # the record is stamped, but nothing in it is new
        crm.tick(1)
        assert world.poll() == []
        crm.update(old, stage="won")
        assert [(one.kind, one.record_id) for one in world.poll()] == [(ChangeKind.UPDATED, old)]

    @needs(Can.POLL)
    def test_it_is_read_again_from_an_instant(self, worlds: Any, make: Any, world: World, crm: StandIn) -> None:
        """Expect a read from an instant to find what changed since, and nothing older. Nothing is read as if it were being learnt."""
        old = crm.create()
        crm.tick(OVERLAP * 20)
        moment = crm.now
        crm.tick(5)
        ids = [crm.create(title=f"Deal {number}") for number in range(self.page + 3)]
        source = make()
        able = isinstance(source, Rewindable)
        cursor, seen, more = world.call(source.since, moment) if able else None, list[str](), able
        while more:
            page = world.call(source.poll, cursor)
            assert not page.learning
            seen += [one.record_id for one in page.observations]
            cursor, more = page.cursor, page.has_more
        world.call(source.close)
        assert not able or set(ids) <= set(seen)
        assert old not in seen

    @needs(Can.POLL)
    def test_hostile_words_arrive_as_words(self, world: World, crm: StandIn) -> None:
        self.begun(crm, world)
        for words in ('Tom & Jerry\'s "<b>"', "line\nline\r\n\t", "\u202egnp.exe", "' OR 1=1 --", "{{ 7 * 7 }}", "naïve 東京 🎉"):
            id = crm.create(title=words)
            (event,) = world.poll()
            assert (event.record_id, self.says(event, "title")) == (id, Values().value(words))
