"""The keys of a webhook source: who is believed, and where in a body things stand."""

import base64
import hashlib
import hmac
import json

from flow.wire.bridge import Stage, facts
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.contract import Reply, WebhookRequest

BODY = {
    "type": "Deal",
    "other_type": "Lead",
    "id": "7",
    "key": "k7",
    "fields": {"stage": "won"},
    "others": {"stage": "lost"},
    "old": {"stage": "open"},
    "word": "new",
    "flag": True,
    "rev": 5,
    "at": "2026-11-22T11:00:00Z",
    "by": "Ann",
    "where": "https://crm.example/7",
    "list": [{"id": "8", "fields": {"stage": "moved"}}, {"id": "9", "fields": {"stage": "gone"}}],
    "entries": [{"key": "stage", "name": "other", "value": "entered", "old": "left"}],
    "pairs": {"stage": ["first", "second"]},
    "more_pairs": {"stage": ["third", "fourth"]},
}


class Hooked(Stage):
    """A sender posts JSON."""

    YAML = """
crmbridge: 1
sources:
  crm:
    type: webhook
    signature: {scheme: none}
    map: {record_type: body.type, record_id: body.id, fields: body.fields}
    records: {Deal: {fields: {stage: public}}, Lead: {fields: {stage: public}}}
destinations: {out: {type: console}}
"""

    def heard(self, *names, **changes):
        """What one body tells."""
        self.start()
        assert self.hear(json.dumps(BODY | changes).encode()) == 202
        return facts(self.news(), *names)

    def sent(self, headers=(), body=b"", method="POST", query=""):
        """A request as it comes to the door."""
        given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in dict(headers).items()}
        return WebhookRequest(given, body, query, self.now(), method=method)


proves = proofs_of(Hooked)
MAP = "sources/crm/map"


@proves("sources.webhook.map.record_type", ("body.type", [["Deal"]]), ("body.other_type", [["Lead"]]))
@proves("sources.webhook.map.record_type.value", ("Deal", [["Deal"]]), ("Lead", [["Lead"]]), given={f"{MAP}/record_type": {}})
def of_which_type(stage):
    """The record type that changed."""
    return stage.heard("record_type")


@proves("sources.webhook.map.record_id", ("body.id", [["7"]]), ("body.key", [["k7"]]))
@proves("sources.webhook.map.record_id.value", ("one", [["one"]]), ("two", [["two"]]), given={f"{MAP}/record_id": {}})
def of_which_record(stage):
    """The record that changed."""
    return stage.heard("record_id")


ENTRIES = {"from": "body.entries", "key": "key", "value": "value"}
PAIRS = {"from": "body.pairs", "value": "0"}


@proves("sources.webhook.map.fields", ("body.fields", [["won"]]), ("body.others", [["lost"]]), (ABSENT, [[None]]))
@proves(
    "sources.webhook.map.fields.from", ("body.pairs", [["first"]]), (["body", "more_pairs"], [["third"]]), given={f"{MAP}/fields": PAIRS}
)
@proves("sources.webhook.map.fields.key", ("key", [["entered"]]), ("name", [[None]]), given={f"{MAP}/fields": ENTRIES})
@proves("sources.webhook.map.fields.value", ("value", [["entered"]]), ("old", [["left"]]), given={f"{MAP}/fields": ENTRIES})
def what_it_is(stage):
    """A field of it."""
    return stage.heard("stage")


ITEMS = {f"{MAP}/record_type": {"value": "Deal"}, f"{MAP}/record_id": "item.id", f"{MAP}/fields": "item.fields"}


@proves("sources.webhook.map.items", (ABSENT, [["7", "won"]]), ("body.list", [["8", "moved"], ["9", "gone"]]), given=ITEMS)
def of_many(stage):
    """Which records changed."""
    return stage.heard("record_id", "stage")


@proves("sources.webhook.map.before", (ABSENT, [[None]]), ("body.old", [["open"]]))
@proves("sources.webhook.map.before.from", ("body.pairs", [["first"]]), ("body.more_pairs", [["third"]]), given={f"{MAP}/before": PAIRS})
@proves("sources.webhook.map.before.key", ("key", [["entered"]]), ("name", [[None]]), given={f"{MAP}/before": ENTRIES})
@proves("sources.webhook.map.before.value", ("value", [["entered"]]), ("old", [["left"]]), given={f"{MAP}/before": ENTRIES})
def what_it_was(stage):
    """A field's old value."""
    return stage.heard("before.stage")


