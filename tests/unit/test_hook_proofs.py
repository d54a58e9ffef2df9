"""Proofs of senders and their handshakes: what is signed, where a secret stands, what is asked first."""

import base64
import hashlib
import hmac
import json
import re
from datetime import timedelta
from urllib.parse import quote, quote_plus

import pytest
from shared import NOW
from test_hooks import BODY, CHALLENGE, SECRET, SIGNATURE, hook, request

from crmbridge.contract import Discreet, Greeting, WebhookSource
from crmbridge.errors import InvalidSignature
from crmbridge.hooks import verify
from crmbridge.hooks.challenges import answer
from crmbridge.hooks.encodings import canonical, canonical_url, decoded
from crmbridge.hooks.layouts import blurs, held

KEY = SECRET.encode()

# --- signatures ---------------------------------------------------------------------------------


def mac(data, digest="sha256", key=KEY):
    return hmac.new(key, data, getattr(hashlib, digest))


def good(signature, request):
    """Whether it proves its sender."""
    try:
        hmac_of_body = {} if "scheme" in signature else {"scheme": "hmac", "header": "X-S"}
        verify(SIGNATURE.validate_python(hmac_of_body | {"secret": SECRET} | signature), request)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_digests_and_encodings(digest, encoding):
    """Each is read as it is said, and as no other."""
    made = mac(BODY, digest)
    written = made.hexdigest() if encoding == "hex" else base64.b64encode(made.digest()).decode()
    for other in ("sha1", "sha256", "sha512"):
        for way_ in ("hex", "base64"):
            assert good({"digest": other, "encoding": way_}, request(x_s=written)) is ((other, way_) == (digest, encoding))


def test_keys():
    """The secret as it is, or the bytes that it writes in hex or base64; what stands before it, where that is said."""
    raw = b"canary-raw-key-of-32-bytes-01234"
    signed = request(x_s=mac(BODY, key=raw).hexdigest())
    for key, written in (("text", raw.decode()), ("hex", raw.hex()), ("base64", base64.b64encode(raw).decode())):
        assert good({"key": key, "secret": written}, signed)
        assert good({"key": key, "secret": f"sec_{written}", "key_prefix": "sec_"}, signed)
        assert not good({"key": key, "secret": f"sec_{written}"}, signed)
    for key in ("hex", "base64"):
        assert not good({"key": key, "secret": "no key at all !"}, request(x_s=mac(BODY, key=b"").hexdigest())), (
            "an empty key would sign for all"
        )


def test_what_is_signed():
    """Method, path with its query, id, timestamp and text of one's own, in any order."""
    stamp = str(int(NOW.timestamp()))
    sent = {"x_id": "m-1", "x_t": stamp, "method": "POST", "address": "/hooks/crm/x?a=%20b"}
    options = {"signed": "{method}|{path}|{id}|{timestamp}|{body}|end", "id": "X-Id", "timestamp": "X-T"}
    signature = mac(f"POST|/hooks/crm/x?a=%20b|m-1|{stamp}|".encode() + BODY + b"|end").hexdigest()
    assert good(options, request(x_s=signature, **sent))
    for change in ({"method": "PUT"}, {"address": "/hooks/crm/x?a= b"}, {"x_id": "m-2"}, {"x_t": str(int(stamp) + 1)}, {"body": b"{}"}):
        assert not good(options, request(x_s=signature, **(sent | change)))
    with_address = {"signed": "{body}https://bridge.example.com/hooks/crm", "digest": "sha1", "encoding": "base64"}
    trello = base64.b64encode(mac(BODY + b"https://bridge.example.com/hooks/crm", "sha1").digest()).decode()
    assert good(with_address, request(x_s=trello))


