"""The webhook source: who may speak, what JSON is believed, and where in it things stand."""

import base64
import hashlib
import hmac
import json
import random
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import NOW

from connectors.sources.webhook import CONNECTOR
from connectors.sources.webhook.options import WebhookOptions
from connectors.sources.webhook.source import WebhookSource
from crmbridge.contract import Setting, WebhookRequest
from crmbridge.errors import InvalidRequest, InvalidSignature
from crmbridge.hooks import verify
from crmbridge.http import strict_json
from crmbridge.model import Choice, FieldSpec, FieldType, Unnamed, Unread, dump_fields, load_fields

KEY = base64.b64encode(bytes(range(24))).decode()
SECRET = f"whsec_{KEY}"
OTHER = "whsec_" + base64.b64encode(b"another secret, 24 bytes").decode()
BODY = b'{"id": 1, "name": "M\xc3\xbcller", "list": [1, 2.50]}'
MAP = {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"}
STAMP = int(NOW.timestamp())

SCHEMES = {
    "standard": {"scheme": "standard-webhooks", "secret": SECRET},
    "hex": {"scheme": "hmac-sha256", "secret": SECRET, "header": "X-Signature", "prefix": "sha256="},
    "base64": {"scheme": "hmac-sha256", "secret": SECRET, "header": "X-Signature", "encoding": "base64"},
    "bearer": {"scheme": "bearer", "secret": SECRET},
    "basic": {"scheme": "basic", "username": "crm", "secret": SECRET},
}
WHERE = {
    "standard": "webhook-signature",
    "hex": "x-signature",
    "base64": "x-signature",
    "bearer": "authorization",
    "basic": "authorization",
}


def standard_signature(body, id="msg_1", stamp=str(STAMP), key=KEY):
    return "v1," + base64.b64encode(hmac.digest(base64.b64decode(key), f"{id}.{stamp}.".encode() + body, "sha256")).decode()


def proof(scheme, body=BODY, secret=SECRET):
    """The headers of an honest request."""
    digest = hmac.digest(secret.encode(), body, "sha256")
    return {
        "standard": {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(STAMP),
            "webhook-signature": standard_signature(body, key=secret.removeprefix("whsec_")),
        },
        "hex": {"x-signature": f"sha256={digest.hex()}"},
        "base64": {"x-signature": base64.b64encode(digest).decode()},
        "bearer": {"authorization": f"Bearer {secret}"},
        "basic": {"authorization": "Basic " + base64.b64encode(f"crm:{secret}".encode()).decode()},
    }[scheme]


def request(headers, body=BODY, at=NOW):
    return WebhookRequest(headers, body, "", at)


def options(signature, **map_):
    return WebhookOptions(signature=signature, map={**MAP, **map_})


def signature(scheme, secret=None):
    return options({**SCHEMES[scheme], **({"secret": secret} if secret else {})}).signature


# --- who may speak --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_honest_are_believed(scheme):
    """Also while one secret is exchanged for another, whichever is which."""
    for secret in (SECRET, [SECRET, OTHER], [OTHER, SECRET]):
        verify(signature(scheme, secret), request(proof(scheme)))
    verify(signature(scheme, [OTHER, SECRET]), request(proof(scheme, secret=OTHER)))


def test_ways_to_write_an_honest_proof():
    """Case of hex digits and of the scheme's name, padding, and signatures of other versions beside ours."""
    digest = hmac.digest(SECRET.encode(), BODY, "sha256")
    verify(signature("hex"), request({"x-signature": f"sha256={digest.hex().upper()}"}))
    verify(signature("base64"), request({"x-signature": base64.b64encode(digest).decode().rstrip("=")}))
    verify(signature("bearer"), request({"authorization": f"bearer {SECRET}"}))
    verify(signature("bearer", "Geheimnis mit Wörtern"[:9]), request({"authorization": "BEARER Geheimnis"[:16]}))
    mine = standard_signature(BODY)
    for several in (f"v2,{mine[3:]} v1,AAAA {mine}", f"{mine} {mine}", mine.rstrip("=")):
        verify(signature("standard"), request({**proof("standard"), "webhook-signature": several}))
    for edge in (-300, 300):
        verify(signature("standard"), request(proof("standard"), at=NOW + timedelta(seconds=edge)))


def test_the_vectors_of_standard_webhooks(vectors):
    """What nobody here wrote: the project's own cases, those that must pass and those that must fail."""
    cases = json.loads((vectors / "standard-webhooks" / "vectors.json").read_text("utf-8"))
    (sign,) = cases["sign"]
    body, at = sign["payload"].encode(), datetime.fromtimestamp(sign["timestamp"], timezone.utc)
    headers = {"webhook-id": sign["msg_id"], "webhook-timestamp": str(sign["timestamp"]), "webhook-signature": sign["signature"]}
    scheme = {"scheme": "standard-webhooks"}

    def accepts(secret=sign["secret"], at=at, **changed):
        given = {
            name: value for name, value in {**headers, **{k.replace("_", "-"): v for k, v in changed.items()}}.items() if value is not None
        }
        verify(options({**scheme, "secret": secret}).signature, request(given, body, at))

    passed = failed = 0
    for case in cases["verify_must_pass"]:
        for secret in case.get("secrets", [sign["secret"], sign["secret"].removeprefix("whsec_")]):
            raw = base64.b64decode(secret.removeprefix("whsec_") + "=" * (-len(secret.removeprefix("whsec_")) % 4))
            mine = base64.b64encode(hmac.digest(raw, f"{sign['msg_id']}.{sign['timestamp']}.".encode() + body, "sha256")).decode()
            accepts(secret, webhook_signature=" ".join([*case.get("decoys", []), f"v1,{mine}"]))
            passed += 1
    accepts()
    for case in cases["verify_must_fail"]:
        what = case["case"]
        changes = [{name.replace("-", "_"): value} for name, value in case.items() if name.startswith("webhook-")]
        if what.startswith("missing "):
            changes = [{what.split()[1].replace("-", "_"): None}]
        elif "cut to" in what:
            changes = [{"webhook_signature": sign["signature"][:8]}]
        elif "older" in what or "newer" in what:
            changes = [{"at": at + timedelta(seconds=301 if "older" in what else -301)}]
        elif "secrets" in case:
            changes = [{"secret": secret} for secret in case["secrets"] if secret]
        assert changes, f"a case this test does not know: {what}"
        for change in changes:
            with pytest.raises(InvalidSignature):
                accepts(**change)
            failed += 1
    assert passed >= 7
    assert failed >= 11


def test_an_empty_secret_cannot_be_configured():
    """Else an empty key would sign for everyone."""
    for secret in ("", [""], []):
        with pytest.raises(ValueError, match=r"empty|at least 1"):
            options({**SCHEMES["hex"], "secret": secret})


ODD = [
    *("", " ", "\t", "\0", "=", "====", "v1", "v1,", ",", "v1,,", "a" * 64, "0" * 64, "A" * 5000, "%", "null", "v1,\ud800"),
    *(
        "ä" * 40,
        "\u0661" * 64,
        "\ud800",
        "é=",
        "\uff21" * 44,
        "sha256=",
        "sha256=" + "g" * 64,
        "sha256=" + "\u0661" * 64,
        "sha1=" + "0" * 40,
    ),
    *("Bearer", "Bearer ", "Bearer \u2028", "Basic", "Basic =", "Basic ä", "Basic " + "A" * 5000),
    "Basic " + base64.b64encode(b"\xff\xfe:\x00").decode(),
]


def forgeries(scheme):
    """More than 200 requests that prove nothing, as (what, headers, body, instant)."""
    dice = random.Random(scheme)
    good, where = proof(scheme), WHERE[scheme]
    value = good[where]

    def with_(text):
        return {**good, where: text}

    signed_body = scheme not in ("bearer", "basic")
    if signed_body:
        for bit in range(0, len(BODY) * 8, 5):
            yield f"body bit {bit}", good, bytes(byte ^ (1 << bit % 8 if index == bit // 8 else 0) for index, byte in enumerate(BODY)), NOW
        for body in (
            b"",
            BODY[:-1],
            BODY + b" ",
            b" " + BODY,
            json.dumps(json.loads(BODY)).encode(),
            json.dumps(json.loads(BODY), ensure_ascii=False).encode() + b"\n",
        ):
            yield "another body", good, body, NOW
    for index in range(len(value)):
        for bit in dice.sample(range(8), 3):
            flipped = chr(ord(value[index]) ^ (1 << bit))
            if scheme == "hex" and flipped.lower() == value[index].lower() and index >= len("sha256="):
                continue
            if scheme in ("bearer", "basic") and flipped.lower() == value[index].lower() and index < len(scheme):
                continue
            yield f"proof bit {index}.{bit}", with_(value[:index] + flipped + value[index + 1 :]), BODY, NOW
    for length in range(len(value)):
        if value[:length] != value.rstrip("="):
            yield f"cut to {length}", with_(value[:length]), BODY, NOW
    for odd in ODD:
        yield f"odd {odd[:9]!a}", with_(odd), BODY, NOW
    for around in (
        f" {value}",
        f"{value}x",
        f"{value} x",
        f"{value}=" if scheme != "standard" else f"{value}==",
        f'"{value}"',
        value[::-1],
        f"{value},{value}",
        f"{value}\n",
    ):
        if around != value and not (scheme == "standard" and around.split(" ")[0 if around[0] != " " else 1] == value):
            yield f"around {around[:12]!r}", with_(around), BODY, NOW
    yield "no header", {name: one for name, one in good.items() if name != where}, BODY, NOW
    yield "nothing at all", {}, BODY, NOW
    yield "another secret", proof(scheme, secret=OTHER), BODY, NOW
    for other in SCHEMES:
        if WHERE[other] != where or scheme != other:
            yield f"the proof of {other}", {where: proof(other)[WHERE[other]]}, BODY, NOW
    if scheme == "standard":
        yield from standard_forgeries(good, value)
    if scheme == "hex":
        digest = value.removeprefix("sha256=")
        for text in (
            digest,
            f"sha512={digest}",
            f"SHA256={digest}",
            f"sha256= {digest}",
            f"sha256={digest[:-1]}\u0661",
            f"sha256=0x{digest[2:]}",
        ):
            yield "prefix", with_(text), BODY, NOW


def standard_forgeries(good, value):
    for seconds in (301, -301, 3600, -3600, 86_400 * 365, -86_400 * 365):
        yield f"{seconds} s away", good, BODY, NOW + timedelta(seconds=seconds)
    stamps = [
        "",
        "0",
        "-1",
        str(STAMP + 1),
        f" {STAMP}",
        f"{STAMP} ",
        f"+{STAMP}",
        f"{STAMP}.0",
        f"{STAMP}_000",
        f"{STAMP}\n",
        NOW.isoformat(),
    ]
    stamps += ["1_000", "hello", "1e9", "0x10", "\u0663" * 10, "9" * 13, "9" * 5000, "NaN"]
    for stamp in stamps:
        yield f"stamp {stamp[:12]!a}", {**good, "webhook-timestamp": stamp}, BODY, NOW
        if stamp.isascii() and len(stamp) < 100 and stamp != str(STAMP + 1):
            # Even with the right signature over it: what is not a stamp is never read as one.
            yield (
                f"signed stamp {stamp!r}",
                {**good, "webhook-timestamp": stamp, "webhook-signature": standard_signature(BODY, stamp=stamp)},
                BODY,
                NOW,
            )
    for id in ("", "msg_2", "msg_1 ", "ä", "\0", "m" * 257, "msg_1.", "msg\n1", f"msg_1.{STAMP}"):
        yield f"id {id[:9]!a}", {**good, "webhook-id": id}, BODY, NOW
    digest = value[3:]
    for version in ("v0", "v2", "V1", "1", "", "v1a", "v1 ", "ｖ1"):
        yield f"version {version!a}", {**good, "webhook-signature": f"{version},{digest}"}, BODY, NOW
    yield "the eleventh", {**good, "webhook-signature": "v1,AAAA " * 10 + value}, BODY, NOW
    for name in good:
        yield f"without {name}", {one: text for one, text in good.items() if one != name}, BODY, NOW


@pytest.mark.parametrize("scheme", SCHEMES)
def test_forgeries_are_refused(scheme):
    """Every one with 401, none with an exception of another kind: that would be a 500 for anyone who asks."""
    one, believed, refused, count = signature(scheme), [], set(), 0
    for what, headers, body, at in forgeries(scheme):
        count += 1
        try:
            verify(one, request(headers, body, at))
            believed.append(what)
        except InvalidSignature as error:
            refused.add((error.status, KEY in str(error)))
    assert believed == []
    assert refused == {(401, False)}
    assert count >= 200


@pytest.mark.parametrize("scheme", SCHEMES)
def test_secrets_are_compared_in_constant_time(scheme, monkeypatch):
    """Through hmac.compare_digest, and nothing else decides."""
    seen = []
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: bool(seen.append((one, other))))
    with pytest.raises(InvalidSignature):
        verify(signature(scheme), request(proof(scheme)))
    assert [one for one, other in seen if one == other]


HEADERS = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-signature", "authorization", "content-type"]),
    st.one_of(
        st.text(max_size=80),
        st.sampled_from(["msg_1", str(STAMP), standard_signature(BODY), f"Bearer {SECRET}", "v1,", "Basic Og==", "application/json"]),
        st.text("v1,=+/ ABCabc019_-.\u0661ä", max_size=60),
    ),
)


@given(st.sampled_from(sorted(SCHEMES)), HEADERS, st.binary(max_size=60))
def test_whatever_arrives_is_refused_in_one_way(scheme, headers, body):
    """Arbitrary headers and bodies lead to InvalidRequest with a 4xx, or are honest."""
    source = WebhookSource(options(SCHEMES[scheme]), Setting(name="crm"))
    status = 202
    try:
        source.verify(request(headers, body))
    except InvalidRequest as error:
        status = error.status
    assert status in (202, 400, 401, 415)


def test_a_secret_that_cannot_be_read_is_not_told_to_the_sender(tmp_path):
    """One unreadable secret of two shuts nobody out; the path stands in our log, not in the answer."""
    gone = {"file": str(tmp_path / "gone")}
    for scheme in SCHEMES:
        verify(signature(scheme, [gone, SECRET]), request(proof(scheme)))
        with pytest.raises(InvalidSignature) as caught:
            verify(signature(scheme, gone), request(proof(scheme)))
        assert "gone" not in str(caught.value)


def test_unsigned_is_refused_where_the_world_can_post():
    """`none` is for a sender on this machine."""
    unsigned = options({"scheme": "none"})
    verify(unsigned.signature, request({}))

    assert unsigned.objections(public=False) == []
    assert [path for path, _ in unsigned.objections(public=True)] == [("signature",)]
    assert options(SCHEMES["hex"]).objections(public=True) == []


# --- what is believed -----------------------------------------------------------------------------


def source(records=None, **map_):
    return WebhookSource(options({"scheme": "none"}, **map_), Setting(name="crm", records=records or {}, now=lambda: NOW))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1} x', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"x": [{"a": 1, "\\u0061": 2}]}', "twice"),
        (b"[" * 100 + b"]" * 100, "too deep"),
        (b"[" * 5_000 + b"]" * 5_000, "too deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too deep"),
        (b'{"a":' * 100_000, "too deep"),
        (b"[" * 100_000, "too deep"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b'"\xc3"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"a\x00b"', "not JSON"),
        (b'"a\nb"', "not JSON"),
    ],
)
def test_json_traps(body, message):
    """Each is a 400 with its reason, and never an exception of another kind."""
    with pytest.raises(InvalidRequest, match=message) as caught:
        source().verify(request({}, body))
    assert caught.value.status == 400


