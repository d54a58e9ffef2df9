"""The pipedrive source, against a stand-in of its vendor."""

import base64
from dataclasses import replace
from typing import ClassVar

import pytest
from standins.pipedrive import CUSTOM, HOOK, PASSWORD, STAGES, TOKEN, WORDS, Pipedrive

from connectors.sources.pipedrive import CONNECTOR
from crmbridge.errors import InvalidRequest, SourceError
from crmbridge.model import Choice, FieldSpec, Kind
from crmbridge.testing import Can, SourceContract

NAMES = {str(id): name for name, id in STAGES.items()}


class TestPipedrive(SourceContract):
    connector = CONNECTOR
    record_type = "deals"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.WEBHOOK, Can.OLD_VALUES, Can.DELETES, Can.MERGES, Can.TEAMS, Can.SCHEMA, Can.LINKS})
    secrets = (TOKEN, PASSWORD)

    def stand_in(self, folder):
        return Pipedrive()

    def options(self, crm):
        return {"token": TOKEN, "webhook": {"url": HOOK, "password": PASSWORD}, "api_url": crm.url, "overlap": 60, "page": 10}

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
        assert told == [(Kind.MERGED, loser)]
        crm.tick(120)
        assert [one for one in world.poll() if one.record_id == loser] == []

    def test_who_works_on_a_record(self, world, crm):
        """Pipedrive knows the owner, and no team."""
        id = self.begun(crm, world)
        assert [one.name for one in world.call(world.source.members, "deals", id)] == ["Susan Vale"]

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
        headers += ["", "Basic", "Basic !!!", f"Bearer {PASSWORD}", good.headers["authorization"][:-2], "Basic \u00e9"]
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

    def test_a_wrong_token_is_told(self, make, worlds):
        """In the vendor's words, and without it."""
        world = worlds(make({"token": "canary-wrong-token"}))
        with pytest.raises(SourceError, match="unauthorized access") as told:
            world.call(world.source.check)
        assert "canary" not in str(told.value)
