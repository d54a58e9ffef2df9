"""Dynamics 365's preset, against a stand-in of Dataverse."""

from datetime import timedelta
from typing import ClassVar
from urllib.parse import parse_qs

import pytest
from standins.calls import Called, CallingDynamics
from standins.dynamics365 import CLIENT_ID, CLIENT_SECRET, STATUSES, TENANT, WORDS, Dynamics

from connectors.sources.dynamics365 import CONNECTOR
from crmbridge.errors import SourceError
from crmbridge.model import ChangeKind, Choice, FieldSpec, cursors
from crmbridge.testing import Can
from crmbridge.testing.preset import Fact, PresetContract

NAMES = {str(id): name for name, id in STATUSES.items()}
EXPIRED = {
    "gone": (410, {"error": {"code": "0x0", "message": "Gone"}}),
    "a code": (
        400,
        {"error": {"code": "0x80044352", "message": "Version stamp associated with the client has expired. Please perform a full sync."}},
    ),
}


FACTS = (
    Fact("/opportunities", {"$select", "$deltatoken", "$skiptoken"}, {"@odata.context": "string", "value": ["object"]}),
    Fact(
        "/EntityDefinitions",
        {"$select", "$filter", "$expand"},
        {
            "value": [
                {"LogicalName": "string", "PrimaryIdAttribute": "string", "ChangeTrackingEnabled": "boolean", "Attributes": ["object"]}
            ]
        },
    ),
)
"""What the samples of Microsoft's pages show; where a next link leads is opaque."""


