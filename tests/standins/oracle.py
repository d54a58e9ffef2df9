"""Oracle CRM On Demand's REST API, as far as its documents go, with what they leave open as switches."""

import base64
import re
import secrets
from datetime import datetime, timedelta, timezone
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from connectors.sources.oracle_crm_on_demand import CONNECTOR
from crmbridge.testing import Can, StandIn, answer
from crmbridge.testing.source.parts import SourceParts
from crmbridge.testing.standin import PEOPLE

USER, PASSWORD = "ACME/BRIDGE", "canary-oracle-pa55word"
TAGS = {"title": "OpportunityName", "stage": "SalesStage", "amount": "Revenue", "owner": "OwnerId"}
ROOT = "/OnDemand/user/Rest/"
_AUDIT = {"Id": "string", "CreatedDate": "datetime", "ModifiedDate": "datetime", "ModifiedById": "string"}
_TRACKING = {"EventName": "string", "ObjectName": "string", "ObjectId": "string", "ChildObjectId": "string"}
_TOKEN = re.compile(r"\s*('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|>=|<=|[=<>;]|[A-Za-z0-9_.:+-]+)")


class ParserError(Exception):
    """REST_QUERY_PARSER_..."""


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, detail):
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class OracleStandIn(StandIn):
    def __init__(self):
        super().__init__()
        self.resource, self.object = "Opportunities", "Opportunity"
        self.zone = ZoneInfo("UTC")
        self.fold = 0
        """Which of its two instants the vendor takes a stamp of the hour that comes twice for."""
        self.queryable = {"Id", "ModifiedDate", "EventName"}
        self.lastpage = True
        """Whether `_contextInfo` says it."""
        self.swapped = False
        """Collections come under the singular's name."""
        self.rate: int | None = None
        self.rate_status = 400
        self.deaf = False
        """It does not heed `q`."""
        self.ahead = timedelta(0)
        """What ServerDate shows beyond the user's zone."""
        self.empty: object = None
        """What an empty field is."""
        self.trackings: list[dict[str, object]] = []
        self.closed: list[str] = []
        """Cookies with which somebody logged off."""
        self._asked: list[datetime] = []

    def name_id(self, number):
        return f"1QA2-{number:X}"

    # --- what it knows

    def tell(self, what, row, before):
        events = {"created": "WriteRecordNew", "updated": "WriteRecordUpdated", "deleted": "DeleteRecord", "restored": "RestoreRecord"}
        entry = {"EventName": events.get(what), "ObjectName": self.object, "ObjectId": row.id, "ChildObjectId": None}
        if what == "merged":
            entry |= {"EventName": "MergeRecords", "ObjectId": row.merged_into, "ChildObjectId": row.id}
        if entry["EventName"]:
            self.trackings.append({"Id": f"1QA2-T{len(self.trackings):05}", "ModifiedDate": self.now, "CreatedDate": self.now, **entry})

    def _opportunities(self):
        for row in self.seen():
            if row.deleted is None:
                facts = {TAGS[word]: value for word, value in row.fields.items()}
                money = {"type": "currency", "value": facts["Revenue"], "Modifier": "USD"}
                yield {"Id": row.id, "CreatedDate": row.created, "ModifiedDate": row.modified, "ModifiedById": "1QA2-U1", **facts} | {
                    "Revenue": money if facts["Revenue"] is not None else None
                }

    def _users(self):
        for id, (name, mail) in PEOPLE.items():
            yield {"Id": id, "FullName": name, "EMailAddr": mail, "CreatedDate": self.now, "ModifiedDate": self.now}

    def _team(self, id):
        row = self.rows[id]
        for one in [row.fields["owner"], *row.team]:
            role = "Owner" if one == row.fields["owner"] else "Seller"
            yield {"UserId": one, "FullName": PEOPLE[one][0], "UserEmail": PEOPLE[one][1], "TeamRole": role}

    def _attributes(self, resource):
        if resource == self.resource:
            own = {tag: "string" for word, tag in TAGS.items() if word not in self.hidden_fields}
            return _AUDIT | own | {tag: "currency" for tag in own if tag == "Revenue"}
        if resource == "Users":
            return {"Id": "string", "FullName": "string", "EMailAddr": "string"}
        if resource == "ModificationTrackings":
            return _AUDIT | _TRACKING
        raise Refusal(404, "SBL-DAT-00396", f"no object {resource}")

    # --- HTTP

    def respond(self, exchange):
        parts = urlsplit(exchange.seen.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            if not parts.path.startswith(ROOT):
                raise Refusal(404, "SBL-X-1", "no such page")
            release, *path = [unquote(part) for part in parts.path[len(ROOT) :].split("/")]
            if release == "Connection":
                self._connection(exchange, params)
                return
            self._session(exchange)
            self._hurry()
            body = self._answer(path, params)
        except ParserError as error:
            answer(400, _errors(400, f"REST_QUERY_PARSER_{error}", "the query cannot be read"))(exchange)
        except Refusal as error:
            answer(error.status, _errors(error.status, error.code, error.detail))(exchange)
        else:
            answer(200, body)(exchange)

    def _connection(self, exchange, params):
        if params.get("action") == "logoff":
            self._session(exchange)
            self.closed.append(exchange.seen.headers["cookie"])
            self.tokens.pop(SimpleCookie(exchange.seen.headers["cookie"])["JSESSIONID"].value, None)
            answer(200, {})(exchange)
            return
        given = exchange.seen.headers.get("authorization", "")
        if self.refusing or given != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            raise Refusal(401, "SBL-SEC-1", "invalid credentials")
        cookie = f"JSESSIONID={self.log_in()}; Path=/OnDemand; Secure; HttpOnly"
        shown = self._local(self.now + self.ahead)
        facts = {"apiVersion": "028", "ServerDate": shown, "UserLoginId": USER}
        answer(200, {"Connection": facts}, {"Set-Cookie": cookie})(exchange)

    def _session(self, exchange):
        cookie = SimpleCookie(exchange.seen.headers.get("cookie", "")).get("JSESSIONID")
        if cookie is None or not self.knows(f"Bearer {cookie.value}"):
            raise Refusal(403, "SBL-SEC-2", "The session is not valid.")

    def _hurry(self):
        self._asked.append(self.now)
        if self.rate is not None and sum(self.now - one < timedelta(minutes=1) for one in self._asked) > self.rate:
            words = "The maximum rate of requests was exceeded. A maximum of 30 requests per minute is allowed."
            raise Refusal(self.rate_status, "SBL-RATE", words)

    def _answer(self, path, params):
        right = {"ModificationTrackings": "Manage Modification Tracking", "Users": "read access to Users"}.get(path[0])
        if path[2:] == ["child", "OpportunityTeams"]:
            right = f"read access to OpportunityTeams of {path[0]}"
        if right in self.withdrawn:
            raise Refusal(403, "SBL-SEC-3", "the user's role does not allow it")
        match path:
            case [resource, "describe"]:
                return self._described(resource)
            case [resource]:
                self._attributes(resource)
                rows = {self.resource: self._opportunities, "Users": self._users}.get(resource, lambda: self.trackings)()
                return self._collection(resource, list(rows), params)
            case [resource, id]:
                self._attributes(resource)
                rows = {self.resource: self._opportunities, "Users": self._users}[resource]()
                return self._collection(resource, [row for row in rows if row["Id"] == id], {"fields": params.get("fields", "Id")})
            case [self.resource, id, "child", "OpportunityTeams"]:  # the child keeps its name where its parent was renamed
                return self._collection("OpportunityTeams", list(self._team(id)), params)
        raise Refusal(404, "SBL-DAT-00396", f"nothing at {'/'.join(path)}")

    def _described(self, resource):
        found = [
            {"name": name, "title": name.replace("Name", " Name"), "type": kind, "queryable": name in self.queryable}
            for name, kind in self._attributes(resource).items()
        ]
        links = {"self": {"rel": "self"}, "OpportunityTeams": {"rel": "child"}, "Contacts": {"rel": "child"}}
        return {"Resources": {resource: {"title": resource, "attributes": found, "item": {"links": links}}}}

    def _collection(self, resource, rows, params):
        unknown = params.keys() - {"fields", "q", "orderBy", "limit", "offset"}
        limit, offset = int(params.get("limit", 100)), int(params.get("offset", 0))
        if unknown or not 1 <= limit <= 100 or offset < 0:
            raise Refusal(400, "SBL-PARAM", f"{unknown or limit}")
        rows = [row for row in rows if self.deaf or self._holds(params.get("q", ""), row)]
        for term in reversed(params.get("orderBy", "Id:asc").split(",")):
            name, _, way = term.partition(":")
            rows.sort(key=lambda row, name=name: row.get(name, ""), reverse=way == "desc")
        page = rows[offset : offset + limit]
        wanted = params.get("fields", "Id").split(",")
        if resource != "OpportunityTeams" and (odd := set(wanted) - self._attributes(resource).keys()):
            raise ParserError(f"INVALID_FIELD {odd}")
        context = {"limit": limit, "offset": offset} | ({"lastpage": offset + limit >= len(rows)} if self.lastpage else {})
        name = resource[:-1] if self.swapped else resource
        links = {"links": {"self": {"rel": "self", "href": f"{ROOT}latest/{resource}"}}}
        return {name: [{one: self._shown(row.get(one)) for one in wanted} | links for row in page], **links, "_contextInfo": context}

    def _shown(self, value):
        return self._local(value) if isinstance(value, datetime) else self.empty if value is None else value

    def _local(self, moment):
        return f"{moment.astimezone(self.zone):%Y-%m-%dT%H:%M:%S}Z"

    # --- the query language

    def _holds(self, query, row):
        if not query:
            return True
        if len(query) > 4096:
            raise ParserError("EXPRESSION_TOO_LONG")
        tokens, at = [], 0
        while at < len(query):
            found = _TOKEN.match(query, at)
            if not found:
                raise ParserError("UNSUPPORTED_CHAR")
            tokens.append(found[1])
            at = found.end()
        parts, rest = [[]], tokens
        for token in rest:
            parts.append([]) if token == ";" else parts[-1].append(token)
        found = [self._field(part, row) for part in parts]  # all are parsed, also behind one that does not hold
        return all(found)

    def _field(self, tokens, row):
        if not tokens:
            raise ParserError("INVALID_FIELD")
        field, *rest = tokens
        if field not in self.queryable:
            raise ParserError("FLD_NOT_SEARCHABLE")
        holds, joint = None, None
        while rest:
            if len(rest) < 2 or rest[0] not in ("=", ">", "<", ">=", "<="):
                raise ParserError("OPERATOR_EXPECTED")
            this = self._compared(row[field], rest[0], rest[1])
            holds = this if joint is None else holds and this if joint == "AND" else holds or this
            joint, rest = (rest[2].upper(), rest[3:]) if len(rest) > 2 else (None, [])
            if joint not in (None, "AND", "OR") or (joint and not rest):
                raise ParserError("SEMICOLON_EXPECTED")
        if holds is None:
            raise ParserError("OPERATOR_NOT_FOUND")
        return holds

    def _compared(self, value, operator, raw):
        wanted = re.sub(r"\\(.)", r"\1", raw[1:-1]) if raw[0] in "'\"" else raw
        if isinstance(value, datetime):
            try:
                naive = datetime.strptime(wanted, "%Y-%m-%dT%H:%M:%SZ")
            except ValueError:
                raise ParserError("VALUE_NOT_FOUND") from None
            wanted = naive.replace(tzinfo=self.zone, fold=self.fold).astimezone(timezone.utc)
            value = value.replace(microsecond=0)
        pairs = {"=": value == wanted, ">": value > wanted, "<": value < wanted, ">=": value >= wanted, "<=": value <= wanted}
        return pairs[operator]

    def log_in(self):
        self.logins += 1
        token = f"canary-token-{secrets.token_hex(8)}"
        self.tokens[token] = self.now + self.lifetime
        self._asked.clear()  # the vendor's counter begins with the session
        return token


def _errors(status, code, detail):
    return {"Error": [{"title": detail, "httpStatus": status, "detail": detail, "errorCode": code}]}


class OracleParts(SourceParts):
    """What the suite, and what stands beside it, are made of."""

    connector = CONNECTOR
    record_type = "Opportunities"
    fields = TAGS
    can = frozenset({Can.POLL, Can.DELETES, Can.MERGES, Can.TEAMS, Can.SCHEMA, Can.LOGIN, Can.LINKS, Can.RIGHTS})
    secrets = (PASSWORD,)

    def stand_in(self, folder):
        return OracleStandIn()

    def options(self, crm):
        return {
            "url": crm.url,
            "user": USER,
            "password": PASSWORD,
            "overlap": 60,
            "page": 10,
            "requests_per_minute": 10_000,
            "modification_trackings": True,
            "record_url": "https://secure-x.crmondemand.com/OnDemand/user/{type}Detail?id={id}",
        }

    def wrong_credentials(self, options):
        return options | {"password": "canary-oracle-wr0ng"}