@proves("sources.webhook.map.occurred_at", (ABSENT, [["2026-11-22T12:00:00+00:00"]]), ("body.at", [["2026-11-22T11:00:00+00:00"]]))
def when(stage):
    """The instant of the change."""
    return stage.heard("occurred_at")


@proves("sources.webhook.map.actor", (ABSENT, [[None]]), ("body.by", [["Ann"]]))
@proves("sources.webhook.map.actor.value", ("Bob", [["Bob"]]), ("Cas", [["Cas"]]), given={f"{MAP}/actor": {}})
def who(stage):
    """Who made the change."""
    return stage.heard("actor")


@proves("sources.webhook.map.url", (ABSENT, [[None]]), ("body.where", [["https://crm.example/7"]]))
@proves(
    "sources.webhook.map.url.value",
    ("https://a.example", [["https://a.example"]]),
    ("https://b.example", [["https://b.example"]]),
    given={f"{MAP}/url": {}},
)
def where(stage):
    """The record's address."""
    return stage.heard("url")


WORDS = {"from": "body.word", "created": ["new"]}


@proves("sources.webhook.map.kind", (ABSENT, ["updated"]), (WORDS, ["created"]))
@proves("sources.webhook.map.kind.from", ("body.word", ["created"]), ("body.flag", ["updated"]), given={f"{MAP}/kind": WORDS})
@proves("sources.webhook.map.kind.value", ("created", ["created"]), ("updated", ["updated"]), given={f"{MAP}/kind": {}})
@proves("sources.webhook.map.kind.created", (ABSENT, ["updated"]), (["new"], ["created"]), given={f"{MAP}/kind": {"from": "body.word"}})
@proves("sources.webhook.map.kind.deleted", (ABSENT, ["updated"]), (["new"], ["deleted"]), given={f"{MAP}/kind": {"from": "body.word"}})
@proves("sources.webhook.map.kind.ignore", (ABSENT, ["updated"]), (["new"], []), given={f"{MAP}/kind": {"from": "body.word"}})
def what_happened(stage):
    """The kind of the change."""
    return [kind for (kind,) in stage.heard("kind")]


@proves("sources.webhook.map.version", (ABSENT, [["won"], ["open"]]), ("body.rev", [["won"]]))
def an_older_state(stage):
    """What is told when an older state comes late."""
    first = stage.heard("stage")
    assert stage.hear(json.dumps(BODY | {"rev": 4, "fields": {"stage": "open"}}).encode()) == 202
    return first + facts(stage.news(), "stage")


@proves("sources.webhook.map.observation_id", (ABSENT, [["won"], ["open"]]), ("body.key", [["won"]]))
def a_repeat(stage):
    """What is told when the same id comes with another body."""
    first = stage.heard("stage")
    assert stage.hear(json.dumps(BODY | {"fields": {"stage": "open"}}).encode()) == 202
    return first + facts(stage.news(), "stage")


TWO = [{"id": "8", "fields": {"stage": "moved"}}, {"id": "8", "fields": {"stage": "back"}}]


@proves(
    "sources.webhook.repeats_within",
    (ABSENT, ["moved", "back"]),
    (3600, ["moved", "back", "moved", "back"]),
    given=ITEMS | {f"{MAP}/items": "body.list"},
)
def how_long_a_sender_tries(stage):
    """What is told when a body with two states of a record comes again a day later."""
    first = stage.heard("stage", list=TWO)
    stage.clock.advance(86_400)
    assert stage.hear(json.dumps(BODY | {"list": TWO}).encode()) == 202
    return [said for (said,) in first + facts(stage.news(), "stage")]


# --- who is believed

TEXT = json.dumps(BODY).encode()
KEYS = {"one": "whsec_b25lLXdpcmUtc2VjcmV0LTI0LWJ5dGVzLWE=", "two": "whsec_dHdvLXdpcmUtc2VjcmV0LTI0LWJ5dGVzLWI="}