@given(st.binary(max_size=200) | st.text('[]{}",:0123eE+-.ntrufalse \\', max_size=200).map(str.encode))
def test_json_is_read_or_refused(body):
    """Any bytes: a value, or ValueError."""
    try:
        strict_json(body)
    except ValueError:
        return


def test_json_that_is_fine():
    """64 levels, keys alike in neighbours, exact numbers."""
    strict_json(b"[" * 64 + b"]" * 64)
    strict_json(b'{"s": "' + b"[{" * 500 + b'"}')
    assert {"a": [{"k": 1}, {"k": Decimal("0.10")}]} == strict_json(b'{"a": [{"k": 1}, {"k": 0.10}]}')


@pytest.mark.parametrize("digits", ["1" * 5_000, "-" + "9" * 100_000, "1e99999999999999999999", "1e-99999999999999999999"])
def test_a_number_that_nobody_reads_is_its_text(digits):
    """A sender who is believed and refused sends no more; the other values are good."""
    assert str(strict_json(f'{{"a": {digits}, "b": 1.50, "c": 2}}'.encode())["a"]) == digits
    assert strict_json(f"[{digits}, 1.50, 2]".encode())[1:] == [Decimal("1.50"), 2]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", None),
        ("application/json", None),
        ("application/json; charset=utf-8", None),
        ("Application/JSON", None),
        ("text/plain", None),
        ("application/vnd.platform.v2+json", None),
        ('application/json; profile="https://crm.example/form.html"', None),
        ("application/cloudevents+json", None),
        ("text/xml", 415),
        ("application/xml; charset=utf-8", 415),
        ("application/soap+xml", 415),
        ("text/html", 415),
        ("application/x-www-form-urlencoded", 415),
        ("Multipart/form-data; boundary=x", 415),
    ],
)
def test_content_types(content_type, status):
    """What names itself as something else is refused; what names JSON, or nothing, is read."""
    if status is None:
        source().verify(request({"content-type": content_type}))
        return
    with pytest.raises(InvalidRequest) as caught:
        source().verify(request({"content-type": content_type}))
    assert status == caught.value.status


