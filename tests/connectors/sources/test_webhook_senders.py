"""Every sender that the webhook source knows: the honest request is believed and read, and no forged one is."""

import base64
import json
import random
import string
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from shared import NOW
from standins.senders import FORMS, OTHER, SECRET, SENDERS, b64, body_of, later, mac, options, request, seconds, token

from connectors.sources.webhook.options import WebhookOptions
from connectors.sources.webhook.source import WebhookSource
from crmbridge.contract import Setting, WebhookRequest
from crmbridge.errors import InvalidRequest, InvalidSignature
from crmbridge.hooks import senders as known

LEAST = 200


def source(name, secret=None, **changes):
    return WebhookSource(WebhookOptions(**(options(name, secret) | changes)), Setting(name="crm", now=lambda: NOW))


def believed(source, request):
    """Whether the request gets in; it may be kept out by nothing else than InvalidRequest with a 4xx and without a secret."""
    refusal = None
    try:
        source.verify(request)
    except InvalidRequest as error:
        refusal = error
    if refusal is None:
        return True
    assert 400 <= refusal.status < 500
    assert not any(word in str(refusal) for word in (SECRET, OTHER))
    return False


# --- the files themselves -----------------------------------------------------------------------


def test_every_sender_has_its_proof():
    """A file without an honest request, and one without a file, would prove nothing."""
    assert sorted(SENDERS) == list(known.names())


@pytest.mark.parametrize("name", SENDERS)
def test_a_file_says_nothing_that_is_not_heard(name):
    """Of all its keys each is one of ours: the options refuse others, and so does what stands about them."""
    raw = yaml.load((known.files(known.__package__) / "senders" / f"{name}.yaml").read_text("utf-8"), yaml.BaseLoader)
    known.KnownSender.model_validate(raw)
    for part in ("signature", "challenge", "map"):
        if part in raw:
            with pytest.raises(ValueError, match="nonsense"):
                source(name, **{part: (options(name).get(part) or {}) | {"nonsense": "x"}})
    for unknown in ({"nonsense": "x"}, {"about": raw["about"] | {"nonsense": "x"}}):
        with pytest.raises(ValueError, match="nonsense"):
            known.KnownSender.model_validate(raw | unknown)


def test_the_user_goes_before():
    """Each key that a user writes, and all of a signature with another scheme; what he leaves out is the file's."""
    mine = {"secret": SECRET, "tolerance": 30}
    one = WebhookOptions(sender="stripe", signature=mine, map={"record_id": "body.other", "before": None}, accepted=204)
    assert (one.signature.header, one.signature.tolerance, one.accepted) == ("Stripe-Signature", 30, 204)
    assert (str(one.map.record_id), one.map.before, str(one.map.fields)) == ("body.other", None, "body.data.object")
    assert WebhookOptions(sender="stripe", signature={"scheme": "bearer", "secret": SECRET}).signature.scheme == "bearer"
    assert WebhookOptions(**options("slack") | {"challenge": None}).challenge is None
    with pytest.raises(ValueError, match='`strype` is no sender that is known; did you mean "stripe"'):
        WebhookOptions(sender="strype", signature=mine)
    with pytest.raises(ValueError, match="`x` is no sender that is known; there are asana, attio"):
        WebhookOptions(sender="x", signature=mine)
    with pytest.raises(ValueError, match="secret"):
        WebhookOptions(sender="stripe")


# --- the honest ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDERS)
def test_the_honest_are_believed_and_read(name):
    """By the present secret and by the one before it; each fact stands where the file says."""
    one = source(name)
    honest = request(name)
    assert believed(one, honest)
    (found,) = one.parse(one.storable(honest))
    record_type, id, kind, field, value, old = SENDERS[name].told
    assert (found.record_type, found.record_id) == (record_type, id)
    assert ("created" if found.created else "deleted" if found.deleted else "updated") == kind
    if field is None:
        assert (found.fields, found.partial) == ({}, False)
    else:
        assert (found.fields[field], (found.before or {}).get(field)) == (value, old)
    exchanged = source(name, [SENDERS[name].other, SENDERS[name].secret])
    assert believed(exchanged, honest)
    assert believed(exchanged, request(name, SENDERS[name].other))


@pytest.mark.parametrize("name", SENDERS)
def test_what_is_kept_shows_no_secret(name):
    """Of the request as it is stored: the door stores its headers, its body and nothing else of it."""
    one, honest = source(name), request(name)
    one.verify(honest)
    kept = one.storable(honest)
    headers = {key: value for key, value in kept.headers.items() if key != "authorization"}  # the door takes it out
    assert SENDERS[name].secret not in json.dumps(headers) + kept.body.decode()
    again = one.parse(WebhookRequest(headers, kept.body, "", NOW))
    assert [found.record_id for found in again] == [SENDERS[name].told[1]]