def standard(stage, name):
    """The headers of Standard Webhooks."""
    stamp = str(int(stage.now().timestamp()))
    mac = hmac.digest(base64.b64decode(KEYS[name].removeprefix("whsec_")), f"msg.{stamp}.".encode() + TEXT, hashlib.sha256)
    return {"webhook_id": "msg", "webhook_timestamp": stamp, "webhook_signature": f"v1,{base64.b64encode(mac).decode()}"}


def mac(name):
    """An HMAC of the body."""
    return hmac.digest(KEYS[name].encode(), TEXT, hashlib.sha256)


def basic(user, name):
    """The header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{KEYS[name]}".encode()).decode()


HEX = b"three-wire-secret-24-bytes-of-hex".hex()


def signed(data, key=KEYS["one"], digest="sha256"):
    """An HMAC of anything."""
    return hmac.digest(key if isinstance(key, bytes) else key.encode(), data, digest)


def token(key, **claims):
    """A JSON Web Token."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "HS256"}, claims)]
    return b".".join([*parts, base64.urlsafe_b64encode(signed(b".".join(parts), key)).rstrip(b"=")]).decode()


def signers(stage):
    """Who signs in many ways, in the header X-N but for one; and who shows a token, or the secret."""
    now = int(stage.now().timestamp())
    one, two = KEYS["one"], KEYS["two"]
    plain, stamp, old = signed(TEXT).hex(), str(now), str(now - 600)
    digest = hashlib.sha256(TEXT).hexdigest()
    return {
        "n one": {"x_n": plain},
        "n two": {"x_n": signed(TEXT, two).hex()},
        "n one, header m": {"x_m": plain},
        "n one, sha1": {"x_n": signed(TEXT, digest="sha1").hex()},
        "n one, base64": {"x_n": base64.b64encode(signed(TEXT)).decode()},
        "n hex, as text": {"x_n": signed(TEXT, HEX).hex()},
        "n hex, as bytes": {"x_n": signed(TEXT, bytes.fromhex(HEX)).hex()},
        "n one, bare": {"x_n": signed(TEXT, one.removeprefix("whsec_")).hex()},
        "n one, more": {"x_n": signed(b"more" + TEXT).hex()},
        "n one, v=": {"x_n": f"v={plain}"},
        "n one, v= twice": {"x_n": f"v={signed(TEXT, two).hex()},v={plain}"},
        "n one, wrapped": {"x_n": base64.b64encode(plain.encode()).decode()},
        "n one, stamp t": {"x_n": signed(stamp.encode() + TEXT).hex(), "x_t": stamp},
        "n one, stamp u": {"x_n": signed(stamp.encode() + TEXT).hex(), "x_u": stamp},
        "n one, stamp t in ms": {"x_n": signed(f"{stamp}000".encode() + TEXT).hex(), "x_t": f"{stamp}000"},
        "n one, old stamp t": {"x_n": signed(old.encode() + TEXT).hex(), "x_t": old},
        "n one, id i": {"x_n": signed(b"id" + TEXT).hex(), "x_i": "id"},
        "n one, id j": {"x_n": signed(b"id" + TEXT).hex(), "x_j": "id"},
        "github": {"x_hub_signature_256": f"sha256={plain}"},
        "intercom": {"x_hub_signature": f"sha1={signed(TEXT, digest='sha1').hex()}"},
        "jwt one": {"authorization": token(one, exp=now + 60)},
        "jwt two": {"authorization": token(two, exp=now + 60)},
        "jwt one, of the body": {"authorization": token(one, exp=now + 60, sha=digest, aud="here")},
        "jwt one, ended": {"authorization": token(one, exp=now - 600)},
        "jwt one, prefix": {"authorization": f"JWT {token(one, exp=now + 60)}"},
        "jwt one, header j": {"x_jwt": token(one, exp=now + 60)},
        "key one": {"x_k": one},
        "key two": {"x_k": two},
        "key one, l": {"x_l": one},
        "key one, query": {"?": f"X-K={one}"},
    }