def test_the_signature_comes_first():
    """A stranger learns nothing about what would be read."""
    with pytest.raises(InvalidSignature):
        WebhookSource(options(SCHEMES["hex"]), Setting(name="crm")).verify(request({"content-type": "text/xml"}, b"["))


# --- where things stand ---------------------------------------------------------------------------

EVENT = {
    "event": {"id": "e-1", "at": 1763812800123, "by": {"name": "Ann"}, "what": "deal.updated"},
    "items": [
        {
            "type": "Deal",
            "key": 7,
            "v": 12,
            "link": "https://crm/7",
            "now": {"Name": "Parkers", "Account": {"Name": "P & Co", "Owner": {"Id": 5}}, "Tags": ["a", 1, None], "Amount": 1.50},
            "old": {"Name": "Old", "Account": {"Name": "P"}},
        },
        {"type": "Deal", "key": "8", "now": {"Name": None}},
    ],
}
FULL = {
    "items": "body.items",
    "record_type": "item.type",
    "record_id": "item.key",
    "fields": "item.now",
    "before": "item.old",
    "version": "item.v",
    "occurred_at": "body.event.at",
    "actor": "body.event.by.name",
    "url": "item.link",
}


def parse(body, records=None, headers=None, **map_):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(source(records, **map_).parse(request(headers or {}, data)))


