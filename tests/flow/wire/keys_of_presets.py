"""The keys that presets of rest have in common: who we are, where the API is, how much is read at once, how far back."""

from datetime import timedelta

from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor, described
from standins import dynamics365, suitecrm, zoho
from standins.attio import Attio
from standins.close import Close
from standins.espocrm import Espo
from standins.freshsales import VIEW, Freshsales
from standins.twenty import Twenty

from crmbridge.testing.preset import TOKEN


def preset(name, stand_in, record, title, **more):
    """The proofs of one preset. `more` are options as YAML has them, besides the token, or instead of it."""
    base = stand_in.BASE
    login = {} if "client_id" in more else {"token": TOKEN}
    options = login | {"url": "$crm" + getattr(stand_in, "PUBLIC", base)} | more

    class Company(Vendor):
        YAML = described(name, options, record, title)

        def make(self):
            return stand_in()

        def lists(self):
            """Requests that are no login."""
            return [one for one in self.seen() if one.path.startswith(base)]

    proves = proofs_of(Company)

    @proves(f"sources.{name}.url", (options["url"], [True, False]), (options["url"].replace("$crm", "$far"), [False, True]))
    def which_server(stage):
        """Which of two is asked."""
        stage.tried()
        return [any(one.path.startswith(base) for one in stage.seen(server)) for server in (stage.crm, stage.far)]

    @proves(f"sources.{name}.page", (10, 10), (20, 20))
    def how_many(stage):
        """The most that a transaction brings of 25 records."""
        return max(stage.many())

    return proves, Company


def shown(proves, name, header, one, other):
    """The token is what a header shows."""

    @proves(f"sources.{name}.token", (TOKEN, one), ("other", other))
    def who_asks(stage):
        """What the first request shows."""
        stage.tried()
        return stage.lists()[0].headers[header]


def logs_in(proves, name, stand_in, form, address):
    """What a login shows is what the options say, and it goes to their address."""
    for option, value in form.items():

        @proves(f"sources.{name}.{option}", (value, value), ("other", "other"))
        def who_logs_in(stage, option=option):
            """What stands in the first login."""
            stage.tried()
            return next(one for one in stage.seen() if "token" in one.path).form[option]

    @proves(f"sources.{name}.{address}", *LOGINS[name])
    def where_one_logs_in(stage):
        """Which of two is asked for a token, by which path."""
        stage.tried()
        return [next((one.path for one in stage.seen(server) if "token" in one.path), None) for server in (stage.crm, stage.far)]


LOGINS = {
    "dynamics365": (
        ("$crm", [f"/{dynamics365.TENANT}/oauth2/v2.0/token", None]),
        ("$far", [None, f"/{dynamics365.TENANT}/oauth2/v2.0/token"]),
    ),
    "suitecrm": (("/legacy/Api", ["/legacy/Api/access_token", None]), ("/Api", ["/Api/access_token", None])),
    "zoho": (("$crm", ["/oauth/v2/token", None]), ("$far", [None, "/oauth/v2/token"])),
}


def looks_back(proves, name):
    """A record whose stamp is half an hour old when it can be seen first."""

    @proves(f"sources.{name}.overlap", (60, 0), (3600, 1))
    def how_far_back(stage):
        """How many such records are told."""
        stage.begun()
        for _ in range(12):  # so many that an API which gives the newest first does not show it with the others
            stage.crm.create()
        stage.polled()
        stage.crm.create(at=stage.crm.now - timedelta(minutes=30))
        stage.crm.rows[list(stage.crm.rows)[-1]].created = stage.crm.now
        return len(stage.polled("record_id"))


def lists(proves, name):
    """What is gone is found by listing everything."""

    @proves(f"sources.{name}.deletes_every", ("off", 0), ("1h", 1))
    def what_is_gone(stage):
        """How many of the records that were deleted are told."""
        id = stage.begun()
        stage.walk()
        stage.crm.delete(id)
        return sum(one.kind == "deleted" for one in stage.walk() + stage.walk() + stage.walk())