@pytest.mark.parametrize(
    ("stamp", "written"),
    [
        ("seconds", "1763812800"),
        ("milliseconds", "1763812800123"),
        ("iso8601", "2025-11-22T12:00:00Z"),
        ("iso8601", "2025-11-22T13:00:00.123+01:00"),
    ],
)
def test_stamps(stamp, written):
    """Three ways to write one, within its tolerance in both directions; another way, or one without a zone, is none."""
    moment = NOW.replace(year=2025, month=11, day=22, hour=12, minute=0, second=0, microsecond=0)
    options = {"signed": "{timestamp}.{body}", "timestamp": "X-T", "stamp": stamp, "tolerance": 60}
    signature = mac(f"{written}.".encode() + BODY).hexdigest()
    for away in (-59, 0, 59):
        assert good(options, request(x_s=signature, x_t=written, at=moment + timedelta(seconds=away)))
    for away in (-62, 62, 86_400):
        assert not good(options, request(x_s=signature, x_t=written, at=moment + timedelta(seconds=away)))
    for odd in ("2025-11-22T12:00:00", "2025-11-22", "2025-13-22T12:00:00Z", "1763812800.0", "+1763812800", "0x10", ""):
        assert not good(options, request(x_s=mac(f"{odd}.".encode() + BODY).hexdigest(), x_t=odd, at=moment))


def test_no_piece_of_the_body_becomes_one_of_the_stamp():
    """What is signed is one text: a zero that ends the body could begin a timestamp behind it, and mean the same moment."""
    stamp = str(int(NOW.timestamp()))
    options = {"signed": "{body}{timestamp}", "timestamp": "X-T"}
    signature = mac(b"amount=100" + stamp.encode()).hexdigest()
    assert good(options, request(b"amount=100", x_s=signature, x_t=stamp))
    for zeros in (1, 2):
        assert not good(options, request(b"amount=100"[:-zeros], x_s=signature, x_t="0" * zeros + stamp))


@pytest.mark.parametrize(
    ("signed", "name"),
    [
        ("{id}{body}", "id"),
        ("{body}{id}", "id"),
        ("{timestamp}.{id}-{body}", "id"),
        ("{method}{path}{body}", "path"),
        ("{path}.{body}", "path"),
        ("{id}.{body}", ""),
        ("{id}{timestamp}{body}", ""),
        ("{path} {body}", ""),
        ("{timestamp}{body}", ""),
        ("{body}", ""),
    ],
)
def test_what_runs_into_the_body(signed, name):
    """What may hold the same characters, with nothing between that it may not hold."""
    assert blurs(signed) == name


@pytest.mark.parametrize(
    ("value", "layout", "separator", "expected"),
    [
        ("t=1,v1=aa", "t={timestamp},v1={signature}", ",", (["aa"], "1")),
        ("v1=aa,t=1", "t={timestamp},v1={signature}", ",", (["aa"], "1")),
        ("t=1,v1=aa,v1=bb,v0=cc", "t={timestamp},v1={signature}", ",", (["aa", "bb"], "1")),
        ("v1,aa v2,bb v1,cc", "v1,{signature}", " ", (["aa", "cc"], None)),
        ("t=1,t=1,v1=aa", "t={timestamp},v1={signature}", ",", None),
        ("t=1, v1=aa", "t={timestamp},v1={signature}", ",", None),
        ("v1=aa", "t={timestamp},v1={signature}", ",", None),
        ("t=1", "t={timestamp},v1={signature}", ",", None),
        ("t=1,v1=", "t={timestamp},v1={signature}", ",", None),
        ("t=1,v1=ä", "t={timestamp},v1={signature}", ",", None),
        ("t=1,v1=aa", "v1={signature}", "", None),
        ("sha256=aa,sha256=aa", "sha256={signature}", "", None),
        ("t=1," + ",".join(["v1=aa"] * 11), "t={timestamp},v1={signature}", ",", None),
        ("t=1,v1=aa" + ",x=y" * 49, "t={timestamp},v1={signature}", ",", None),
        ("v1=aa" + "a" * 5000, "v1={signature}", "", None),
    ],
)
def test_layouts(value, layout, separator, expected):
    """What a header holds, and what is no such header."""
    found = held(value, layout, separator)
    assert (found and (found.signatures, found.timestamp)) == expected


