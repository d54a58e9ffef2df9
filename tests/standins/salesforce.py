"""A stand-in of Salesforce: its token endpoint, a subset of SOQL, getDeleted, describe, Outbound Messages.

It refuses what it does not understand, as the real one does, so that a query with a mistake fails here too.
"""

import json
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from crmbridge.contract import WebhookRequest
from crmbridge.testing import StandIn
from crmbridge.testing.standin import PEOPLE

ORGANIZATION = "00D7F00000107XsUAI"
CLIENT_ID, CLIENT_SECRET, HOOK_PATH = "canary-consumer-key", "canary-consumer-secret", "canary-hook-path"
TYPE = "Opportunity"
WORDS = {"title": "Name", "stage": "StageName", "amount": "Amount", "owner": "OwnerId"}
LABELS = {"open": "Open", "won": "Closed Won", "moved": "Moved"}
NEVER_EMPTY = ("Id", "SystemModstamp", "CreatedDate", "LastModifiedById", "Name", "StageName", "CloseDate")
TOKEN = re.compile(r"\s*(<=|>=|!=|=|<|>|\(|\)|,|'(?:[^'\\]|\\.)*'|[0-9T:Z.+-]{10,}|[A-Za-z_][A-Za-z0-9_.]*)")


def stamp(moment):
    """As the API writes it: milliseconds that are always zero, an offset without a colon."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def long_id(short):
    """15 letters and their check suffix."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    return short + "".join(letters[sum(short[i + j].isupper() << j for j in range(5))] for i in (0, 5, 10))


class Malformed(Exception):
    """A query that Salesforce would refuse."""