def test_every_key_of_the_map():
    """`body` is the request, `item` one of its items; nested fields are named with dots."""
    one, other = parse(EVENT, **FULL)

    assert (one.record_type, one.record_id, one.version, one.actor, one.url) == ("Deal", "7", "12", "Ann", "https://crm/7")
    assert {
        "Name": "Parkers",
        "Account.Name": "P & Co",
        "Account.Owner.Id": Decimal(5),
        "Tags": ("a", Decimal(1), None),
        "Amount": Decimal("1.5"),
    } == one.fields
    assert one.before == {"Name": "Old", "Account.Name": "P"}
    assert datetime(2025, 11, 22, 12, 0, 0, 123_000, timezone.utc) == one.occurred_at
    assert (other.record_id, other.fields, other.before, other.version, other.url) == ("8", {"Name": None}, {}, None, None)
    assert not any((one.created, one.deleted, one.merged_into))


def test_the_body_is_the_one_item():
    """Without `items`; `item` and `body` are then the same, and a constant type is for senders of one kind."""
    (one,) = parse({"id": 1, "d": {"a": True}}, record_id="item.id", fields="body.d")

    assert (one.record_type, one.record_id, one.fields) == ("Deal", "1", {"a": True})


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("new", (True, False)),
        ("gone", (False, True)),
        ("changed", (False, False)),
        (None, (False, False)),
        (3, (False, True)),
        ("noise", None),
    ],
)
def test_what_happened(word, expected):
    """From a word; one that is not listed means updated, and what is of no interest is left out."""
    kind = {"from": "item.w", "created": ["new"], "deleted": ["gone", "3"], "ignore": ["noise"]}
    found = parse([{"w": word, "id": 1}], items="body", record_id="item.id", fields="item", kind=kind)

    assert [expected] if expected else [(one.created, one.deleted) for one in found] == []
    assert (0 if expected is None else 1) == len(found)


