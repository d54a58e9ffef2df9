"""HubSpot's stand-in: the CRM paths of version 3 (and a dated one), refusals in its own words, signed webhooks."""

import base64
import hashlib
import hmac
import json
import re
import urllib.parse
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from connectors.sources.hubspot import CONNECTOR
from crmbridge.contract import WebhookRequest
from crmbridge.testing import Can, StandIn
from crmbridge.testing.source.parts import SourceParts
from crmbridge.testing.standin import PEOPLE

CLIENT_SECRET = "canary-client-secret-yyyy"
REFRESH = "canary-refresh-token-1"
HOOK = "https://bridge.example.com/hooks/crm"
PORTAL = 62515
CAP = 10_000
PROPERTIES = {"title": "dealname", "stage": "dealstage", "amount": "amount", "owner": "hubspot_owner_id"}
STAGES = {"open": "Appointment Scheduled", "won": "Closed Won", "lost": "Closed Lost", "moved": "Moved On"}
KINDS = {
    "dealname": ("string", "text"),
    "amount": ("number", "number"),
    "dealstage": ("enumeration", "radio"),
    "pipeline": ("enumeration", "select"),
    "hubspot_owner_id": ("enumeration", "select"),
    "closedate": ("datetime", "date"),
    "hs_priority": ("enumeration", "select"),
    "tags": ("enumeration", "checkbox"),
    "hs_all_owner_ids": ("enumeration", "checkbox"),
    "hs_merged_object_ids": ("string", "text"),
    "hs_lastmodifieddate": ("datetime", "date"),
    "createdate": ("datetime", "date"),
    "hs_object_id": ("number", "number"),
}
OPTIONS = {"hs_priority": {"high": "High"}, "tags": {"a": "Tag A", "b": "Tag B"}}
EVENTS = {"created": "creation", "updated": "propertyChange", "deleted": "deletion", "restored": "restore", "merged": "merge"}
COMPANY = {"id": "7001", "name": "Acme Ltd", "domain": "acme.example"}


class Refusal(Exception):
    def __init__(self, status, message, category="VALIDATION_ERROR", **more):
        self.status = status
        self.body = {"status": "error", "message": message, "correlationId": "c", "category": category, **more}


def ms(moment):
    return round(moment.timestamp() * 1000)


