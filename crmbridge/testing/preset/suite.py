"""What every preset must survive besides the contract of all sources: the traps of JSON APIs, on the preset's own stand-in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from crmbridge.contract import Rereading
from crmbridge.errors import SourceError
from crmbridge.http import look
from crmbridge.model import FieldSpec
from crmbridge.rest.preset import Built
from crmbridge.testing.preset.judge import Fact, fits
from crmbridge.testing.preset.standin import Json
from crmbridge.testing.server import answer
from crmbridge.testing.source import SourceContract
from crmbridge.testing.source.troubles import TroublesContract
from crmbridge.testing.world import World

Make = Callable[..., Any]


class PresetContract(SourceContract):
    """The tests that hold for every preset. A subclass also says where its vendor's lists stand, and what the vendor's description says."""

    elsewhere: ClassVar[str]
    """A text that stands in the addresses of another record type."""
    listed: ClassVar[tuple[str, str, str]]
    """The paths of a list in an answer, and of the id and the stamp in each of its records. The last is empty if there is no stamp."""
    omits: ClassVar[bool] = False
    """The vendor leaves out empty fields."""
    null_is_empty: ClassVar[bool] = False
    """The vendor may write null for an empty list."""
    judge: ClassVar[str] = ""
    """The address of what the vendor itself generates or records (OpenAPI, samples), from which `facts` are taken. Empty: there is none."""
    facts: ClassVar[Sequence[Fact]] = ()
    """The facts by which the stand-in, and what is asked of it, are judged."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if not hasattr(cls, "connector"):
            return
        quota = cls.connector.build.preset.quota if isinstance(cls.connector.build, Built) else None
        for name, said in [("test_a_spent_quota_is_not_overdrawn", quota and quota.remaining), ("test_a_limit_that_a_header_times", quota)]:
            if not said:  # as for everything that a vendor cannot do, the class has no such test
                setattr(cls, name, None)
        if "proven" in vars(cls):
            return
        documents = cls.connector.documents
        when = max((one.read for one in documents), default=None)
        if cls.judge:
            cls.proven = f"stand-in that is held against [its vendor's description]({cls.judge}), {when}"
        elif documents:
            cls.proven = f"unproven: [document]({documents[0].url}), {when}"

    def quota(self, crm: Any) -> Mapping[str, str]:
        """Return the headers of a quota that is spent for 30 seconds by `crm.now`. Needed where preset.yaml has `quota`."""
        pytest.fail(
            f"preset.yaml has `quota`: define `quota(self, crm)` in {type(self).__name__}. It returns the headers of one that is spent for "
            "30 seconds by `crm.now`, by the names in preset.yaml, with texts as values."
        )

    def test_a_maintenance_page_and_other_troubles_change_nothing(self, world: World, crm: Any) -> None:
        """Expect errors of the vendor to change nothing and to be reported, for logins that end and for others."""
        TroublesContract.test_troubles_change_nothing_and_are_told(self, world, crm)

    def test_a_limit_is_waited_for_by_all(self, world: World, crm: Any) -> None:
        """Expect a limit to be waited for as long as Retry-After says."""
        TroublesContract.test_a_limit_is_waited_for(self, world, crm)

    def test_an_empty_crm_is_no_trouble(self, world: World, crm: Any) -> None:
        """Expect an empty CRM, and a poll that finds nothing, to be no trouble. A record that comes later is told."""
        world.call(world.source.check)
        assert world.poll() == []
        crm.tick(120)
        assert world.poll() == []
        crm.tick(120)
        id = crm.create()
        assert [one.record_id for one in world.poll()] == [id]

    def test_one_page_for_ever_is_told(self, world: World, crm: Any) -> None:
        """Expect an error from an API that ignores the bookmark and gives one page for ever."""
        self.begun(crm, world)
        for _ in range(3 * self.page):
            crm.create()
        crm.endless = True
        with pytest.raises(SourceError, match="page"):
            world.poll()
        crm.endless = False
        assert len(world.poll()) == 3 * self.page

    def test_a_field_that_vanishes_is_no_change(self, world: World, crm: Any) -> None:
        """Expect records to be told without a field that vanished, and the field to keep its last value."""
        self.begun(crm, world)
        ids = [crm.create() for _ in range(self.page)]
        world.poll()
        crm.tick(5)
        crm.hidden_fields.add("stage")
        for id in ids:
            crm.update(id, title="Renamed")
        told = world.poll()
        assert sorted(one.record_id for one in told) == sorted(ids)
        assert {self.says(one, "title") for one in told} == {"Renamed"}
        assert {self.says(one, "stage") for one in told} <= {"open", None}
        assert not any("stage" in one.before and self.says(one, "stage") is None for one in told if not self.omits)

    def test_empty_fields_are_empty(self, world: World, crm: Any) -> None:
        """Expect null to be a value: the change to it is told once, and so is the change after it."""
        id = self.begun(crm, world)
        crm.update(id, title=None)
        (emptied,) = world.poll()
        assert (self.says(emptied, "title"), self.says(emptied, "title", before=True)) == (None, "Parkers")
        crm.tick(5)
        crm.update(id, title="Back")
        (filled,) = world.poll()
        assert (self.says(filled, "title"), self.says(filled, "title", before=True)) == ("Back", None)

    def test_two_changes_within_a_second(self, world: World, crm: Any) -> None:
        """Expect each of several changes to be told, though the stamp moves not at all, or only by a fraction."""
        id = self.begun(crm, world)
        seen = []
        for stage in ("won", "open", "lost"):
            crm.update(id, stage=stage)
            seen += [self.says(one, "stage") for one in world.poll()]
            crm.tick(0.25)
        assert seen == ["won", "open", "lost"]

    def test_a_login_that_is_refused_is_told_and_comes_back(self, world: World, crm: Any) -> None:
        """Expect a refused login to be reported without the secret, and nothing to be lost by it."""
        self.begun(crm, world)
        crm.refusing = True
        crm.revoke()
        id = crm.create()
        with pytest.raises(SourceError) as told:
            world.poll()
        self.shows_no_secret(str(told.value), repr(told.value))
        crm.refusing = False
        assert [one.record_id for one in world.poll()] == [id]

    def test_a_spent_quota_is_not_overdrawn(self, world: World, crm: Any) -> None:
        """Expect a quota in a header to be respected: nothing is asked until it is renewed."""
        self.begun(crm, world)
        crm.headers = self.quota(crm)  # set only now, for the clock has moved
        id = crm.create()
        try:
            heard = [one.record_id for one in world.poll()]
        except SourceError:
            heard = []
        asked = len(crm.requests)
        with pytest.raises(SourceError, match="quota") as told:
            world.poll()
        assert len(crm.requests) == asked
        assert told.value.retry_at is not None
        assert timedelta(seconds=25) <= told.value.retry_at - crm.now <= timedelta(seconds=31)
        crm.headers = {}
        crm.tick(32)
        heard += [one.record_id for one in world.poll()]
        assert heard == [id]

    def test_a_limit_that_a_header_times(self, world: World, crm: Any) -> None:
        """Expect a 429 without Retry-After to hold as long as the quota's headers say."""
        self.begun(crm, world)
        crm.then(*[answer(429, {"message": "slow down"}, self.quota(crm))] * 3)
        with pytest.raises(SourceError) as told:
            world.poll()
        assert told.value.retry_at is not None
        assert timedelta(seconds=25) <= told.value.retry_at - crm.now <= timedelta(seconds=31)

    def test_a_record_is_read_by_its_id(self, make: Make, world: World, crm: Any) -> None:
        """Expect a record to be read whole by its id, and one that is gone to be left out."""
        source: Any = make()
        if not isinstance(source, Rereading):
            return
        id = self.begun(crm, world)
        gone = crm.create()
        crm.delete(gone)
        (found,) = list(source.fetch_many(self.record_type, [id, gone]))  # type: ignore[arg-type]
        assert (found.record_type, found.record_id) == (self.record_type, id)
        assert found.fields[self.fields["title"]] == "Parkers"
        assert source.fetch_many("Nonsense", [id]) == ()

    def test_a_stranger_among_the_types_is_named(self) -> None:
        """Expect `lint` to name an unknown record type, with the known ones and the vendor's page."""
        fault = self.connector.record_fault(None, "No such type!")
        assert self.record_type in fault
        assert fault.endswith(f"see {self.connector.documents[0].url}")
        assert self.connector.record_fault(None, self.record_type) == ""

    def test_a_field_that_can_have_no_such_name_is_named(self) -> None:
        """Expect `lint` to name a field that cannot exist, with what names look like and the vendor's page.

        The fields of the scenario are fine.
        """
        strange = self.connector.field_fault(None, self.record_type, "No such field!")
        assert strange == "" or strange.endswith(f"see {self.connector.documents[0].url}")
        assert [name for name in self.fields.values() if self.connector.field_fault(None, self.record_type, name)] == []

    def test_only_what_is_configured_is_asked_for(self, make: Make, worlds: Any, crm: Any) -> None:
        """Expect nothing to be asked about other record types: each would cost requests."""
        world = worlds(make(records={self.record_type: {self.fields["title"]: FieldSpec()}}))
        world.call(world.source.check)
        world.poll()
        asked = " ".join(one.path for one in crm.requests)
        assert self.elsewhere not in asked

    # --- answers of another shape

    def test_an_empty_page_is_no_deletion(self, world: World, crm: Any) -> None:
        """Expect a list that is empty for a while to delete nothing, and no change to be lost by it."""
        id = self.begun(crm, world)
        crm.odd = self._on_rows(crm, lambda _rows: [])
        assert world.poll() == []
        crm.tick(5)
        assert world.poll() == []
        crm.odd = _as_it_is
        crm.update(id, stage="won")
        assert [(one.record_id, self.says(one, "stage")) for one in world.poll()] == [(id, "won")]

    def test_an_answer_without_a_body_is_told(self, world: World, crm: Any) -> None:
        """Expect an answer without a body to be an error, and not an empty list."""
        self.begun(crm, world)
        id = crm.create()
        crm.then(*[answer(200, b"")] * 3)
        with pytest.raises(SourceError):
            world.poll()
        crm.server.clear()
        assert [one.record_id for one in world.poll()] == [id]

    @pytest.mark.parametrize("other", [{}, {"records": []}, None, "many", 7])
    def test_a_list_that_is_none_is_told(self, world: World, crm: Any, other: Any) -> None:
        """Expect an error if there is no list in its place. The change is told once there is a list again."""
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        crm.odd = self._on_rows(crm, lambda _rows: other)
        if other is None and self.null_is_empty:
            assert world.poll() == []
        else:
            with pytest.raises(SourceError):
                world.poll()
        crm.odd = _as_it_is
        assert [(one.record_id, self.says(one, "stage")) for one in world.poll()] == [(id, "won")]

    def test_records_without_an_id_are_told_and_not_lost(self, world: World, crm: Any) -> None:
        """Expect records without an id to be reported and not lost. No other record may be told instead."""
        self._lacks(world, crm, self.listed[1])

    def test_records_without_a_stamp_are_told_and_not_lost(self, world: World, crm: Any) -> None:
        """Expect records without a stamp to be reported and not lost. They are not taken for changed now."""
        if self.listed[2]:
            self._lacks(world, crm, self.listed[2])

    def _lacks(self, world: World, crm: Any, path: str) -> None:
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        crm.odd = self._on_rows(crm, lambda rows: [_without(row, path) for row in rows])
        try:
            assert world.poll() == []
            assert world.failed() != []
        except SourceError:
            pass
        assert crm.touched > 0
        crm.tick(1)
        crm.odd = _as_it_is
        assert [(one.record_id, self.says(one, "stage")) for one in world.poll()] == [(id, "won")]

    def _on_rows(self, crm: Json, change: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
        """Make a function that changes the list of records in an answer."""
        crm.touched = 0

        def changed(body: Any) -> Any:
            *way, last = self.listed[0].split(".")
            box = look(".".join(way), body) if way else body
            rows = box.get(last) if isinstance(box, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) and look(self.listed[1], row) is not None for row in rows):
                return body
            crm.touched += len(rows)
            box[last] = change(rows)
            return body

        return changed

    # --- the vendor's own description

    def test_what_is_asked_and_answered_is_what_the_vendor_describes(self, make: Make, world: World, crm: Any) -> None:
        """Expect each request to have only existing parameters, and each answer of the stand-in to have the described shape."""
        world.call(world.source.check)
        ids = [crm.create(title=f"Deal {number}") for number in range(self.page + 2)]
        crm.tick(120)
        world.poll()
        crm.update(ids[0], stage="won")
        crm.delete(ids[1])
        crm.tick(120)
        world.poll()
        if isinstance(source := make(), Rereading):
            source.fetch_many(self.record_type, ids[:1])
        judged = 0
        for one in crm.said:
            for fact in self.facts:
                if re.fullmatch(fact.path, one.path) and one.status == 200:
                    judged += 1
                    wrong = [
                        f"it knows no parameter {name}, only {', '.join(sorted(fact.asks))}" for name in one.asked if name not in fact.asks
                    ]
                    for name, values in fact.choices.items():
                        if one.asked.get(name, "") not in {"", *values}:
                            wrong.append(f"{name} is {one.asked[name]}, and not one of {', '.join(sorted(values))}")
                    wrong += itertools.islice(fits(fact.answer, one.body), 10)
                    assert not wrong, f"{one.path}, by the fact of {fact.path}: {'; '.join(wrong)}"
        assert judged or not self.facts, f"nothing was asked of {', '.join(fact.path for fact in self.facts)}"


def _as_it_is(body: Any) -> Any:
    return body


def _without(row: Any, path: str) -> Any:
    """Return a record without the value at a path."""
    name, _, rest = path.partition(".")
    if name not in row:
        return row
    return {**row, name: _without(row[name], rest)} if rest else {key: value for key, value in row.items() if key != name}
