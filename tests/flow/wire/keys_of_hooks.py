"""The keys of a webhook source: who is believed, and where in a body things stand."""

import base64
import hashlib
import hmac
import json

from flow.wire.bridge import Stage, facts
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

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


proves = proofs_of(Hooked)
MAP = "sources/crm/map"


@proves("sources.webhook.map.record_type", ("body.type", [["Deal"]]), ("body.other_type", [["Lead"]]))
@proves("sources.webhook.map.record_type.value", ("Deal", [["Deal"]]), ("Lead", [["Lead"]]), given={f"{MAP}/record_type": {}})
def of_which_type(stage):
    """The record type that changed."""
    return stage.heard("record_type")


@proves("sources.webhook.map.record_id", ("body.id", [["7"]]), ("body.key", [["k7"]]))
def of_which_record(stage):
    """The record that changed."""
    return stage.heard("record_id")


@proves("sources.webhook.map.fields", ("body.fields", [["won"]]), ("body.others", [["lost"]]))
def what_it_is(stage):
    """A field of it."""
    return stage.heard("stage")


ITEMS = {f"{MAP}/record_type": {"value": "Deal"}, f"{MAP}/record_id": "item.id", f"{MAP}/fields": "item.fields"}


@proves("sources.webhook.map.items", (ABSENT, [["7", "won"]]), ("body.list", [["8", "moved"], ["9", "gone"]]), given=ITEMS)
def of_many(stage):
    """Which records changed."""
    return stage.heard("record_id", "stage")


@proves("sources.webhook.map.before", (ABSENT, [[None]]), ("body.old", [["open"]]))
def what_it_was(stage):
    """A field's old value."""
    return stage.heard("before.stage")


@proves("sources.webhook.map.occurred_at", (ABSENT, [["2026-11-22T12:00:00+00:00"]]), ("body.at", [["2026-11-22T11:00:00+00:00"]]))
def when(stage):
    """The instant of the change."""
    return stage.heard("occurred_at")


@proves("sources.webhook.map.actor", (ABSENT, [[None]]), ("body.by", [["Ann"]]))
def who(stage):
    """Who made the change."""
    return stage.heard("actor")


@proves("sources.webhook.map.url", (ABSENT, [[None]]), ("body.where", [["https://crm.example/7"]]))
def where(stage):
    """The record's address."""
    return stage.heard("url")


WORDS = {"from": "body.word", "created": ["new"]}


@proves("sources.webhook.map.kind", (ABSENT, ["updated"]), (WORDS, ["created"]))
@proves("sources.webhook.map.kind.from", ("body.word", ["created"]), ("body.flag", ["updated"]), given={f"{MAP}/kind": WORDS})
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
    }


SIGNATURE = "sources/crm/signature"
STANDARD = {SIGNATURE: {"scheme": "standard-webhooks"}}
HMAC = {SIGNATURE: {"scheme": "hmac-sha256", "header": "X-A", "secret": KEYS["one"]}}
BASIC = {SIGNATURE: {"scheme": "basic", "username": "ann", "secret": KEYS["one"]}}
OF = "sources.webhook.signature"


@proves(
    f"{OF}.scheme",
    ({"scheme": "none"}, "all"),
    ({"scheme": "standard-webhooks", "secret": KEYS["one"]}, ["standard one"]),
    ({"scheme": "bearer", "secret": KEYS["one"]}, ["bearer one"]),
    (HMAC[SIGNATURE], ["hmac one"]),
    (BASIC[SIGNATURE], ["basic one"]),
)
@proves(f"{OF}.standard-webhooks.secret", (KEYS["one"], ["standard one"]), ([KEYS["two"]], ["standard two"]), given=STANDARD)
@proves(f"{OF}.hmac-sha256.secret", (KEYS["one"], ["hmac one"]), ([KEYS["one"], KEYS["two"]], ["hmac one", "hmac two"]), given=HMAC)
@proves(f"{OF}.hmac-sha256.header", ("X-A", ["hmac one"]), ("X-B", ["hmac one, header b"]), given=HMAC)
@proves(f"{OF}.hmac-sha256.encoding", ("hex", ["hmac one"]), ("base64", ["hmac one, base64"]), given=HMAC)
@proves(f"{OF}.hmac-sha256.prefix", (ABSENT, ["hmac one"]), ("sha256=", ["hmac one, prefix"]), given=HMAC)
@proves(f"{OF}.bearer.secret", (KEYS["one"], ["bearer one"]), (KEYS["two"], ["bearer two"]), given={SIGNATURE: {"scheme": "bearer"}})
@proves(f"{OF}.basic.secret", (KEYS["one"], ["basic one"]), (KEYS["two"], ["basic two"]), given=BASIC)
@proves(f"{OF}.basic.username", ("ann", ["basic one"]), ("bob", ["basic one, other user"]), given=BASIC)
def who_is_believed(stage):
    """Which of the senders get in."""
    stage.start()
    known = senders(stage)
    believed = [name for name, headers in known.items() if stage.hear(TEXT, **headers) == 202]
    return "all" if len(believed) == len(known) else believed


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
