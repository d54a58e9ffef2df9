"""The keys of an odoo source."""

from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor
from standins.odoo import DATABASE, HOOK_PATH, PASSWORD, USER, Odoo


class Database(Vendor):
    """One database, with leads."""

    YAML = f"""
crmbridge: 1
sources:
  crm:
    type: odoo
    url: $crm
    database: {DATABASE}
    user: {USER}
    password: {PASSWORD}
    records: {{crm.lead: {{fields: {{x_stage: public, name: public}}}}}}
destinations: {{out: {{type: console}}}}
"""

    def make(self):
        return Odoo(version=17)

    def searches(self, model="crm.lead"):
        """What the searches of a model's records ask for, by name."""
        calls = [one.json["params"]["args"] for one in self.seen() if one.path == "/jsonrpc"]
        return [{"domain": args[5][0], **args[6]} for args in calls if args[3:5] == [model, "search_read"]]


proves = proofs_of(Database)
CRM = "sources/crm"
KNOWN = [DATABASE, USER, PASSWORD]


@proves("sources.odoo.database", (DATABASE, KNOWN), ("other", ["other", USER, PASSWORD]))
@proves("sources.odoo.user", (USER, KNOWN), ("ann", [DATABASE, "ann", PASSWORD]))
@proves("sources.odoo.password", (PASSWORD, KNOWN), ("other", [DATABASE, USER, "other"]))
def how_it_logs_in(stage):
    """The database, the user and the password of the login."""
    stage.tried()
    return next(one.json["params"]["args"][:3] for one in stage.seen() if one.json["params"]["method"] == "authenticate")


@proves("sources.odoo.url", ("$crm", [True, False]), ("$far", [False, True]))
def which_server(stage):
    """Which of two is asked."""
    stage.tried()
    return [bool(stage.seen(one)) for one in (stage.crm, stage.far)]


@proves("sources.odoo.api", ("jsonrpc", ["/jsonrpc"]), ("json2", ["/json/2/crm.lead/fields_get", "/json/2/crm.lead/search_read"]))
def which_api(stage):
    """The paths that a first poll asks for, but for deletions and the log."""
    stage.tried()
    return sorted({one.path for one in stage.seen() if "mail" not in one.path and not one.path.endswith("/search")})


@proves("sources.odoo.language", (ABSENT, None), ("de_DE", "de_DE"))
def which_language(stage):
    """The language that a search asks for."""
    stage.tried()
    return stage.searches()[0]["context"].get("lang")


@proves("sources.odoo.page", (500, [500, [25]]), (20, [20, [20, 5]]))
def how_many(stage):
    """How many records a search asks for, and what each transaction brings of 25."""
    learnt = stage.many()
    return [stage.searches()[0]["limit"], learnt]


@proves("sources.odoo.overlap", (60, [["write_date", ">=", "2026-11-22 11:59:00"]]), (3600, [["write_date", ">=", "2026-11-22 11:00:00"]]))
def how_far_back(stage):
    """From when on a second poll looks, of a record of noon."""
    stage.begun()
    stage.polled()
    return [one for one in stage.searches()[-1]["domain"] if one[0] == "write_date"]


@proves("sources.odoo.old_values", (True, [["moved=Qualified"], ["won=Won"]]), (False, [["won=Won"]]))
def two_states_between_polls(stage):
    """What is told of them."""
    id = stage.begun()
    stage.crm.update(id, stage="moved")
    stage.tick(10)
    stage.crm.update(id, stage="won")
    stage.tick(10)
    return stage.polled("x_stage")


@proves("sources.odoo.deletes_every", (3600, []), (60, [["deleted"]]))
@proves("sources.odoo.most_ids", (100_000, [["deleted"]]), (0, []), given={f"{CRM}/deletes_every": 60})
def a_deletion(stage):
    """What is told of it some minutes after all ids were walked through."""
    stage.crm.delete(stage.begun())
    stage.tick(120)
    return stage.polled("kind")


@proves("sources.odoo.webhook", (ABSENT, [404, 404]), ({"path": HOOK_PATH}, [204, 401]))
@proves(
    "sources.odoo.webhook.path",
    (HOOK_PATH, [204, 401]),
    ("other", [401, 204]),
    ([HOOK_PATH, "other"], [204, 204]),
    given={f"{CRM}/webhook": {}},
)
def who_is_believed(stage):
    """The answers to two senders who know different secrets."""
    id = stage.begun()
    return [stage.receive(stage.crm.webhook(id, path=path)) for path in (HOOK_PATH, "other")]