def senders(stage):
    """What senders of several kinds put into their headers, who know the secret `one` or `two`."""
    return {
        "nobody": {},
        "standard one": standard(stage, "one"),
        "standard two": standard(stage, "two"),
        "hmac one": {"x_a": mac("one").hex()},
        "hmac two": {"x_a": mac("two").hex()},
        "hmac one, header b": {"x_b": mac("one").hex()},
        "hmac one, base64": {"x_a": base64.b64encode(mac("one")).decode()},
        "hmac one, prefix": {"x_a": f"sha256={mac('one').hex()}"},
        "hmac one, another prefix": {"x_a": f"sha512={mac('one').hex()}"},
        "bearer one": {"authorization": f"Bearer {KEYS['one']}"},
        "bearer two": {"authorization": f"Bearer {KEYS['two']}"},
        "basic one": {"authorization": basic("ann", "one")},
        "basic two": {"authorization": basic("ann", "two")},
        "basic one, other user": {"authorization": basic("bob", "one")},
    } | signers(stage)


SIGNATURE = "sources/crm/signature"
STANDARD = {SIGNATURE: {"scheme": "standard-webhooks"}}
HMAC = {SIGNATURE: {"scheme": "hmac-sha256", "header": "X-A", "secret": KEYS["one"]}}
BASIC = {SIGNATURE: {"scheme": "basic", "username": "ann", "secret": KEYS["one"]}}
N = {"scheme": "hmac", "header": "X-N", "secret": KEYS["one"]}
HMAC_N = {SIGNATURE: N}
STAMPED = {SIGNATURE: N | {"signed": "{timestamp}{body}", "timestamp": "X-T"}}
WITH_ID = {SIGNATURE: N | {"signed": "{id}{body}", "id": "X-I"}}
JWT = {SIGNATURE: {"scheme": "jwt", "secret": KEYS["one"]}}
SHOWN = {SIGNATURE: {"scheme": "secret", "in": "header", "name": "X-K", "secret": KEYS["one"]}}
TOKENS = ["jwt one", "jwt one, of the body"]
OF = "sources.webhook.signature"