class Salesforce(StandIn):
    def __init__(self):
        super().__init__()
        self.members = {}
        """AccountTeamMember rows that were removed: id -> when."""
        self.replicateable = True
        self.with_teams = True
        """Whether Opportunity Teams are switched on."""
        self.assertions = []

    def name_id(self, number):
        return long_id(f"0067F{number:010d}")

    @property
    def quota_header(self):
        return {"Sforce-Limit-Info": f"api-usage={self.used}/{self.quota}; api-bursts=1/750"}

    # --- webhooks

    def tell(self, what, row, before):
        if what in ("created", "updated"):
            self.webhooks.append(self.message([row.id]))

    def message(self, ids, organization=ORGANIZATION, path=HOOK_PATH, kind=TYPE):
        notifications = "".join(
            f'<Notification><Id>04l7F00000{n:05d}AAA</Id><sObject xsi:type="sf:{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
            f"<sf:Id>{id}</sf:Id><sf:Name>{escape(str(self.rows[id].fields['title']) if id in self.rows else 'x')}</sf:Name>"
            "</sObject></Notification>"
            for n, id in enumerate(ids)
        )
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
            f'<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>{organization}</OrganizationId>'
            f'<ActionId>04k7F0000008V3hQAE</ActionId><SessionId xsi:nil="true"/><EnterpriseUrl>https://x/</EnterpriseUrl>'
            f"<PartnerUrl>https://x/</PartnerUrl>{notifications}</notifications></soapenv:Body></soapenv:Envelope>"
        )
        return WebhookRequest({"content-type": "text/xml; charset=UTF-8", "soapaction": '""'}, body.encode(), "", self.now, path)

    # --- HTTP

    def respond(self, exchange):
        address = urlsplit(exchange.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/services/oauth2/token":
            return self._token(exchange)
        if not self.knows(exchange.headers.get("Authorization", "")):
            return self._say(exchange, 401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
        rest = re.fullmatch(r"/services/data/v67\.0/(.+)", address.path)
        if not rest:
            return self._say(exchange, 404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])
        try:
            status, body = self._answer(rest[1], query)
        except Malformed as error:
            code, _, words = str(error).partition(": ")
            status, body = 400, [{"message": words, "errorCode": code}]
        return self._say(exchange, status, body)

    def _answer(self, path, query):
        if path in ("query", "queryAll"):
            return 200, self.query(query["q"], path == "queryAll")
        match = re.fullmatch(r"sobjects/([A-Za-z_]+)/(describe|deleted/)", path)
        if not match or match[1] != TYPE:
            return 404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]
        if match[2] == "describe":
            return 200, self._describe()
        if f"getDeleted of {TYPE}" in self.withdrawn:
            return 403, [{"message": "insufficient access rights on object id", "errorCode": "INSUFFICIENT_ACCESS"}]
        return 200, self._deleted(query)

    def _token(self, exchange):
        form = {name: values[0] for name, values in parse_qs(exchange.seen.body.decode()).items()}
        good = form.get("client_id") == CLIENT_ID and form.get("client_secret") == CLIENT_SECRET
        if form["grant_type"].endswith("jwt-bearer"):
            self.assertions.append(form["assertion"])
            good = True
        if self.refusing or not good:
            return self._say(exchange, 400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        said = {"access_token": self.log_in(), "instance_url": self.url, "token_type": "Bearer", "scope": "api"}
        return self._say(exchange, 200, said)

    def _say(self, exchange, status, body):
        exchange.reply(status, json.dumps(body).encode(), {"Content-Type": "application/json;charset=UTF-8", **self.quota_header})

    # --- describe, deleted

    def _describe(self):
        def one(name, type_, **more):
            facts = {"name": name, "label": f"{name} label", "type": type_, "nillable": name not in NEVER_EMPTY}
            return {**facts, "relationshipName": None, "referenceTo": [], **more}

        picklist = [{"value": value, "label": label, "active": True} for value, label in LABELS.items()]
        fields = [
            one("Id", "id"),
            one("SystemModstamp", "datetime"),
            one("CreatedDate", "datetime"),
            one("LastModifiedById", "reference", relationshipName="LastModifiedBy", referenceTo=["User"]),
            one("Name", "string"),
            one("StageName", "picklist", picklistValues=picklist),
            one("Amount", "currency"),
            one("CloseDate", "date"),
            one("Plan__c", "textarea", htmlFormatted=True),
            one("OwnerId", "reference", relationshipName="Owner", referenceTo=["User"]),
            one("AccountId", "reference", relationshipName="Account", referenceTo=["Account"]),
            one("BillingAddress", "address"),
            one("Tags__c", "multipicklist", picklistValues=[{"value": "a", "label": "A"}, {"value": "b", "label": "B"}]),
            one("MasterRecordId", "reference", relationshipName="MasterRecord", referenceTo=[TYPE]),
        ]
        hidden = self._hidden()
        return {"name": TYPE, "replicateable": self.replicateable, "fields": [field for field in fields if field["name"] not in hidden]}

    def _deleted(self, query):
        start, end = (datetime.fromisoformat(query[name].replace("Z", "+00:00")) for name in ("start", "end"))
        if end - start < timedelta(minutes=1):
            raise Malformed("INVALID_REPLICATION_DATE: startDate must be at least one minute greater than endDate")
        start, end = start.replace(second=0), end
        gone = {row.id: row.deleted for row in self.rows.values() if row.deleted and row.visible} | self.members
        return {
            "deletedRecords": [{"id": id, "deletedDate": stamp(at)} for id, at in gone.items() if start <= at <= end],
            "earliestDateAvailable": stamp(self.now - timedelta(days=15)),
            "latestDateCovered": stamp(min(end, self.now)),
        }

    # --- SOQL

    def query(self, text, everything):
        match = re.fullmatch(r"SELECT (.+?) FROM (\w+)(?: WHERE (.+?))?(?: ORDER BY ([\w, ]+?))?(?: LIMIT (\d+))?", text)
        if not match:
            raise Malformed("MALFORMED_QUERY: unexpected token")
        names, kind, where, order, limit = match[1].split(", "), *match.groups()[1:]
        if kind == "UserPermissionAccess":
            return {"totalSize": 1, "done": True, "records": [{"PermissionsViewAllData": "View All Data" not in self.withdrawn}]}
        if kind == f"{TYPE}TeamMember":
            if not self.with_teams:
                raise Malformed(f"INVALID_TYPE: sObject type '{kind}' is not supported")
            if f"Read on {kind}" in self.withdrawn:
                raise Malformed("INVALID_FIELD: No such column 'Email' on entity 'User'")
            if not where:
                return {"totalSize": 0, "done": True, "records": []}
            row = self.rows[re.fullmatch(rf"{TYPE}Id = '(\w+)'", where)[1]]
            team = [{"User": _person(id), "TeamMemberRole": "Sales"} for id in row.team]
            return {"totalSize": len(team), "done": True, "records": team}
        if kind != TYPE:
            raise Malformed(f"INVALID_TYPE: sObject type '{kind}' is not supported")
        rows = [row for row in self.seen() if everything or not row.deleted]
        facts = [self._facts(row) for row in rows]
        if where:
            holds = _Condition(where).parse()
            facts = [one for one in facts if holds(one)]
        if order:
            facts.sort(key=lambda one: [one[name.strip()] for name in order.split(",")])
        facts = facts[: int(limit)] if limit else facts
        return {"totalSize": len(facts), "done": True, "records": [self._record(one, names) for one in facts]}

    def _hidden(self):
        closed = {WORDS["stage"]} if f"field-level security of {TYPE}" in self.withdrawn else set()
        return closed | {WORDS[word] for word in self.hidden_fields}

    def _facts(self, row):
        hidden = self._hidden()
        facts = {WORDS[word]: value for word, value in row.fields.items() if word in WORDS}
        facts |= {
            "Id": row.id,
            "SystemModstamp": row.modified.replace(microsecond=0),
            "CreatedDate": row.created,
            "IsDeleted": row.deleted is not None,
        }
        facts |= {
            "MasterRecordId": row.merged_into,
            "LastModifiedById": "0057F000001AAAAQA0",
            "CloseDate": "2026-12-24",
            "AccountId": "0017F00000A",
        }
        facts |= {"Tags__c": row.fields.get("tags"), "BillingAddress": {"city": "Leeds", "street": None}}
        return {name: value for name, value in facts.items() if name not in hidden}

    def _record(self, facts, names):
        record = {"attributes": {"type": TYPE, "url": f"/services/data/v67.0/sobjects/{TYPE}/{facts['Id']}"}}
        for name in names:
            head, _, tail = name.partition(".")
            if head == "Owner" and any(one.startswith(f"Owner of {TYPE}") for one in self.withdrawn):
                raise Malformed(f"INVALID_FIELD: No such column '{tail}' on entity 'User'")
            if head == "Owner":
                record.setdefault("Owner", {"attributes": {"type": "User"}})[tail] = _person(facts["OwnerId"])[tail]
            elif head == "Account":
                record["Account"] = None if facts["Name"] == "orphan" else {"attributes": {"type": "Account"}, tail: "Parkers Ltd"}
            elif name not in facts:
                raise Malformed(f"INVALID_FIELD: No such column '{name}' on entity '{TYPE}'")
            else:
                value = facts[name]
                record[name] = stamp(value) if isinstance(value, datetime) else float(value) if name == "Amount" and value else value
        return record


def _person(id):
    name, email = PEOPLE[id]
    return {"Name": name, "Email": email}


class _Condition:
    """Comparisons, AND, OR, parentheses, IN: of one kind between parentheses, for SOQL refuses a mix."""

    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text.rstrip()):
            match = TOKEN.match(text, at)
            if not match:
                raise Malformed(f"MALFORMED_QUERY: unexpected token: {text[at:]}")
            self.tokens.append(match[1])
            at = match.end()

    def parse(self):
        holds = self.either()
        if self.tokens:
            raise Malformed(f"MALFORMED_QUERY: unexpected token: {self.tokens[0]}")
        return holds

    def either(self):
        parts, words = [self.one()], set()
        while self.tokens and self.tokens[0] in ("AND", "OR"):
            words.add(self.tokens.pop(0))
            parts.append(self.one())
        if len(words) > 1:
            raise Malformed("MALFORMED_QUERY: unexpected token: OR")
        return lambda facts: (any if words == {"OR"} else all)(part(facts) for part in parts)

    def one(self):
        token = self.tokens.pop(0)
        if token == "(":
            holds = self.either()
            assert self.tokens.pop(0) == ")"
            return holds
        operator = self.tokens.pop(0)
        if operator == "IN":
            assert self.tokens.pop(0) == "("
            values = []
            while (value := self.tokens.pop(0)) != ")":
                values += [] if value == "," else [self.value(value)]
            return lambda facts: facts[token] in values
        value = self.value(self.tokens.pop(0))
        compare = {"=": lambda a: a == value, ">": lambda a: a > value, ">=": lambda a: a >= value}[operator]
        return lambda facts: compare(facts[token])

    @staticmethod
    def value(token):
        if token.startswith("'"):
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        if token in ("true", "false"):
            return token == "true"
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", token):
            raise Malformed(f"MALFORMED_QUERY: {token}")
        return datetime.fromisoformat(token.replace("Z", "+00:00"))