def test_a_deleted_record_needs_no_fields():
    """Most senders give only its id then."""
    kind = {"from": "body.w", "deleted": ["gone"]}
    (one,) = parse({"w": "gone", "id": 1}, fields="body.fields", kind=kind)

    assert (one.deleted, one.fields) == (True, {})
    with pytest.raises(ValueError, match=r"fields: no mapping stands at body.fields"):
        parse({"w": "?", "id": 1}, fields="body.fields", kind=kind)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record_type": "item.nope"}, r"record_type: nothing stands at item.nope \(item 0\)"),
        ({"record_type": "item.now"}, r"record_type: nothing stands at item.now \(item 0\)"),
        ({"record_id": "item.v"}, r"record_id: nothing stands at item.v \(item 1\)"),
        ({"record_id": "item.now.Name"}, r"record_id: nothing stands at item.now.Name \(item 1\)"),
        ({"fields": "item.type"}, "fields: no mapping stands at item.type"),
        ({"before": "item.type"}, "fields: no mapping stands at item.type"),
        ({"items": "body.event"}, "body.event is not a list"),
        ({"items": "body.nope"}, "body.nope is not a list"),
    ],
)
def test_what_is_not_there_is_said_with_its_path(change, message):
    """For the person who wrote the map."""
    with pytest.raises(ValueError, match=message):
        parse(EVENT, **{**FULL, **change})


@pytest.mark.parametrize("path", ["", "Body.id", "body..id", "body. id", "record.id", "body.", "bodyid", 3])
def test_a_path_that_cannot_be_one(path):
    """Found when the configuration is read."""
    with pytest.raises(ValueError, match=r"path"):
        options({"scheme": "none"}, record_id=path)
    with pytest.raises(ValueError, match="items are found in the body"):
        options({"scheme": "none"}, items="item.list")


