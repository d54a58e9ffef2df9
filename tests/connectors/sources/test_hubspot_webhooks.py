"""What only HubSpot's webhooks have: their signature, and events that come in two forms."""

import json
import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from standins.hubspot import CLIENT_SECRET, HOOK, PORTAL, HubspotParts, ms, sign

from connectors.sources.hubspot.signature import signed_address, verify
from crmbridge.contract import Secret, WebhookRequest
from crmbridge.errors import InvalidRequest, InvalidSignature
from crmbridge.model import ChangeKind, Choice, FieldSpec, FieldType


def signed_request(body, proof, stamp, query="", late=0):
    headers = {"x-hubspot-signature-v3": proof, "x-hubspot-request-timestamp": stamp}
    moment = datetime.fromtimestamp(int(stamp) / 1000, timezone.utc) + timedelta(milliseconds=late)
    return WebhookRequest(headers, body, query, moment)


def test_the_vendors_vectors(vectors):
    """A signature that HubSpot's own clients call right."""
    found = json.loads((vectors / "hubspot-signature" / "signatures.json").read_text("utf-8"))
    tried = 0
    for one in found:
        if one["version"] == "v3":
            tried += 1
            secret = [Secret.parse(one["client_secret"])]
            request = signed_request(one["body"].encode(), one["expected"], one["timestamp"])
            verify(secret, one["uri"], request)
            for wrong in (replace(request, query="a=1"), replace(request, body=request.body + b" ")):
                with pytest.raises(InvalidSignature):
                    verify(secret, one["uri"], wrong)
    assert tried


def test_just_these_escapes_are_decoded(vectors):
    """One more or one less, and no request with such a character is believed."""
    table = json.loads((vectors / "hubspot-signature" / "v3-uri-decode-table.json").read_text("utf-8"))
    decoded = table["decode_before_hashing"]
    for number in range(256):
        escape = f"%{number:02X}"
        for written in {escape, escape.lower()}:
            assert signed_address("https://a.example/x", f"q={written}") == f"https://a.example/x?q={decoded.get(escape, written)}"
    assert signed_address("https://a.example/x%2Fy?old=1", "") == "https://a.example/x/y"
    assert table["max_age_ms"] == 300_000


@pytest.mark.parametrize("late", [300_000, -300_000, 0])
def test_five_minutes_are_allowed(late):
    body, stamp = b"[]", "1693657560000"
    verify([Secret.parse("s")], HOOK, signed_request(body, sign(body, stamp, secret="s"), stamp, late=late))


def test_a_query_is_signed_as_it_was_sent():
    body, stamp = b"[]", "1693657560000"
    address = HOOK + "?b=2&a=x/y z%20%3D".replace(" ", "%2B")
    request = signed_request(body, sign(body, stamp, address=address), stamp, query="b=2&a=x%2Fy%2Bz%20%3D")
    verify([Secret.parse(CLIENT_SECRET)], HOOK, request)


def test_a_secret_is_exchanged_without_a_gap(monkeypatch):
    """Old and new are both believed; one that cannot be read shuts nobody out."""
    body, stamp = b"[]", "1693657560000"
    secrets = [Secret.parse({"env": "HUBSPOT_NEW_SECRET"}), Secret.parse("old")]
    verify(secrets, HOOK, signed_request(body, sign(body, stamp, secret="old"), stamp))
    monkeypatch.setenv("HUBSPOT_NEW_SECRET", "new")
    verify(secrets, HOOK, signed_request(body, sign(body, stamp, secret="new"), stamp))
    with pytest.raises(InvalidSignature):
        verify(secrets, HOOK, signed_request(body, sign(body, stamp, secret="newer"), stamp))


