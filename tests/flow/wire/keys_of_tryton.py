"""The keys of a tryton source."""

from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor
from standins.tryton import KEY, MODEL, Tryton, decoded


class Database(Vendor):
    """One database, with opportunities that keep history."""

    YAML = f"""
crmbridge: 1
sources:
  crm:
    type: tryton
    url: $crm
    database: crm
    key: {KEY}
    records: {{{MODEL}: {{fields: {{state: public, description: public}}}}}}
destinations: {{out: {{type: console}}}}
"""

    def make(self):
        return Tryton()

    def searches(self):
        """The searches for records."""
        return [one for one in self.seen() if one.path == f"/crm/rest/model/{MODEL}" and "s" in one.query]


proves = proofs_of(Database)


@proves("sources.tryton.url", ("$crm", [True, False]), ("$far", [False, True]))
def which_server(stage):
    """Which of two is asked."""
    stage.tried()
    return [bool(stage.seen(one)) for one in (stage.crm, stage.far)]


@proves("sources.tryton.database", ("crm", "/crm/rest"), ("erp", "/erp/rest"))
def which_database(stage):
    """The beginning of the first path."""
    stage.tried()
    return stage.seen()[0].path.partition("/model")[0]


@proves("sources.tryton.key", (KEY, f"Bearer {KEY}"), ("other", "Bearer other"))
def who_asks(stage):
    """What the first request shows."""
    stage.tried()
    return stage.seen()[0].headers["authorization"]


@proves("sources.tryton.company", (ABSENT, ["en", None]), (7, ["en", 7]))
@proves("sources.tryton.language", (ABSENT, ["en", None]), ("de", ["de", None]))
def in_whose_words(stage):
    """The language and the company that a search is made in."""
    stage.tried()
    context = decoded(stage.searches()[0].headers["x-tryton-context"])
    return [context["language"], context.get("company")]


@proves("sources.tryton.page", (500, ["500", [25]]), (20, ["20", [20, 5]]))
def how_many(stage):
    """How many records a search asks for, and what each transaction brings of 25."""
    learnt = stage.many()
    return [stage.searches()[0].query["s"], learnt]


@proves("sources.tryton.overlap", (60, "11:59:00"), (3600, "11:00:00"))
def how_far_back(stage):
    """From when on a second poll looks, of a record of noon."""
    stage.begun()
    begun = len(stage.searches())
    stage.polled()
    domains = str([decoded(one.query["d"]) for one in stage.searches()[begun:]])
    return next(
        time for time in ("11:59:00", "11:00:00") if f"datetime.datetime(2026, 11, 22, {int(time[:2])}, {int(time[3:5])}" in domains
    )


@proves("sources.tryton.history", (True, [["moved=Moved"], ["won=Won"]]), (False, [["won=Won"]]))
def two_states_between_polls(stage):
    """What is told of them."""
    id = stage.begun()
    stage.crm.update(id, stage="moved")
    stage.tick(10)
    stage.crm.update(id, stage="won")
    stage.tick(10)
    return stage.polled("state")


@proves("sources.tryton.deletes_every", (3600, []), (60, [["deleted"]]))
def a_deletion(stage):
    """What is told of it some minutes after deletions were looked for."""
    stage.crm.delete(stage.begun())
    stage.tick(120)
    return stage.polled("kind")


@proves(
    "sources.tryton.record_url",
    (ABSENT, f"$crm/#crm/model/{MODEL}/1"),
    ("https://erp.example/{model}/{id}", f"https://erp.example/{MODEL}/1"),
)
def the_address_of_a_record(stage):
    """What a change says of it."""
    stage.crm.update(stage.begun(), stage="won")
    ((url,),) = stage.polled("url")
    return url


@proves("sources.tryton.people", (ABSENT, ["Susan Vale"]), (["employee", "team"], ["Susan Vale", "Omar Haddad"]))
def who_works_on_it(stage):
    """The people of a record, as the source names them."""
    id = stage.begun()
    stage.crm.rows[id].team = ["2"]
    return [one.name for one in stage.source.members(MODEL, id)]
