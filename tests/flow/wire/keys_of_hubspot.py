"""The keys of a hubspot source."""

from datetime import timedelta
from unittest import mock

from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor
from standins.hubspot import CLIENT_SECRET, HOOK, Hubspot, sign

from crmbridge.contract import WebhookRequest


class Account(Vendor):
    """One account, with deals."""

    YAML = """
crmbridge: 1
sources:
  crm:
    type: hubspot
    token: one
    api_url: $crm
    searches_per_second: 1000
    records: {deals: {fields: {dealstage: public, dealname: public}}}
destinations: {out: {type: console}}
"""

    def make(self):
        made = Hubspot()
        for token in ("one", "two"):
            made.tokens[token] = made.now + timedelta(days=1)
        return made


proves = proofs_of(Account)
CRM = "sources/crm"
OAUTH = {"client_id": "app", "client_secret": "s1", "refresh_token": "r1"}
BY_OAUTH = {f"{CRM}/token": ABSENT, f"{CRM}/oauth": OAUTH}
CALLED = {f"{CRM}/webhook": {"client_secret": CLIENT_SECRET, "url": HOOK}}


@proves("sources.hubspot.token", ("one", "Bearer one"), ("two", "Bearer two"))
def who_asks(stage):
    """What the first request shows."""
    stage.tried()
    return stage.seen()[0].headers["authorization"]


@proves(
    "sources.hubspot.oauth", (OAUTH, ["app", "s1", "r1"]), ({**OAUTH, "client_id": "b"}, ["b", "s1", "r1"]), given={f"{CRM}/token": ABSENT}
)
@proves("sources.hubspot.oauth.client_id", ("app", ["app", "s1", "r1"]), ("b", ["b", "s1", "r1"]), given=BY_OAUTH)
@proves("sources.hubspot.oauth.client_secret", ("s1", ["app", "s1", "r1"]), ("s2", ["app", "s2", "r1"]), given=BY_OAUTH)
@proves("sources.hubspot.oauth.refresh_token", ("r1", ["app", "s1", "r1"]), ("r2", ["app", "s1", "r2"]), given=BY_OAUTH)
def how_it_logs_in(stage):
    """The form of the first request."""
    stage.tried()
    return [stage.seen()[0].form[name] for name in OAUTH]


@proves("sources.hubspot.api_url", ("$crm", [True, False]), ("$far", [False, True]))
def which_server(stage):
    """Which of two is asked."""
    stage.tried()
    return [bool(stage.seen(one)) for one in (stage.crm, stage.far)]


@proves("sources.hubspot.api_version", ("v3", "/crm/v3/objects/deals/search"), ("2026-03", "/crm/objects/2026-03/deals/search"))
def which_version(stage):
    """Where it searches."""
    stage.tried()
    return next(one.path for one in stage.seen() if one.path.endswith("/search"))


@proves("sources.hubspot.page", (200, [200, [25]]), (20, [20, [20, 5]]))
def how_many(stage):
    """How many records a search asks for, and what each transaction brings of 25."""
    learnt = stage.many()
    return [stage.crm.searches[0]["limit"], learnt]


@proves("sources.hubspot.overlap", (120, -120), (600, -600))
def how_far_back(stage):
    """How many seconds before what was seen a second poll begins."""
    stage.begun()
    stage.polled()
    created = next(iter(stage.crm.rows.values())).created
    (since,) = [one["value"] for one in stage.crm.searches[-1]["filterGroups"][0]["filters"] if one["operator"] == "GTE"]
    return int(since) // 1000 - int(created.timestamp())


@proves("sources.hubspot.deletes_every", (3600, []), (60, [["deleted"]]))
def a_deletion(stage):
    """What is told of it some minutes after the recycle bin was read."""
    stage.crm.delete(stage.begun())
    stage.tick(120)
    return stage.polled("kind")


TOO_MUCH = "85% of the account's requests of today are used: over quota_share (50%), so others can work"


@proves("sources.hubspot.quota_share", (0.9, []), (0.5, TOO_MUCH))
def a_used_quota(stage):
    """What a poll does where 85 % of the day's requests are used."""
    stage.crm.used = 85_000
    stage.tried()
    return stage.polled("kind")


@proves("sources.hubspot.searches_per_second", (1000, []), (0.001, [1000]))
def how_fast(stage):
    """The seconds that a second poll would wait for its search, in hundreds."""
    with mock.patch("connectors.sources.hubspot.api.time.sleep") as slept:
        stage.begun()
        stage.polled()
    return [seconds for (one,), _ in slept.call_args_list if (seconds := round(one, -2))]


@proves("sources.hubspot.webhook", (ABSENT, [404]), (CALLED[f"{CRM}/webhook"], [["won=Closed Won"]]))
@proves("sources.hubspot.portal_id", (62515, [["won=Closed Won"]]), (7, []), given=CALLED)
def an_event(stage):
    """What is heard of an event of the account 62515."""
    stage.crm.update(stage.begun(), stage="won")
    return stage.told("dealstage")


OTHER = "https://other.example.com/hooks/crm"


@proves(
    "sources.hubspot.webhook.client_secret",
    (CLIENT_SECRET, [204, 401, 401]),
    ("other", [401, 204, 401]),
    (["other", CLIENT_SECRET], [204, 204, 401]),
    given=CALLED,
)
@proves("sources.hubspot.webhook.url", (HOOK, [204, 401, 401]), (OTHER, [401, 401, 204]), given=CALLED)
def who_is_believed(stage):
    """The answers to three senders: with the app's secret, with another, for another address."""
    stage.start()
    stamp = str(round(stage.now().timestamp() * 1000))
    proofs = [sign(b"[]", stamp), sign(b"[]", stamp, secret="other"), sign(b"[]", stamp, address=OTHER)]
    headers = [{"x-hubspot-signature-v3": proof, "x-hubspot-request-timestamp": stamp} for proof in proofs]
    return [stage.receive(WebhookRequest(one, b"[]", "", stage.now())) for one in headers]