class TestHooks(HubspotParts):
    @pytest.fixture
    def learnt(self, crm, world):
        return self.begun(crm, world)

    def heard(self, crm, world, *events):
        assert world.hear(crm.deliver(list(events))) == 204
        assert world.failed() == []
        return world.news()

    def test_without_webhooks_nobody_is_believed(self, make, crm):
        """Not configured is not unsigned."""
        request = crm.deliver([crm.event("creation", "1")])
        with pytest.raises(InvalidRequest) as told:
            make({"webhook": None}).verify(request)
        assert told.value.status == 404

    def test_the_vendors_own_batch(self, make, crm, vectors, records):
        """As HubSpot's documentation prints it."""
        body = (vectors / "hubspot-signature" / "webhook-batch-contact-creation.json").read_bytes()
        stamp = str(ms(crm.now))
        request = replace(signed_request(body, sign(body, stamp), stamp), received_at=crm.now)
        source = make(records={"contacts": records["deals"]})
        source.verify(request)
        (seen,) = source.parse(request)
        assert (seen.record_type, seen.record_id, seen.created, seen.partial) == ("contacts", "123", True, True)
        assert make().parse(request) == []

    def test_there_and_back_in_one_batch(self, learnt, world, crm):
        """A -> B -> A is two changes, though the record as a whole has not changed; their order is that of their instants."""
        first = crm.event("propertyChange", learnt, propertyName="dealstage", propertyValue="won")
        crm.tick()
        second = crm.event("propertyChange", learnt, propertyName="dealstage", propertyValue="open")
        crm.rows[learnt].modified = crm.now
        told = self.heard(crm, world, second, first)
        assert [one.fields["dealstage"] for one in told] == [Choice("won", "Closed Won"), Choice("open", "Appointment Scheduled")]
        assert [one.before["dealstage"].value for one in told] == ["open", "won"]
        assert self.heard(crm, world, first, second) == []
        assert world.poll() == []

    def test_what_changed_together_is_one_change(self, learnt, world, crm):
        """HubSpot sends each property by itself, with one instant."""
        crm.update(learnt, stage="won", amount="7")
        crm.webhooks.clear()
        told = self.heard(
            crm,
            world,
            crm.event("propertyChange", learnt, propertyName="dealstage", propertyValue="won"),
            crm.event("propertyChange", learnt, propertyName="amount", propertyValue="7"),
            crm.event("propertyChange", learnt, propertyName="dealstage", propertyValue="won"),
        )
        assert [(one.fields["dealstage"].value, one.fields["amount"]) for one in told] == [("won", Decimal(7))]

    @pytest.mark.parametrize("seed", range(8))
    def test_events_and_polls_never_disagree(self, world, crm, seed):
        """Late, doubled, lost, out of order: what is told happened, in that order, and ends in what is so."""
        chance = random.Random(seed)
        ids = [self.begun(crm, world), crm.create(), crm.create()]
        history, told, waiting = {id: ["open"] for id in ids}, [], []
        for _ in range(60):
            match chance.randrange(6):
                case 0 | 1 | 2:
                    id, stage = chance.choice(ids), chance.choice(["open", "won", "lost"])
                    crm.update(id, stage=stage)
                    history[id].append(stage)
                case 3:
                    told += world.poll()
                case _:
                    chance.shuffle(waiting)
                    for request in waiting[: chance.randrange(4)]:
                        assert world.hear(request) == 204
                    told += world.news()
                    waiting = waiting[chance.randrange(3) :]
            waiting += crm.told()
            crm.tick(chance.choice([0.001, 1, 30]))
        for request in waiting:
            world.hear(request)
        crm.tick(120)
        told += world.news() + world.poll()
        assert world.poll() == []
        assert world.failed() == []
        for id in ids:
            stages = [self.says(one, "stage") for one in told if one.record_id == id]
            rest = iter(history[id])
            assert all(stage in rest for stage in stages)
            assert stages[-1:] in ([crm.rows[id].fields["stage"]], [])

    def test_the_generic_form(self, learnt, world, crm):
        """`object.*` events name the type by its number."""
        crm.update(learnt, stage="won")
        event = crm.event("propertyChange", learnt, propertyName="dealstage", propertyValue="won")
        event |= {"subscriptionType": "object.propertyChange", "objectTypeId": "0-3"}
        assert [one.fields["dealstage"].value for one in self.heard(crm, world, event)] == ["won"]
        crm.tick()
        crm.delete(learnt)
        gone = crm.event("deletion", learnt) | {"subscriptionType": "object.deletion", "objectTypeId": "0-3"}
        assert [one.kind for one in self.heard(crm, world, gone, gone)] == [ChangeKind.DELETED]

    def test_what_is_not_configured_is_left_alone(self, learnt, world, crm):
        """Other types, kinds of events we know nothing of, properties we do not look at; no request to HubSpot either."""
        asked = len(crm.requests)
        told = self.heard(
            crm,
            world,
            crm.event("creation", 5) | {"subscriptionType": "contact.creation"},
            crm.event("creation", 5) | {"subscriptionType": "object.creation", "objectTypeId": "2-123"},
            crm.event("creation", 5) | {"subscriptionType": "conversation.newMessage"},
            crm.event("unheardOf", learnt),
        )
        assert told == []
        assert len(crm.requests) == asked
        assert self.heard(crm, world, crm.event("propertyChange", learnt, propertyName="hs_priority", propertyValue="high")) == []

    def test_other_accounts_are_left_alone(self, make, worlds, crm):
        world = worlds(make({"portal_id": PORTAL}))
        learnt = self.begun(crm, world)
        crm.update(learnt, stage="won")
        event = crm.event("propertyChange", learnt, propertyName="dealstage", propertyValue="won")
        assert self.heard(crm, world, event | {"portalId": PORTAL + 1}) == []
        assert len(self.heard(crm, world, event)) == 1

    def test_secrets_and_unknown_labels_come_from_the_record(self, learnt, world, crm):
        """What an event does not say in full is read."""
        for value, more in (("REDACTED", {}), ("x", {"isSensitive": True})):
            crm.tick()
            crm.update(learnt, title=f"Deal {value}")
            event = crm.event("propertyChange", learnt, propertyName="dealname", propertyValue=value, **more)
            assert [one.fields["dealname"] for one in self.heard(crm, world, event)] == [f"Deal {value}"]
        crm.tick()
        crm.update(learnt, stage="brandnew")
        event = crm.event("propertyChange", learnt, propertyName="dealstage", propertyValue="brandnew")
        assert [one.fields["dealstage"] for one in self.heard(crm, world, event)] == [Choice("brandnew", "brandnew")]

    def test_a_merge_with_a_new_id(self, learnt, world, crm):
        """Since 2025 a merged contact or company is a record of its own: both that were are gone."""
        other, survivor = crm.create(), crm.create()
        for id in (learnt, other):
            crm.rows[id].deleted, crm.rows[id].merged_into = crm.now, survivor
        more = {"primaryObjectId": int(learnt), "mergedObjectIds": [int(other)], "newObjectId": int(survivor)}
        told = self.heard(crm, world, crm.event("merge", learnt, **more)) + world.poll()
        assert [(one.kind, one.record_id) for one in told if one.kind is ChangeKind.MERGED] == [
            (ChangeKind.MERGED, other),
            (ChangeKind.MERGED, learnt),
        ]
        assert survivor in {one.record_id for one in told}

    def test_erased_is_deleted(self, learnt, world, crm):
        crm.rows[learnt].visible = False
        assert [one.kind for one in self.heard(crm, world, crm.event("privacyDeletion", learnt))] == [ChangeKind.DELETED]

    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"subscriptionType": "deal.creation"},
            {"subscriptionType": "deal.creation", "objectId": 1, "occurredAt": "soon"},
            {"subscriptionType": "deal.creation", "objectId": True, "occurredAt": 1},
            {"subscriptionType": "deal.creation", "objectId": [], "occurredAt": 1},
            {"subscriptionType": "deal.creation", "objectId": 1, "occurredAt": 10**18},
            {"subscriptionType": "deal.propertyChange", "objectId": 1, "occurredAt": 1},
            {"subscriptionType": "deal.merge", "objectId": 1, "occurredAt": 1, "mergedObjectIds": [None]},
        ],
    )
    def test_a_broken_event_is_told(self, make, crm, event):
        """As a request that nobody can interpret, naming the event; never as nothing."""
        with pytest.raises(ValueError, match="event 1: "):
            make().parse(crm.deliver([crm.event("creation", 1), event]))


