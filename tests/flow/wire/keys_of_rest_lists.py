"""The keys of a rest source that say more of an API: quotas, single records, labels, descriptions, and lists of deletions."""

import json
from urllib.parse import parse_qs, urlsplit

from flow.wire.bridge import facts
from flow.wire.keys import ABSENT
from flow.wire.keys_of_rest import NEW, OLD, Rest
from flow.wire.proofs import proofs_of
from shared import NOW

from crmbridge.errors import SourceError

GONE = "2026-11-22T11:59:30Z"


class Lists(Rest):
    """An API with other lists beside its deals: each path gives what `lists` holds for it."""

    def prepare(self):
        super().prepare()
        self.said = {}
        """Headers of each answer."""
        self.lists = {
            "/v2/one/7": {"id": "7", "stage": "s", "at": OLD, "data": {"id": "8", "stage": "inner", "at": OLD}},
            "/v2/other/7": {"id": "9", "stage": "s", "at": OLD},
            "/v2/names": [self.name("open", "Open", "Offen")],
            "/v2/words": [self.name("open", "Under way", "x")],
            "/v2/boxed": {"data": [self.name("open", "Inner", "x")], "more": [self.name("open", "Other", "x")]},
            "/v2/fields": [self.field("stage", "Stage")],
            "/v2/columns": [self.field("column", "Column")],
            "/v2/crate": {"data": [self.field("inner", "Inner")], "more": [self.field("other", "Other")]},
            "/v2/gone": [{"id": "1", "deal": "2", "at": GONE, "when": "2020-01-01T00:00:00Z"}],
            "/v2/bin": [{"id": "2", "at": GONE}],
            "/v2/tied": [{"id": "2", "at": GONE}, {"id": "1", "at": "2026-11-22T11:59:29Z"}],
            "/v2/paged": {"data": [{"id": "2", "at": GONE}], "more": [{"id": "1", "at": GONE}], "next": "c2", "url": "/v2/paged?after=u2"},
        }

    @staticmethod
    def name(id, name, title):
        return {"id": id, "code": "won", "name": name, "title": title}

    @staticmethod
    def field(name, label):
        return {"name": name, "key": f"key_{name}", "label": label, "title": f"{label}!", "type": "money", "kind": "day"}

    def respond(self, exchange):
        path = urlsplit(exchange.path).path
        if path == "/v2/status204":
            return exchange.reply(204, b"", self.said)
        if path in self.lists:
            return exchange.reply(200, json.dumps(self.lists[path]).encode(), self.said)
        if not self.said:
            return super().respond(exchange)
        return exchange.reply(200, json.dumps(self.records).encode(), self.said)

    def requests(self, path, server=None):
        """How a path was asked: method, query, body."""
        found = [(one, urlsplit(one.path)) for one in (server or self.crm).seen]
        return [
            [one.method, {name: values[0] for name, values in parse_qs(at.query).items()}, one.json() if one.body else None]
            for one, at in found
            if at.path == f"/v2/{path}"
        ]

    def tried(self, *names):
        """What a poll tells; or what it complains of, or for how long it waits."""
        try:
            return facts(self.poll(), *names)
        except SourceError as error:
            return str(error).strip() if error.retry_at is None else round((error.retry_at - self.now()).total_seconds())


proves = proofs_of(Lists)
DEAL = "sources/crm/types/Deal"
OF = "sources.rest.types"
UNSORTED = {
    f"{DEAL}/path": "/list",
    f"{DEAL}/items": "data",
    f"{DEAL}/size": 1,
    f"{DEAL}/paging": {"style": "link"},
    f"{DEAL}/ascending": False,
}


@proves(f"{OF}.newest_first", (ABSENT, 2), (True, 1), given=UNSORTED)
def what_is_known_is_not_read_again(stage):
    """How many pages a poll reads whose first one shows what was known long ago."""
    stage.records = [stage.record(at=NEW)]
    stage.start().poll()
    stage.records = [stage.record(at=NEW), stage.record("2")]
    before = len(stage.crm.seen)
    stage.poll()
    return len(stage.crm.seen) - before


EMPTY = "HTTP 204, but no JSON: is this the right address, or maintenance?"


@proves(f"{OF}.nothing", (ABSENT, EMPTY), ([204], []), given={f"{DEAL}/path": "/status204"})
def a_status_without_a_body(stage):
    """What a poll makes of it."""
    return stage.start().tried("record_id")