proves, Company = preset("close", Close, "opportunity", "note")
shown(proves, "close", "authorization", "Basic Y2FuYXJ5LXByZXNldC10b2tlbjo=", "Basic b3RoZXI6")
looks_back(proves, "close")

proves, Company = preset("espocrm", Espo, "Opportunity", "name")
shown(proves, "espocrm", "x-api-key", TOKEN, "other")
looks_back(proves, "espocrm")
lists(proves, "espocrm")

proves, Company = preset("attio", Attio, "deals", "name")
shown(proves, "attio", "authorization", f"Bearer {TOKEN}", "Bearer other")
lists(proves, "attio")

FORM = {"client_id": suitecrm.CLIENT_ID, "client_secret": suitecrm.CLIENT_SECRET}
proves, Company = preset("suitecrm", suitecrm.Suite, "Opportunities", "name", **FORM)
logs_in(proves, "suitecrm", suitecrm.Suite, FORM, "api")
looks_back(proves, "suitecrm")
lists(proves, "suitecrm")

FORM = {"client_id": zoho.CLIENT_ID, "client_secret": zoho.CLIENT_SECRET, "refresh_token": zoho.REFRESH}
proves, Company = preset("zoho", zoho.Zoho, "Deals", "Deal_Name", **FORM, accounts_url="$crm")
logs_in(proves, "zoho", zoho.Zoho, FORM, "accounts_url")
looks_back(proves, "zoho")

proves, Company = preset("freshsales", Freshsales, "deals", "name", deals_view=VIEW)
shown(proves, "freshsales", "authorization", f"Token token={TOKEN}", "Token token=other")
looks_back(proves, "freshsales")
lists(proves, "freshsales")

VIEWS = {"deals_view": "deals", "contacts_view": "contacts", "accounts_view": "sales_accounts"}
for option, record in VIEWS.items():

    @proves(
        f"sources.freshsales.{option}",
        ("7", f"/crm/sales/api/{record}/view/7"),
        ("8", f"/crm/sales/api/{record}/view/8"),
        given={"sources/crm/records": {record: {"fields": {"name": "public"}}}},
    )
    def which_view(stage, record=record):
        """Which one is asked for."""
        stage.tried()
        return next(one.path for one in stage.lists() if "/view/" in one.path)


proves, Company = preset("twenty", Twenty, "opportunities", "name", site="https://acme.twenty.com")
shown(proves, "twenty", "authorization", f"Bearer {TOKEN}", "Bearer other")
looks_back(proves, "twenty")


@proves(
    "sources.twenty.site",
    ("https://a.example", "https://a.example/object/opportunity/"),
    ("https://b.example/x", "https://b.example/x/object/opportunity/"),
)
def where_a_record_is_seen(stage):
    """Its link, without its id."""
    stage.begun()
    stage.crm.create()
    ((url,),) = stage.polled("url")
    return url.rpartition("/")[0] + "/"


FORM = {"client_id": dynamics365.CLIENT_ID, "client_secret": dynamics365.CLIENT_SECRET}
proves, Company = preset("dynamics365", dynamics365.Dynamics, "opportunities", "name", **FORM, tenant=dynamics365.TENANT, login_url="$crm")
logs_in(proves, "dynamics365", dynamics365.Dynamics, FORM, "login_url")


@proves("sources.dynamics365.deletes_every", ("off", 0), ("1h", 1))
def how_often_ids_are_listed(stage):
    """How many lists of ids alone are asked for; what a delta tells is no such list."""
    stage.begun()
    stage.walk()
    return sum(one.query.get("$select") == "opportunityid" for one in stage.lists())


@proves("sources.dynamics365.tenant", ("a.example", "/a.example/oauth2/v2.0/token"), ("b-7", "/b-7/oauth2/v2.0/token"))
def whose_login(stage):
    """Where a token is asked for."""
    stage.tried()
    return next(one.path for one in stage.seen() if "token" in one.path)
