"""A stand-in of Dataverse's Web API, by its pages about change tracking, definitions of tables and queries.

Each change of a row has a number. A list that is tracked ends with a delta link of the number it was begun at; the link leads to what has
a higher one: rows that changed, by their numbers, then what was deleted. Lookups are `_name_value`; what people read stands in annotations,
if one asks for them. A column that is not there may not be selected, and nothing may be filtered or sorted.
"""

import re
from decimal import Decimal
from urllib.parse import parse_qs, urlencode

from crmbridge.testing.preset import Json
from crmbridge.testing.standin import PEOPLE

TENANT, CLIENT_ID, CLIENT_SECRET = "acme.example", "app-7", "canary-dynamics-secret"
WORDS = {"title": "name", "stage": "statuscode", "amount": "estimatedvalue", "owner": "ownerid.name"}
STATUSES = {"open": 1, "won": 3, "lost": 4, "moved": 5}
TYPES = {
    "opportunityid": "UniqueidentifierType",
    "name": "StringType",
    "statuscode": "StatusType",
    "estimatedvalue": "MoneyType",
    "ownerid": "OwnerType",
    "levels": "MultiSelectPicklistType",
    "createdon": "DateTimeType",
    "modifiedon": "DateTimeType",
    "modifiedby": "LookupType",
    "statuscodename": "VirtualType",
}
LABELLED = "@OData.Community.Display.V1.FormattedValue"


