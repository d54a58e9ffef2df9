"""Stand-ins that call: what their vendors send when a record changes, signed as their pages say."""

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from standins.attio import Attio
from standins.close import Close
from standins.dynamics365 import Dynamics
from standins.senders import JSON, SENDERS
from standins.twenty import Twenty
from standins.zoho import Zoho

from crmbridge.contract import Rereading, WebhookRequest, WebhookSource
from crmbridge.testing.source.hooks import HooksContract

OBJECT = "97052eb9-e65e-443f-a297-f2d9a4a7f795"
"""Attio names an object in webhooks by its id."""


class Calls:
    """Tells of what is made, changed and deleted while it may be seen."""

    SENDER = TITLE = ""
    ACTIONS = ("created", "updated", "deleted")

    def __init__(self):
        super().__init__()
        self._numbers = itertools.count(1)

    @property
    def secret(self):
        return SENDERS[self.SENDER].secret

    def tell(self, what, row, before):
        super().tell(what, row, before)
        verbs = dict(zip(("created", "updated", "deleted"), self.ACTIONS, strict=True))
        if what in verbs and row.visible:
            self.send(self.call(verbs[what], row))

    def send(self, said, **headers):
        body = json.dumps(said).encode()
        proof, query = SENDERS[self.SENDER].sign(body, self.secret, self.now)
        given = {"content-type": JSON} | proof | headers
        self.webhooks.append(WebhookRequest(headers=given, body=body, query=query, received_at=self.now))


class CallingClose(Calls, Close):
    TITLE = "note"
    SENDER = "close"

    def call(self, verb, row):
        data = {"id": row.id, "note": "what a webhook says is believed no further than its name", "date_updated": row.modified.isoformat()}
        event = {"object_type": "opportunity", "object_id": row.id, "action": verb, "data": data, "user_id": "user_1"}
        return {"subscription_id": "whsub_1", "event": event | {"date_created": self.now.isoformat()}}


class CallingAttio(Calls, Attio):
    TITLE = "name"
    SENDER = "attio"
    ACTIONS = ("record.created", "record.updated", "record.deleted")

    def call(self, verb, row):
        id = {"workspace_id": "1", "object_id": OBJECT, "record_id": row.id}
        return {"webhook_id": "1", "events": [{"event_type": verb, "id": id, "actor": {"type": "workspace-member", "id": "1"}}]}

    def send(self, said, **headers):
        super().send(said, **{"idempotency-key": f"key-{next(self._numbers)}"})


class CallingTwenty(Calls, Twenty):
    TITLE = "name"
    SENDER = "twenty"
    ACTIONS = ("opportunity.created", "opportunity.updated", "opportunity.deleted")

    def call(self, verb, row):
        return {
            "eventName": verb,
            "objectMetadata": {"id": "1", "nameSingular": "opportunity"},
            "record": {"id": row.id, "name": "not this", "updatedAt": row.modified.isoformat()},
            "eventDate": self.now.isoformat(),
        }


class CallingZoho(Calls, Zoho):
    TITLE = "Deal_Name"
    SENDER = "zoho"
    ACTIONS = ("insert", "update", "delete")

    def call(self, verb, row):
        facts = {"module": "Deals", "ids": [row.id], "operation": verb, "channel_id": "1", "token": self.secret}
        return facts | {"server_time": int(self.now.timestamp() * 1000)}


class CallingDynamics(Calls, Dynamics):
    TITLE = "name"
    SENDER = "dataverse"
    ACTIONS = ("Create", "Update", "Delete")

    def call(self, verb, row):
        return {
            "PrimaryEntityName": "opportunity",
            "PrimaryEntityId": row.id,
            "MessageName": verb,
            "InitiatingUserId": "1",
            "OperationCreatedOn": f"/Date({int(self.now.timestamp() * 1000)})/",
            "InputParameters": [{"key": "Target", "value": {"Attributes": [{"key": "name", "value": "not this"}]}}],
        }


class Called:
    """The suite of sources that are called; what else a preset can is proved where it is not."""

    calling: ClassVar
    more: ClassVar = {}

    def __init_subclass__(cls, **facts):
        super().__init_subclass__(**facts)
        for name in dir(cls):
            if name.startswith("test") and not hasattr(Called, name):
                test = getattr(HooksContract, name, None)  # what could not be asked of the preset alone is left out there
                setattr(cls, name, test if test is not None and test.needed <= cls.can else None)

    def stand_in(self, folder):
        return self.calling()

    def options(self, crm):
        return super().options(crm) | {"webhook": {"secret": crm.secret} | self.more}

    def forgeries(self, request):
        """Another sign in each place of the proof, none, another's secret, and an honest request that is old."""
        known = SENDERS[self.calling.SENDER]
        proof, _ = known.sign(request.body, known.other, request.received_at)
        yield replace(request, headers=request.headers | proof)
        for name in proof:
            value = request.headers[name]
            others = [value[:at] + ("1" if sign != "1" else "2") + value[at + 1 :] for at, sign in enumerate(value)]
            for other in (*others, "", value[:-1], value + "0", f" {value}x"):
                yield replace(request, headers=request.headers | {name: other})
            yield replace(request, headers={key: one for key, one in request.headers.items() if key != name})
            yield replace(request, repeated=frozenset({name}))
        if known.stamped:
            yield from (replace(request, received_at=request.received_at + timedelta(seconds=by)) for by in (-900, 900, 10**6))

    def test_a_webhook_is_believed_no_further_than_its_name(self, world, crm):
        """The record is read whole; of other types, and of ids that are an address, nothing is asked."""
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        (request,) = crm.told()
        (named,) = world.source.parse(request)
        assert (named.record_type, named.record_id, named.partial, named.fields) == (self.record_type, id, True, {})
        assert isinstance(world.source, WebhookSource)
        assert isinstance(world.source, Rereading)
        asked = len(crm.requests)
        assert world.source.fetch_many(self.record_type, ["..", ".", ""]) == []
        assert len(crm.requests) == asked