@proves(
    f"{OF}.scheme",
    ({"scheme": "none"}, "all"),
    ({"scheme": "standard-webhooks", "secret": KEYS["one"]}, ["standard one"]),
    ({"scheme": "bearer", "secret": KEYS["one"]}, ["bearer one"]),
    (HMAC[SIGNATURE], ["hmac one"]),
    (BASIC[SIGNATURE], ["basic one"]),
    (N, ["n one"]),
    (JWT[SIGNATURE], TOKENS),
    (SHOWN[SIGNATURE], ["key one"]),
)
@proves(f"{OF}.standard-webhooks.secret", (KEYS["one"], ["standard one"]), ([KEYS["two"]], ["standard two"]), given=STANDARD)
@proves(f"{OF}.hmac-sha256.secret", (KEYS["one"], ["hmac one"]), ([KEYS["one"], KEYS["two"]], ["hmac one", "hmac two"]), given=HMAC)
@proves(f"{OF}.hmac-sha256.header", ("X-A", ["hmac one"]), ("X-B", ["hmac one, header b"]), given=HMAC)
@proves(f"{OF}.hmac-sha256.encoding", ("hex", ["hmac one"]), ("base64", ["hmac one, base64"]), given=HMAC)
@proves(f"{OF}.hmac-sha256.prefix", (ABSENT, ["hmac one"]), ("sha256=", ["hmac one, prefix"]), given=HMAC)
@proves(f"{OF}.bearer.secret", (KEYS["one"], ["bearer one"]), (KEYS["two"], ["bearer two"]), given={SIGNATURE: {"scheme": "bearer"}})
@proves(f"{OF}.basic.secret", (KEYS["one"], ["basic one"]), (KEYS["two"], ["basic two"]), given=BASIC)
@proves(f"{OF}.basic.username", ("ann", ["basic one"]), ("bob", ["basic one, other user"]), given=BASIC)
@proves("sources.webhook.sender", ("github", ["github"]), ("intercom", ["intercom"]), given={SIGNATURE: {"secret": KEYS["one"]}})
@proves(f"{OF}.hmac.secret", (KEYS["one"], ["n one"]), ([KEYS["two"]], ["n two"]), given=HMAC_N)
@proves(f"{OF}.hmac.header", ("X-N", ["n one"]), ("X-M", ["n one, header m"]), given=HMAC_N)
@proves(f"{OF}.hmac.digest", ("sha256", ["n one"]), ("sha1", ["n one, sha1"]), given=HMAC_N)
@proves(f"{OF}.hmac.encoding", ("hex", ["n one"]), ("base64", ["n one, base64"]), given=HMAC_N)
@proves(f"{OF}.hmac.key", ("text", ["n hex, as text"]), ("hex", ["n hex, as bytes"]), given={SIGNATURE: N | {"secret": HEX}})
@proves(f"{OF}.hmac.key_prefix", (ABSENT, ["n one"]), ("whsec_", ["n one, bare"]), given=HMAC_N)
@proves(f"{OF}.hmac.signed", (ABSENT, ["n one"]), ("more{body}", ["n one, more"]), given=HMAC_N)
@proves(f"{OF}.hmac.layout", (ABSENT, ["n one"]), ("v={signature}", ["n one, v="]), given=HMAC_N)
@proves(
    f"{OF}.hmac.separator",
    (ABSENT, ["n one, v="]),
    (",", ["n one, v=", "n one, v= twice"]),
    given={SIGNATURE: N | {"layout": "v={signature}"}},
)
@proves(f"{OF}.hmac.wrapped", ("no", ["n one"]), ("base64", ["n one, wrapped"]), given=HMAC_N)
@proves(f"{OF}.hmac.timestamp", ("X-T", ["n one, stamp t"]), ("X-U", ["n one, stamp u"]), given=STAMPED)
@proves(f"{OF}.hmac.id", ("X-I", ["n one, id i"]), ("X-J", ["n one, id j"]), given=WITH_ID)
@proves(f"{OF}.hmac.stamp", (ABSENT, ["n one, stamp t"]), ("milliseconds", ["n one, stamp t in ms"]), given=STAMPED)
@proves(f"{OF}.hmac.tolerance", (ABSENT, ["n one, stamp t"]), (900, ["n one, stamp t", "n one, old stamp t"]), given=STAMPED)
@proves(f"{OF}.jwt.secret", (KEYS["one"], TOKENS), ([KEYS["two"]], ["jwt two"]), given=JWT)
@proves(f"{OF}.jwt.header", (ABSENT, TOKENS), ("X-Jwt", ["jwt one, header j"]), given=JWT)
@proves(f"{OF}.jwt.prefix", (ABSENT, TOKENS), ("JWT ", ["jwt one, prefix"]), given=JWT)
@proves(f"{OF}.jwt.body_claim", (ABSENT, TOKENS), ("sha", TOKENS[1:]), given=JWT)
@proves(f"{OF}.jwt.audience", (ABSENT, TOKENS), ("here", TOKENS[1:]), given=JWT)
@proves(f"{OF}.jwt.tolerance", (ABSENT, TOKENS), (900, [*TOKENS, "jwt one, ended"]), given=JWT)
@proves(f"{OF}.secret.secret", (KEYS["one"], ["key one"]), (KEYS["two"], ["key two"]), given=SHOWN)
@proves(f"{OF}.secret.in", ("header", ["key one"]), ("query", ["key one, query"]), given=SHOWN)
@proves(f"{OF}.secret.name", ("X-K", ["key one"]), ("X-L", ["key one, l"]), given=SHOWN)
def who_is_believed(stage):
    """Which of the senders get in."""
    stage.start()
    known = senders(stage)
    believed = []
    for name, headers in known.items():
        query = headers.pop("?", "")
        if stage.receive(stage.sent(headers, TEXT, query=query)) < 300:
            believed.append(name)
    return "all" if len(believed) == len(known) else believed


# --- what is asked first

CHALLENGE = "sources/crm/challenge"
ECHO = {"scheme": "echo", "from": "body.challenge"}
OF_QUERY = {"scheme": "echo", "from": "query.c"}
WITH_TOKEN = {CHALLENGE: OF_QUERY | {"token": {"name": "t", "secret": KEYS["one"]}}}
QUESTIONS = {
    "get": {"method": "GET"},
    "post": {"body": b'{"challenge": "c1", "other": "o1"}'},
    "get c": {"method": "GET", "query": "c=q1"},
    "post c": {"query": "c=q1"},
    "post c, t one": {"query": f"c=q1&t={KEYS['one']}"},
    "post c, t two": {"query": f"c=q1&t={KEYS['two']}"},
    "post c, u one": {"query": f"c=q1&u={KEYS['one']}"},
    "post, with a bearer": {"body": b'{"challenge": "c1"}', "headers": {"authorization": f"Bearer {KEYS['one']}"}},
}
HELLO = {"get": "200 ", "get c": "200 "}
POSTS = {"post": "200 c1", "post, with a bearer": "200 c1"}
QUERIES = {name: "200 q1" for name in QUESTIONS if name.startswith("post c")}