class Dynamics(Json):
    BASE = "/api/data/v9.2"
    PUBLIC = ""

    def __init__(self):
        super().__init__()
        self.version, self.versions = 0, {}
        """The number of the last change, and of the last one of each row."""
        self.oldest = 0
        """Links of a lower number are too old."""
        self.expiry = 410, {"error": {"code": "0x0", "message": "Gone"}}
        self.tracked = True
        self.linked = True
        """The last page names a delta link."""

    def name_id(self, number):
        return f"00000000-0000-4000-8000-{number:012}"

    def tell(self, what, row, before):
        if what != "hidden":
            self.version += 1
            self.versions[row.id] = self.version

    def respond(self, exchange):
        if exchange.path != f"/{TENANT}/oauth2/v2.0/token":
            return super().respond(exchange)
        form = {name: values[0] for name, values in parse_qs(exchange.seen.body.decode()).items()}
        known = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials"}
        good = {name: form.get(name) for name in known} == known and form.get("scope", "").endswith("/.default")
        if self.refusing or not good:
            return self.say(
                exchange, 401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
            )
        lifetime = int(self.lifetime.total_seconds())
        return self.say(exchange, 200, {"token_type": "Bearer", "expires_in": lifetime, "access_token": self.log_in()})

    def admitted(self, headers):
        return self.knows(headers.get("Authorization", ""))

    def refusal(self):
        return 401, None

    def denial(self):
        return 403, self.error("0x80040220", "Principal user is missing prvReadOpportunity privilege")

    @staticmethod
    def error(code, message):
        return {"error": {"code": code, "message": message}}

    def answer(self, path, asked, body, headers):
        assert (headers.get("OData-Version"), headers.get("OData-MaxVersion")) == ("4.0", "4.0")
        prefer = headers.get("Prefer", "")
        single = re.fullmatch(r"/opportunities\((.*)\)", path)
        if single:
            id = single[1]
            there = id in self.rows and self.rows[id].deleted is None
            return (200, self.row(self.rows[id], asked, prefer)) if there else (404, self.error("0x80040217", "Does not exist"))
        if path == "/EntityDefinitions":
            return 200, {"value": [self.definition()] if asked["$filter"] == "EntitySetName eq 'opportunities'" else []}
        if path != "/opportunities":
            return 404, self.error("0x8006088a", f"Resource not found for the segment '{path[1:]}'.")
        if unknown := [one for one in asked.get("$select", "").split(",") if one and self.column(one) not in self.columns()]:
            return 400, self.error(
                "0x80060888", f"Could not find a property named '{unknown[0]}' on type 'Microsoft.Dynamics.CRM.opportunity'."
            )
        return self.listed(asked, prefer)

    def definition(self):
        shown = [
            {"LogicalName": name, "AttributeTypeName": {"Value": kind}, "DisplayName": {"UserLocalizedLabel": {"Label": name.title()}}}
            for name, kind in TYPES.items()
            if name in self.columns()
        ]
        return {
            "LogicalName": "opportunity",
            "PrimaryIdAttribute": "opportunityid",
            "ChangeTrackingEnabled": self.tracked,
            "Attributes": shown,
        }

    def columns(self):
        return TYPES.keys() - {WORDS[word].partition(".")[0] for word in self.hidden_fields}

    @staticmethod
    def column(name):
        return name.removeprefix("_").removesuffix("_value") if name.startswith("_") else name

    def listed(self, asked, prefer):
        """Pages behind the number of a change; a walk without `odata.track-changes` gets no link."""
        tracks = "odata.track-changes" in prefer or "$deltatoken" in asked or "$skiptoken" in asked
        assert not {"$filter", "$orderby", "$top", "$expand"} & asked.keys()
        assert not ("$deltatoken" in asked and "odata.track-changes" in prefer), "a delta link is tracked by itself"
        size = int(re.search(r"odata\.maxpagesize=(\d+)", prefer)[1])
        begun, since, after = (int(one) for one in asked.get("$skiptoken", f"{self.version}!{asked.get('$deltatoken', 0)}!0").split("!"))
        if since and since < self.oldest:
            return self.expiry
        found = [(self.versions[row.id], row) for row in self.live() if self.versions[row.id] > since]
        gone = [(10**9 + self.versions[row.id], row) for row in self.gone() if since and self.versions[row.id] > since]
        there = sorted([one for one in [*found, *gone] if one[0] > (0 if self.endless else after)], key=lambda one: one[0])
        page = there[:size]
        context = f"{self.url}{self.BASE}/$metadata#opportunities" + ("/$delta" if since else "")
        said = {"@odata.context": context, "value": [self.deleted(row) if row.deleted else self.row(row, asked, prefer) for _, row in page]}
        more = {name: value for name, value in asked.items() if name == "$select"}
        if len(there) > size:
            last = after or 1 if self.endless else page[-1][0]
            said["@odata.nextLink"] = self.address(more | {"$skiptoken": f"{begun}!{since}!{last}"})
        elif tracks and self.linked:
            said["@odata.deltaLink"] = self.address(more | {"$deltatoken": str(begun)})
        return 200, said

    def address(self, asked):
        return f"{self.url}{self.BASE}/opportunities?{urlencode(asked)}"

    def deleted(self, row):
        return {"@odata.context": f"{self.url}{self.BASE}/$metadata#opportunities/$deletedEntity", "id": row.id, "reason": "deleted"}

    def row(self, row, asked, prefer):
        amount, owner, status = row.fields["amount"], row.fields["owner"], STATUSES[row.fields["stage"]]
        levels = row.fields.get("levels")
        said = {
            "opportunityid": row.id,
            "name": row.fields["title"],
            "statuscode": status,
            f"statuscode{LABELLED}": row.fields["stage"].title(),
            "estimatedvalue": None if amount is None else float(Decimal(amount)),
            f"estimatedvalue{LABELLED}": f"€{amount}",
            "_ownerid_value": owner,
            f"_ownerid_value{LABELLED}": PEOPLE[owner][0],
            "levels": levels and ",".join(levels),
            f"levels{LABELLED}": levels and "; ".join(levels.values()),
            "createdon": self.stamp(row.created),
            "modifiedon": self.stamp(row.modified),
            "_modifiedby_value": "9",
            f"_modifiedby_value{LABELLED}": "Susan Vale",
        }
        wanted = {"opportunityid", *asked["$select"].split(",")} if "$select" in asked else said.keys()
        labels = "FormattedValue" in prefer
        shown = {name: value for name, value in said.items() if name.partition("@")[0] in wanted and (labels or "@" not in name)}
        return {
            "@odata.etag": f'W/"{self.versions[row.id]}"',
            **{name: value for name, value in shown.items() if value is not None or "@" not in name},
        }

    @staticmethod
    def stamp(moment):
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
