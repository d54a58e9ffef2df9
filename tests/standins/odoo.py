"""A stand-in of Odoo: /jsonrpc as 14 to 18 have it, /json/2 as 19 has it, and their traps, held equal to recorded answers by test_odoo.py.

Stamps are kept in microseconds and shown in whole seconds; archived rows hide; what is deleted leaves nothing; what is not for the
login is not found, and refused where it is read; the log of tracked fields is for who may read it. It refuses what it does not know.
"""

import itertools
import json
import re
import secrets
from datetime import datetime, timedelta, timezone

from crmbridge.contract import WebhookRequest
from crmbridge.testing import StandIn
from crmbridge.testing.standin import PEOPLE

DATABASE, USER, PASSWORD, HOOK_PATH = "acme", "bridge@acme.example", "canary-odoo-key-0123", "canary-odoo-hook-path"
MODEL = "crm.lead"
WORDS = {"title": "name", "stage": "x_stage", "amount": "expected_revenue", "owner": "user_id"}
STAGES = {"open": (1, "New"), "moved": (2, "Qualified"), "proposition": (3, "Proposition"), "won": (4, "Won")}
SHORT = timedelta(microseconds=432_100)  # what the column holds and nobody is shown
FIELDS = {
    "crm.lead": {
        "name": ("char", "Opportunity"),
        "x_stage": ("selection", "Phase", [[word, label] for word, (_, label) in STAGES.items()]),
        "stage_id": ("many2one", "Stage", "crm.stage"),
        "expected_revenue": ("monetary", "Expected Revenue"),
        "probability": ("float", "Probability"),
        "user_id": ("many2one", "Salesperson", "res.users"),
        "team_id": ("many2one", "Sales Team", "crm.team"),
        "partner_id": ("many2one", "Customer", "res.partner"),
        "active": ("boolean", "Active"),
        "description": ("text", "Notes"),
        "date_deadline": ("date", "Expected Closing"),
        "date_closed": ("datetime", "Closed Date"),
        "tag_ids": ("many2many", "Tags", "crm.tag"),
        "color": ("integer", "Color Index"),
        "x_starred": ("boolean", "Starred"),
    },
    "crm.stage": {"name": ("char", "Stage Name"), "sequence": ("integer", "Sequence"), "is_won": ("boolean", "Is Won Stage?")},
    "crm.team": {
        "name": ("char", "Sales Team"),
        "user_id": ("many2one", "Team Leader", "res.users"),
        "member_ids": ("many2many", "Salespersons", "res.users"),
    },
    "res.users": {"name": ("char", "Name"), "email": ("char", "Email"), "active": ("boolean", "Active")},
    "res.partner": {
        "name": ("char", "Name"),
        "country_id": ("many2one", "Country", "res.country"),
        "is_company": ("boolean", "Is a Company"),
    },
    "res.country": {"name": ("char", "Country Name"), "code": ("char", "Country Code")},
    "mail.message": {
        "model": ("char", "Related Document Model"),
        "res_id": ("many2one_reference", "Related Document ID"),
        "date": ("datetime", "Date"),
        "author_id": ("many2one", "Author", "res.partner"),
        "subtype_id": ("many2one", "Subtype", "mail.message.subtype"),
        "message_type": ("selection", "Type", [["notification", "System notification"]]),
    },
    "ir.model.fields": {"name": ("char", "Field Name"), "model": ("char", "Object Name")},
    "mail.tracking.value": {
        "field": ("many2one", "Field", "ir.model.fields"),
        "field_desc": ("char", "Field Description"),
        "mail_message_id": ("many2one", "Message", "mail.message"),
        **{
            f"{side}_value_{type_}": (type_, f"{side} value")
            for side in ("old", "new")
            for type_ in ("char", "text", "integer", "float", "monetary", "datetime")
        },
    },
}
SYSTEM = {
    "id": ("integer", "ID"),
    "create_date": ("datetime", "Created on"),
    "write_date": ("datetime", "Last Updated on"),
    "create_uid": ("many2one", "Created by", "res.users"),
    "write_uid": ("many2one", "Last Updated by", "res.users"),
}


class Fault(Exception):
    """What Odoo raises: its Python name, its words, JSON-2's status."""

    def __init__(self, name, message, status=422):
        self.name, self.message, self.status = name, message, status