def tokens(*good):
    """Where a token is asked for."""
    return {name: "200 q1" if name in good else "401" for name in QUERIES}


@proves("sources.webhook.challenge", (ABSENT, {}), ({"scheme": "hello"}, HELLO))
@proves("sources.webhook.challenge.scheme", ({"scheme": "hello"}, HELLO), (ECHO, POSTS))
@proves("sources.webhook.challenge.echo.method", (ABSENT, QUERIES), ("GET", {"get c": "200 q1"}), given={CHALLENGE: OF_QUERY})
@proves("sources.webhook.challenge.echo.from", ("body.challenge", POSTS), ("body.other", {"post": "200 o1"}), given={CHALLENGE: ECHO})
@proves(
    "sources.webhook.challenge.echo.reply",
    (ABSENT, POSTS),
    ("json", dict.fromkeys(POSTS, '200 {"challenge": "c1"}')),
    given={CHALLENGE: ECHO},
)
@proves(
    "sources.webhook.challenge.echo.signed",
    (ABSENT, POSTS),
    (True, POSTS | {"post": "401"}),
    given={CHALLENGE: ECHO, SIGNATURE: {"scheme": "bearer", "secret": KEYS["one"]}},
)
@proves(
    "sources.webhook.challenge.echo.token",
    (ABSENT, QUERIES),
    ({"name": "t", "secret": KEYS["one"]}, tokens("post c, t one")),
    given={CHALLENGE: OF_QUERY},
)
@proves("sources.webhook.challenge.echo.token.name", ("t", tokens("post c, t one")), ("u", tokens("post c, u one")), given=WITH_TOKEN)
@proves(
    "sources.webhook.challenge.echo.token.secret",
    (KEYS["one"], tokens("post c, t one")),
    (KEYS["two"], tokens("post c, t two")),
    given=WITH_TOKEN,
)
def what_is_answered(stage):
    """What each question gets, of those that are taken for one."""
    stage.start()
    found = {name: stage.greeted(stage.sent(**asked)) for name, asked in QUESTIONS.items()}
    return {
        name: f"{one.status} {one.body.decode()}" if isinstance(one, Reply) else str(one) for name, one in found.items() if one is not None
    }


@proves("sources.webhook.body", (ABSENT, ["of json"]), ("form", ["of a form"]))
def which_body_is_read(stage):
    """The record of the one that is."""
    stage.start()
    stage.receive(stage.sent(body=b'{"type": "Deal", "id": "of json", "fields": {}}'))
    form = {"content-type": "application/x-www-form-urlencoded"}
    stage.receive(stage.sent(form, b"type=Deal&id=of+a+form&fields[stage]=won"))
    return [id for (id,) in facts(stage.news(), "record_id")]


@proves("sources.webhook.accepted", (ABSENT, 202), (200, 200))
def what_says_yes(stage):
    """The status of the answer."""
    stage.start()
    return stage.receive(stage.sent(body=TEXT))


STAGE = "sources/crm/records/Deal/fields/stage"


@proves("sources.webhook.numbers", ("1.234,5", [["1250"]]), ("1,234.5", [["1.25"]]), given={STAGE: "number"})
def a_number_as_text(stage):
    """What 1.250 means."""
    return stage.heard("stage", fields={"stage": "1.250"})


@proves("sources.webhook.dates", ("31/12/2026", [["2026-03-02"]]), ("12/31/2026", [["2026-02-03"]]), given={STAGE: "date"})
def a_day_as_text(stage):
    """Which day 02/03/2026 is."""
    return stage.heard("stage", fields={"stage": "02/03/2026"})


@proves(
    "sources.webhook.zone",
    ("UTC", [["2026-11-22T11:00:00+00:00"]]),
    ("Europe/Berlin", [["2026-11-22T10:00:00+00:00"]]),
    given={f"{MAP}/occurred_at": "body.at"},
)
def a_stamp_without_an_offset(stage):
    """When it was."""
    return stage.heard("occurred_at", at="2026-11-22 11:00:00")