def test_wrapped_headers():
    """All of it in base64 once more, in its one form."""
    options = {"layout": "{id}:{signature}", "wrapped": "base64"}
    text = f"64f:{mac(BODY).hexdigest()}".encode()
    assert good(options, request(x_s=base64.b64encode(text).decode()))
    for odd in (
        text.decode(),
        base64.b64encode(text).decode() + "=",
        base64.b64encode(text[:-1]).decode(),
        base64.b64encode(b"\xff" + text).decode(),
        "",
    ):
        assert not good(options, request(x_s=odd))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signed": "{timestamp}"}, "`signed` is {body}"),
        ({"signed": "{body}{body}"}, "`signed` is {body}"),
        ({"signed": "{body}{nonce}"}, "`signed` is {body}"),
        ({"signed": "{body}}"}, "`signed` is {body}"),
        ({"signed": "ä{body}"}, "`signed` is {body}"),
        ({"layout": "{timestamp}"}, "`layout` is {signature}"),
        ({"layout": "{signature}{signature}"}, "`layout` is {signature}"),
        ({"layout": "{signature}{body}"}, "`layout` is {signature}"),
        ({"signed": "{timestamp}{body}"}, "say where it stands, in `timestamp`"),
        ({"signed": "{id}{body}"}, "say where it stands, in `id`"),
        ({"signed": "{timestamp}{body}", "timestamp": "X-T", "layout": "{timestamp},{signature}"}, "say where it stands"),
        ({"timestamp": "X-T"}, "the timestamp stands in a header and is not `signed`"),
        ({"layout": "{timestamp},{signature}"}, "the timestamp stands in a header and is not `signed`"),
        ({"id": "X-Id"}, "the id stands in a header and is not `signed`"),
        ({"header": "X S"}, "is no header's name"),
        ({"tolerance": 0}, "greater than or equal to 1"),
    ],
)
def test_signatures_that_prove_less_than_they_seem(change, message):
    """Found when the configuration is read."""
    with pytest.raises(ValueError, match=message):
        good(change, request())


@pytest.mark.parametrize(
    ("where", "sent"),
    [
        ({"in": "header", "name": "X-Key"}, {"x_key": SECRET}),
        ({"in": "query", "name": "code"}, {"query": f"a=b&code={SECRET}"}),
        ({"in": "path"}, {"path": SECRET}),
        ({"in": "body", "name": "auth.token"}, {"body": json.dumps({"auth": {"token": SECRET}}).encode()}),
        ({"in": "body", "name": 'a."b c".*.t'}, {"body": json.dumps({"a": {"b c": [{"t": SECRET}, {"t": SECRET}]}}).encode()}),
    ],
)
def test_a_secret_that_is_shown(where, sent):
    """In its place, and whole; doubled, missing, of another kind or in one item of two it proves nothing."""
    options = {"scheme": "secret", **where, "secret": SECRET}
    assert good(options, request(**sent))
    assert not good(options, request())
    assert not good(
        options,
        request(
            **{
                key: value.replace(SECRET if isinstance(value, str) else SECRET.encode(), "x" if isinstance(value, str) else b"x")
                for key, value in sent.items()
            }
        ),
    )
    if where["in"] == "header":
        assert not good(options, request(**sent, repeated={"x-key"}))
    if where["in"] == "query":
        for query in (
            f"code={SECRET}&code={SECRET}",
            f"code=x&code={SECRET}",
            f"Code={SECRET}",
            f"code={SECRET}%",
            f"code={SECRET}&=x",
            "code",
        ):
            assert not good(options, request(query=query))
        assert good(options, request(query=f"code={SECRET.replace('-', '%2D')}"))
    if where["in"] == "body" and "*" in where["name"]:
        for items in ([], [{"t": SECRET}, {"t": "x"}], [{"t": SECRET}, {}], [{"t": [SECRET]}], [SECRET], "x"):
            assert not good(options, request(json.dumps({"a": {"b c": items}}).encode()))
    for odd in (b"[", b"", b'{"auth": {"token": 5}}', b'{"auth": [1]}'):
        assert where["in"] != "body" or not good(options, request(odd))


@pytest.mark.parametrize(
    "where",
    [
        {"in": "path", "name": "x"},
        {"in": "header"},
        {"in": "header", "name": "a b"},
        {"in": "query", "name": ""},
        {"in": "body", "name": "a..b"},
    ],
)
def test_a_secret_needs_its_place(where):
    """Found when the configuration is read."""
    with pytest.raises(ValueError, match="name"):
        SIGNATURE.validate_python({"scheme": "secret", "secret": SECRET, **where})


ODD = 'a"b/c ü\\d+&!' + "x" * 20


def every_letter(text, way):
    """Each unit of UTF-16 in a way."""
    units = text.encode("utf-16-be")
    return "".join(way.format(int.from_bytes(units[at : at + 2])) for at in range(0, len(units), 2))


