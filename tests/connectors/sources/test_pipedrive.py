"""The pipedrive source, against a stand-in of its vendor."""

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from standins.pipedrive import CUSTOM, HOOK, PASSWORD, STAGES, TOKEN, WORDS, Pipedrive, stamp

from connectors.sources.pipedrive import CONNECTOR
from crmbridge.errors import InvalidRequest, SourceError
from crmbridge.model import ChangeKind, Choice, FieldSpec, cursors
from crmbridge.testing import Can, answer
from crmbridge.testing.preset import Fact, PresetContract

NAMES = {str(id): name for name, id in STAGES.items()}


_ASKS = {"filter_id", "ids", "owner_id", "person_id", "org_id", "pipeline_id", "stage_id", "status", "updated_since", "updated_until"}
_SORTS = {"sort_by", "sort_direction", "include_fields", "custom_fields", "limit", "cursor"}
_ROW = {"id": "integer", "title": "string|null", "add_time": "date-time", "update_time": "date-time", "is_deleted": "boolean"}
FACTS = (
    Fact(
        "/api/v2/deals(/archived)?",
        _ASKS | _SORTS,
        {"success": "boolean", "data": [_ROW], "additional_data": {"next_cursor": "string|null"}},
        {
            "sort_by": {"id", "update_time", "add_time"},
            "sort_direction": {"asc", "desc"},
            "limit": {str(number) for number in range(1, 501)},
        },
    ),
)
"""What Pipedrive's OpenAPI of version 2 says of its list of deals; next_cursor is null on the last page by the page about paging."""


