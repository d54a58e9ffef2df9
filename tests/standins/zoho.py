"""A stand-in of Zoho CRM's API v8, by its OpenAPI and its pages.

Stamps are whole seconds with an offset of the account's zone; If-Modified-Since gives what is later than that second; `fields` must be
named; 304 where nothing changed and 204 where there is nothing, both without a body; lookups are mappings; a refusal of the login is
HTTP 200 with an error in it.
"""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

from crmbridge.testing.preset import Json
from crmbridge.testing.standin import PEOPLE

CLIENT_ID, CLIENT_SECRET, REFRESH = "1000.A", "canary-zoho-secret", "1000.canary-refresh"
WORDS = {"title": "Deal_Name", "stage": "Stage", "amount": "Amount", "owner": "Owner.name"}
ZONE = timezone(timedelta(hours=5, minutes=30))
TYPES = {"Deal_Name": "text", "Stage": "picklist", "Amount": "currency", "Owner": "ownerlookup", "Modified_Time": "datetime"}


class Zoho(Json):
    BASE = "/crm/v8"
    PUBLIC = ""

    def respond(self, exchange):
        if urlsplit(exchange.path).path != "/oauth/v2/token":
            return super().respond(exchange)
        form = {name: values[0] for name, values in parse_qs(exchange.seen.body.decode()).items()}
        given = [form.get(name) for name in ("grant_type", "client_id", "client_secret", "refresh_token")]
        if self.refusing or given != ["refresh_token", CLIENT_ID, CLIENT_SECRET, REFRESH]:
            return self.say(exchange, 200, {"error": "invalid_code"})
        token = {
            "access_token": self.log_in(),
            "expires_in": int(self.lifetime.total_seconds()),
            "api_domain": self.url,
            "token_type": "Bearer",
        }
        return self.say(exchange, 200, token)

    def admitted(self, headers):
        word, _, token = headers.get("Authorization", "").partition(" ")
        return word == "Zoho-oauthtoken" and self.knows(f"Bearer {token}")

    def refusal(self):
        return 401, {"code": "INVALID_TOKEN", "details": {}, "message": "invalid oauth token", "status": "error"}

    def denial(self):
        return 403, {"code": "NO_PERMISSION", "details": {}, "message": "permission denied", "status": "error"}

    def answer(self, path, asked, body, headers):
        since = headers.get("If-Modified-Since")
        moment = datetime.fromisoformat(since) if since else None
        match path.strip("/").split("/"):
            case ["Deals"]:
                return self.listed(asked, moment)
            case ["Deals", "deleted"]:
                return self.deleted(asked, moment)
            case ["Deals", id]:
                there = id in self.rows and self.rows[id].deleted is None
                return (200, {"data": [self.row(self.rows[id])]}) if there else (204, None)
            case ["settings", "fields"] if asked["module"] == "Deals":
                names = {name for word, name in WORDS.items() if word in self.hidden_fields}
                found = [{"api_name": name, "field_label": name.replace("_", " "), "data_type": type} for name, type in TYPES.items()]
                return 200, {"fields": [one for one in found if one["api_name"] not in names]}
        return 400, {"code": "INVALID_MODULE", "details": {}, "message": "the module name given seems to be invalid", "status": "error"}

    def listed(self, asked, moment):
        if "fields" not in asked:
            return 400, {
                "code": "REQUIRED_PARAM_MISSING",
                "details": {"param_name": "fields"},
                "message": "One of the expected parameter is missing",
            }
        assert (asked["sort_by"], asked["sort_order"]) == ("Modified_Time", "asc")
        rows = [row for row in self.live() if moment is None or row.modified.replace(microsecond=0) > moment]
        wanted = {"id", *asked["fields"].split(",")}
        return self.paged(asked, [{name: value for name, value in self.row(row).items() if name in wanted} for row in rows], moment)

    def deleted(self, asked, moment):
        rows = [row for row in self.gone() if moment is None or row.deleted.replace(microsecond=0) > moment]
        return self.paged(
            asked, [{"id": row.id, "display_name": "", "type": "recycle", "deleted_time": self.stamp(row.deleted)} for row in rows], moment
        )

    def paged(self, asked, rows, moment):
        size, number = int(asked["per_page"]), int(asked.get("page", 1))
        assert size <= 200
        page = self.cut(rows, (number - 1) * size, size)
        if not page:
            return (304 if moment else 204), None
        more = number * size < len(rows)
        return 200, {
            "data": page,
            "info": {"per_page": size, "count": len(page), "page": number, "more_records": more, **self.order(asked)},
        }

    @staticmethod
    def order(asked):
        """What an answer says of its order, and of page tokens, which are not used."""
        tokens = dict.fromkeys(["next_page_token", "previous_page_token", "page_token_expiry"])
        return {"sort_by": asked.get("sort_by", "id"), "sort_order": asked.get("sort_order", "desc"), **tokens}

    def row(self, row):
        amount, owner = row.fields["amount"], row.fields["owner"]
        said = {
            "id": row.id,
            "Deal_Name": row.fields["title"],
            "Stage": row.fields["stage"],
            "Amount": None if amount is None else float(Decimal(amount)),
            "Owner": {"id": owner, "name": PEOPLE[owner][0], "email": PEOPLE[owner][1]},
            "Created_Time": self.stamp(row.created),
            "Modified_Time": self.stamp(row.modified),
            "Modified_By": {"id": "1", "name": "Susan Vale"},
        }
        return self.shown(said, WORDS)

    @staticmethod
    def stamp(moment):
        return moment.astimezone(ZONE).isoformat(timespec="seconds")