@pytest.mark.parametrize("secret", [SECRET, ODD])
@pytest.mark.parametrize("form", ["json", "form"])
def test_no_secret_of_a_body_is_kept(secret, form):
    """However it is written there: escaped as JSON does it, as PHP's JSON does it, as forms do it."""
    proof = {"scheme": "secret", "in": "body", "name": "t", "secret": secret}
    one = hook({"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"}, proof, form=form)
    if form == "json":
        texts = [
            json.dumps({"id": "7", "t": secret}),
            json.dumps({"id": "7", "t": secret}).replace("/", "\\/"),
            json.dumps({"id": "7", "t": secret}, ensure_ascii=False),
            '{{"id": "7", "t": "{}"}}'.format(every_letter(secret, "\\u{:04X}")),
            json.dumps({"id": "7", "t": secret}).replace("+", "\\u002B").replace("&", "\\u0026"),
        ]
    else:
        plain = quote(secret, safe="")
        texts = [
            f"id=7&t={one}"
            for one in (plain, quote_plus(secret), quote(secret, safe="/:!*'()~"), re.sub("%..", lambda one: one[0].lower(), plain))
        ]
        texts.append("id=7&t=" + "".join(f"%{byte:02x}" for byte in secret.encode()))
    for text in texts:
        sent = request(text.encode(), content_type="application/json" if form == "json" else "application/x-www-form-urlencoded")
        one.verify(sent)
        kept = one.storable(sent)
        assert b"***" in kept.body
        (found,) = one.parse(kept)
        assert (found.record_id, found.fields["t"]) == ("7", "***")


@pytest.mark.parametrize("where", [{"in": "query", "name": "code"}, {"in": "path"}, {"in": "header", "name": "X-Key"}])
def test_no_secret_that_is_told_once_more_is_kept(where):
    """Proxies tell in a header what the address was, and senders in the body whom they call."""
    one = hook(signature={"scheme": "secret", "secret": ODD} | where)
    address = f"/hooks/crm/{quote(ODD, safe='')}?code={quote_plus(ODD)}"
    body = json.dumps({"id": 7, "to": f"https://bridge.example.com{address}"}).encode()
    kept = one.storable(request(body, x_original_uri=address, x_envoy_original_path=address.lower(), x_odd="\udcff", x_key=ODD))
    assert {name: value for name, value in kept.headers.items() if name != "x-key"} == {
        "x-original-uri": "/hooks/crm/***?code=***",
        "x-envoy-original-path": "/hooks/crm/***?code=***",
        "x-odd": "\udcff",
    }
    assert kept.headers.get("x-key") in (None, "***")
    assert json.loads(kept.body) == {"id": 7, "to": "https://bridge.example.com/hooks/crm/***?code=***"}


@pytest.mark.parametrize(("letter", "written"), [("\\", b"\\"), ("\\", b"\\\\"), ("%", b"%25"), ("%", b"%"), ("+", b"+"), (" ", b"+")])
def test_no_secret_takes_long_to_be_found(letter, written):
    """Each character is read in one way alone: else some secrets would be sought for years in a body of the same character."""
    shown = hook(signature={"scheme": "secret", "in": "body", "name": "t", "secret": letter * 60 + "x"})
    assert shown.storable(request(written * 100_000)).body == written * 100_000


def test_no_secret_of_a_header_is_kept():
    """Nor a token in one."""
    shown = hook(signature={"scheme": "secret", "in": "header", "name": "X-Key", "secret": SECRET})
    assert shown.storable(request(x_key=SECRET, x_other="y")).headers == {"x-other": "y"}
    token = hook(signature={"scheme": "jwt", "header": "X-Jwt", "secret": SECRET})
    assert token.storable(request(x_jwt="a.b.c", x_other="y")).headers == {"x-other": "y"}
    assert isinstance(shown, WebhookSource)
    assert isinstance(shown, Greeting)
    assert isinstance(shown, Discreet)


def jwt(claims, key=KEY):
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "HS256"}, claims)]
    return (b".".join(parts) + b"." + base64.urlsafe_b64encode(mac(b".".join(parts), key=key).digest()).rstrip(b"=")).decode()


