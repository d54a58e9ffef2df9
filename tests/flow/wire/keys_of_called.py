"""The keys of what calls a source that is read by polls: whose webhooks are believed, and which record they name."""

import json
from urllib.parse import urlsplit

from flow.wire.bridge import Stage, facts
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor, described
from standins import calls, dynamics365, zoho
from standins.senders import SENDERS

from crmbridge.contract import WebhookRequest
from crmbridge.testing import ScriptedServer
from crmbridge.testing.preset import TOKEN


def called(name, stand_in, record, word, **options):
    """The proofs of one preset's webhook. `word`: what it calls the record's type."""
    known = SENDERS[stand_in.SENDER]
    login = {"url": "$crm" + getattr(stand_in, "PUBLIC", stand_in.BASE), "webhook": {"secret": known.secret}} | options
    login["webhook"] |= {"types": {word: record}} if name == "attio" else {}

    class Company(Vendor):
        YAML = described(name, login, record, stand_in.TITLE)

        def make(self):
            return stand_in()

        def heard(self):
            """How many changes a webhook tells, or the status of its refusal."""
            id = self.begun()
            self.crm.update(id, title="Acme")
            found = self.told("record_id")
            return found if found in ([401], [404]) else len(found)

    proves = proofs_of(Company)

    @proves(f"sources.{name}.webhook.secret", (known.secret, 1), (known.other, [401]))
    def who_is_believed(stage):
        """Whether its webhook is."""
        return stage.heard()

    @proves(f"sources.{name}.webhook", (login["webhook"], 1), (ABSENT, [404]))
    @proves(f"sources.{name}.webhook.types", ({word: record}, 1), ({word: "other"}, 0))
    def what_it_calls_them(stage):
        """Whether what it names is a record that is read."""
        return stage.heard()


called("close", calls.CallingClose, "opportunity", "opportunity", token=TOKEN)
called("attio", calls.CallingAttio, "deals", calls.OBJECT, token=TOKEN)
called("twenty", calls.CallingTwenty, "opportunities", "opportunity", token=TOKEN, site="https://acme.twenty.com")
login = {"client_id": zoho.CLIENT_ID, "client_secret": zoho.CLIENT_SECRET, "refresh_token": zoho.REFRESH, "accounts_url": "$crm"}
called("zoho", calls.CallingZoho, "Deals", "Deals", **login)
login = {"client_id": dynamics365.CLIENT_ID, "client_secret": dynamics365.CLIENT_SECRET, "tenant": dynamics365.TENANT, "login_url": "$crm"}
called("dynamics365", calls.CallingDynamics, "opportunities", "opportunity", **login)


class Called(Stage):
    """An API of which single records are read, and a sender of any kind that names them."""

    YAML = """
crmbridge: 1
sources:
  crm:
    type: rest
    url: $crm/v2
    auth: {scheme: bearer, token: one}
    types: {Deal: {path: /deals, changed: at, single: {path: "/deals/{id}"}}}
    webhook: {signature: {scheme: none}, map: {record_type: body.type, record_id: body.id}}
    records: {Deal: {fields: {stage: public}}}
destinations: {out: {type: console}}
"""

    def prepare(self):
        self.stage = "open"
        self.crm = self.server("crm", ScriptedServer(self.respond))

    def respond(self, exchange):
        path = urlsplit(exchange.path).path
        one = {"id": path.rpartition("/")[2], "stage": self.stage, "at": "2026-11-22T11:30:00Z"}
        exchange.reply(200, json.dumps(one if "/deals/" in path else [one | {"id": "7"}, one | {"id": "8"}]).encode(), {})

    def named(self, *names, headers=(), query="", method="POST", **said):
        """What is told after a webhook about one of two records, which have changed; or the answer's status."""
        self.start()
        self.poll()
        self.stage = "won"
        body = json.dumps({"type": "Deal", "id": "7", "other": "8", "kind": "gone", "by": "Ann", "at": "2026-11-22T11:40:00Z"} | said)
        given = {"content-type": "application/json"} | dict(headers)
        status = self.receive(WebhookRequest(given, body.encode(), query, self.now(), method=method))
        return facts(self.news(), *names) if status < 300 else status

    def greeted(self, **said):
        """What a question about a challenge is answered."""
        self.start()
        body = json.dumps({"challenge": "one", "other": "two"} | said).encode()
        source = self._webhooks._sources["crm"]
        found = source.greet(WebhookRequest({"content-type": "application/json"}, body, "", self.now()))
        return found and found.body.decode()


proves = proofs_of(Called)
OF = "sources.rest.webhook"
AT = "sources/crm/webhook"


@proves(OF, ({"signature": {"scheme": "none"}, "map": {"record_type": "body.type", "record_id": "body.id"}}, [["7"]]), (ABSENT, 404))
@proves(f"{OF}.map.record_type", ("body.type", [["7"]]), ("body.kind", []))
@proves(f"{OF}.map.record_id", ("body.id", [["7"]]), ("body.other", [["8"]]))
@proves(f"{OF}.types", ({}, []), ({"deal": "Deal"}, [["7"]]), given={f"{AT}/map/record_type": "body.word"})
def which_record_is_read(stage):
    """The one whose change is told, though polls have not come yet."""
    return stage.named("record_id", word="deal")


SECRET = {"x-key": "canary-hook-secret"}


@proves(
    f"{OF}.signature.secret.secret",
    ("canary-hook-secret", [["7"]]),
    ("canary-other-secret", 401),
    given={f"{AT}/signature": {"scheme": "secret", "in": "header", "name": "X-Key"}},
)
def who_is_believed(stage):
    """The record, or a refusal."""
    return stage.named("record_id", headers=SECRET)


@proves(f"{OF}.challenge", (ABSENT, None), ({"scheme": "echo", "from": "body.challenge"}, "one"))
@proves(f"{OF}.challenge.echo.from", ("body.challenge", "one"), ("body.other", "two"), given={f"{AT}/challenge": {"scheme": "echo"}})
def what_goes_back(stage):
    """A value of the question."""
    return stage.greeted()


@proves(f"{OF}.body", ("json", [["7"]]), ("form", 415))
def how_a_body_is_written(stage):
    """Whether JSON is one."""
    return stage.named("record_id")


@proves(f"{OF}.accepted", (200, 200), (204, 204))
def how_yes_is_said(stage):
    """The status."""
    stage.start()
    return stage.hear(b'{"type": "Deal", "id": "7"}')


@proves(f"{OF}.sender", ("zoho", [["7"]]), ("attio", 401), given={f"{AT}/signature": {"secret": "canary-hook-secret"}, f"{AT}/map": {}})
def whose_webhooks(stage):
    """What proves them, and where things stand."""
    return stage.named("record_id", module="Deal", ids=["7"], operation="update", token="canary-hook-secret")