class TestDynamics(PresetContract):
    connector = CONNECTOR
    record_type = "opportunities"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.DELETES, Can.RIGHTS, Can.LINKS, Can.LOGIN, Can.SCHEMA})
    secrets = (CLIENT_SECRET,)
    elsewhere = "/accounts"
    listed = ("value", "opportunityid", "")
    judge = "https://learn.microsoft.com/en-us/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems"
    facts = FACTS

    def stand_in(self, folder):
        return Dynamics()

    def options(self, crm):
        login = {"tenant": TENANT, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "login_url": crm.url}
        return login | {"url": crm.url, "page": 10}

    def wrong_credentials(self, options):
        return options | {"client_secret": "another"}

    def says(self, event, word, *, before=False):
        """Status reasons are numbers here."""
        found = super().says(event, word, before=before)
        return NAMES.get(found, found) if word == "stage" else found

    def test_it_is_read_again_from_an_instant(self):
        """No link leads back to an instant."""

    # --- links that are good no longer

    @pytest.mark.parametrize("how", EXPIRED)
    def test_a_link_that_is_too_old_loses_nothing_and_invents_nothing(self, world, crm, how):
        """All is read again, page by page: what changed is told, what did not is not, and what was deleted is found by a walk."""
        crm.expiry = EXPIRED[how]
        same = [crm.create(title=f"Deal {number}") for number in range(2 * self.page + 3)]
        id = self.begun(crm, world)
        crm.tick(8 * 86_400)
        crm.update(id, stage="won")
        new = crm.create(title="New")
        crm.delete(same[0])
        crm.oldest = crm.version + 1
        told = world.poll()
        assert sorted((one.kind, one.record_id) for one in told) == sorted([(ChangeKind.UPDATED, id), (ChangeKind.CREATED, new)])
        assert self.says(next(one for one in told if one.record_id == id), "stage", before=True) == "open"
        found, bookmark = [], None
        while stretch := world.source.walk(self.record_type, bookmark, False):
            found += stretch.ids
            bookmark = stretch.bookmark
            if bookmark is None:
                break
        assert set(found) == {*same[1:], id, new}
        crm.oldest = 0
        crm.tick(5)
        crm.update(new, title="Newer")
        assert [one.record_id for one in world.poll()] == [new]
        assert world.poll() == []

    def test_a_link_that_ends_in_the_middle_of_a_pass(self, world, crm):
        """What its first page told is told once."""
        self.begun(crm, world)
        ids = [crm.create(title=f"Deal {number}") for number in range(3 * self.page)]
        real, asked = crm.listed, []

        def listed(query, prefer):
            asked.append(query)
            return crm.expiry if "$skiptoken" in query and len(asked) == 2 else real(query, prefer)

        crm.listed = listed
        assert sorted(one.record_id for one in world.poll()) == sorted(ids)
        assert world.poll() == []

    def test_another_column_is_learnt_silently(self, make, worlds, crm, records):
        """Its link is of the columns as they were: the table is read whole with the new ones."""
        before = {self.record_type: {"name": FieldSpec()}}
        world = worlds(make(records=before))
        id = self.begun(crm, world)
        crm.tick(5)
        page = (source := make()).poll(world.run(world.store.position("crm")).cursor)
        assert [(one.record_id, one.existed) for one in page.observations] == [(id, True)]
        assert all(one.fields["statuscode"] == Choice("1", "Open") for one in page.observations)
        assert not source.poll(page.cursor).observations

    def test_a_foreign_position_is_told(self, make):
        """It is no link of this source."""
        with pytest.raises(SourceError, match="not written by this version"):
            make().poll(cursors.since({self.record_type: "2026-01-01T00:00:00"}))

    def test_a_list_without_a_link_is_told(self, world, crm):
        """Nothing would ever be found again."""
        crm.linked = False
        with pytest.raises(SourceError, match="no delta link"):
            world.poll()

    def test_a_table_that_is_not_tracked_is_named(self, world, crm):
        """With what to switch on, and where that is said."""
        crm.tracked = False
        with pytest.raises(SourceError, match=r"Track changes.*https://learn\.microsoft\.com"):
            world.call(world.source.check)

    def test_a_link_to_somebody_else_is_not_followed(self, world, crm):
        """Nobody else is shown our token."""
        self.begun(crm, world)
        crm.address = lambda asked: "https://elsewhere.example/api/data/v9.2/opportunities?x=1"
        crm.create()
        world.poll()
        with pytest.raises(SourceError, match="not its own address"):
            world.poll()

    def test_the_token_is_for_this_environment(self, world, crm):
        """By its scope."""
        world.poll()
        (login,) = [one for one in crm.requests if "oauth2" in one.path]
        assert parse_qs(login.body.decode())["scope"] == [f"{crm.url}/.default"]

    # --- rows

    def test_what_was_made_and_deleted_between_two_polls(self, world, crm):
        """Dataverse tells its deletion alone; nothing is said of its fields."""
        self.begun(crm, world)
        id = crm.create()
        crm.delete(id)
        (told,) = world.poll()
        assert (told.kind, told.record_id, dict(told.fields)) == (ChangeKind.DELETED, id, {})

    def test_choices_and_lookups_are_named(self, make, worlds, crm):
        """A choice has its label, several are a set, a lookup has its parts; a number is a number."""
        names = ("statuscode", "levels", "ownerid.id", "ownerid.name", "estimatedvalue")
        records = {self.record_type: {name: FieldSpec() for name in names}}
        world = worlds(make(records=records), records)
        world.call(world.source.check)
        self.begun(crm, world)
        crm.create(levels={"7": "Gold", "8": "Silver"})
        (event,) = world.poll()
        assert event.fields["statuscode"] == Choice("1", "Open")
        assert event.fields["levels"] == (Choice("7", "Gold"), Choice("8", "Silver"))
        assert [event.fields[name] for name in ("ownerid.id", "ownerid.name")] == ["1", "Susan Vale"]
        assert (str(event.fields["estimatedvalue"]), event.actor) == ("100.5", "Susan Vale")

    def test_what_left_our_sight_is_no_deletion(self, world, crm):
        """The delta may say that a row no longer belongs to what is asked for."""
        id = self.begun(crm, world)
        crm.delete(id)
        deleted = crm.deleted
        crm.deleted = lambda row: deleted(row) | {"reason": "changed"}
        assert world.poll() == []

    def test_only_configured_columns_are_asked_for(self, world, crm):
        """And those that the source reads itself."""
        world.poll()
        (asked,) = {one.path for one in crm.requests if one.path.startswith("/api/data/v9.2/opportunities?")}
        wanted = "opportunityid,name,statuscode,estimatedvalue,_ownerid_value,createdon,modifiedon,_modifiedby_value"
        assert asked.endswith("?%24select=" + wanted.replace(",", "%2C"))

    def test_a_record_made_before_the_last_look_was_there(self, world, crm):
        """One that comes into sight is not new."""
        self.begun(crm, world)
        crm.create(at=crm.now - timedelta(days=3))
        assert world.poll() == []


class TestCalledDynamics(Called, TestDynamics):
    calling = CallingDynamics
    can = frozenset({Can.POLL, Can.WEBHOOK})