def test_a_token_for_one_body():
    """Where a claim names its hash, a token is good for no other body; what stands before the token is said."""
    options = {"scheme": "jwt", "secret": SECRET, "header": "X-Jwt", "prefix": "JWT ", "body_claim": "sha"}
    signature = SIGNATURE.validate_python(options)
    claims = {"exp": int(NOW.timestamp()) + 60, "sha": hashlib.sha256(BODY).hexdigest()}
    verify(signature, request(x_jwt=f"JWT {jwt(claims)}"))
    for wrong in (
        request(b"{}", x_jwt=f"JWT {jwt(claims)}"),
        request(x_jwt=jwt(claims)),
        request(x_jwt=f"jwt {jwt(claims)}"),
        request(x_jwt=f"JWT {jwt(claims | {'sha': None})}"),
        request(x_jwt=f"JWT {jwt({'exp': claims['exp']})}"),
        request(x_jwt=f"JWT {jwt(claims, b'another')}"),
        request(x_jwt=f"JWT {jwt(claims)}", repeated={"x-jwt"}),
    ):
        with pytest.raises(InvalidSignature):
            verify(signature, wrong)


def test_a_token_for_one_receiver():
    """Where one is said, `aud` must be it, or a list that holds it (RFC 7519, 4.1.3)."""
    here = "https://bridge.example.com/hooks/crm"
    signature = SIGNATURE.validate_python({"scheme": "jwt", "secret": SECRET, "audience": here})
    exp = int(NOW.timestamp()) + 60
    for aud in (here, [here], ["https://other.example", here]):
        verify(signature, request(authorization=jwt({"exp": exp, "aud": aud})))
    for aud in ("https://other.example", [], None, here + "/", [[here]], {here: here}, 7):
        with pytest.raises(InvalidSignature, match="another receiver"):
            verify(signature, request(authorization=jwt({"exp": exp, "aud": aud})))
    with pytest.raises(InvalidSignature):
        verify(signature, request(authorization=jwt({"exp": exp})))


def test_bytes_have_one_form():
    """Else a proof could be written in many ways, and a repeat would not be one."""
    assert decoded("6Aff", "hex") == b"\x6a\xff"
    for odd in ("6", "6a f", "0x6a", "", "\u0661\u0661", "6a\n"):
        assert decoded(odd, "hex") == b""
    assert (canonical("YQ=="), canonical("YQ"), canonical("YR=="), canonical("YQ="), canonical("Y Q=")) == (b"a", b"a", b"", b"", b"")
    assert (canonical_url("-_8"), canonical_url("+/8"), canonical_url("YQ=="), canonical_url("-_9")) == (b"\xfb\xff", b"", b"", b"")


# --- handshakes ---------------------------------------------------------------------------------


def reply(challenge, request):
    found = answer(CHALLENGE.validate_python(challenge), request, "json")
    return found and (found.status, found.body, found.content_type.split(";")[0], dict(found.headers))


ECHO = {"scheme": "echo", "from": "body.challenge"}


def test_echoes():
    """As text, as JSON under its own name, in its own header."""
    asked = request(b'{"challenge": "abc", "type": "x"}')
    assert reply(ECHO, asked) == (200, b"abc", "text/plain", {})
    assert reply(ECHO | {"reply": "json"}, asked) == (200, b'{"challenge": "abc"}', "application/json", {})
    assert reply({"scheme": "echo", "from": "headers.X-Hook-Secret", "reply": "header"}, request(x_hook_secret="s")) == (
        200,
        b"",
        "text/plain",
        {"x-hook-secret": "s"},
    )
    graph = {"scheme": "echo", "from": "query.validationToken"}
    assert reply(graph, request(b"", "validationToken=a%3A+b%2Bc")) == (200, b"a: b+c", "text/plain", {})
    assert reply(graph | {"method": "GET"}, request(b"", "validationToken=x", method="GET")) == (200, b"x", "text/plain", {})


@pytest.mark.parametrize(
    "asked",
    [
        request(b'{"event": {}}'),
        request(b'{"challenge": 5}'),
        request(b'{"challenge": ""}'),
        request(b'{"challenge": "a\\nb"}'),
        request(b'{"challenge": "\xc3\xbc"}'),
        request(json.dumps({"challenge": "a" * 1001}).encode()),
        request(json.dumps({"challenge": "a", "more": "b" * 9000}).encode()),
        request(b"["),
        request(b""),
        request(b'{"challenge": "a"}', method="GET"),
        request(b'{"challenge": "a"}', method="PUT"),
    ],
)
def test_what_is_no_handshake(asked):
    """It is a webhook like any other, and proves its sender."""
    assert reply(ECHO, asked) is None


