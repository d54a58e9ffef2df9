"""A stand-in of any JSON API: four ways to page, sorted or not, four ways to log in."""

import base64
import json
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlencode, urlsplit

from crmbridge.testing import StandIn

TOKEN, CLIENT_SECRET = "canary-rest-token", "canary-rest-client"


class Rest(StandIn):
    def __init__(self, style="offset", *, ascending=True, since="iso_ms", auth="oauth2"):
        super().__init__()
        self.style, self.ascending, self.since, self.auth = style, ascending, since, auth

    def respond(self, exchange):
        address = urlsplit(exchange.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/oauth/token":
            form = {name: values[0] for name, values in parse_qs(exchange.seen.body.decode()).items()}
            if self.refusing or form.get("client_secret") != CLIENT_SECRET:
                return self.say(exchange, 400, {"error": "invalid_client", "error_description": "who are you?"})
            return self.say(exchange, 200, {"access_token": self.log_in(), "expires_in": int(self.lifetime.total_seconds())})
        if not self.admitted(exchange.headers):
            return self.say(exchange, 401, {"errors": [{"message": "who are you?"}]})
        if f"GET {self.url}{address.path}" in self.withdrawn:
            return self.say(exchange, 403, {"errors": [{"message": "not for you"}]})
        rows = [self.row(row) for row in self.seen()]
        if not self.ascending:
            rows.sort(key=lambda row: int(row["key"]["id"]) * 7919 % 104_729)  # in no order of theirs
        if "since" in asked:
            rows = [row for row in rows if self.moment(row["meta"]["changed"]) >= self.asked(asked["since"])]
        return self.paged(exchange, rows, asked)

    def paged(self, exchange, rows, asked):
        size, begin = int(asked["limit"]), 0
        match self.style:
            case "offset":
                begin = int(asked.get("offset", 0))
            case "page":
                begin = (int(asked.get("page", 1)) - 1) * size
            case "cursor" | "link":
                begin = int(asked.get("after", 0))
        page = rows[begin : begin + size]
        more = begin + size < len(rows)
        headers = {}
        if more and self.style == "link":
            headers["Link"] = f'<{self.url}/v1/deals?{urlencode(asked | {"after": begin + size})}>; rel="next", <{self.url}/x>; rel="first"'
        body = {"data": {"items": page, "next": str(begin + size) if more and self.style == "cursor" else None}}
        return self.say(exchange, 200, body, headers)

    def admitted(self, headers):
        given = headers.get("Authorization", "")
        match self.auth:
            case "oauth2":
                return self.knows(given)
            case "bearer":
                return given == f"Bearer {TOKEN}"
            case "basic":
                return given == "Basic " + base64.b64encode(f"ann:{TOKEN}".encode()).decode()
        return headers.get("X-Api-Key") == TOKEN

    def row(self, row):
        fields = {"title": row.fields["title"], "stage": row.fields["stage"], "money": {"amount": float(row.fields["amount"] or 0)}}
        meta = {
            "changed": row.modified.isoformat(),
            "made": row.created.isoformat(),
            "gone": row.deleted.isoformat() if row.deleted else None,
        }
        return {"key": {"id": int(row.id)}, "meta": meta, "fields": fields | {"owner": row.fields["owner"]}}

    @staticmethod
    def moment(text):
        return datetime.fromisoformat(text)

    def asked(self, text):
        match self.since:
            case "epoch":
                return datetime.fromtimestamp(int(text), timezone.utc)
            case "epoch_ms":
                return datetime.fromtimestamp(int(text) / 1000, timezone.utc)
            case "date":
                return datetime.fromisoformat(text + "T00:00:00+00:00")
        return datetime.fromisoformat(text.replace("Z", "+00:00"))

    def say(self, exchange, status, body, headers=()):
        exchange.reply(status, json.dumps(body).encode(), {"Content-Type": "application/json", **dict(headers)})