@proves(f"{OF}.fields_parameter", (ABSENT, {}), ("fields", {"fields": "stage,id,at"}))
def which_fields(stage):
    """What a poll asks for besides."""
    stage.start().poll()
    return stage.requests("deals")[0][1]


# --- what it may be asked

QUOTAS = "sources.rest.quota"
QUOTA = {"sources/crm/quota": {"remaining": "X-Left", "reset": "X-Reset"}}


@proves(QUOTAS, (ABSENT, [[], []]), ({"remaining": "X-Left", "reset": "X-Reset"}, [[], 30]))
@proves(f"{QUOTAS}.remaining", (ABSENT, [[], []]), ("X-Left", [[], 30]), given=QUOTA)
@proves(f"{QUOTAS}.spare", (0, [[], []]), (5, [[], 30]), given=QUOTA | {"sources/crm/quota/remaining": "X-Five"})
@proves(f"{QUOTAS}.reset", ("X-Reset", [[], 30]), ("X-Later", [[], 60]), given=QUOTA)
@proves(
    f"{QUOTAS}.reset_in",
    ("seconds", [[], 86_400]),
    ("epoch", [[], 40]),
    ("epoch_ms", [[], 1]),
    given=QUOTA | {"sources/crm/quota/reset": "X-Epoch"},
)
def two_polls(stage):
    """What becomes of each: it tells nothing, or waits for so many seconds."""
    epoch = str(int(NOW.timestamp()) + 40)
    stage.said = {"X-Left": "0", "X-Five": "5", "X-Reset": "30", "X-Later": "limit=9, reset=60", "X-Epoch": epoch}
    stage.start()
    return [stage.tried(), stage.tried()]


# --- one by one, and what it is called


@proves(f"{OF}.single", (ABSENT, [False, False]), ({"path": "/one/{id}"}, [True, False]))
@proves(f"{OF}.described", (ABSENT, [False, False]), ({"path": "/fields"}, [False, True]))
def what_it_can_do(stage):
    """Whether records are read by their ids, and fields described."""
    stage.start()
    return [hasattr(stage.source, name) for name in ("fetch_many", "schema")]


@proves(f"{OF}.single.path", ("/one/{id}", ["7"]), ("/other/{id}", ["9"]))
@proves(f"{OF}.single.item", (ABSENT, ["7"]), ("data", ["8"]), given={f"{DEAL}/single": {"path": "/one/{id}"}})
def one_by_its_id(stage):
    """Which record is read for the id 7."""
    stage.start()
    return [one.record_id for one in stage.source.fetch_many("Deal", ["7"])]


@proves(
    f"{OF}.single.parameters",
    (ABSENT, [{}]),
    ({"include": "owner"}, [{"include": "owner"}]),
    given={f"{DEAL}/single": {"path": "/one/{id}"}},
)
def what_one_is_asked_with(stage):
    """The query of the request for one record."""
    stage.start()
    stage.source.fetch_many("Deal", ["7"])
    return [query for _, query, _ in stage.requests("one/7")]


LABELS = {f"{DEAL}/labels": {"stage": {"path": "/names"}}}
BOXED = {f"{DEAL}/labels": {"stage": {"path": "/boxed", "items": "data"}}}


@proves(f"{OF}.labels", (ABSENT, [["open"]]), ({"stage": {"path": "/names"}}, [["open=Open"]]))
@proves(f"{OF}.labels.path", ("/names", [["open=Open"]]), ("/words", [["open=Under way"]]), given=LABELS)
@proves(f"{OF}.labels.items", ("data", [["open=Inner"]]), ("more", [["open=Other"]]), given=BOXED)
@proves(f"{OF}.labels.id", (ABSENT, [["open=Open"]]), ("code", [["open"]]), given=LABELS)
@proves(f"{OF}.labels.name", (ABSENT, [["open=Open"]]), ("title", [["open=Offen"]]), given=LABELS)
def what_it_is_called(stage):
    """What a record is that was won and is open again."""
    stage.records = [stage.record(stage="won")]
    return stage.changed("stage", stage="open")


@proves(f"{OF}.labels.parameters", (ABSENT, {}), ({"all": "1"}, {"all": "1"}), given=LABELS)
def how_names_are_asked_for(stage):
    """The query of their list."""
    stage.start().poll()
    return stage.requests("names")[0][1]