class TestPipedrive(PresetContract):
    connector = CONNECTOR
    record_type = "deals"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.WEBHOOK, Can.OLD_VALUES, Can.DELETES, Can.MERGES, Can.TEAMS, Can.SCHEMA, Can.LINKS, Can.RIGHTS})
    secrets = (TOKEN, PASSWORD)
    elsewhere = "/persons"
    listed = ("data", "id", "update_time")
    judge = "https://developers.pipedrive.com/docs/api/v1/openapi-v2.yaml"
    facts = FACTS
    null_is_empty = True

    def quota(self, crm):
        return {"x-ratelimit-reset": "30"}

    def stand_in(self, folder):
        return Pipedrive()

    def options(self, crm):
        return {
            "token": TOKEN,
            "webhook": {"url": HOOK, "password": PASSWORD},
            "api_url": crm.url,
            "overlap": 60,
            "page": 10,
            "archived_every": 0,
        }

    def says(self, event, word, *, before=False):
        """Stages are numbers here."""
        found = super().says(event, word, before=before)
        return NAMES.get(found, found) if word == "stage" else found

    def test_merges(self, world, crm):
        """Only a webhook says into what; a poll sees that the loser is gone."""
        winner = crm.create()
        loser = self.begun(crm, world)
        crm.merge(loser, winner)
        for request in crm.told():
            world.hear(request)
        told = [(one.kind, one.record_id) for one in world.news()]
        assert told == [(ChangeKind.MERGED, loser)]
        crm.tick(120)
        assert [one for one in world.poll() if one.record_id == loser] == []

    def test_who_works_on_a_record(self, world, crm):
        """Pipedrive knows the owner, and no team."""
        id = self.begun(crm, world)
        assert [one.name for one in world.call(world.source.members, "deals", id)] == ["Susan Vale"]

    # --- the archive, which the list of all deals leaves out

    @pytest.mark.parametrize("stamped", [True, False])
    def test_to_archive_a_deal_is_no_news_and_no_deletion(self, world, crm, stamped):
        """Nor is taking it out again; what changes then is told."""
        id = self.begun(crm, world)
        crm.archive(id, stamped=stamped)
        crm.tick(120)
        assert world.poll() == []
        crm.unarchive(id, stamped=stamped)
        crm.tick(120)
        assert world.poll() == []
        crm.update(id, stage="won")
        (told,) = world.poll()
        assert (told.kind, self.says(told, "stage")) == (ChangeKind.UPDATED, "won")

    @pytest.mark.parametrize("stamped", [True, False])
    def test_what_changed_just_before_it_was_archived_is_told(self, world, crm, stamped):
        """Deals that are won are often archived by the same hand, or by an automation."""
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        new = crm.create(title="Quick")
        for one in (id, new):
            crm.archive(one, stamped=stamped)
        crm.tick(5)
        assert sorted((one.record_id, one.kind) for one in world.poll()) == [(id, ChangeKind.UPDATED), (new, ChangeKind.CREATED)]
        crm.tick(120)
        assert world.poll() == []

    def test_what_is_in_the_archive_at_the_first_start_is_learnt(self, world, crm):
        """And an archived deal is read whole where it is named, and deleted as any other."""
        old = crm.create()
        crm.archive(old)
        self.begun(crm, world)
        assert world.knows("deals", old)
        assert [one.record_id for one in world.call(world.source.fetch_many, "deals", [old])] == [old]
        assert [one.name for one in world.call(world.source.members, "deals", old)] == ["Susan Vale"]
        crm.delete(old)
        crm.tick(120)
        assert [(one.kind, one.record_id) for one in world.poll()] == [(ChangeKind.DELETED, old)]

    def test_an_archive_that_comes_into_sight_is_no_news(self, world, crm):
        """With a cursor of before it was read, or where it was not for this user."""
        crm.withdraw("deals:read of the archive")
        old = crm.create()
        crm.archive(old)
        self.begun(crm, world)
        assert not world.knows("deals", old)
        crm.give("deals:read of the archive")
        late = crm.create(title="Late")
        crm.archive(late)
        crm.tick(5)
        assert [(one.kind, one.record_id) for one in world.poll()] == [(ChangeKind.CREATED, late)]
        crm.tick(120)
        assert world.poll() == []

    def test_a_cursor_of_before_learns_the_archive_silently(self, make, worlds, crm):
        old = crm.create()
        crm.archive(old)
        crm.tick(120)
        world = worlds(make())
        crm.withdraw("deals:read of the archive")
        world.poll()
        positions, current = cursors.load(world.run(world.store.position("crm")).cursor)
        before = cursors.dump({name: one for name, one in positions.items() if "archived" not in name}, current)
        crm.give("deals:read of the archive")
        page = make().poll(before)
        while page.has_more:
            page = make().poll(page.cursor)
            assert page.learning or not page.observations
        assert {name for name in cursors.load(page.cursor)[0] if "archived" in name} == {"deals archived", "deals archived deleted"}

    def test_a_position_of_the_former_version_goes_on(self, make, worlds, crm):
        """In the middle of a pass and between two: nothing is told twice, and nothing is passed over."""
        old = [crm.create(title=f"Deal {number}") for number in range(3 * self.page)]
        crm.tick(120)
        between = ["2026-11-22T12:00:00", "2026-11-22T12:00:00", True]
        streams = ("deals archived", "deals deleted", "deals archived deleted")
        tables = {name: [None, *between] for name in streams}
        for deals, current in (([None, *between], None), ([["2026-11-22T12:00:00", "10"], *between], "deals")):
            cursor = json.dumps({"v": 1, "tables": {"deals": deals, **tables}, "current": current})
            crm.tick(5)
            crm.update(old[0], stage="won")
            new = crm.create(title="New")
            seen, page = [], make().poll(cursor)
            seen += page.observations
            while page.has_more:
                page = make().poll(page.cursor)
                seen += page.observations
                assert not page.learning
            assert {old[0], new} <= {one.record_id for one in seen}
            assert all(not one.existed for one in seen if one.record_id == new)

    def test_the_archive_is_read_slowly(self, make, worlds, crm):
        """Each reading costs as much as one of all deals."""
        world = worlds(make({"archived_every": 300}))
        self.begun(crm, world)

        def read(seconds):
            crm.tick(seconds)
            before = len(crm.requests)
            world.poll()
            return sum("/archived" in one.path for one in crm.requests[before:])

        assert [read(150), read(100), read(100), read(100)] == [0, 2, 0, 0]

    def test_values_are_named(self, make, worlds, crm):
        """Stages, options of a custom field, the owner."""
        names = ("title", "stage_id", f"custom_fields.{CUSTOM}", "owner.name", "owner.email")
        records = {"deals": {name: FieldSpec() for name in names}}
        world = worlds(make(records=records), records)
        world.call(world.source.check)
        self.begun(crm, world)
        crm.create(level=7)
        (event,) = world.poll()
        assert event.fields["stage_id"] == Choice("1", "Open")
        assert event.fields[f"custom_fields.{CUSTOM}"] == Choice("7", "Gold")
        assert (event.fields["owner.name"], event.fields["owner.email"]) == ("Susan Vale", "susan@acme.example")

    def test_old_values_that_the_vendor_says(self, world, crm):
        """Once names are learnt, as the daemon does at its start."""
        world.call(world.source.check)
        super().test_old_values_that_the_vendor_says(world, crm)

    def heard(self, world, crm, id, data=None, previous=None):
        """A webhook of a change with these in it."""
        request = crm.request(crm.rows[id], "change", {})
        body = json.loads(request.body)
        body["data"] |= data or {}
        body["previous"] = previous
        assert world.hear(replace(request, body=json.dumps(body).encode())) == 200
        return world.news()

    def named(self, make, worlds, *names):
        records = {"deals": {name: FieldSpec() for name in names}}
        return worlds(make(records=records), records)

    def test_custom_fields_of_a_webhook(self, make, worlds, crm):
        """They come in a shape of their own; one that did not change has no old value."""
        level, several = f"custom_fields.{CUSTOM}", {"type": "set", "values": [{"id": 7}, {"id": 8}]}
        world = self.named(make, worlds, "title", level)
        id = self.begun(crm, world)
        crm.rows[id].fields["level"] = 7
        crm.update(id, title="New")
        crm.told()
        previous = {"title": "Old", "custom_fields": {"a" * 40: {"type": "varchar", "value": "x"}}}
        (event,) = self.heard(world, crm, id, {"custom_fields": {CUSTOM: {"type": "enum", "id": 7}}}, previous)
        assert (event.fields[level], event.before["title"], event.before[level]) == (Choice("7", "Gold"), "Old", None)
        assert world.poll() == []
        crm.tick()
        (event,) = self.heard(world, crm, id, {"title": "Newer", "update_time": stamp(crm.now), "custom_fields": None}, {"title": "New"})
        assert (event.fields[level], event.before[level]) == (Choice("7", "Gold"), Choice("7", "Gold"))
        crm.tick()
        (event,) = self.heard(world, crm, id, {"title": "Newer", "update_time": stamp(crm.now), "custom_fields": {CUSTOM: several}}, {})
        assert event.fields[level] == (Choice("7", "Gold"), Choice("8", "Silver"))

    def test_a_webhook_before_anything_is_learnt(self, make, worlds, crm):
        """After a restart names are not known yet: the record is read whole, and nothing that did not change seems to."""
        names = ("title", "stage_id", "owner.name")
        world = self.named(make, worlds, *names)
        id = self.begun(crm, world)
        fresh = make(records={"deals": {name: FieldSpec() for name in names}})
        crm.update(id, title="New")
        (request,) = crm.told()
        (seen,) = fresh.parse(request)
        assert (seen.partial, "owner.name" in seen.fields, "stage_id" in seen.fields) == (True, False, False)
        (whole,) = fresh.fetch_many("deals", [id])
        assert (whole.fields["stage_id"], whole.fields["owner.name"], whole.fields["title"]) == (Choice("1", "Open"), "Susan Vale", "New")
        assert fresh.parse(request)[0].partial is False

    def test_a_page_that_ends_with_its_second(self, make, worlds, crm):
        """There is nothing behind it, and no mark."""
        world = self.named(make, worlds, "title")
        for _ in range(20):
            crm.create()
        assert world.poll() == []
        crm.tick(600)
        crm.create()
        assert [one.kind for one in world.poll()] == [ChangeKind.CREATED]

    def test_a_poll_that_knows_seconds_only_is_not_older_than_a_webhook(self, make, worlds, crm):
        """A webhook says milliseconds; what came later in that second, by a webhook that was lost, a poll still tells."""
        world = self.named(make, worlds, "title")
        id = self.begun(crm, world)
        crm.update(id, title="B")
        crm.told()
        moment = stamp(crm.now).replace("Z", ".200Z")
        assert [one.fields["title"] for one in self.heard(world, crm, id, {"title": "B", "update_time": moment}, {})] == ["B"]
        crm.update(id, title="C")
        crm.told()
        assert [one.fields["title"] for one in world.poll()] == ["C"]

    def test_the_subscription_is_kept_alive(self, world, crm):
        """Pipedrive drops one that failed for three days; it is made again within the hour."""
        world.poll()
        assert [(one["subscription_url"], one["event_object"], one["version"]) for one in crm.subscriptions] == [(HOOK, "deal", "2.0")]
        world.poll()
        assert len(crm.subscriptions) == 1
        crm.subscriptions.clear()
        crm.tick(3601)
        world.poll()
        assert len(crm.subscriptions) == 1

    def test_strangers_are_refused(self, make, crm):
        """Whatever they say that they are."""
        source = make()
        crm.create()
        (good,) = crm.told()
        source.verify(good)
        pairs = ["", "crmbridge", "crmbridge:", f"crmbridge:{PASSWORD}x", f"crmbridge:{PASSWORD[:-1]}", f"other:{PASSWORD}", f":{PASSWORD}"]
        pairs += [f"crmbridge:{PASSWORD[:n]}!{PASSWORD[n + 1 :]}" for n in range(len(PASSWORD))]
        headers = [f"Basic {base64.b64encode(pair.encode()).decode()}" for pair in pairs]
        headers += ["", "Basic", "Basic !!!", f"Bearer {PASSWORD}", good.headers["authorization"].rstrip("=")[:-1], "Basic \u00e9"]
        for one in headers:
            with pytest.raises(InvalidRequest) as told:
                source.verify(replace(good, headers={**good.headers, "authorization": one}))
            assert told.value.status == 401

    def test_a_deletion_of_a_person_or_of_another_kind(self, world, crm):
        """What is not configured is left."""
        id = self.begun(crm, world)
        request = crm.request(crm.rows[id], "change", {})
        for entity in ("person", "activity"):
            assert world.hear(replace(request, body=request.body.replace(b'"deal"', f'"{entity}"'.encode()))) == 200
        assert (world.news(), world.failed()) == ([], [])

    def test_a_record_that_never_changed_is_of_when_it_was_made(self, make, world, crm):
        """Pipedrive may write null for the stamp of its last change; where nothing stands at all, nobody knows."""
        self.begun(crm, world)
        id = crm.create(title="New")
        crm.odd = self._on_rows(crm, lambda rows: [row | {"update_time": None} if row["title"] == "New" else row for row in rows])
        ((told,), (whole,)) = world.poll(), make().fetch_many("deals", [id])
        assert (told.record_id, told.kind, told.occurred_at, whole.occurred_at) == (id, ChangeKind.CREATED, crm.now, crm.now)

    def test_a_wrong_token_is_told(self, make, worlds):
        """In the vendor's words, and without it."""
        world = worlds(make({"token": "canary-wrong-token"}))
        with pytest.raises(SourceError, match="unauthorized access") as told:
            world.call(world.source.check)
        assert "canary" not in str(told.value)

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"x-ratelimit-reset": "2"}, 2),
            ({"x-ratelimit-reset": "0"}, 1),
            ({"x-ratelimit-reset": "2", "Retry-After": "77"}, 77),
            ({"x-ratelimit-reset": "99", "Retry-After": "7"}, 99),
            ({"x-daily-ratelimit-token-remaining": "0", "x-ratelimit-reset": "2", "Retry-After": "2"}, 3600),
            ({"x-daily-ratelimit-token-remaining": "17", "x-ratelimit-reset": "2"}, 2),
            ({"x-ratelimit-reset": "soon"}, 60),
            ({}, 60),
        ],
    )
    def test_how_long_a_limit_holds(self, make, crm, headers, seconds):
        """A burst for seconds, the day's tokens for longer; where nobody says it, a minute."""
        crm.then(*[answer(429, {"success": False, "error": "request over limit"}, headers)] * 3)
        with pytest.raises(SourceError, match="request over limit") as told:
            make().poll(None)
        assert told.value.retry_at == crm.now + timedelta(seconds=seconds)

    def test_instants_that_are_called_dates(self, make, crm):
        """Pipedrive describes `update_time` as a date."""
        source = make(records={"deals": {"update_time": FieldSpec()}})
        (found,) = source.fetch_many("deals", [crm.create()])
        assert found.fields == {"update_time": crm.now.replace(microsecond=0)}
        assert {one.name: one.type for one in source.schema("deals")}["update_time"] == "datetime"