def test_paths_go_into_lists():
    """By number, from 0; what is beyond the end is not there."""
    (one,) = parse(
        {"a": [{"id": 5}], "f": [{}, {"x": 1}]}, record_id="body.a.0.id", fields="body.f.1", actor="body.f.9.name", url="body.f.x"
    )

    assert ("5", {"x": Decimal(1)}, None, None) == (one.record_id, one.fields, one.actor, one.url)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (1763812800, datetime(2025, 11, 22, 12, 0, tzinfo=timezone.utc)),
        (1763812800.5, datetime(2025, 11, 22, 12, 0, 0, 500_000, timezone.utc)),
        (1763812800123, datetime(2025, 11, 22, 12, 0, 0, 123_000, timezone.utc)),
        ("2026-01-02T03:04:05+01:00", datetime(2026, 1, 2, 2, 4, 5, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05.000Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=timezone.utc)),
        ("yesterday", NOW),
        ("0001-01-01T00:00:00+14:00", NOW),
        ("9999-12-31T23:59:59-14:00", NOW),
        (10**30, NOW),
        (10**400, NOW),
        (-(10**17), NOW),
        (True, NOW),
        (None, NOW),
        ([], NOW),
    ],
)
def test_when_it_happened(raw, expected):
    """Seconds, milliseconds, ISO 8601; what is none of them, or no instant UTC can hold: on arrival."""
    (one,) = parse({"id": 1, "at": raw}, occurred_at="body.at")

    assert expected == one.occurred_at


def test_observation_ids():
    """Named by the sender, else by its own request id; each item has its own."""
    assert [one.observation_id for one in parse(EVENT, **FULL, observation_id="item.key")] == ["7", "8"]
    assert [one.observation_id for one in parse(EVENT, **FULL, observation_id="body.event.id")] == ["e-1#0", "e-1#1"]
    assert [one.observation_id for one in parse({"id": 1, "e": "x"}, observation_id="body.e")] == ["x"]
    assert [one.observation_id for one in parse({"id": 1}, observation_id="body.e")] == [None]

    signed = WebhookSource(options(SCHEMES["standard"]), Setting(name="crm"))
    (one,) = signed.parse(request(proof("standard")))
    assert (one.observation_id, one.body) == ("msg_1#0", None)
    (forged,) = parse({"id": 1}, headers={"webhook-id": "chosen by a stranger"})
    assert forged.observation_id is None


def test_what_nothing_names_is_named_by_its_bytes():
    """Where there is neither version nor id, for each item; and by the headers that say what happened, which make another request of it."""
    digest = hashlib.sha256(json.dumps(EVENT).encode()).hexdigest()
    first, second = parse(EVENT, **FULL)
    assert (first.version, first.body) == ("12", None)
    assert second.body == Unnamed(digest, 1, NOW, timedelta(days=4))

    def named(headers, **map_):
        return parse({"id": 1}, headers=headers, **map_)[0].body.digest

    kind = {"from": "headers.X-Topic", "deleted": ["gone"]}
    assert named({"x-topic": "gone"}, kind=kind) != named({"x-topic": "new"}, kind=kind) != named({}, kind=kind)
    assert named({"x-try": "1"}) == named({"x-try": "2"})
    assert named({"x-at": "1"}, occurred_at="headers.x-at") == named({"x-at": "2"}, occurred_at="headers.x-at")


def test_headers():
    """Names in any case; the whole request has them, so an id is told apart by the item; what is missing is missing."""
    map_ = {
        "record_type": "headers.X-Object",
        "record_id": "headers.x-object-id",
        "fields": "body",
        "kind": {"from": "headers.X-Topic", "created": ["deals/create"]},
        "version": "headers.X-Version",
        "observation_id": "headers.Idempotency-Key",
        "occurred_at": "headers.X-At",
        "actor": "headers.X-User",
        "url": "headers.X-Link",
    }
    sent = {
        "x-object": "Deal",
        "x-object-id": "007",
        "x-topic": "deals/create",
        "x-version": "5",
        "idempotency-key": "k\ud800",
        "x-at": "1763812800",
        "x-user": "Ann",
        "x-link": "https://crm.example/7",
    }
    (one,) = parse({"a": "b"}, headers=sent, **map_)
    assert (one.record_type, one.record_id, one.created, one.version) == ("Deal", "007", True, "5")
    assert (one.observation_id, one.actor, one.url) == ("k\ufffd", "Ann", "https://crm.example/7")
    assert one.occurred_at == datetime(2025, 11, 22, 12, tzinfo=timezone.utc)

    (bare,) = parse({"a": "b"}, headers={"x-object": "Deal", "x-object-id": "7"}, **map_)
    assert (bare.version, bare.observation_id, bare.actor, bare.occurred_at) == (None, None, None, NOW)
    assert bare.body is not None
    several = parse(EVENT, headers=sent, **FULL, observation_id="headers.idempotency-key")
    assert [one.observation_id for one in several] == ["k\ufffd#0", "k\ufffd#1"]
    with pytest.raises(ValueError, match=r"record_id: nothing stands at headers.x-object-id \(item 0\)"):
        parse({"a": "b"}, headers={"x-object": "Deal"}, **map_)