def test_headers_and_queries_that_are_no_handshake():
    """Doubled, too long, with line ends, which would begin a header of their own."""
    asana = {"scheme": "echo", "from": "headers.x-hook-secret", "reply": "header"}
    for odd in (
        request(),
        request(x_hook_secret=""),
        request(x_hook_secret="a b"),
        request(x_hook_secret="a\r\nx: y"),
        request(x_hook_secret="a" * 201),
        request(x_hook_secret="a", repeated={"x-hook-secret"}),
    ):
        assert reply(asana, odd) is None
    graph = {"scheme": "echo", "from": "query.t"}
    for query in ("", "t=", "t=a&t=b", "t=%zz", "x=a", "t=%0a", "t=" + "a" * 1001):
        assert reply(graph, request(query=query)) is None


def test_a_token_before_the_echo():
    """What the sender was told; without it, and with another one, it is refused in words."""
    meta = {"scheme": "echo", "method": "GET", "from": "query.hub.challenge", "token": {"name": "hub.verify_token", "secret": SECRET}}
    assert reply(meta, request(query=f"hub.mode=subscribe&hub.challenge=1158&hub.verify_token={SECRET}", method="GET"))[:2] == (
        200,
        b"1158",
    )
    for query in ("hub.challenge=1", "hub.challenge=1&hub.verify_token=x", f"hub.challenge=1&hub.verify_token={SECRET}&hub.verify_token=x"):
        with pytest.raises(InvalidSignature, match=r"hub\.verify_token is missing or wrong"):
            reply(meta, request(query=query, method="GET"))


def test_a_greeting():
    """GET and HEAD, and nothing else."""
    for method, expected in (("GET", 200), ("HEAD", 200), ("POST", None), ("OPTIONS", None)):
        found = reply({"scheme": "hello"}, request(method=method))
        assert (found and found[0]) == expected


def test_a_signed_handshake():
    """Whoever asks proves who he is, where the sender does so."""
    body = b'{"challenge": "abc"}'
    one = hook(signature={"scheme": "hmac", "header": "X-S", "secret": SECRET}, challenge=ECHO | {"signed": True})
    assert one.greet(request(body, x_s=mac(body).hexdigest())).body == b"abc"
    with pytest.raises(InvalidSignature):
        one.greet(request(body, x_s=mac(b"").hexdigest()))
    assert one.greet(request(BODY)) is None
    assert hook().greet(request(body)) is None


@pytest.mark.parametrize("signed", [True, False])
def test_an_event_is_no_handshake(signed):
    """Though a field of it has the name that a challenge has: else it would be answered, and lost."""
    where = {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"}
    proof = {"scheme": "hmac", "header": "X-S", "secret": SECRET}
    one = hook(where, proof, challenge=ECHO | {"signed": signed})
    event = b'{"id": 7, "challenge": "abc"}'
    assert one.greet(request(event, x_s=mac(event).hexdigest())) is None
    assert one.greet(request(event)) is None, "and one without a signature is refused as a webhook"
    asked = b'{"challenge": "abc"}'
    assert one.greet(request(asked, x_s=mac(asked).hexdigest())).body == b"abc"
    nameless = hook(where | {"record_id": {"value": "settings"}}, proof, challenge=ECHO | {"signed": signed})
    assert nameless.greet(request(asked, x_s=mac(asked).hexdigest())).body == b"abc"


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "body"},
        {"from": "item.x"},
        {"from": "body.x", "reply": "header"},
        {"from": "headers.x-a"},
        {"from": "headers.x-a", "reply": "json"},
        {"from": "body.x", "method": "GET"},
        {"from": "body.x", "method": "PUT"},
    ],
)
def test_handshakes_that_cannot_be(wrong):
    """Found when the configuration is read."""
    with pytest.raises(ValueError, match=r"write where|goes back|no body|literal"):
        CHALLENGE.validate_python({"scheme": "echo"} | wrong)
