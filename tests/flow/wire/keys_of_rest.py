"""The keys of a rest source: how an API is asked, and where in its answers things stand."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

from flow.wire.bridge import Stage, facts
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.errors import SourceError
from crmbridge.testing import ScriptedServer

OLD, NEW = "2026-11-22T10:00:00Z", "2026-11-22T11:30:00.250Z"


class Rest(Stage):
    """An API that gives what `records` holds, whatever it is asked; and another beside it."""

    YAML = """
crmbridge: 1
sources:
  crm:
    type: rest
    url: $crm/v2
    auth: {scheme: bearer, token: one}
    types: {Deal: {path: /deals, changed: at}}
    records: {Deal: {fields: {stage: public}}}
destinations: {out: {type: console}}
"""

    def prepare(self):
        self.records = [self.record()]
        self.answers = {}
        """What else stands in the body of an answer, by the query."""
        self.crm, self.far = self.server("crm", ScriptedServer(self.respond)), self.server("far", ScriptedServer(self.respond))

    def respond(self, exchange):
        path = urlsplit(exchange.path)
        if path.path == "/token":
            body = {"access_token": f"token of {exchange.seen.body.decode()}"}
            return exchange.reply(200, json.dumps(body).encode(), {})
        following = any(mark in path.query for mark in ("page=2", "page=c2", "p=2", "after="))
        body = [] if following or "nothing_since=" in path.query else self.records
        if "page=1" in path.query:  # what an offset, or a first page called 0, asks for next
            body = [self.record("3")]
        if "list" in path.path:
            body = {
                "data": body,
                "other": [],
                "next": None if following else "c2",
                "url": None if following else f"{self.crm.url}/v2/list?after=u2",
            }
        link = {} if following else {"Link": f'<{self.crm.url}/v2/list?after=l2>; rel="next"'}
        return exchange.reply(200, json.dumps(body).encode(), link)

    @staticmethod
    def record(id="1", stage="open", at=OLD, **more):
        old = {
            "made": "2020-01-01T00:00:00Z",
            "gone": None,
            "who": "Ann",
            "in": {"stage": f"inner {stage}"},
            "later": "2026-11-22T09:00:00Z",
        }
        return {"id": id, "key": f"k{id}", "stage": stage, "at": at} | old | more

    def changed(self, *names, **record):
        """What a second poll tells of a record that is another than at the first."""
        self.start()
        first = facts(self.poll(), *names)
        self.records = [self.record(**{"stage": "won", "at": NEW} | record)]
        return first + facts(self.poll(), *names)

    def asked(self, polls=1, server=None):
        """How it was asked: path and query of each request."""
        self.start()
        for _ in range(polls):
            self.poll()
        found = [urlsplit(one.path) for one in (server or self.crm).seen]
        return [[one.path, {name: values[0] for name, values in parse_qs(one.query).items()}] for one in found]


proves = proofs_of(Rest)
DEAL = "sources/crm/types/Deal"
OF = "sources.rest.types"


@proves("sources.rest.url", ("$crm/v2", ["/v2/deals", None]), ("$far/api/", [None, "/api/deals"]))
@proves(f"{OF}.path", ("/deals", ["/v2/deals", None]), ("/leads", ["/v2/leads", None]))
@proves(
    "sources.type",
    (
        {"type": "rest", "url": "$crm", "auth": {"scheme": "bearer", "token": "x"}, "types": {"Deal": {"path": "/a", "changed": "at"}}},
        ["/a", None],
    ),
    ({"type": "files", "folder": ".", "types": {"Deal": {"match": "x"}}}, [None, None]),
)
def who_is_asked(stage):
    """The first path that each of two servers is asked for."""
    stage.start().poll()
    return [next((one.path for one in server.seen), None) for server in (stage.crm, stage.far)]


# --- who we are

AUTH = "sources.rest.auth"
NAMED = {"sources/crm/auth": {"scheme": "header", "value": "one"}}
OAUTH = {"sources/crm/auth": {"scheme": "oauth2", "token_url": "$crm/token", "client_id": "me", "client_secret": "s1"}}
BASIC = {"sources/crm/auth": {"scheme": "basic", "username": "ann", "password": "one"}}
KEY = {"sources/crm/auth": {"scheme": "key", "key": "one"}}


def pair(text):
    """What HTTP Basic makes of it."""
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def form(word="Bearer", **changes):
    """The token that our stand-in gives for this form, behind a word."""
    fields = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s1"} | changes
    return {"authorization": f"{word} token of " + "&".join(f"{name}={value}" for name, value in fields.items())}


@proves(
    f"{AUTH}.scheme",
    ({"scheme": "bearer", "token": "t"}, {"authorization": "Bearer t"}),
    (NAMED["sources/crm/auth"], {"x-api-key": "one"}),
    (BASIC["sources/crm/auth"], pair("ann:one")),
    (KEY["sources/crm/auth"], pair("one:")),
    (OAUTH["sources/crm/auth"], form()),
)
@proves(f"{AUTH}.bearer.token", ("one", {"authorization": "Bearer one"}), ("two", {"authorization": "Bearer two"}))
@proves(f"{AUTH}.basic.username", ("ann", pair("ann:one")), ("bob", pair("bob:one")), given=BASIC)
@proves(f"{AUTH}.basic.password", ("one", pair("ann:one")), ("two", pair("ann:two")), given=BASIC)
@proves(f"{AUTH}.key.key", ("one", pair("one:")), ("two", pair("two:")), given=KEY)
@proves(f"{AUTH}.header.prefix", (ABSENT, {"x-api-key": "one"}), ("Token token=", {"x-api-key": "Token token=one"}), given=NAMED)
@proves(
    f"{AUTH}.oauth2.prefix",
    (ABSENT, form()),
    ("Other ", form("Other")),
    given=OAUTH,
)
@proves(
    f"{AUTH}.oauth2.refresh_token",
    (ABSENT, form()),
    ("r1", form(grant_type="refresh_token", refresh_token="r1")),
    given=OAUTH,
)
@proves(f"{AUTH}.oauth2.code", (ABSENT, form()), ("c1", form(grant_type="authorization_code", code="c1")), given=OAUTH)
@proves(
    f"{AUTH}.oauth2.redirect_uri",
    (ABSENT, form(grant_type="authorization_code", code="c1")),
    ("urn:us", form(grant_type="authorization_code", code="c1", redirect_uri="urn%3Aus")),
    given=OAUTH | {"sources/crm/auth/code": "c1"},
)
@proves(f"{AUTH}.header.name", (ABSENT, {"x-api-key": "one"}), ("X-Key", {"x-key": "one"}), given=NAMED)
@proves(f"{AUTH}.header.value", ("one", {"x-api-key": "one"}), ("two", {"x-api-key": "two"}), given=NAMED)
@proves(f"{AUTH}.oauth2.client_id", ("me", form()), ("you", form(client_id="you")), given=OAUTH)
@proves(f"{AUTH}.oauth2.client_secret", ("s1", form()), ("s2", form(client_secret="s2")), given=OAUTH)
@proves(f"{AUTH}.oauth2.scope", (ABSENT, form()), ("read", form(scope="read")), given=OAUTH)
@proves(
    "sources.rest.headers", (ABSENT, {"authorization": "Bearer one"}), ({"X-Key": "blue"}, {"authorization": "Bearer one", "x-key": "blue"})
)
def how_it_knows_us(stage):
    """The headers that say who we are."""
    stage.start().poll()
    (seen,) = [one for one in stage.crm.seen if one.path == "/v2/deals"]
    return {name: seen.headers[name] for name in ("authorization", "x-api-key", "x-key") if name in seen.headers}


@proves(f"{AUTH}.oauth2.token_url", ("$crm/token", [1, 0]), ("$far/token", [0, 1]), given=OAUTH)
def who_gives_tokens(stage):
    """Which of two servers is asked for a token."""
    stage.start().poll()
    return [sum(one.path == "/token" for one in server.seen) for server in (stage.crm, stage.far)]


# --- how it is asked

LIST = {f"{DEAL}/path": "/list", f"{DEAL}/items": "data", f"{DEAL}/size": 1}


@proves(f"{OF}.parameters", (ABSENT, [["/v2/deals", {}]]), ({"sort": "at"}, [["/v2/deals", {"sort": "at"}]]))
@proves(f"{OF}.size_parameter", (ABSENT, [["/v2/deals", {}]]), ("limit", [["/v2/deals", {"limit": "100"}]]))
@proves(
    f"{OF}.size",
    (ABSENT, [["/v2/deals", {"limit": "100"}]]),
    (7, [["/v2/deals", {"limit": "7"}]]),
    given={f"{DEAL}/size_parameter": "limit"},
)
def one_request(stage):
    """Path and query of a first poll."""
    return stage.asked()


SINCE = {f"{DEAL}/since": {"parameter": "since"}}


@proves(f"{OF}.since", (ABSENT, {}), ({"parameter": "since"}, {"since": "2026-11-22T09:59:00Z"}))
@proves(f"{OF}.since.parameter", ("since", {"since": "2026-11-22T09:59:00Z"}), ("from", {"from": "2026-11-22T09:59:00Z"}), given=SINCE)
@proves(
    f"{OF}.since.format",
    ("iso", {"since": "2026-11-22T09:59:00Z"}),
    ("iso_ms", {"since": "2026-11-22T09:59:00.000Z"}),
    ("epoch", {"since": "1795341540"}),
    ("epoch_ms", {"since": "1795341540000"}),
    ("date", {"since": "2026-11-22"}),
    ("iso_offset", {"since": "2026-11-22T09:59:00+00:00"}),
    ("spaced", {"since": "2026-11-22 09:59:00"}),
    given=SINCE,
)
@proves("sources.rest.overlap", (60, {"since": "2026-11-22T09:59:00Z"}), (3600, {"since": "2026-11-22T09:00:00Z"}), given=SINCE)
@proves(f"{OF}.changed", ("at", {"since": "2026-11-22T09:59:00Z"}), ("later", {"since": "2026-11-22T08:59:00Z"}), given=SINCE)
def a_second_poll(stage):
    """What a second poll asks for."""
    return stage.asked(2)[-1][1]


@proves(f"{OF}.since.template", (ABSENT, "2026-11-22T09:59:00Z"), ("at[gte]:{since}", "at[gte]:2026-11-22T09:59:00Z"), given=SINCE)
@proves(f"{OF}.since.inclusive", (True, "2026-11-22T09:59:00Z"), (False, "2026-11-22T09:58:59Z"), given=SINCE)
def from_when_on(stage):
    """What a second poll says."""
    return stage.asked(2)[-1][1]["since"]


@proves(f"{OF}.since.parameters", (ABSENT, [[], ["since"]]), ({"by": "at"}, [[], ["by", "since"]]), given=SINCE)
def what_goes_with_it(stage):
    """What a first poll and a second one ask for."""
    return [sorted(query) for _, query in stage.asked(2)]


@proves(
    f"{OF}.since.header",
    ("If-Modified-Since", {"if-modified-since": "2026-11-22T09:59:00Z"}),
    ("X-Since", {"x-since": "2026-11-22T09:59:00Z"}),
    given={f"{DEAL}/since": {}},
)
def in_a_header(stage):
    """The headers of a second poll that say since when."""
    stage.asked(2)
    return {name: value for name, value in stage.crm.seen[-1].headers.items() if "since" in name}


@proves(f"{OF}.body", (ABSENT, [["GET", None], ["GET", None]]), ({"a": {"b": 1}}, [["POST", {"a": {"b": 1}}]] * 2))
@proves(
    f"{OF}.since.body",
    ({"a": {"at": "{since}"}}, [["POST", {"a": {"b": 1}}], ["POST", {"a": {"b": 1, "at": "2026-11-22T09:59:00Z"}}]]),
    ({"from": "{since}"}, [["POST", {"a": {"b": 1}}], ["POST", {"a": {"b": 1}, "from": "2026-11-22T09:59:00Z"}]]),
    given={f"{DEAL}/body": {"a": {"b": 1}}, f"{DEAL}/since": {}},
)
def in_a_body(stage):
    """How a first poll and a second one ask."""
    stage.asked(2)
    return [[one.method, one.json() if one.body else None] for one in stage.crm.seen]


PAGED = LIST | {f"{DEAL}/paging": {"parameter": "page", "style": "page"}}


@proves(
    f"{OF}.paging",
    (ABSENT, []),
    ({"style": "page", "parameter": "page"}, [{"page": "2"}]),
    ({"style": "link"}, [{"after": "l2"}]),
    given=LIST,
)
@proves(
    f"{OF}.paging.style",
    ("offset", [{"page": "1"}, {"page": "2"}]),
    ("page", [{"page": "2"}]),
    ("cursor", [{"page": "c2"}]),
    given=PAGED | {f"{DEAL}/paging/next": "next"},
)
@proves(f"{OF}.paging.parameter", ("page", [{"page": "2"}]), ("p", [{"p": "2"}]), given=PAGED)
@proves(f"{OF}.paging.first", (1, [{"page": "2"}]), (0, [{"page": "1"}, {"page": "2"}]), given=PAGED)
@proves(f"{OF}.paging.next", (ABSENT, [{"after": "l2"}]), ("url", [{"after": "u2"}]), given=LIST | {f"{DEAL}/paging": {"style": "link"}})
def the_next_pages(stage):
    """What is asked for behind the first page, at most three."""
    return [query for _, query in stage.asked()[1:4]]


# --- where things stand


@proves(f"{OF}.items", ("data", ["1"]), ("other", []), given={f"{DEAL}/path": "/list"})
def where_the_records_stand(stage):
    """Which records a first poll learns."""
    stage.start().poll()
    return [id for id in ("1", "2") if stage.knows("Deal", id)]


@proves(f"{OF}.id", ("id", [["1"]]), ("key", [["k1"]]))
def whose_record(stage):
    """Which record changed."""
    return stage.changed("record_id")


@proves(f"{OF}.fields", (ABSENT, [["won"]]), ("in", [["inner won"]]))
def where_its_fields_stand(stage):
    """What it is now."""
    return stage.changed("stage")


@proves(f"{OF}.created", (ABSENT, [["created", "2"]]), ("made", []))
def a_record_comes_into_sight(stage):
    """What is told of a record that was made long ago and was not there before."""
    return stage.changed("kind", "record_id", id="2")


@proves(f"{OF}.deleted", (ABSENT, [["updated"]]), ("gone", [["deleted"]]))
def a_record_is_marked(stage):
    """What a mark means."""
    return stage.changed("kind", gone="2026-11-22")


@proves(f"{OF}.actor", (ABSENT, [[None]]), ("who", [["Ann"]]))
def who_changed_it(stage):
    """Who changed a record."""
    return stage.changed("actor")


@proves(f"{OF}.url", (ABSENT, [[None]]), ("https://crm.example/{id}", [["https://crm.example/1"]]))
def the_address_of_a_record(stage):
    """What a change says of it."""
    return stage.changed("url")


NOT_SORTED = "Deal: the records are not sorted by at, the oldest first: sort them, or say `ascending: false`"


@proves(f"{OF}.ascending", (True, NOT_SORTED), (False, "learnt"), given=SINCE)
def the_newest_first(stage):
    """What becomes of an answer that begins with the newest record."""
    stage.records = [stage.record(at=NEW), stage.record("2")]
    stage.start()
    try:
        stage.poll()
    except SourceError as error:
        return str(error)
    return "learnt"


@proves("sources.rest.types.deletes_every", ("off", []), ("1h", [["deleted", "2"]]))
def a_record_is_gone(stage):
    """What two more walks tell of a record that is not there any more."""
    stage.records = [stage.record(), stage.record("2")]
    stage.start().walk()
    stage.records = [stage.record()]
    return facts(stage.walk() + stage.walk() + stage.walk(), "kind", "record_id")


@proves(
    "sources.rest.types.compare",
    ("off", []),
    ("1h", [["1", "won"]]),
    given={"sources/crm/types/Deal/since": {"parameter": "nothing_since"}},
)
def a_record_changes_without_its_stamp(stage):
    """What is told of it, where the API shows polls nothing new."""
    stage.start().walk()
    stage.records = [stage.record(stage="won")]
    return facts(stage.walk(), "record_id", "stage")


@proves("sources.rest.types.omits_empty", (False, []), (True, [["1", None]]), given={"sources/crm/records/Deal/fields/note": "public"})
def a_field_is_left_out(stage):
    """What is told of a record that had a note and comes without."""
    stage.records = [stage.record(note="x")]
    stage.start().poll()
    stage.records = [stage.record(at=NEW)]
    return facts(stage.poll(), "record_id", "note")


STAGE = "sources/crm/records/Deal/fields/stage"


@proves("sources.rest.numbers", ("1.234,5", [["1250"]]), ("1,234.5", [["1.25"]]), given={STAGE: "number"})
def a_number_as_text(stage):
    """What 1.250 means."""
    return stage.changed("stage", stage="1.250")


@proves("sources.rest.dates", ("31/12/2026", [["2026-03-02"]]), ("12/31/2026", [["2026-02-03"]]), given={STAGE: "date"})
def a_day_as_text(stage):
    """Which day 02/03/2026 is."""
    return stage.changed("stage", stage="02/03/2026")


@proves("sources.rest.zone", ("UTC", [["2026-11-22T11:30:00+00:00"]]), ("Europe/Berlin", [["2026-11-22T10:30:00+00:00"]]))
def a_stamp_without_an_offset(stage):
    """When it was."""
    return stage.changed("occurred_at", at="2026-11-22 11:30:00")