class TestRelated(TestHooks):
    """With fields of the owner and of the company."""

    @pytest.fixture
    def records(self):
        names = ("dealname", "dealstage", "hubspot_owner_id", "owner.name", "company.name")
        return {"deals": {**{name: FieldSpec() for name in names}, "amount": FieldSpec(type=FieldType.NUMBER)}}

    @pytest.mark.parametrize("generic", [False, True])
    def test_a_new_link_is_read(self, learnt, world, crm, generic):
        """Its event may have no objectId, and comes from either end."""
        crm.company_of[learnt] = "7001"
        event = crm.event("associationChange", 0, fromObjectId=7001, toObjectId=int(learnt), associationRemoved=False)
        del event["objectId"]
        if generic:
            event |= {"subscriptionType": "object.associationChange", "fromObjectTypeId": "0-2", "toObjectTypeId": "0-3"}
        else:
            event |= {"subscriptionType": "company.associationChange", "associationType": "COMPANY_TO_DEAL"}
        assert [one.fields["company.name"] for one in self.heard(crm, world, event)] == ["Acme Ltd"]

    def test_an_owner_is_told_with_their_name(self, learnt, world, crm):
        """Never the new owner's id beside the old one's name."""
        for owner, name in (("2", "Omar Haddad"), ("9", "Nora Left"), ("", None)):
            crm.tick()
            crm.update(learnt, owner=owner)
            crm.webhooks.clear()
            told = self.heard(crm, world, crm.event("propertyChange", learnt, propertyName="hubspot_owner_id", propertyValue=owner))
            assert [(one.fields["hubspot_owner_id"], one.fields["owner.name"]) for one in told] == [(owner or None, name)]
            assert told[0].actor == "Susan Vale"