@pytest.mark.parametrize(
    ("key", "path", "message"),
    [
        ("observation_id", "headers.Authorization", "this header proves who sends"),
        ("actor", "headers.COOKIE", "this header proves who sends"),
        ("version", "headers.proxy-authorization", "this header proves who sends"),
        ("version", "headers", "begins with body, item or headers"),
        ("version", "headers.", "begins with body, item or headers"),
        ("version", "headers.a b", "begins with body, item or headers"),
        ("fields", "headers.x-fields", "begins with body or item"),
        ("before", "headers.x-fields", "begins with body or item"),
        ("items", "headers.x-items", "begins with body or item"),
    ],
)
def test_headers_that_cannot_be_mapped(key, path, message):
    """Credentials, and what only a body can hold."""
    with pytest.raises(ValueError, match=message):
        options({"scheme": "none"}, **{key: path})


def test_who_cannot_tell_a_late_repeat_from_a_change_is_told():
    """Unless the sender gives something that can."""
    for scheme in ("hex", "base64", "bearer", "basic"):
        ((path, said),) = options(SCHEMES[scheme]).notes()
        assert path == ("map",)
        assert "headers.idempotency-key" in said
        for mapped in ({"version": "body.v"}, {"observation_id": "headers.idempotency-key"}):
            assert options(SCHEMES[scheme], **mapped).notes() == []
    assert options(SCHEMES["standard"]).notes() == []


@pytest.mark.parametrize(
    ("signature", "where", "said"),
    [
        ({"scheme": "jwt", "secret": SECRET}, {"version": "body.v"}, ["the token proves who sends, and not what"]),
        ({"scheme": "jwt", "secret": SECRET, "body_claim": "sha"}, {"version": "body.v"}, []),
        (
            {"scheme": "secret", "in": "query", "name": "k", "secret": SECRET},
            {"version": "body.v"},
            ["a secret in an address stands in the logs"],
        ),
        ({"scheme": "secret", "in": "path", "secret": SECRET}, {"version": "body.v"}, ["a secret in an address stands in the logs"]),
        ({"scheme": "secret", "in": "header", "name": "k", "secret": SECRET}, {"version": "body.v"}, []),
        ({"scheme": "hmac", "header": "X-S", "secret": SECRET, "id": "X-Id", "signed": "{id}.{body}"}, {}, []),
        ({"scheme": "hmac", "header": "X-S", "secret": SECRET}, {}, ["nothing tells a late repeat from a change"]),
        (SCHEMES["hex"], {"version": "body.v", "fields": None}, ["nothing but the id of a record is known"]),
    ],
)
def test_what_people_should_know_before_they_rely_on_it(signature, where, said):
    """`lint` says it."""
    assert [note[: len(text)] for (_, note), text in zip(options(signature, **where).notes(), said, strict=True)] == said


def test_a_signed_id_names_a_request():
    """As the webhook-id of Standard Webhooks does: nobody has to map it."""
    signed = {"scheme": "hmac", "header": "X-S", "secret": SECRET, "id": "X-Id", "signed": "{id}.{body}"}
    (one,) = WebhookSource(options(signed), Setting(name="crm")).parse(request({"x-id": "r1"}))
    assert (one.observation_id, one.body) == ("r1#0", None)


def test_a_header_that_shows_a_secret_cannot_be_mapped():
    """It is never stored."""
    shown = {"scheme": "secret", "in": "header", "name": "X-Key", "secret": SECRET}
    assert [path for path, _ in options(shown, actor="headers.x-key").objections(public=False)] == [("map",)]
    assert options(shown, actor="headers.x-user").objections(public=False) == []