FIELDS = {f"{DEAL}/described": {"path": "/fields"}}
TYPED = FIELDS | {f"{DEAL}/described/types": {"money": "money", "day": "date"}}


@proves(f"{OF}.described.path", ("/fields", ["stage", "Stage", "text"]), ("/columns", ["column", "Column", "text"]), given=FIELDS)
@proves(
    f"{OF}.described.items",
    ("data", ["inner", "Inner", "text"]),
    ("more", ["other", "Other", "text"]),
    given={f"{DEAL}/described": {"path": "/crate"}},
)
@proves(f"{OF}.described.name", (ABSENT, ["stage", "Stage", "text"]), ("key", ["key_stage", "Stage", "text"]), given=FIELDS)
@proves(f"{OF}.described.label", (ABSENT, ["stage", "Stage", "text"]), ("title", ["stage", "Stage!", "text"]), given=FIELDS)
@proves(f"{OF}.described.type", (ABSENT, ["stage", "Stage", "money"]), ("kind", ["stage", "Stage", "date"]), given=TYPED)
@proves(f"{OF}.described.types", (ABSENT, ["stage", "Stage", "text"]), ({"money": "number"}, ["stage", "Stage", "number"]), given=FIELDS)
@proves(f"{OF}.described.prefix", (ABSENT, ["stage", "Stage", "text"]), ("own.", ["own.stage", "Stage", "text"]), given=FIELDS)
@proves(
    f"{OF}.described.also",
    (ABSENT, ["stage", "Stage", "text"]),
    (["id"], ["stage", "Stage", "text", "id", "id", "text"]),
    given=FIELDS,
)
def which_fields_there_are(stage):
    """Name, label and type of each."""
    stage.start()
    return [word for one in stage.source.schema("Deal") for word in (one.name, one.label, one.type.value)]


@proves(f"{OF}.described.parameters", (ABSENT, {}), ({"of": "deals"}, {"of": "deals"}), given=FIELDS)
def how_fields_are_asked_for(stage):
    """The query of their list."""
    stage.start()
    stage.source.schema("Deal")
    return stage.requests("fields")[0][1]


# --- what was deleted

GONES = f"{OF}.deletions"
LIST = {f"{DEAL}/deletions": {"path": "/gone", "changed": "at", "ascending": False}}
PAGED = {f"{DEAL}/deletions": {"path": "/paged", "items": "data", "changed": "at", "ascending": False, "size": 1}}
CURSOR = PAGED | {f"{DEAL}/deletions/paging": {"style": "cursor", "parameter": "c", "next": "next"}}
NUMBER = PAGED | {f"{DEAL}/deletions/paging": {"style": "page", "parameter": "c"}}


@proves(GONES, (ABSENT, []), (LIST[f"{DEAL}/deletions"], ["1"]))
@proves(f"{GONES}.path", ("/gone", ["1"]), ("/bin", ["2"]), given=LIST)
@proves(f"{GONES}.items", ("data", ["2"]), ("more", ["1"]), given=PAGED)
@proves(f"{GONES}.id", (ABSENT, ["1"]), ("deal", ["2"]), given=LIST)
@proves(f"{GONES}.changed", ("at", ["1"]), ("when", []), given=LIST)
@proves(
    f"{GONES}.ascending",
    (True, "Deal: the records are not sorted by at, the oldest first: sort them, or say `ascending: false`"),
    (False, ["1", "2"]),
    given={f"{DEAL}/deletions": {"path": "/tied", "changed": "at", "since": {"parameter": "since"}}},
)
@proves(f"{GONES}.nothing", (ABSENT, EMPTY), ([204], []), given=LIST | {f"{DEAL}/deletions/path": "/status204"})
def what_was_deleted(stage):
    """Of two deals that are there at the first start, those that a second poll tells as deleted."""
    stage.records = [stage.record(), stage.record("2")]
    stage.start().poll()
    told = stage.tried("kind", "record_id")
    return told if isinstance(told, str) else sorted(id for kind, id in told if kind == "deleted")


SINCE_GONE = LIST | {f"{DEAL}/deletions/since": {"parameter": "since"}}
AT = "2026-11-22T11:59:00Z"


