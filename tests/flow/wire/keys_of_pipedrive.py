"""The keys of a pipedrive source."""

import base64
from dataclasses import replace

from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor
from standins.pipedrive import HOOK, PASSWORD, TOKEN, Pipedrive


class Company(Vendor):
    """One company, with deals."""

    YAML = f"""
crmbridge: 1
sources:
  crm:
    type: pipedrive
    token: {TOKEN}
    api_url: $crm
    records: {{deals: {{fields: {{stage_id: public, title: public}}}}}}
destinations: {{out: {{type: console}}}}
"""

    def make(self):
        return Pipedrive()

    def lists(self):
        """What the lists of deals ask for, but of deleted ones."""
        return [one.query for one in self.seen() if one.path == "/api/v2/deals" and "status" not in one.query]


proves = proofs_of(Company)
CRM = "sources/crm"
WEBHOOK = {"url": HOOK, "password": PASSWORD}
CALLED = {f"{CRM}/webhook": WEBHOOK}


@proves("sources.pipedrive.token", (TOKEN, TOKEN), ("other", "other"))
def who_asks(stage):
    """What the first request shows."""
    stage.tried()
    return stage.seen()[0].headers["x-api-token"]


@proves("sources.pipedrive.api_url", ("$crm", [True, False]), ("$far", [False, True]))
def which_server(stage):
    """Which of two is asked."""
    stage.tried()
    return [bool(stage.seen(one)) for one in (stage.crm, stage.far)]


@proves("sources.pipedrive.page", (500, ["500", [25]]), (20, ["20", [20, 20, 5]]))
def how_many(stage):
    """How many records a list asks for, and what each transaction brings of 25."""
    learnt = stage.many()
    return [stage.lists()[0]["limit"], learnt]


@proves("sources.pipedrive.overlap", (60, "2026-11-22T11:59:00Z"), (3600, "2026-11-22T11:00:00Z"))
def how_far_back(stage):
    """From when on a second poll looks, of a record of noon."""
    stage.begun()
    stage.polled()
    return stage.lists()[-1]["updated_since"]


@proves("sources.pipedrive.archived_every", (300, 1), (0, 2))
def how_often_the_archive_is_read(stage):
    """How many lists of archived deals two polls ask for, two minutes apart."""
    stage.begun()
    stage.polled()
    return sum(one.path.endswith("/archived") and "status" not in one.query for one in stage.seen())


OTHER = "https://other.example.com/hooks/crm"


@proves("sources.pipedrive.webhook", (ABSENT, []), (WEBHOOK, [[HOOK, "crmbridge", PASSWORD]]))
@proves("sources.pipedrive.webhook.url", (HOOK, [[HOOK, "crmbridge", PASSWORD]]), (OTHER, [[OTHER, "crmbridge", PASSWORD]]), given=CALLED)
@proves("sources.pipedrive.webhook.user", (ABSENT, [[HOOK, "crmbridge", PASSWORD]]), ("ann", [[HOOK, "ann", PASSWORD]]), given=CALLED)
@proves(
    "sources.pipedrive.webhook.password",
    (PASSWORD, [[HOOK, "crmbridge", PASSWORD]]),
    (["new", PASSWORD], [[HOOK, "crmbridge", "new"]]),
    given=CALLED,
)
def what_is_subscribed(stage):
    """The address, the user and the password of the subscriptions."""
    stage.tried()
    return [[one[name] for name in ("subscription_url", "http_auth_user", "http_auth_password")] for one in stage.crm.subscriptions]


@proves("sources.pipedrive.webhook.user", ("crmbridge", [200, 401, 401]), ("ann", [401, 200, 401]), given=CALLED)
@proves("sources.pipedrive.webhook.password", (PASSWORD, [200, 401, 401]), (["new", PASSWORD], [200, 401, 200]), given=CALLED)
def who_is_believed(stage):
    """The answers to three senders: one by default, another user, another password."""
    stage.crm.update(stage.begun(), stage="won")
    (request,) = stage.crm.told()
    pairs = [f"crmbridge:{PASSWORD}", f"ann:{PASSWORD}", "crmbridge:new"]
    told = [{**request.headers, "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"} for pair in pairs]
    return [stage.receive(replace(request, headers=one)) for one in told]
