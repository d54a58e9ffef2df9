"""What every preset must survive, besides the contract of all sources: the traps of JSON APIs, on the preset's own stand-in."""

from datetime import timedelta
from typing import ClassVar

import pytest

from crmbridge.contract import Rereading
from crmbridge.errors import SourceError
from crmbridge.model import FieldSpec
from crmbridge.testing import SourceContract, answer
from crmbridge.testing.source.troubles import Troubles


class PresetContract(SourceContract):
    """A subclass also says how its vendor tells of a spent quota, if it does."""

    quota: ClassVar = None
    """The headers of a quota that is spent for 30 seconds, by the stand-in's clock; None: the vendor says nothing of it."""
    omits: ClassVar[bool] = False
    """The vendor leaves out what is empty."""

    def test_a_maintenance_page_and_other_troubles_change_nothing(self, world, crm):
        """Whether the login ends or not."""
        Troubles.test_troubles_change_nothing_and_are_told(self, world, crm)

    def test_a_limit_is_waited_for_by_all(self, world, crm):
        """For as long as Retry-After says."""
        Troubles.test_a_limit_is_waited_for(self, world, crm)

    def test_an_empty_crm_is_no_trouble(self, world, crm):
        """Nor is a poll that finds nothing; what comes then is told."""
        world.call(world.source.check)
        assert world.poll() == []
        crm.tick(120)
        assert world.poll() == []
        crm.tick(120)
        id = crm.create()
        assert [one.record_id for one in world.poll()] == [id]

    def test_one_page_for_ever_is_told(self, world, crm):
        """An API that does not heed where we are."""
        self.begun(crm, world)
        for _ in range(3 * self.page):
            crm.create()
        crm.endless = True
        with pytest.raises(SourceError, match="page"):
            world.poll()
        crm.endless = False
        assert len(world.poll()) == 3 * self.page

    def test_a_field_that_vanishes_is_no_change(self, world, crm):
        """Its records go on to be told, with what it was."""
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

    def test_empty_fields_are_empty(self, world, crm):
        """Null is a value: it is told once, and so is what comes after it."""
        id = self.begun(crm, world)
        crm.update(id, title=None)
        (emptied,) = world.poll()
        assert (self.says(emptied, "title"), self.says(emptied, "title", before=True)) == (None, "Parkers")
        crm.tick(5)
        crm.update(id, title="Back")
        (filled,) = world.poll()
        assert (self.says(filled, "title"), self.says(filled, "title", before=True)) == ("Back", None)

    def test_two_changes_within_a_second(self, world, crm):
        """The stamp does not move, or no more than by a fraction; each is told."""
        id = self.begun(crm, world)
        seen = []
        for stage in ("won", "open", "lost"):
            crm.update(id, stage=stage)
            seen += [self.says(one, "stage") for one in world.poll()]
            crm.tick(0.25)
        assert seen == ["won", "open", "lost"]

    def test_a_login_that_is_refused_is_told_and_comes_back(self, world, crm):
        """Without the secret, and with nothing lost."""
        self.begun(crm, world)
        crm.refusing = True
        crm.revoke()
        id = crm.create()
        with pytest.raises(SourceError) as told:
            world.poll()
        self.shows_no_secret(str(told.value), repr(told.value))
        crm.refusing = False
        assert [one.record_id for one in world.poll()] == [id]

    def test_a_spent_quota_is_not_overdrawn(self, world, crm):
        """What a header says is heeded: nothing is asked until there is more."""
        if self.quota is None:
            return
        self.begun(crm, world)
        crm.headers = self.quota(crm)
        id = crm.create()
        try:
            heard = [one.record_id for one in world.poll()]
        except SourceError:
            heard = []
        asked = len(crm.requests)
        with pytest.raises(SourceError, match="quota") as told:
            world.poll()
        assert len(crm.requests) == asked
        assert timedelta(seconds=25) <= told.value.retry_at - crm.now <= timedelta(seconds=31)
        crm.headers = {}
        crm.tick(32)
        heard += [one.record_id for one in world.poll()]
        assert heard == [id]

    def test_a_limit_that_a_header_times(self, world, crm):
        """A 429 without Retry-After."""
        if self.quota is None:
            return
        self.begun(crm, world)
        crm.then(*[answer(429, {"message": "slow down"}, self.quota(crm))] * 3)
        with pytest.raises(SourceError) as told:
            world.poll()
        assert timedelta(seconds=25) <= told.value.retry_at - crm.now <= timedelta(seconds=31)

    def test_a_record_is_read_by_its_id(self, make, world, crm):
        """Whole; one that is gone is left out."""
        source = make()
        if not isinstance(source, Rereading):
            return
        id = self.begun(crm, world)
        gone = crm.create()
        crm.delete(gone)
        (found,) = source.fetch_many(self.record_type, [id, gone])
        assert (found.record_type, found.record_id) == (self.record_type, id)
        assert found.fields[self.fields["title"]] == "Parkers"
        assert source.fetch_many("Nonsense", [id]) == ()

    def test_a_stranger_among_the_types_is_named(self):
        """With those there are, by lint already."""
        fault = self.connector.record_fault(None, "No such type!")
        assert self.record_type in fault
        assert self.connector.record_fault(None, self.record_type) == ""

    def test_only_what_is_configured_is_asked_for(self, make, worlds, crm):
        """Each other record type would cost requests."""
        world = worlds(make(records={self.record_type: {self.fields["title"]: FieldSpec()}}))
        world.call(world.source.check)
        world.poll()
        asked = " ".join(one.path for one in crm.requests)
        assert self.elsewhere not in asked

    elsewhere: ClassVar[str]
    """What stands in the addresses of another record type."""