@proves(f"{GONES}.parameters", (ABSENT, {}), ({"type": "all"}, {"type": "all"}), given=LIST)
@proves(f"{GONES}.size_parameter", (ABSENT, {}), ("limit", {"limit": "100"}), given=LIST)
@proves(f"{GONES}.size", (ABSENT, {"limit": "100"}), (7, {"limit": "7"}), given=LIST | {f"{DEAL}/deletions/size_parameter": "limit"})
@proves(f"{GONES}.since", (ABSENT, {}), ({"parameter": "since"}, {"since": AT}), given=LIST)
@proves(f"{GONES}.since.parameter", ("since", {"since": AT}), ("from", {"from": AT}), given=SINCE_GONE)
@proves(f"{GONES}.since.template", (ABSENT, {"since": AT}), (">{since}", {"since": f">{AT}"}), given=SINCE_GONE)
@proves(f"{GONES}.since.parameters", (ABSENT, {"since": AT}), ({"by": "at"}, {"since": AT, "by": "at"}), given=SINCE_GONE)
@proves(f"{GONES}.since.inclusive", (ABSENT, {"since": AT}), (False, {"since": "2026-11-22T11:58:59Z"}), given=SINCE_GONE)
@proves(f"{GONES}.since.format", (ABSENT, {"since": AT}), ("date", {"since": "2026-11-22"}), given=SINCE_GONE)
def how_deletions_are_asked_for(stage):
    """The query of a second poll; the first one asks for none."""
    stage.start().poll()
    assert stage.requests("gone") == []
    stage.poll()
    return stage.requests("gone")[0][1]


@proves(
    f"{GONES}.since.header",
    ("If-Modified-Since", ["if-modified-since"]),
    ("X-Since", ["x-since"]),
    given=LIST | {f"{DEAL}/deletions/since": {}},
)
def deletions_by_a_header(stage):
    """The headers of a second poll that say since when."""
    stage.start().poll()
    stage.poll()
    (asked,) = [one for one in stage.crm.seen if one.path == "/v2/gone"]
    return sorted(name for name, value in asked.headers.items() if value == AT)


@proves(f"{GONES}.body", (ABSENT, ["GET", None]), ({"a": 1}, ["POST", {"a": 1}]), given=LIST)
@proves(
    f"{GONES}.since.body",
    ({"from": "{since}"}, ["POST", {"a": 1, "from": AT}]),
    ({"b": ["{since}"]}, ["POST", {"a": 1, "b": [AT]}]),
    given=LIST | {f"{DEAL}/deletions/body": {"a": 1}, f"{DEAL}/deletions/since": {}},
)
def deletions_by_a_body(stage):
    """How a second poll asks."""
    stage.start().poll()
    stage.poll()
    method, _, body = stage.requests("gone")[0]
    return [method, body]


@proves(
    f"{GONES}.newest_first",
    (ABSENT, 2),
    (True, 1),
    given=CURSOR,
)
def known_deletions(stage):
    """How many pages of it a poll asks for whose first one shows what was deleted long ago."""
    stage.lists["/v2/paged"]["data"][0]["at"] = "2020-01-01T00:00:00Z"
    stage.start().poll()
    stage.tried()
    return len(stage.requests("paged"))


@proves(f"{GONES}.paging", (ABSENT, [{}]), ({"style": "page", "parameter": "p"}, [{}, {"p": "2"}]), given=PAGED)
@proves(f"{GONES}.paging.style", ("page", [{}, {"c": "2"}]), ("offset", [{}, {"c": "1"}]), ("cursor", [{}, {"c": "c2"}]), given=CURSOR)
@proves(f"{GONES}.paging.parameter", ("c", [{}, {"c": "2"}]), ("d", [{}, {"d": "2"}]), given=NUMBER)
@proves(f"{GONES}.paging.first", (ABSENT, [{}, {"c": "2"}]), (0, [{}, {"c": "1"}]), given=NUMBER)
@proves(f"{GONES}.paging.next", ("next", [{}, {"c": "c2"}]), ("data.0.id", [{}, {"c": "2"}]), given=CURSOR)
def pages_of_deletions(stage):
    """The queries of a second poll: the second page is the first one once more, which ends it."""
    stage.start().poll()
    stage.tried()
    return [query for _, query, _ in stage.requests("paged")][:2]
