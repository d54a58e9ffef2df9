"""A stand-in of Pipedrive: lists of version 2 by time and cursor, fields, users, stages, webhooks of version 2."""

import base64
import json
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from crmbridge.contract import WebhookRequest
from crmbridge.testing.preset import Dialogue, Json
from crmbridge.testing.standin import PEOPLE

TOKEN, PASSWORD = "canary-pipedrive-token", "canary-pipedrive-hook"
HOOK = "https://bridge.example.com/hooks/crm"
WORDS = {"title": "title", "stage": "stage_id", "amount": "value", "owner": "owner_id"}
STAGES = {"open": 1, "won": 2, "moved": 3, "lost": 4}
RIGHTS = {
    "/api/v2/deals": "deals:read",
    "/api/v2/deals/archived": "deals:read of the archive",
    "/v1/users": "users:read",
    "/v1/webhooks": "webhooks:full",
}
CUSTOM = "dcf558aac1ae4e8c4f849ba5e668430d8df9be12"


def stamp(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class Pipedrive(Json):
    def __init__(self):
        super().__init__()
        self.subscriptions = []
        self.archived = set()

    def archive(self, id, *, stamped=True):
        """`stamped`: its update_time moves; nobody documents whether it does."""
        self.archived.add(id)
        self._moved(id, stamped)

    def unarchive(self, id, *, stamped=True):
        self.archived.discard(id)
        self._moved(id, stamped)

    def _moved(self, id, stamped):
        if stamped:
            self.rows[id].modified = self.now

    # --- webhooks

    def tell(self, what, row, before):
        action = {"created": "create", "updated": "change", "restored": "change", "deleted": "delete", "merged": "delete"}.get(what)
        if action:
            self.webhooks.append(self.request(row, action, before))

    def request(self, row, action, before):
        gone = action == "delete"
        meta = {"action": action, "entity": "deal", "entity_id": row.id, "timestamp": self.now.isoformat(), "user_id": "901", "attempt": 1}
        meta |= {"id": f"{row.id}-{self.now.timestamp()}", "version": "2.0"} | (
            {"merged_to_id": row.merged_into} if row.merged_into else {}
        )
        old = {WORDS[word]: self.value(word, value) for word, value in before.items()}
        body = {"meta": meta, "data": None if gone else self.record(row), "previous": self.record(row) if gone else old or None}
        pair = base64.b64encode(f"crmbridge:{PASSWORD}".encode()).decode()
        headers = {"content-type": "application/json", "authorization": f"Basic {pair}"}
        return WebhookRequest(headers, json.dumps(body).encode(), "", self.now)

    # --- HTTP

    def respond(self, exchange):
        address = urlsplit(exchange.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if self.refusing or exchange.headers.get("x-api-token") != TOKEN:
            return self.say(exchange, 401, {"success": False, "error": "unauthorized access"})
        if RIGHTS.get(address.path) in self.withdrawn:
            return self.say(exchange, 403, {"success": False, "error": "Scope and URL mismatch", "error_info": "ask your admin"})
        match address.path:
            case "/v1/users/me":
                admin = "admin of the company" not in self.withdrawn
                data = {"id": 901, "name": "Bridge", "company_domain": "acme", "is_admin": admin}
            case "/v1/users":
                data = [{"id": int(id), "name": name, "email": email} for id, (name, email) in PEOPLE.items()]
            case "/api/v2/stages":
                data = [{"id": id, "name": name.title()} for name, id in STAGES.items()]
            case "/api/v2/dealFields":
                data = self.fields()
            case "/v1/webhooks" if exchange.command == "POST":
                asked = exchange.seen.json()
                if not asked.get("name"):
                    return self.say(exchange, 400, {"success": False, "error": "name is required"})
                self.subscriptions.append(asked)
                return self.say(exchange, 201, {"success": True, "data": {"id": len(self.subscriptions)}})
            case "/v1/webhooks":
                data = self.subscriptions
            case "/api/v2/deals" | "/api/v2/deals/archived":
                return self.deals(exchange, asked, archived=address.path.endswith("/archived"))
            case _:
                return self.say(exchange, 404, {"success": False, "error": "not found"})
        return self.say(exchange, 200, {"success": True, "data": data})

    def deals(self, exchange, asked, *, archived):
        rows = [row for row in self.seen() if bool(row.deleted) is (asked.get("status") == "deleted")]
        rows = [row for row in rows if (row.id in self.archived) is archived]
        if "ids" in asked:
            rows = [row for row in rows if row.id in asked["ids"].split(",")]
        if "updated_since" in asked:
            since = datetime.fromisoformat(asked["updated_since"].replace("Z", "+00:00"))
            rows = [row for row in rows if row.modified.replace(microsecond=0) >= since]
        begin, size = int(asked.get("cursor", 0)), int(asked.get("limit", 100))
        more = {"next_cursor": str(begin + size) if begin + size < len(rows) else None}
        body = {"success": True, "data": [self.record(row) for row in self.cut(rows, begin, size)], "additional_data": more}
        self.said.append(Dialogue(urlsplit(exchange.path).path, asked, 200, body))
        return self.say(exchange, 200, self.odd(body))

    def fields(self):
        hidden = {WORDS[word] for word in self.hidden_fields}
        known = [("title", "varchar"), ("stage_id", "stage"), ("value", "monetary"), ("owner_id", "user"), ("update_time", "date")]
        more = {"description": "", "is_optional_response_field": False, "is_custom_field": False}
        found = [{"field_code": code, "field_name": code.title(), "field_type": kind, **more} for code, kind in known if code not in hidden]
        options = [{"id": 7, "label": "Gold"}, {"id": 8, "label": "Silver"}]
        level = {"field_code": CUSTOM, "field_name": "Level", "field_type": "enum", "options": options}
        return [*found, {**more, **level, "is_custom_field": True}]

    def record(self, row):
        fields = {WORDS[word]: self.value(word, value) for word, value in row.fields.items() if word in WORDS}
        hidden = {WORDS[word] for word in self.hidden_fields}
        fields = {name: value for name, value in fields.items() if name not in hidden}
        facts = {"id": int(row.id), "add_time": stamp(row.created), "update_time": stamp(row.modified), "is_deleted": bool(row.deleted)}
        facts["is_archived"] = row.id in self.archived
        return fields | facts | {"custom_fields": {CUSTOM: row.fields.get("level")}}

    @staticmethod
    def value(word, value):
        match word:
            case "stage":
                return STAGES[value]
            case "amount":
                return float(value)
            case "owner":
                return int(value)
        return value