def iso(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def sign(body, stamp, *, secret=CLIENT_SECRET, address=HOOK):
    mac = hmac.digest(secret.encode(), b"POST" + address.encode() + body + stamp.encode(), hashlib.sha256)
    return base64.b64encode(mac).decode()


class Hubspot(StandIn):
    """One object type, deals; `more` holds further properties by record."""

    def __init__(self):
        super().__init__()
        self.secret_scopes = set()
        """Areas of the API that the login may not use, by the first word of their path."""
        self.more = {}
        self.company_of = {}
        self.searches = []
        self.refresh = REFRESH
        self.show_url = True
        self.lag = timedelta(0)
        """How long the search does not know of a change."""
        self.stamps = {}
        """All that each record ever had."""

    # --- webhooks

    def deliver(self, events):
        """A signed request with these events."""
        body = json.dumps(events, separators=(",", ":")).encode()
        stamp = str(ms(self.now))
        headers = {
            "content-type": "application/json",
            "x-hubspot-signature-v3": sign(body, stamp),
            "x-hubspot-request-timestamp": stamp,
            "x-hubspot-signature": "0" * 64,
            "x-hubspot-signature-version": "v1",
        }
        return WebhookRequest(headers, body, "", self.now)

    def event(self, what, id, **more):
        common = {"eventId": 1, "subscriptionId": 12345, "portalId": PORTAL, "appId": 54321, "occurredAt": ms(self.now)}
        rest = {"attemptNumber": 0, "objectId": int(id), "changeSource": "CRM_UI", "sourceId": "userId:901"}
        return {**common, "subscriptionType": f"deal.{what}", **rest, **more}

    def indexed(self, row):
        """The stamp (ms) by which the search knows a record; 0 if it does not know it yet."""
        known = [stamp for stamp, at in self.stamps.get(row.id, ()) if at + self.lag <= self.now]
        return ms(known[-1]) if known else 0

    def tell(self, what, row, before):
        for one in (row, *filter(None, [self.rows.get(row.merged_into)])):
            self.stamps.setdefault(one.id, []).append((one.modified, self.now))
        name = EVENTS.get(what)
        if name is None:
            return
        if what == "updated":
            events = [
                self.event(
                    name, row.id, occurredAt=ms(row.modified), propertyName=PROPERTIES[word], propertyValue=str(row.fields[word] or "")
                )
                for word in before
                if row.fields[word] != before[word]
            ]
        elif what == "merged":
            more = {"primaryObjectId": int(row.merged_into), "mergedObjectIds": [int(row.id)], "newObjectId": None}
            events = [self.event(name, row.merged_into, **more)]
        else:
            events = [self.event(name, row.id)]
        if events:
            self.webhooks.append(self.deliver(events))

    # --- HTTP

    def respond(self, exchange):
        seen = exchange.seen
        path, _, query = seen.path.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        try:
            if re.fullmatch(r"/oauth/(v1|20\d\d-\d\d)/token", path):
                status, body = 200, self._login(dict(urllib.parse.parse_qsl(seen.body.decode())))
            else:
                self._known(seen)
                status, body = self._answer(path, asked, seen)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        headers = {"Content-Type": "application/json;charset=utf-8"}
        if not path.endswith("/search"):
            left = {"X-HubSpot-RateLimit-Daily": self.quota, "X-HubSpot-RateLimit-Daily-Remaining": self.quota - self.used}
            headers |= {name: str(value) for name, value in left.items()}
        exchange.reply(status, json.dumps(body).encode(), headers)

    def _login(self, form):
        wanted = ("refresh_token", "app", CLIENT_SECRET, self.refresh)
        if self.refusing or tuple(form.get(name) for name in ("grant_type", "client_id", "client_secret", "refresh_token")) != wanted:
            raise Refusal(400, "refresh token is invalid, expired or revoked", "BAD", error="invalid_grant")
        token = self.log_in()
        return {"token_type": "bearer", "access_token": token, "refresh_token": self.refresh, "expires_in": self.lifetime.seconds}

    def _known(self, seen):
        authorization = seen.headers.get("authorization", "")
        if self.knows(authorization):
            return
        ended = self.tokens.get(authorization.removeprefix("Bearer "))
        ago = "75 second(s)" if ended or not authorization.endswith("garbage") else "20543 day(s)"
        raise Refusal(401, f"The OAuth token used to make this call expired {ago} ago.", "EXPIRED_AUTHENTICATION")

    def _answer(self, path, asked, seen):
        dated = re.match(r"/crm/(objects|associations|properties|pipelines|owners)/20\d\d-(03|09)(.*)", path)
        if dated:
            path = f"/crm/v3/{dated[1]}{dated[3]}"
        path = re.sub(r"^/crm/v4/associations", "/crm/v3/associations", path)
        if re.fullmatch(r"/account-info/(v3|20\d\d-\d\d)/details", path):
            self._allowed("account-info", "oauth", "account details (scope oauth)")
            where = {"timeZone": "US/Eastern", "utcOffset": "-05:00", "utcOffsetMilliseconds": -18_000_000, "dataHostingLocation": "eu1"}
            money = {"companyCurrency": "EUR", "additionalCurrencies": []}
            return 200, {"portalId": PORTAL, "accountType": "STANDARD", "uiDomain": "app-eu1.hubspot.com", **where, **money}
        area, kind, *tail = [*path.removeprefix("/crm/v3/").split("/"), ""]
        tail = "/".join(tail).rstrip("/")
        schema = f"crm.schemas.{kind}.read"
        scopes = {"owners": "crm.objects.owners.read", "objects": f"crm.objects.{kind}.read", "pipelines": schema, "properties": schema}
        self._allowed(area, scopes.get(area, "crm.objects.companies.read"), f"{schema} (pipelines)" if area == "pipelines" else "")
        if area == "owners":
            return 200, self._owners(asked)
        if kind not in ("deals", "companies"):
            raise Refusal(404, "Unable to infer object type from: " + kind, "OBJECT_NOT_FOUND")
        body = seen.json() if seen.method == "POST" else {}
        if area == "properties":
            return 200, {"results": self._properties(kind)}
        if area == "pipelines":
            facts = {"archived": False, "createdAt": iso(self.now), "updatedAt": iso(self.now)}
            more = {"metadata": {"isClosed": "false"}, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT", **facts}
            stages = [{"id": id, "label": label, "displayOrder": place, **more} for place, (id, label) in enumerate(STAGES.items())]
            return 200, {"results": [{"id": "default", "label": "Sales Pipeline", "displayOrder": 0, **facts, "stages": stages}]}
        if area == "associations":
            return self._associations(body)
        if tail == "search":
            return 200, self._search(body)
        if tail == "batch/read":
            return self._batch(kind, body, asked)
        return 200, self._list(asked)

    def _allowed(self, area, scope, right=""):
        if area in self.secret_scopes or (right or scope) in self.withdrawn:
            errors = [{"message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": [scope]}}]
            raise Refusal(403, "This app hasn't been granted all required scopes to make this call.", "MISSING_SCOPES", errors=errors)

    def _owners(self, asked):
        archived = asked.get("archived") == "true"
        found = [
            {
                "id": id,
                "email": email,
                "type": "PERSON",
                "firstName": name.split()[0],
                "lastName": name.split()[1],
                "userId": 900 + int(id),
                "archived": archived,
                "createdAt": iso(self.now),
                "updatedAt": iso(self.now),
                "teams": [{"id": "1", "name": "Europe", "primary": False}, {"id": "2", "name": "Sales", "primary": True}],
            }
            for id, (name, email) in PEOPLE.items()
        ]
        if archived:
            facts = {"archived": True, "createdAt": iso(self.now), "updatedAt": iso(self.now)}
            found = [{"id": "9", "email": "left@acme.example", "type": "PERSON", "firstName": "Nora", "lastName": "Left", **facts}]
        return self._paged(found, asked, lambda one: one["id"])

    def _properties(self, kind):
        facts = {"description": "", "groupName": f"{kind}_information"}
        if kind == "companies":
            return [
                {"name": name, "label": name.title(), "type": "string", "fieldType": "text", "options": [], **facts}
                for name in ("name", "domain")
            ]
        hidden = {PROPERTIES[word] for word in self.hidden_fields}
        return [
            {
                "name": name,
                "label": name.replace("_", " ").title(),
                "type": type_,
                "fieldType": field,
                "options": [{"value": value, "label": label, "hidden": False} for value, label in OPTIONS.get(name, {}).items()],
                **facts,
            }
            for name, (type_, field) in KINDS.items()
            if name not in hidden
        ]

    def _record(self, row, names):
        hidden = {PROPERTIES[word] for word in self.hidden_fields}
        values = {PROPERTIES[word]: value for word, value in row.fields.items()} | {
            "createdate": iso(row.created),
            "hs_lastmodifieddate": iso(row.modified),
            "hs_object_id": row.id,
            "pipeline": "default",
            "hs_all_owner_ids": ";".join(filter(None, [row.fields["owner"], *row.team])),
            "hs_merged_object_ids": ";".join(one.id for one in self.rows.values() if one.merged_into == row.id),
            **self.more.get(row.id, {}),
        }
        wanted = {"createdate", "hs_lastmodifieddate", "hs_object_id", *names} - hidden
        shown = {name: (str(values[name]) if values.get(name) not in (None, "") else None) for name in sorted(wanted) if name in KINDS}
        facts = {"id": row.id, "properties": shown, "createdAt": iso(row.created), "updatedAt": iso(row.modified)}
        facts |= {"archived": True, "archivedAt": iso(row.deleted)} if row.deleted else {"archived": False}
        return facts | ({"url": f"https://app-eu1.hubspot.com/contacts/{PORTAL}/record/0-3/{row.id}"} if self.show_url else {})

    def _search(self, body):
        if len(json.dumps(body)) > 3000:
            raise Refusal(400, "The request is over 3000 characters")
        self.searches.append(body)
        after, limit = int(body.get("after") or 0), body["limit"]
        if after + limit > CAP or limit > 200 or len(body["sorts"]) > 1:
            raise Refusal(400, "There was a problem with the request.")
        (group,) = body["filterGroups"]
        sort = json.loads(*body["sorts"])
        key = {"hs_lastmodifieddate": self.indexed, "hs_object_id": lambda row: int(row.id)}
        compare = {"EQ": lambda a, b: a == b, "GT": lambda a, b: a > b, "GTE": lambda a, b: a >= b, "LT": lambda a, b: a < b}
        rows = [row for row in self.seen() if row.deleted is None and self.indexed(row)]
        for one in group["filters"]:
            if one["propertyName"] not in key:
                rows = []  # a wrong name finds nothing, and is no error
                break
            assert isinstance(one["value"], str)
            rows = [row for row in rows if compare[one["operator"]](key[one["propertyName"]](row), int(one["value"]))]
        rows.sort(key=lambda row: hashlib.sha256(row.id.encode()).digest())  # ties come in no order
        rows.sort(key=key[sort["propertyName"]], reverse=sort["direction"] == "DESCENDING")
        page = [self._record(row, body["properties"]) for row in rows[after : after + limit]]
        more = {"paging": {"next": {"after": str(after + limit)}}} if after + limit < len(rows) else {}
        return {"total": len(rows), "results": page, **more}

    def _batch(self, kind, body, asked):
        ids = [one["id"] for one in body["inputs"]]
        if len(ids) > 100:
            raise Refusal(400, "The maximum number of inputs supported in a batch is 100. Please reduce the number of items and try again")
        known = {"createdAt": iso(self.now), "updatedAt": iso(self.now), "archived": False}
        if kind == "companies":
            found = [
                {"id": id, "properties": {name: COMPANY.get(name) for name in body["properties"]}, **known}
                for id in ids
                if id == COMPANY["id"]
            ]
        else:
            rows = [self.rows.get(id) for id in ids]
            found = [self._record(row, body["properties"]) for row in rows if row and row.visible and row.deleted is None][::-1]
        gone = sorted(set(ids) - {one["id"] for one in found})
        answer = {"status": "COMPLETE", "startedAt": iso(self.now), "completedAt": iso(self.now), "results": found}
        if not gone:
            return 200, answer
        words = "Could not get some DEAL objects, they may be deleted or not exist. Check that ids are valid."
        error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": words, "context": {"ids": gone}}
        return 207, {**answer, "numErrors": 1, "errors": [error]}

    def _list(self, asked):
        archived = asked.get("archived") == "true"
        rows = [row for row in self.seen() if (row.deleted is not None) == archived and row.merged_into is None]
        return self._paged([self._record(row, ()) for row in sorted(rows, key=lambda row: int(row.id))], asked, lambda one: one["id"])

    @staticmethod
    def _paged(found, asked, key):
        limit = int(asked.get("limit", 10))
        after = int(asked.get("after", 0))
        rest = [one for one in found if int(key(one)) > after]
        more = {"paging": {"next": {"after": key(rest[limit - 1])}}} if len(rest) > limit else {}
        return {"results": rest[:limit], **more}

    def _associations(self, body):
        results, errors = [], []
        for one in body["inputs"]:
            if one["id"] in self.company_of:
                others = [{"toObjectId": "5", "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 341, "label": ""}]}]
                kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 5, "label": "Primary"}]
                to = [*others, {"toObjectId": self.company_of[one["id"]], "associationTypes": kinds}]
                if "after" not in one:  # the primary one stands on the second page
                    results.append({"from": {"id": one["id"]}, "to": to[:1], "paging": {"next": {"after": "x"}}})
                else:
                    results.append({"from": {"id": one["id"]}, "to": to[1:]})
            else:
                context = {"fromObjectId": [one["id"]], "fromObjectType": ["deal"], "toObjectType": ["company"]}
                kind = {"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "context": context}
                errors.append({"status": "error", "message": f"No company is associated with deal {one['id']}.", **kind})
        answer = {"status": "COMPLETE", "startedAt": iso(self.now), "completedAt": iso(self.now), "results": results}
        if not errors:
            return 200, answer
        return 207, {**answer, "numErrors": len(errors), "errors": errors}


class HubspotParts(SourceParts):
    """How the hubspot source is tested."""

    connector = CONNECTOR
    record_type = "deals"
    fields: ClassVar = {"title": "dealname", "stage": "dealstage", "amount": "amount", "owner": "hubspot_owner_id"}
    can = frozenset(set(Can) - {Can.OLD_VALUES})
    secrets = (CLIENT_SECRET, REFRESH)

    def stand_in(self, folder):
        return Hubspot()

    def options(self, crm) -> dict[str, Any]:
        return {
            "oauth": {"client_id": "app", "client_secret": CLIENT_SECRET, "refresh_token": REFRESH},
            "webhook": {"client_secret": CLIENT_SECRET, "url": HOOK},
            "api_url": crm.url,
            "overlap": 60,
            "page": 10,
            "deletes_every": 200,
            "searches_per_second": 1000,
        }

    def wrong_credentials(self, options):
        return {"oauth": {**options["oauth"], "refresh_token": "canary-token-wrong"}}


def forgeries(request):
    """Requests like a good one that prove nothing."""

    def with_headers(**changes):
        headers = {**request.headers, **{f"x-hubspot-{name.replace('_', '-')}": value for name, value in changes.items()}}
        return replace(request, headers={name: value for name, value in headers.items() if value is not None})

    def signed(stamp, **options):
        return with_headers(signature_v3=sign(request.body, stamp, **options), request_timestamp=stamp)

    proof, body = request.headers["x-hubspot-signature-v3"], request.body
    now = ms(request.received_at)
    for seconds in (301, 3600, 86_400, 10**9, -301, -3600, -(10**9)):  # stale, and from the future
        yield signed(str(now - seconds * 1000))
    yield from (signed(str(now - 300_001)), signed(str(now + 300_001)))
    for late in (timedelta(milliseconds=300_001), timedelta(days=1), timedelta(milliseconds=-300_001)):  # replayed
        yield replace(request, received_at=request.received_at + late)
    good = str(now)
    for stamp in ("", " ", "NaN", "-1", "1e13", good + " ", "+" + good, good + ".0", "0x12", "\u0661" * 13, "9" * 40, "now", good[:-3]):
        yield signed(stamp)
    for secret in ("", "other", CLIENT_SECRET.upper(), CLIENT_SECRET + "\n", " " + CLIENT_SECRET, "***"):
        yield signed(good, secret=secret)
    host = HOOK.removeprefix("https://")
    for address in (
        "",
        HOOK + "/",
        HOOK + "?",
        HOOK + "?a=1",
        "http://" + host,
        HOOK.upper(),
        "https://evil.example/hooks/crm",
        "/hooks/crm",
    ):
        yield signed(good, address=address)
    raw = base64.b64decode(proof)
    shifted = proof[:-2] + chr(ord(proof[-2]) + 1) + "="  # the same bytes in base64 that nobody writes
    others = ["", " ", proof[:-1], proof[:-2], proof + "=", " " + proof, proof + "\n", proof.lower(), proof.swapcase(), shifted]
    others += [raw.hex(), "v3=" + proof, f'"{proof}"', proof + "," + proof, "\u00fc" + proof, "\udcff", "A" * 44, "A" * 10_000]
    for other in others:
        yield with_headers(signature_v3=other)
    yield with_headers(signature_v3=None)
    yield with_headers(request_timestamp=None)
    yield with_headers(signature_v3=None, request_timestamp=None)
    yield with_headers(signature_v3=None, signature=sign(body, good))
    for query in ("a=1", "?", "%3F", "\udcff", "a=%zz"):
        yield replace(request, query=query)
    events = json.loads(body)
    for again in (
        json.dumps(events),
        json.dumps(events, indent=1),
        json.dumps(events[0]),
        json.dumps(events * 2),
        json.dumps(events)[:-1],
    ):
        yield replace(request, body=again.encode())
    for length in range(1, len(body), len(body) // 20):
        yield replace(request, body=body[:length])
    for strange in (
        b"",
        b"{}",
        b"null",
        b"[1]",
        b"[[]]",
        b'[{"a":1,"a":2}]',
        b"[NaN]",
        b"[" * 1000,
        b"\xff",
        b"[" + b"{}," * 1000 + b"{}]",
    ):
        yield replace(request, body=strange, headers={**request.headers, "x-hubspot-signature-v3": sign(strange, good)})
