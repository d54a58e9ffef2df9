"""A stand-in of SuiteCRM's V8 API, by its documents and its code (e572230).

Filters are one flat list that is compared as the database does, with whole seconds; one key to sort by; JSON:API around it all; what was
deleted is in no list.
"""

from decimal import Decimal
from urllib.parse import parse_qs

from crmbridge.testing.preset import Json

CLIENT_ID, CLIENT_SECRET = "6a1b", "canary-suite-secret"
WORDS = {"title": "name", "stage": "sales_stage", "amount": "amount", "owner": "assigned_user_name"}


class Suite(Json):
    BASE = "/legacy/Api"
    PUBLIC = ""

    def respond(self, exchange):
        if exchange.path != f"{self.BASE}/access_token":
            return super().respond(exchange)
        form = {name: values[0] for name, values in parse_qs(exchange.seen.body.decode()).items()}
        known = (form.get("client_id"), form.get("client_secret"), form.get("grant_type")) == (
            CLIENT_ID,
            CLIENT_SECRET,
            "client_credentials",
        )
        if self.refusing or not known:
            return self.say(exchange, 401, {"error": "invalid_client", "message": "Client authentication failed"})
        token = {"token_type": "Bearer", "expires_in": int(self.lifetime.total_seconds()), "access_token": self.log_in()}
        return self.say(exchange, 200, token)

    def admitted(self, headers):
        return self.knows(headers.get("Authorization", ""))

    def refusal(self):
        return 401, self.error("The resource owner or authorization server denied the request.")

    def denial(self):
        return 403, self.error("Access denied")

    @staticmethod
    def error(detail):
        return {"errors": {"status": None, "title": None, "detail": detail}}

    def answer(self, path, asked, body, headers):
        match path.strip("/").split("/"):
            case ["V8", "module", "Opportunities"]:
                return self.listed(asked)
            case ["V8", "module", "Opportunities", id] if id in self.rows and self.rows[id].deleted is None:
                return 200, {"data": self.row(self.rows[id])}
        return 404, self.error("not found")

    def listed(self, asked):
        rows = self.live()
        if "filter[date_modified][gte]" in asked:
            rows = [row for row in rows if f"{row.modified:%Y-%m-%d %H:%M:%S}" >= asked["filter[date_modified][gte]"]]
        if asked.get("sort") != "date_modified":
            rows.reverse()
        size, number = int(asked["page[size]"]), int(asked.get("page[number]", 1))
        page = self.cut(rows, (number - 1) * size, size)
        return 200, {
            "meta": {"total-pages": -(-len(rows) // size), "records-on-this-page": len(page)},
            "data": [self.row(row) for row in page],
        }

    def row(self, row):
        amount = row.fields["amount"]
        said = {
            "name": row.fields["title"],
            "sales_stage": row.fields["stage"],
            "amount": None if amount is None else str(Decimal(amount)),
            "assigned_user_name": row.fields["owner"],
            "date_entered": self.stamp(row.created),
            "date_modified": self.stamp(row.modified),
            "modified_by_name": "susan",
        }
        return {"type": "Opportunity", "id": row.id, "attributes": self.shown(said, WORDS), "relationships": {}}

    @staticmethod
    def stamp(moment):
        return f"{moment:%Y-%m-%dT%H:%M:%S}+00:00"
