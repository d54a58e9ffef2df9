"""The keys of an Oracle CRM On Demand source."""

import base64
import threading
from types import SimpleNamespace
from unittest import mock

from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor
from standins.oracle import PASSWORD, USER, OracleStandIn

from connectors.sources.oracle_crm_on_demand import pace


class Pod(Vendor):
    """One pod, with opportunities."""

    YAML = f"""
crmbridge: 1
sources:
  crm:
    type: oracle_crm_on_demand
    url: $crm
    user: {USER}
    password: {PASSWORD}
    requests_per_minute: 10000
    records: {{Opportunities: {{fields: {{SalesStage: public, OpportunityName: public}}}}}}
destinations: {{out: {{type: console}}}}
"""

    def make(self):
        return OracleStandIn()

    def lists(self, resource="Opportunities"):
        """The lists of records that were asked for."""
        return [one for one in self.seen() if one.path.endswith(f"/{resource}")]


proves = proofs_of(Pod)
CRM = "sources/crm"


@proves("sources.oracle_crm_on_demand.user", (USER, f"{USER}:{PASSWORD}"), ("ACME/ANN", f"ACME/ANN:{PASSWORD}"))
@proves("sources.oracle_crm_on_demand.password", (PASSWORD, f"{USER}:{PASSWORD}"), ("other", f"{USER}:other"))
def how_it_logs_in(stage):
    """The user and the password of the login."""
    stage.tried()
    return base64.b64decode(stage.seen()[0].headers["authorization"].removeprefix("Basic ")).decode()


@proves("sources.oracle_crm_on_demand.url", ("$crm", [True, False]), ("$far", [False, True]))
def which_server(stage):
    """Which of two is asked."""
    stage.tried()
    return [bool(stage.seen(one)) for one in (stage.crm, stage.far)]


@proves("sources.oracle_crm_on_demand.release", ("latest", "latest"), ("028", "028"))
def which_release(stage):
    """The release that a list is asked of."""
    stage.tried()
    return stage.lists()[0].path.split("/")[-2]


@proves("sources.oracle_crm_on_demand.language", ("LIC", ["LIC"]), ("LDC", ["LDC"]))
def which_language(stage):
    """What a list is to hold of picklists."""
    stage.tried()
    return [value for name, value in stage.lists()[0].headers.items() if value in ("LIC", "LDC")]


@proves("sources.oracle_crm_on_demand.page", (100, ["100", [25]]), (20, ["20", [20, 6]]))
def how_many(stage):
    """How many records a list asks for, and what each transaction brings of 25."""
    learnt = stage.many()
    return [stage.lists()[0].query["limit"], learnt]


@proves(
    "sources.oracle_crm_on_demand.overlap", (60, "ModifiedDate>='2026-11-22T11:59:00Z'"), (3600, "ModifiedDate>='2026-11-22T11:00:00Z'")
)
def how_far_back(stage):
    """From when on a second poll looks, of a record that is stamped at noon."""
    stage.begun()
    stage.polled()
    return stage.lists()[-1].query["q"]


@proves(
    "sources.oracle_crm_on_demand.time_zone",
    ("UTC", [["2026-11-22T12:04:00+00:00"]]),
    ("Asia/Kolkata", [["2026-11-22T06:34:00+00:00"]]),
)
def when(stage):
    """The instant of a change that is stamped 12:04."""
    stage.crm.update(stage.begun(), stage="won")
    return stage.polled("occurred_at")


@proves("sources.oracle_crm_on_demand.requests_per_minute", (1000, []), (5, [60.0, 60.0]))
def how_fast(stage):
    """The seconds that five polls wait for the pace, on a clock that nothing else moves."""
    waits = []

    class Event(threading.Event):
        def wait(self, seconds):
            waits.append(seconds)

    clock = SimpleNamespace(monotonic=lambda: 1000.0 + sum(waits))
    with mock.patch.object(pace, "time", clock), mock.patch.object(pace, "threading", SimpleNamespace(Lock=threading.Lock, Event=Event)):
        stage.start()
        for _ in range(12):
            stage.polled()
    return waits


TRACKED = {f"{CRM}/modification_trackings": True}


@proves("sources.oracle_crm_on_demand.modification_trackings", (False, []), (True, [["deleted"]]))
@proves("sources.oracle_crm_on_demand.objects", ({}, [["deleted"]]), ({"Opportunities": "Deal"}, []), given=TRACKED)
def a_deletion(stage):
    """What is told of it."""
    stage.crm.delete(stage.begun())
    stage.tick(120)
    return stage.polled("kind")


LINK = "https://pod.example/{type}?id={id}"


@proves("sources.oracle_crm_on_demand.record_url", (ABSENT, None), (LINK, "https://pod.example/Opportunity?id=1QA2-3E9"))
@proves(
    "sources.oracle_crm_on_demand.objects",
    ({}, "https://pod.example/Opportunity?id=1QA2-3E9"),
    ({"Opportunities": "Deal"}, "https://pod.example/Deal?id=1QA2-3E9"),
    given={f"{CRM}/record_url": LINK},
)
def the_address_of_a_record(stage):
    """What a change says of it."""
    stage.crm.update(stage.begun(), stage="won")
    ((url,),) = stage.polled("url")
    return url
