"""A stand-in of Tryton's REST API with one model, which keeps history or none. Its answers have the form of the recorded ones."""

import base64
import json
import operator
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

from crmbridge.testing import StandIn
from crmbridge.testing.standin import PEOPLE

KEY = "canary-tryton-key"
MODEL, PLAIN = "sale.opportunity", "party.party"
WORDS = {"title": "description", "stage": "state", "amount": "amount", "owner": "employee"}
STATES = [["open", "Open"], ["won", "Won"], ["moved", "Moved"], ["lead", "Lead"], ["opportunity", "Opportunity"], ["lost", "Lost"]]
PARTIES = {3: "Parkers", 4: "Nordlicht"}
TEXT = {"type": "char", "string": "Text"}
FIELDS = {
    "id": {"type": "integer", "string": "ID"},
    "create_date": {"type": "timestamp", "string": "Created at"},
    "write_date": {"type": "timestamp", "string": "Edited at"},
    "description": {"type": "char", "string": "Description"},
    "state": {"type": "selection", "string": "State", "selection": STATES},
    "amount": {"type": "numeric", "string": "Amount"},
    "employee": {"type": "many2one", "string": "Employee", "relation": "company.employee"},
    "party": {"type": "many2one", "string": "Party", "relation": "party.party"},
    "team": {"type": "many2many", "string": "Team", "relation": "company.employee"},
}
EMPLOYEE = {"rec_name": {"type": "char", "string": "Name"}, "party": {"type": "many2one", "string": "Party", "relation": "party.party"}}
COMPARE = {"=": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "in": lambda one, other: one in other}


def written(moment):
    """A naive UTC datetime in Tryton's JSON."""
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return None if moment is None else {"__class__": "datetime", **{name: getattr(moment, name) for name in names}}


def decoded(text):
    def hook(raw):
        if raw.get("__class__") == "datetime":
            return datetime(*(raw[n] for n in ("year", "month", "day", "hour", "minute", "second", "microsecond")), tzinfo=timezone.utc)
        return raw

    return json.loads(base64.urlsafe_b64decode(text), object_hook=hook)


class Tryton(StandIn):
    first_id = 1

    def __init__(self, *, history=True):
        super().__init__()
        self.history = history
        self.written = set()
        self.revisions = {}
        """(instant, values or None, write_date) of each id: the rows of the history table."""
        self.names = {id: name for id, (name, _) in PEOPLE.items()}

    # --- the history table

    def tell(self, what, row, before):
        if what in ("hidden", "shown"):
            return
        if what != "created":
            self.written.add(row.id)
        values = None if what == "deleted" else {**row.fields, "team": list(row.team), "created": row.created}
        self.revisions.setdefault(row.id, []).append((row.modified, values, None if what == "created" else row.modified))

    # --- HTTP

    def respond(self, exchange):
        address = urlsplit(exchange.path)
        asked = parse_qs(address.query)
        if exchange.headers.get("Authorization") != f"Bearer {KEY}":
            return exchange.reply(401, b"<!doctype html>\n<title>401 Unauthorized</title>", {"Content-Type": "text/html; charset=utf-8"})
        model, _, method = address.path.removeprefix("/crm/rest/model/").partition("/")
        if method == "history_revisions" and f"history of {MODEL}" in self.withdrawn:
            return exchange.reply(403, b"<!doctype html>\n<title>403 Forbidden</title>", {"Content-Type": "text/html; charset=utf-8"})
        arguments = exchange.seen.json() if exchange.seen.body else {}
        match method:
            case "list_models":
                return self.say(exchange, [MODEL, PLAIN, "company.employee", "res.user"])
            case "list_history":
                return self.say(exchange, [MODEL] if self.history else [])
            case "fields_get":
                hidden = {WORDS[word] for word in self.hidden_fields}
                known = {MODEL: FIELDS, "company.employee": EMPLOYEE, PLAIN: {"email": TEXT, "rec_name": TEXT}}
                return self.say(exchange, {name: one for name, one in known[model].items() if name not in hidden})
            case "history_revisions":
                rows = {(at, id) for id in arguments["ids"] for at, _, _ in self.revisions.get(str(id), ())}
                return self.say(exchange, [[written(at), id, None] for at, id in sorted(rows, reverse=True)])
        context = decoded(exchange.headers["X-Tryton-Context"])
        assert context["active_test"] is False
        domain, order, limit = decoded(asked["d"][0]), decoded(asked["o"][0]), int(asked["s"][0])
        rows = [row for row in self.records(context.get("_datetime")) if self.matches(row, domain)]
        for name, way in reversed(order):
            assert way == "ASC"
            rows.sort(key=lambda row, name=name: (row[name] is None, row[name]))
        return self.say(exchange, [self.shown(row, asked["f"]) for row in rows[:limit]])

    def write(self, path, values):
        """What users do by the same API, `path` behind the model: create, update, or an action called as the state it leads to."""
        id, _, action = path.partition("/")
        if not id:
            self.create(title=values["description"], stage="lead", amount=None, party=values["party"])
        elif action:
            self.update(id, stage=action)
        else:
            self.update(id, amount=values["amount"]["decimal"])

    def records(self, at):
        """As they are, or were; without the deleted, and what the user may not see."""
        for id, revisions in self.revisions.items():
            if not self.rows[id].visible:
                continue
            until = [one for one in revisions if at is None or one[0] <= at]
            if until and until[-1][1] is not None:
                _, values, write_date = until[-1]
                yield {"id": int(id), "create_date": values["created"], "write_date": write_date, **values}

    def matches(self, row, domain):
        if domain and isinstance(domain[0], str) and domain[0] != "OR":
            name, compare, value = domain
            if value is None or row[name] is None:
                return COMPARE[compare](row[name], value) if compare in ("=", "!=") else False
            return COMPARE[compare](row[name], value)
        if domain and domain[0] == "OR":
            return any(self.matches(row, one) for one in domain[1:])
        return all(self.matches(row, one) for one in domain)

    def shown(self, row, names):
        """The fields that were asked for; relations of which more was asked as objects, as Tryton gives them."""
        amount = row["amount"]
        known = {
            "id": row["id"],
            "create_date": written(row["create_date"]),
            "write_date": written(row["write_date"]),
            "description": row["title"],
            "state": row["stage"],
            "amount": None if amount is None else {"__class__": "Decimal", "decimal": str(amount)},
            "employee": int(row["owner"]),
            "team": [int(one) for one in row["team"]],
        }
        found = {"id": row["id"], "__name__": MODEL}
        for name in names:
            first, _, rest = name.partition(".")
            if first in ("write_uid", "create_uid"):
                there = first == "create_uid" or row["write_date"] is not None
                found[first] = {"id": 3, "__name__": "res.user", "rec_name": "Ann Admin"} if there else None
            elif first == "party":
                party = row.get("party", 3)
                found[first] = {"id": party, "__name__": PLAIN, "rec_name": PARTIES[party]}
            elif rest and first == "employee":
                found[first] = self.person(row["owner"])
            elif rest:
                found[first] = [self.person(one) for one in self.rows[str(row["id"])].team]
            elif first in known and first not in found:
                found[first] = known[first]
        return found

    def person(self, id):
        party = {"id": int(id), "__name__": "party.party"}
        if not any(one.startswith(f"people of {MODEL}") for one in self.withdrawn):
            party["email"] = PEOPLE[id][1]
        return {"id": int(id), "__name__": "company.employee", "rec_name": self.names[id], "party": party}

    def say(self, exchange, body):
        exchange.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