def test_a_form_that_could_begin_in_an_id():
    """Id and form signed as one text, with nothing between: refused. JSON says itself where it begins."""
    signed = {"scheme": "hmac", "header": "X-S", "secret": SECRET, "id": "X-Id", "signed": "{id}{body}"}
    where = {"record_type": {"value": "Deal"}, "record_id": "body.id"}
    ((path, said),) = WebhookOptions(signature=signed, map=where, body="form").objections(public=False)
    assert (path, "where {id} ends and a form begins" in said) == (("signature", "signed"), True)
    assert WebhookOptions(signature=signed, map=where).objections(public=False) == []
    assert WebhookOptions(signature=signed | {"signed": "{id}.{body}"}, map=where, body="form").objections(public=False) == []


def test_an_editor_wants_all_of_it_unless_a_sender_is_named():
    """The JSON Schema: signature and map as they are, or with `sender` what differs."""
    schema = WebhookOptions.model_json_schema(by_alias=True)
    assert sorted(schema["else"]["required"]) == ["map", "signature"]
    assert "required" not in schema or not {"map", "signature"} & set(schema["required"])
    assert schema["if"]["required"] == ["sender"]
    assert schema["else"]["properties"]["map"].keys() & {"$ref", "allOf"}
    assert "stripe" in str(schema["properties"]["sender"])


def test_fields_are_read_as_configured():
    """By type; what is not configured is not read, what is not sent is not there, what does not fit is no value."""
    types = {"n": "number", "o": "number", "m": "money", "d": "date", "t": "datetime", "b": "boolean", "s": "string", "any": "any"}
    known = {name: FieldSpec(type=FieldType(one) if one in set(FieldType) else FieldType.ANY) for name, one in types.items()}
    sent = {
        "n": "1,5",
        "o": "some",
        "m": "12.50",
        "d": "2026-01-02T10:00:00Z",
        "t": "2026-01-02T10:00:00",
        "b": "yes",
        "any": "5",
        "other": 1,
        "x": {"y": 2},
    }
    (one,) = parse({"id": 1, "f": sent}, {"Deal": known}, fields="body.f")

    assert {
        "n": Decimal("1.5"),
        "o": Unread("some", "it is no number"),
        "m": Decimal("12.5"),
        "d": date(2026, 1, 2),
        "t": datetime(2026, 1, 2, 10, tzinfo=timezone.utc),
        "b": True,
        "any": "5",
    } == one.fields


def test_what_no_database_stores_is_replaced():
    """NUL and lone surrogates, in names, ids and values; and no number takes a gigabyte to write."""
    body = rb'{"id": "a\u0000b\ud800", "f": {"k\udfff": "\u0000", "n": 1e300000000, "i": %s, "l": ["\ud800"]}}' % (b"7" * 4000)
    (one,) = parse(body, fields="body.f")

    assert one.record_id == "a\ufffdb\ufffd"
    assert one.fields == {"k\ufffd": "\ufffd", "n": "1E+300000000", "i": "7" * 4000, "l": ("\ufffd",)}
    assert one.fields == load_fields(dump_fields(one.fields))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False).map(lambda d: float(d) if abs(d) < 10**300 else 1)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10)


@given(st.dictionaries(st.sampled_from(["id", "type", "w", "v", "at", "f", "by"]), VALUES), st.sampled_from(sorted(FieldType)))
def test_any_body_is_read_or_a_value_error(body, type_):
    """What is read can be stored, and stored it is the same."""
    map_ = {
        "record_type": "body.type",
        "record_id": "body.id",
        "fields": "body.f",
        "occurred_at": "body.at",
        "version": "body.v",
        "actor": "body.by",
    }
    names = list(body["f"]) if isinstance(body.get("f"), dict) else []
    try:
        found = parse(
            body, {body.get("type"): {name: FieldSpec(type=type_) for name in names}} if isinstance(body.get("type"), str) else {}, **map_
        )
    except ValueError:
        return
    for one in found:
        stored = load_fields(dump_fields(one.fields))
        assert one.fields == stored
        json.dumps([one.record_id, one.record_type, one.actor, one.version]).encode("utf-8")
        assert not any(isinstance(value, Choice) for value in stored.values())


def test_how_many_items_and_fields():
    """10,000 items are read, one more is refused; so are more fields than any record has."""
    many = {"items": [{"k": n} for n in range(10_001)]}
    with pytest.raises(ValueError, match=r"body.items has more than 10000 items"):
        parse(many, items="body.items", record_id="item.k", fields="item")
    assert len(parse({"items": many["items"][1:]}, items="body.items", record_id="item.k", fields="item")) == 10_000
    with pytest.raises(ValueError, match="fields: more than 2000 at body"):
        parse({"id": 1, **{f"f{n}": n for n in range(2_000)}})


def test_answers():
    """202 once it is stored; 503 asks for it again."""
    assert (source().reply(True).status, source().reply(False).status) == (202, 503)
    assert CONNECTOR.build is WebhookSource
