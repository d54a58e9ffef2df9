"""Tests of the vendor's troubles, its quota, and the facts that it gives."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import Any

import pytest

from crmbridge.errors import SourceError
from crmbridge.model import ChangeKind, FieldType
from crmbridge.testing.server import answer, cut
from crmbridge.testing.source.parts import Can, SourceParts, needs
from crmbridge.testing.standin import PEOPLE, StandIn
from crmbridge.testing.world import World


class TroublesContract(SourceParts):
    """The tests that errors are reported and change nothing, that facts are right, and that secrets stay secret."""

    @needs(Can.LOGIN)
    def test_troubles_change_nothing_and_are_told(self, world: World, crm: StandIn) -> None:
        """Expect maintenance pages, errors and cut connections to leave the cursor as it was. Nothing is missed or told twice."""
        self.begun(crm, world)
        page = answer(200, b"<html><body>We are down for maintenance.</body></html>", {"Content-Type": "text/html"})
        unavailable = answer(503, b"<html>down</html>", {"Content-Type": "text/html"})
        for trouble in (
            page,
            unavailable,
            answer(500, {"message": "oops"}),
            answer(400, b""),
            answer(200, b"[1, 2"),
            answer(302, b""),
            cut,
        ):
            id = crm.create()
            crm.then(*[trouble] * 3)
            with pytest.raises(SourceError) as told:
                world.poll()
            assert str(told.value)
            crm.server.clear()
            assert [one.record_id for one in world.poll()] == [id]
            crm.tick()

    @needs(Can.LOGIN)
    def test_a_limit_is_waited_for(self, world: World, crm: StandIn) -> None:
        self.begun(crm, world)
        crm.then(*[answer(429, {"message": "slow down"}, {"Retry-After": "77"})] * 3)
        with pytest.raises(SourceError) as told:
            world.poll()
        assert told.value.retry_at == crm.now + timedelta(seconds=77)

    @needs(Can.QUOTA)
    def test_others_keep_their_share_of_the_quota(self, make: Any, worlds: Any, crm: StandIn) -> None:
        """Expect a share of the quota to be left to others who use the vendor's API."""
        world = worlds(make({"quota_share": 0.5}))
        self.begun(crm, world)
        crm.quota, crm.used = 1000, 600
        id = crm.create()
        with contextlib.suppress(SourceError):  # its first answer tells how much is used
            world.poll()
        asked = len(crm.requests)
        with pytest.raises(SourceError, match="quota_share") as told:
            world.poll()
        assert told.value.retry_at is not None
        assert told.value.retry_at > crm.now
        assert len(crm.requests) == asked
        crm.used = 10
        crm.now = told.value.retry_at + timedelta(seconds=1)
        crm.update(id, stage="won")
        told_then = [*world.poll(), *world.poll()]  # the first poll may only end the pass that was broken off
        assert [self.says(one, "stage") for one in told_then][-1:] == ["won"]

    @needs(Can.DELETES)
    def test_deletions(self, world: World, crm: StandIn) -> None:
        """Expect a deletion to be told once, with what the record was. A record that comes back is no news, and its next change is told."""
        id = self.begun(crm, world)
        crm.delete(id)
        crm.tick(120)
        (gone,) = self.changes(crm, world)
        assert (gone.kind, gone.record_id, self.says(gone, "title")) == (ChangeKind.DELETED, id, "Parkers")
        crm.tick(120)
        assert self.changes(crm, world) == []
        crm.restore(id)
        crm.tick(120)
        assert [one.kind for one in self.changes(crm, world)] == []
        crm.update(id, stage="won")
        (back,) = self.changes(crm, world)
        assert (back.kind, self.says(back, "stage")) == (ChangeKind.UPDATED, "won")

    @needs(Can.LINKS)
    def test_a_change_links_to_its_record(self, world: World, crm: StandIn) -> None:
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        (event,) = self.changes(crm, world)
        assert event.url is not None
        assert event.url.startswith(("https://", "http://"))
        assert id in event.url

    @needs(Can.TEAMS)
    def test_who_works_on_a_record(self, world: World, crm: StandIn) -> None:
        """Expect the owner first, and nobody who has left the team."""
        id = self.begun(crm, world)
        crm.rows[id].team = ["2"]
        found = world.call(world.source.members, self.record_type, id)
        assert [one.name for one in found] == [PEOPLE["1"][0], PEOPLE["2"][0]]
        crm.rows[id].team = []
        assert [one.name for one in world.call(world.source.members, self.record_type, id)] == [PEOPLE["1"][0]]

    @needs(Can.SCHEMA)
    def test_the_schema_names_what_may_be_configured(self, world: World, crm: StandIn) -> None:
        found = {one.name: one for one in world.call(world.source.schema, self.record_type)}
        assert set(self.fields.values()) <= found.keys()
        assert all(one.label for one in found.values())
        assert found[self.fields["amount"]].type in (FieldType.NUMBER, FieldType.MONEY)
        with pytest.raises(SourceError):
            world.call(world.source.schema, "Nonsense")

    def test_no_secret_is_shown(self, world: World, crm: StandIn, caplog: Any) -> None:
        caplog.set_level(logging.DEBUG)
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        shown = [repr(self.changes(crm, world)), repr(world.source)]
        crm.then(*[answer(500, {"message": " ".join(self.secrets)})] * 3)
        if Can.LOGIN in self.can:
            with pytest.raises(SourceError) as told:
                world.poll()
            shown += [str(told.value), repr(told.value)]
        self.shows_no_secret(*shown)