def shown(moment):
    """As the API writes an instant: naive, UTC, cut to whole seconds."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}"


class Odoo(StandIn):
    def __init__(self, *, database=DATABASE, user=USER, password=PASSWORD, version=14):
        super().__init__()
        self.login = (database, user, password)
        self.version = version
        self.uid, self.session = 2, None
        self.log_is_open = True
        """Whether the login may read mail.tracking.value."""
        self.open_models = set(FIELDS)
        self.gone_is_an_error = False
        """Whether reading what is gone is refused; 14 leaves it out."""
        self.archived = set()
        self.people = {int(id): facts for id, facts in PEOPLE.items()}
        self.gone_people = set()
        self.partners = {7: "Acme GmbH"}
        self.hidden_partners = set()
        self.team = (1, "Sales")
        self.own_teams = False
        """Whether each record has a sales team of its own; else all are in one."""
        self.logged_stages = ("x_stage", "stage_id")
        self.actor = 2
        self.messages, self.trackings = [], []
        self.first_message, self.first_tracking = itertools.count(8), itertools.count(2)
        self.defaults = {"partner_id": 7, "team_id": 1, "probability": 0.0, "color": 0, "tag_ids": []}

    # --- the life of records

    def tell(self, what, row, before):
        if what == "created":
            self._message(row, 5, "Opportunity Created")
        if what == "updated":
            changed = {name: value for name, value in before.items() if row.fields[name] != value}
            if changed:
                message = self._message(row, 6, "Stage Changed")
                for name, old in changed.items():
                    self._track(message, row, name, old, row.fields[name])
        if what in ("created", "updated") and self.version >= 17:
            self.webhooks.append(self.webhook(row.id))

    def webhook(self, id, path=HOOK_PATH, **more):
        body = {"_action": "Send Webhook Notification(#12)", "_id": int(id), "_model": MODEL, "id": int(id), "name": "as then"} | more
        return WebhookRequest({"content-type": "application/json"}, json.dumps(body, sort_keys=True).encode(), "", self.now, path)

    def _message(self, row, subtype, label):
        message = {
            "id": next(self.first_message),
            "model": MODEL,
            "res_id": int(row.id),
            "date": row.modified,
            "author_id": (3, self._name(self.actor)),
            "subtype_id": (subtype, label),
            "message_type": "notification",
            "create_date": row.modified,
        }
        self.messages.append(message)
        return message

    def _track(self, message, row, name, old, new):
        columns = self._tracked(name)
        for field, values in columns.items():
            entry = {
                "id": next(self.first_tracking), "field": (self._field_id(field), f"{FIELDS[MODEL][field][1]} ({MODEL})"),
                "field_desc": FIELDS[MODEL][field][1], "mail_message_id": (message["id"], row.fields["title"]),
                "create_date": row.modified, "create_uid": (self.actor, self._name(self.actor)),
            }  # fmt: skip
            for side, value in (("old", old), ("new", new)):
                entry |= {f"{side}_value_{type_}": read for type_, read in values(value).items()}
            self.trackings.append(entry)

    def _tracked(self, name):
        """Of a word or field: which fields are logged, and how a value fills the columns."""
        if name == "stage":
            stages = {
                "x_stage": lambda word: {"char": STAGES[word][1]},
                "stage_id": lambda word: {"integer": STAGES[word][0], "char": STAGES[word][1]},
            }
            return {field: stages[field] for field in self.logged_stages}
        if name == "amount":
            return {"expected_revenue": lambda value: {"float" if self.version >= 17 else "monetary": float(value)}}
        if name == "owner":
            return {"user_id": lambda uid: {"integer": int(uid or 0), "char": self._name(int(uid)) if uid else False}}
        return {}

    def _name(self, uid):
        return self.people[uid][0]

    @staticmethod
    def _field_id(name):
        return 3163 if name == "stage_id" else 4000 + list(FIELDS[MODEL]).index(name)

    # --- tables, with instants as the columns hold them

    def table(self, model):
        match model:
            case "crm.lead":
                return [self._lead(row) for row in self.rows.values() if not row.deleted]
            case "crm.stage":
                words = {1: 1, 2: 2, 3: 3, 4: 70}
                return [{"id": id, "name": name, "sequence": words[id], "is_won": id == 4} for id, name in STAGES.values()]
            case "crm.team":
                members = {row.id: row.team for row in self.rows.values() if self.own_teams}
                found = [
                    {"id": int(id), "name": f"Team {id}", "user_id": False, "member_ids": list(map(int, team))}
                    for id, team in members.items()
                ]
                return [*found, {"id": self.team[0], "name": self.team[1], "user_id": False, "member_ids": [2]}]
            case "res.users":
                return [
                    {"id": id, "name": name, "email": email, "active": id not in self.gone_people}
                    for id, (name, email) in self.people.items()
                ]
            case "res.partner":
                return [
                    {"id": id, "name": name, "country_id": (1, "Germany"), "is_company": True}
                    for id, name in self.partners.items()
                    if id not in self.hidden_partners
                ]
            case "res.country":
                return [{"id": 1, "name": "Germany", "code": "DE"}]
            case "mail.message":
                return self.messages
            case "mail.tracking.value":
                renamed = self.version >= 17
                return [
                    {"field_id" if renamed and name == "field" else name: value for name, value in one.items()} for one in self.trackings
                ]
        assert model == "ir.model.fields"
        return [{"id": self._field_id(name), "name": name, "model": MODEL} for name in FIELDS[MODEL]]

    def _lead(self, row):
        facts = {"id": int(row.id), "active": row.id not in self.archived} | self.defaults
        stage = STAGES[row.fields["stage"]]
        owner = row.fields["owner"]
        facts |= {
            "name": row.fields["title"],
            "x_stage": row.fields["stage"],
            "stage_id": stage,
            "expected_revenue": float(row.fields["amount"] or 0),
            "user_id": (int(owner), self._name(int(owner))) if owner else False,
            "team_id": (int(row.id), f"Team {row.id}") if self.own_teams else self.team,
            "create_date": row.created + SHORT,
            "write_date": row.modified + SHORT,
            "create_uid": (self.actor, self._name(self.actor)),
            "write_uid": (self.actor, self._name(self.actor)),
        }
        facts |= {name: value for name, value in row.fields.items() if name in FIELDS[MODEL]}
        partner = facts["partner_id"]
        facts["partner_id"] = (partner, self.partners[partner]) if partner else False
        return facts | {"_visible": row.visible}

    def archive(self, id):
        self.archived.add(id)
        self.rows[id].modified = self.now

    def fields(self, model):
        if model not in FIELDS:
            raise Fault("odoo.exceptions.UserError", f"Object {model} doesn't exist", 404)
        known = SYSTEM | FIELDS[model]
        if model == "mail.tracking.value" and self.version >= 17:
            known["field_id"] = known.pop("field")
            del known["old_value_monetary"], known["new_value_monetary"]
        hidden = {WORDS[word] for word in self.hidden_fields} if model == MODEL else set()
        return {name: facts for name, facts in known.items() if name not in hidden}

    # --- methods

    def method(self, model, name, given):
        given = dict(given)
        context = given.pop("context", None) or {}
        if name == "fields_get":
            return self._fields_get(model, **given)
        self.fields(model)
        closed = f"read {model} (ir.model.access)" in self.withdrawn
        if closed or model not in self.open_models or (model == "mail.tracking.value" and not self.log_is_open):
            raise Fault("odoo.exceptions.AccessError", f"You are not allowed to access '{model}' records.", 403)
        if name == "search_read":
            wanted = given.pop("fields", None)
            return [self._read(model, row, wanted) for row in self._search(model, context, **given)]
        if name == "search":
            return [row["id"] for row in self._search(model, context, **given)]
        if name == "search_count":
            return len(self._search(model, context, **given))
        if name == "read":
            rows = [row for row in self.table(model) if row["id"] in given["ids"]]
            if self.gone_is_an_error and len(rows) < len(given["ids"]):
                raise Fault("odoo.exceptions.MissingError", "Record does not exist or has been deleted.", 404)
            if not all(row.get("_visible", True) for row in rows):
                raise Fault("odoo.exceptions.AccessError", "Due to security restrictions, you are not allowed to access records.", 403)
            return [self._read(model, row, given["fields"]) for row in rows]
        raise Fault("builtins.AttributeError", f"The method '{model}.{name}' does not exist", 404)

    def _fields_get(self, model, allfields=None, attributes=()):
        assert not allfields
        found = {}
        for name, (type_, label, *more) in self.fields(model).items():
            one = {"type": type_, "string": label}
            if more:
                one["selection" if type_ == "selection" else "relation"] = more[0]
            found[name] = {attribute: value for attribute, value in one.items() if attribute in attributes}
        return found

    def _search(self, model, context, domain, order="id", limit=None, offset=0):
        known = self.fields(model)
        rows = [row for row in self.table(model) if row.get("_visible", True)]
        asked = {name for name, _, _ in domain}
        if "active" in known and context.get("active_test", True) and "active" not in asked:
            rows = [row for row in rows if row["active"]]
        for condition in domain:
            rows = [row for row in rows if self._holds(known, row, *condition)]
        for part in reversed(order.split(",")):
            name, _, way = part.strip().partition(" ")
            assert name in known
            rows.sort(key=lambda row: row[name], reverse=way == "desc")
        return rows[offset : offset + limit if limit else None]

    @staticmethod
    def _holds(known, row, name, operator, value):
        if name not in known:
            raise Fault("builtins.ValueError", f"Invalid field {name!r} in leaf", 422)
        held = row[name]
        held = held[0] if isinstance(held, tuple) else held
        if known[name][0] == "datetime" and value is not False:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value), value
            value = datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
        match operator:
            case "=":
                return held == value
            case "!=":
                return held != value
            case ">":
                return held > value
            case ">=":
                return held >= value
            case "in":
                return held in value
        raise Fault("builtins.ValueError", f"Invalid operator {operator}", 422)

    def _read(self, model, row, names):
        known = self.fields(model)
        found = {"id": row["id"]}
        for name in names or known:
            if name not in known:
                raise Fault("builtins.ValueError", f"Invalid field {name!r} on model {model!r}", 422)
            value = row.get(name, 0 if known[name][0] in ("integer", "float", "monetary") else False)
            if isinstance(value, datetime):
                value = shown(value)
            found[name] = list(value) if isinstance(value, tuple) else value
        return found

    # --- HTTP

    def log_in(self):
        self.session = super().log_in()
        return self.session

    def respond(self, exchange):
        body = exchange.seen.json()
        if exchange.path == "/jsonrpc":
            return self._rpc(exchange, body)
        match = re.fullmatch(r"/json/2/([\w.]+)/(\w+)", exchange.path)
        if not match:
            return exchange.reply(404, b"<html>Not Found</html>", {"Content-Type": "text/html"})
        if exchange.headers.get("Authorization") != f"bearer {self.login[2]}" or self.refusing:
            return self._say(exchange, 401, self._fault(Fault("werkzeug.exceptions.Unauthorized", "Invalid apikey", 401)))
        if exchange.headers.get("X-Odoo-Database") != self.login[0]:
            return self._say(exchange, 404, self._fault(Fault("werkzeug.exceptions.NotFound", "no such database", 404)))
        try:
            return self._say(exchange, 200, self.method(match[1], match[2], body))
        except Fault as fault:
            return self._say(exchange, fault.status, self._fault(fault))

    def _rpc(self, exchange, body):
        answer = {"jsonrpc": "2.0", "id": body["id"]}
        try:
            answer["result"] = self.service(body["params"])
        except Fault as fault:
            answer["error"] = {"code": 200, "message": "Odoo Server Error", "data": self._fault(fault)}
        return self._say(exchange, 200, answer)

    def service(self, params):
        args = params["args"]
        match params["service"], params["method"]:
            case "common", "version":
                info = [14, 0, 0, "final", 0, ""]
                return {"server_version": "14.0", "server_version_info": info, "server_serie": "14.0", "protocol_version": 1}
            case "common", "authenticate":
                if args[0] != self.login[0]:
                    raise Fault("psycopg2.OperationalError", f'FATAL:  database "{args[0]}" does not exist\n')
                if self.refusing or tuple(args[:3]) != self.login:
                    return False
                self.log_in()
                return self.uid
            case "object", "execute_kw":
                database, uid, password, model, method, positional, named = args
                if (database, uid, password) != (self.login[0], self.uid, self.login[2]) or self.session not in self.tokens:
                    raise Fault("odoo.exceptions.AccessDenied", "Access Denied", 403)
                first = {"read": "ids"}.get(method, "domain")
                return self.method(model, method, {**dict(zip([first], positional, strict=False)), **named})
        raise Fault("builtins.KeyError", str(params["service"]))

    @staticmethod
    def _fault(fault):
        debug = f"Traceback (most recent call last):\n{secrets.token_hex(8)} {PASSWORD}"
        return {"name": fault.name, "debug": debug, "message": fault.message, "arguments": [fault.message], "context": {}}

    @staticmethod
    def _say(exchange, status, body):
        exchange.reply(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})