STRIPE = """{
  "id": "evt_123",
  "object": "event",
  "account": "acct_123",
  "api_version": "2017-05-25",
  "created": 1533204620,
  "data": {
    "object": {
      "id": "ii_123",
      "object": "invoiceitem",
      "amount": 1000,
      "currency": "usd",
      "customer": "cus_123",
      "date": 1533204620,
      "description": "Test Invoice Item",
      "discountable": false,
      "invoice": "in_123",
      "livemode": false,
      "metadata": {},
      "period": {
        "start": 1533204620,
        "end": 1533204620
      },
      "plan": null,
      "proration": false,
      "quantity": null,
      "subscription": null
    }
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {
    "id": "req_123",
    "idempotency_key": "idempotency-key-123"
  },
  "type": "invoiceitem.created"
}
"""
SLACK = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA"
    "&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J"
    "%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
PUBLISHED = {
    "stripe": (
        "webhook_secret",
        STRIPE,
        {
            "stripe-signature": "t=1533204620,v1=f0bdba6d4eacbd8ad8a3bbadd7248e633ec1477f7899c124c51b39405fa36613,"
            "v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef"
        },
        1533204620,
    ),
    "github": (
        "It's a Secret to Everybody",
        "Hello, World!",
        {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        1763812800,
    ),
    "slack": (
        "8f742231b10e8888abcd99yyyzzz85a5",
        SLACK,
        {
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
        1531420618,
    ),
    "svix": (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        '{"test": 2432232314}',
        {
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        1614265330,
    ),
}
"""Examples that the senders publish: Stripe.net's EventUtilityTest, and the pages that the files of the other three name."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_examples(name):
    """What nobody here signed; and not five minutes later or earlier, where the sender signs when."""
    secret, body, headers, at = PUBLISHED[name]
    moment = datetime.fromtimestamp(at, timezone.utc)
    one = source(name, secret)

    def signed(headers=headers, moment=moment):
        try:
            one.verify(WebhookRequest(headers, body.encode(), "", moment))
        except InvalidSignature:
            return False
        except InvalidRequest:  # the body of two of them is no JSON: that is asked after the proof
            return True
        return True

    assert signed()
    if SENDERS[name].stamped:
        assert [signed(moment=moment + timedelta(seconds=away)) for away in (-301, -300, 300, 301)] == [False, True, True, False]
    proof = SENDERS[name].proof
    assert not signed({**headers, proof: flipped_signature(random.Random(name), name, headers[proof])})


def deal(name):
    return {"event": name, "data[FIELDS][ID]": "7", "ts": "1763812800", "auth[application_token]": SECRET}


def bill(type_, **more):
    return {"id": "evt_1", "type": type_, "created": 1763812800, "data": {"object": {"object": "x", "id": "7"} | more}}


def stands(name, **more):
    return {"event": {"type": name, "userId": 4, "triggerUuid": "t1", "triggerTime": "2026-11-22T11:00:00.000Z"} | more}


HAPPENED = {
    "bitrix24": {
        "created": [deal("ONCRMDEALADD"), deal("ONCRMQUOTEADD"), deal("ONCRMDYNAMICITEMADD"), deal("ONCRMDYNAMICITEMADD_147")],
        "updated": [deal("ONCRMQUOTEUPDATE"), deal("ONCRMDEALMOVETOCATEGORY")],
        "deleted": [deal("ONCRMACTIVITYDELETE"), deal("ONCRMDYNAMICITEMDELETE"), deal("ONCRMDYNAMICITEMDELETE_147")],
        "nothing": [deal("ONCRMDEALUSERFIELDADD"), deal("ONCRMLEADUSERFIELDDELETE"), deal("ONCRMDEALUSERFIELDSETENUMVALUES")],
    },
    "intercom": {
        "created": [
            {"id": "n1", "topic": one, "data": {"item": {"type": "x", "id": "7"}}}
            for one in ("ticket.created", "conversation.user.created")
        ],
        "updated": [
            {"id": "n1", "topic": one, "data": {"item": {"type": "x", "id": "7"}}} for one in ("contact.archived", "ticket.note.created")
        ],
        "deleted": [
            {"id": "n1", "topic": one, "data": {"item": {"type": "x", "id": "7"}}} for one in ("conversation.deleted", "contact.deleted")
        ],
        "nothing": [{"id": "n1", "topic": "ping", "data": {"item": {"type": "ping"}}}],
    },
    "monday": {
        "created": [stands("create_pulse", pulseId=7), stands("create_pulse", pulseId=7, itemId=7, parentItemId="8")],
        "updated": [stands("update_name", pulseId=7), stands("archive_pulse", itemId=7), stands("restore_pulse", itemId=7)],
        "deleted": [stands("delete_pulse", itemId=7, itemName="x"), stands("delete_pulse", itemId=7, pulseId=7, parentItemId=8)],
    },
    "slack": {
        "created": [{"type": "event_callback", "event_id": "7", "event": {"type": "message"}}],
        "nothing": [{"type": "app_rate_limited", "minute_rate_limited": 1763812800, "team_id": "T", "api_app_id": "A"}],
    },
    "stripe": {
        "created": [bill("customer.created"), bill("charge.dispute.created"), bill("customer.subscription.created")],
        "updated": [bill("invoice.paid"), bill("customer.subscription.deleted", status="canceled"), bill("customer.updated")],
        "deleted": [bill("customer.deleted"), bill("product.deleted"), bill("invoiceitem.deleted")],
        "nothing": [{"type": "invoice.upcoming", "data": {"object": {"object": "invoice"}}}, bill("balance.available", id=None)],
    },
    "twenty": {
        kind: [{"eventName": one, "objectMetadata": {"nameSingular": "rocket"}, "record": {"id": "7"}} for one in names]
        for kind, names in {
            "created": ["rocket.created", "company.created"],
            "updated": ["rocket.updated", "company.restored"],
            "deleted": ["rocket.deleted", "company.deleted", "company.destroyed"],
        }.items()
    },
    "zendesk": {
        kind: [{"id": "e1", "type": f"zen:event-type:ticket.{one}", "detail": {"id": "7", "status": "OPEN"}} for one in names]
        for kind, names in {
            "created": ["created"],
            "updated": ["status_changed", "undeleted", "merged"],
            "deleted": ["soft_deleted", "permanently_deleted"],
        }.items()
    },
}
"""Bodies of documented events, by what they mean."""


@pytest.mark.parametrize("name", HAPPENED)
def test_what_happened_is_told(name):
    """No deletion is told as an update, and of what is no record nothing is told."""
    one = source(name)
    for kind, bodies in HAPPENED[name].items():
        for body in bodies:
            data = urlencode(body).encode() if name in FORMS else json.dumps(body).encode()
            found = one.parse(WebhookRequest({}, data, "", NOW))
            told = ["created" if each.created else "deleted" if each.deleted else "updated" for each in found]
            assert told == [kind] * (kind != "nothing"), body
            assert {each.record_id for each in found} <= {"7"}, body


def test_every_topic_of_shopify():
    """The topic says it, of whatever it is."""
    for topic, kind in {"draft_orders/create": (True, False), "carts/update": (False, False), "collections/delete": (False, True)}.items():
        (found,) = source("shopify").parse(WebhookRequest({"x-shopify-topic": topic}, b'{"id": 7}', "", NOW))
        assert (found.created, found.deleted) == kind


def test_a_late_event_of_stripe_is_old():
    """It is tried for three days: what it says then is not what is."""
    (found,) = source("stripe").parse(WebhookRequest({}, json.dumps(bill("customer.updated")).encode(), "", NOW))
    assert (found.version, found.observation_id) == ("1763812800", "evt_1")


def test_published_means_published():
    """The table says of no sender more than this file shows."""
    assert {name for name in known.names() if known.read_sender(name).about.proved == "published vector"} == set(PUBLISHED)


def test_what_dataverse_sends(vectors):
    """A context that nobody here wrote: attributes as fields, stamps in its own form."""
    body = (vectors / "dataverse" / "webhook-contact-update.json").read_bytes()
    (one,) = source("dataverse").parse(WebhookRequest({}, body, "", NOW))
    assert (one.record_type, one.record_id, one.created, one.deleted) == ("contact", "6d81597f-0f9f-e711-8122-000d3aa2331c", False, False)
    assert (one.fields["firstname"], one.fields["modifiedby.LogicalName"]) == ("James", "systemuser")
    assert one.before == {}, "no image before the change is registered"
    assert one.version == datetime.fromtimestamp(1506384247, timezone.utc).isoformat()
    assert one.occurred_at == datetime.fromtimestamp(1506409448, timezone.utc)


# --- the forged ---------------------------------------------------------------------------------


def with_proof(name, honest, change):
    """`honest` with another proof, wherever it stands."""
    where = SENDERS[name].proof
    if where == "query":
        key, _, value = honest.query.partition("=")
        return replace(honest, query=f"{key}={change(value)}")
    if where == "body":
        text = honest.body.decode()
        return replace(honest, body=text.replace(SECRET, change(SECRET).replace('"', "'").replace("\\", "/")).encode("utf-8", "replace"))
    return replace(honest, headers={**honest.headers, where: change(honest.headers[where])})


def flipped(dice, text):
    """A text with one letter another one, and not just of another case: hex has two."""
    place = dice.randrange(len(text))
    letters = [one for one in string.ascii_letters + string.digits if one.lower() != text[place].lower()]
    return text[:place] + dice.choice(letters) + text[place + 1 :]


def flipped_signature(dice, name, text):
    """The same, where it is the part that counts: not a version that nobody reads, and not an id that nobody signs."""
    if name == "stripe":
        head, rest = text.split(",v0=")
        return flipped(dice, head) + ",v0=" + rest
    if name == "espocrm":
        id, _, signature = base64.b64decode(text).decode().partition(":")
        return b64(f"{id}:{flipped(dice, signature)}".encode())
    return flipped(dice, text)


def forged(name, dice):
    """Requests that prove nothing, without end, as (what, request)."""
    one, honest = SENDERS[name], request(name)
    where = one.proof
    body = body_of(name)
    yield "nothing at all", replace(honest, headers={}, query="", body=b"{}" if name not in FORMS else b"a=b")
    yield "another secret", request(name, one.other)
    yield "an empty secret", with_proof(name, honest, lambda _: "")
    if where not in ("query", "body"):
        yield "no proof", replace(honest, headers={key: value for key, value in honest.headers.items() if key != where})
        yield "the header twice", replace(honest, repeated=frozenset({where}))
        yield "both in one header", with_proof(name, honest, lambda value: f"{value}, {value}")
        yield "huge", with_proof(name, honest, lambda value: value + "A" * 100_000)
        yield "many", with_proof(name, honest, lambda value: ",".join([value.replace("1", "2")] * 200))
        yield "another digest", with_proof(name, honest, lambda _: mac(one.secret, body, "sha512").hex())
        yield "another digest's half", with_proof(name, honest, lambda _: mac(one.secret, body, "sha512").hex()[:64])
        yield "the secret itself", with_proof(name, honest, lambda _: one.secret)
        yield "a hash without a key", with_proof(name, honest, lambda _: mac(b"", body).hex())
        for write in (bytes.hex, b64, lambda data: f"sha256={data.hex()}", lambda data: f"v1,{b64(data)}", lambda data: f"v0={data.hex()}"):
            yield "a mac of nothing", with_proof(name, honest, lambda _, write=write: write(mac(one.secret, b"")))
            yield "a mac of another body", with_proof(name, honest, lambda _, write=write: write(mac(one.secret, body + b" ")))
    if where == "query":
        yield "twice", replace(honest, query=f"{honest.query}&{honest.query}")
        yield "elsewhere", replace(honest, query="", headers={**honest.headers, "x-secret": SECRET}, path=SECRET)
        yield "another name", replace(honest, query=f"x{honest.query}")
        yield "other case", replace(honest, query=honest.query.replace(SECRET, SECRET.upper()))
    for stamp in ("", "now", "1e9", "-1", "\u0661" * 10, "9" * 17, NOW.isoformat(), seconds(NOW) + " ", " " + seconds(NOW)):
        for header in [key for key in honest.headers if key.endswith("timestamp")]:
            yield f"stamp {stamp[:9]!a}", replace(honest, headers={**honest.headers, header: stamp})
    if one.stamped:
        limit = 600 if name == "monday" else 300  # a token has its own five minutes, and clocks may differ by as much
        for away in (limit + 1, limit + 60, 86_400, 10**8):
            yield f"{away} s old", replace(honest, received_at=later(away))
            yield f"signed {away} s ago", request(name, at=later(-away))
        for away in (301, 86_400):
            yield f"from {away} s ahead", request(name, at=later(away))
    while True:
        yield "flipped proof", with_proof(name, honest, lambda value: flipped_signature(dice, name, value))
        yield "cut proof", with_proof(name, honest, lambda value: value[: dice.randrange(len(value) - (80 if name == "stripe" else 3))])
        yield "turned", with_proof(name, honest, lambda value: "".join(dice.sample(value, len(value))))
        yield "odd", with_proof(name, honest, lambda _: "".join(chr(dice.choice([0, 9, 32, 61, 255, 0x661, 0xFF21])) for _ in range(64)))
        if one.signs_body:
            place = dice.randrange(len(body))
            changed = body[:place] + bytes([body[place] ^ (1 << dice.randrange(8))]) + body[place + 1 :]
            yield "flipped body", replace(honest, body=changed)
            yield "cut body", replace(honest, body=body[: dice.randrange(len(body))])
            yield "longer body", replace(honest, body=body + bytes([dice.randrange(256)]))
            yield "another body's proof", replace(request(name, body=changed), body=body)
        for header in honest.headers.keys() & {"svix-id", "svix-timestamp"} | {key for key in honest.headers if key.endswith("-timestamp")}:
            yield f"flipped {header}", replace(honest, headers={**honest.headers, header: flipped(dice, honest.headers[header])})
            yield f"without {header}", replace(honest, headers={key: value for key, value in honest.headers.items() if key != header})
            yield f"{header} twice", replace(honest, repeated=frozenset({header}))


@pytest.mark.parametrize("name", SENDERS)
def test_forgeries_are_refused(name, figures):
    """Flipped, cut, turned, stale, doubled, signed by others and for other bodies: none of them is believed, none is an error of ours."""
    dice, count, wrong, kinds = random.Random(name), 0, [], set()
    one, honest = source(name), request(name)
    for what, other in forged(name, dice):
        if other == honest:
            continue
        count += 1
        kinds.add(what)
        if believed(one, other):
            wrong.append(what)
        if count >= LEAST + 100:
            break
    figures(f"forgeries of {name}", tried=count, kinds=len(kinds), believed=len(wrong))
    assert wrong == []
    assert count >= LEAST
    assert believed(one, honest), "the honest one still is"


@given(
    st.sampled_from(sorted(SENDERS)),
    st.dictionaries(st.sampled_from(["signature", "timestamp", "authorization", "x"]), st.text(max_size=80), max_size=3),
    st.binary(max_size=60),
    st.text(max_size=40),
)
def test_whatever_arrives_is_refused_in_one_way(name, headers, body, query):
    """Arbitrary headers, bodies and queries."""
    where = SENDERS[name].proof
    given = {where if key == "signature" else key: value for key, value in headers.items()}
    assert not believed(source(name), WebhookRequest(given, body, query, NOW))


MONDAY = 1763812800


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"exp": 300, "iat": 0}, True),
        ({"exp": -299}, True),
        ({"exp": -301, "iat": -600}, False),
        ({"iat": 0}, True),
        ({"iat": -301}, False),
        ({"iat": 301, "exp": 900}, False),
        ({"nbf": 301, "exp": 900}, False),
        ({}, False),
        ({"nbf": 0}, False),
    ],
)
def test_a_token_has_its_time(claims, good):
    """Its end, its beginning, when it was made; one that never ends is good for five minutes."""
    now = int(NOW.timestamp())
    honest = request("monday")
    shown = token(SECRET, {"sub": "x"} | {name: now + away for name, away in claims.items()})
    assert believed(source("monday"), replace(honest, headers={**honest.headers, "authorization": shown})) is good


def test_a_token_of_another_kind():
    """The algorithm is ours to say: `none`, another hash, a critical extension, claims that are no times, no claims at all."""
    now = int(NOW.timestamp())
    good = {"exp": now + 300, "iat": now}
    honest = request("monday")

    def shown(text):
        return believed(source("monday"), replace(honest, headers={**honest.headers, "authorization": text}))

    assert shown(token(SECRET, good))
    for alg, digest in (
        ("none", "sha256"),
        ("HS512", "sha512"),
        ("HS512", "sha256"),
        ("RS256", "sha256"),
        ("hs256", "sha256"),
        (None, "sha256"),
    ):
        assert not shown(token(SECRET, good, alg, digest))
    for odd in ({"exp": "never"}, {"exp": True}, {"exp": 10**12}, {"exp": -1}, {"exp": None}, {"iat": [now]}, {"exp": 1e400}):
        assert not shown(token(SECRET, good | odd))
    for claims in ([], "x", 5, None):
        assert not shown(token(SECRET, claims))
    head, claims, signature = token(SECRET, good).split(".")
    for text in (
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}..{signature}",
        f"{head}.{claims}.{signature}=",
        f"{head}.{claims}.{signature}.x",
    ):
        assert not shown(text)
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert not shown(f"{unsigned}.{claims}.")
