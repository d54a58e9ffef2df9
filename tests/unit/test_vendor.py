"""Logins whose tokens expire, answers that are no answers, and XML from strangers."""

import json
import stat
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from shared import NOW

from crmbridge import telemetry
from crmbridge.errors import SourceError
from crmbridge.http import AccessToken, HttpSession, Tokens, Vendor, VendorRefused, denial, parse_xml
from crmbridge.model import Network
from crmbridge.telemetry import redact
from crmbridge.testing import ScriptedServer, answer, cut


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def issuing(clock, log, seconds=3600):
    """A vendor that numbers its tokens and notes which one came before."""

    def obtain(last):
        log.append(last.refresh if last else None)
        number = len(log)
        return AccessToken(f"canary-access-{number}", clock() + timedelta(seconds=seconds), f"canary-refresh-{number}", {"at": "here"})

    return obtain


def test_a_token_is_replaced_before_it_expires(clock):
    log = []
    tokens = Tokens(issuing(clock, log), now=clock)
    assert [tokens.get().value for _ in range(3)] == ["canary-access-1"] * 3
    clock.now += timedelta(seconds=3600 - 121)
    assert tokens.get().value == "canary-access-1"
    clock.now += timedelta(seconds=1)
    assert tokens.get().value == "canary-access-2"
    assert log == [None, "canary-refresh-1"]


def test_a_refused_token_is_replaced_once_for_all(clock):
    log = []
    tokens = Tokens(issuing(clock, log), now=clock)
    first = tokens.get()
    for _ in range(3):  # three threads noticed
        tokens.refused(first)
    second = tokens.get()
    tokens.refused(first)
    assert tokens.get() is second
    assert log == [None, "canary-refresh-1"]


def test_a_kept_token_outlives_the_process(clock, tmp_path):
    """0600, whole, of the same credentials only; what cannot be read is no reason to fail."""
    log, file = [], tmp_path / "crm.token"
    for login in ("ann", "ann", "bob", "bob"):
        Tokens(issuing(clock, log), now=clock, keep=file, login=lambda login=login: login).get()
    assert len(log) == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [".crm.token.lock", "crm.token"]
    assert "bob" not in file.read_text()
    for nonsense in ("", "{", "[]", json.dumps({"login": "bob"}), json.dumps({"login": "bob", "value": "x", "expires_at": 7})):
        file.write_text(nonsense)
        assert Tokens(issuing(clock, log), now=clock, keep=file, login=lambda: "bob").get().value.startswith("canary-access-")
    Tokens(issuing(clock, log), now=clock, keep=tmp_path / "no" / "folder", login=lambda: "bob").get()


def test_two_processes_share_what_a_vendor_gives_once(clock, tmp_path):
    """A refresh token that is used is worth nothing; who comes later takes the token that was got with it."""
    log, file = [], tmp_path / "crm.token"
    good = ["canary-refresh-0"]

    def obtain(last):
        assert (last.refresh if last else "canary-refresh-0") == good[-1], "invalid_grant"
        log.append(1)
        good.append(f"canary-refresh-{len(log)}")
        return AccessToken(f"canary-access-{len(log)}", clock() + timedelta(hours=1), good[-1])

    daemon, verb = (Tokens(obtain, now=clock, keep=file) for _ in range(2))
    assert daemon.get().value == verb.get().value == "canary-access-1"
    clock.now += timedelta(hours=1)
    assert verb.get().value == daemon.get().value == "canary-access-2"
    verb.refused(verb.get())
    assert verb.get().value == "canary-access-3"
    daemon.refused(daemon.get())
    assert daemon.get().value == "canary-access-3"
    assert len(log) == 3


def test_old_tokens_are_not_looked_for_for_ever(clock):
    """Every line that is written is searched for all that is hidden."""
    tokens = Tokens(issuing(clock, log := []), now=clock)
    begun = len(telemetry._hidden)
    for _ in range(50):
        tokens.refused(tokens.get())
    tokens.get()
    assert len(log) == 51
    assert len(telemetry._hidden) - begun < 60
    assert "canary-access-51" not in redact("canary-access-51")
    assert redact("canary-access-11") == "canary-access-11"


def test_a_token_is_never_shown(clock, tmp_path):
    token = Tokens(issuing(clock, []), now=clock).get()
    assert "canary" not in repr(token)
    assert "canary" not in redact(f"Bearer {token.value} {token.refresh}")


@pytest.fixture
def server():
    with ScriptedServer(answer(200, {"ok": 1.50})) as running:
        yield running


@pytest.fixture
def vendor(server, clock):
    made = Vendor(
        HttpSession(Network(deadline=3.0)),
        Tokens(issuing(clock, []), now=clock),
        words=lambda body: body.get("message", "") if isinstance(body, dict) else "",
        now=clock,
    )
    yield made
    made.close()


def ask(vendor, server):
    return vendor.get(lambda token: f"{server.url}/{token.facts['at']}", q="a b")


def test_a_good_answer_is_read_exactly(vendor, server):
    assert str(ask(vendor, server)["ok"]) == "1.5"
    assert (server.seen[0].path, server.seen[0].headers["authorization"]) == ("/here?q=a+b", "Bearer canary-access-1")


@pytest.mark.parametrize(
    ("trouble", "words", "seconds"),
    [
        (answer(429, {"message": "slow"}, {"Retry-After": "7"}), "slow", 7),
        (answer(429, {}), "HTTP 429", 60),
        (answer(503, b"<html>", {"Content-Type": "text/html"}), "a web page", 60),
        (answer(500, {"message": "oops"}), "oops", None),
        (answer(404, {"message": "no such thing"}), "no such thing", None),
        (answer(200, b"<html>maintenance"), "no JSON", None),
        (answer(200, b'{"half": '), "no JSON", None),
        (answer(200, b"[" * 100_000), "no JSON", None),
        (answer(302, b"", {"Location": "http://127.0.0.1:1/"}), "no JSON", None),
        (cut, "", None),
    ],
)
def test_what_is_no_answer_is_told(vendor, server, trouble, words, seconds):
    """With the vendor's words and its own instant; never as an empty page."""
    server.then(*[trouble] * 3)
    with pytest.raises(SourceError) as told:
        ask(vendor, server)
    assert words in str(told.value)
    assert told.value.retry_at == (NOW + timedelta(seconds=seconds) if seconds else None)
    assert "canary" not in str(told.value)


def test_a_number_beyond_all_reason_is_its_own_text(vendor, server):
    """One odd value must not make a page of records unreadable for ever."""
    server.then(answer(200, b'{"a": 1e99999999999999999999, "b": ' + b"9" * 5000 + b', "c": 1.50, "d": 2}'))
    found = ask(vendor, server)
    assert (found["a"], str(found["b"]), found["c"], found["d"]) == ("1e99999999999999999999", "9" * 5000, Decimal("1.50"), 2)


def test_a_new_token_cures_one_refusal(vendor, server):
    server.then(answer(401, {"message": "expired"}))
    ask(vendor, server)
    assert [one.headers["authorization"] for one in server.seen] == ["Bearer canary-access-1", "Bearer canary-access-2"]
    server.then(answer(401, {"message": "no"}), answer(401, {"message": "still no"}))
    with pytest.raises(VendorRefused, match="still no") as told:
        ask(vendor, server)
    assert (told.value.status, len(server.seen)) == (401, 4)


ENTITIES = b'<!DOCTYPE l [<!ENTITY a "lol">' + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a;" * 10) for n in range(20)) + b"]><l>&a9;</l>"


@pytest.mark.parametrize(
    "data",
    [
        ENTITIES,
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><r/>',
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        b'<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]><r/>',
        b"<a>" * 100_000,
        b"<a>" + b"<b/>" * 200_000 + b"</a>",
        b"<a>&unknown;</a>",
        b"",
        b"\0",
        b"no xml",
        b"<a></b>",
        b'<?xml version="1.0" encoding="hex"?><a/>',
        b'<?xml version="1.0" encoding="nobody"?><a/>',
    ],
)
def test_hostile_xml_is_refused_at_once(data):
    """Entity bombs, external entities, depth without end: refused within a second, and nothing is fetched."""
    began = time.process_time()
    with pytest.raises(ValueError, match="XML"):
        parse_xml(data)
    assert time.process_time() - began < 1


def test_honest_xml_is_read():
    root = parse_xml('<?xml version="1.0" encoding="UTF-8"?><a xmlns="urn:x"><b>Möller &amp; <![CDATA[<Co>]]></b></a>'.encode())
    assert root.findtext("{urn:x}b") == "Möller & <Co>"


@pytest.mark.parametrize(
    ("status", "also", "said"), [(403, (), "no"), (404, (404,), "no"), (404, (), None), (401, (), None), (503, (), None)]
)
def test_a_denial_is_told_from_what_only_failed(status, also, said):
    """What is an outage, or a login that is over, says nothing of a right."""

    def ask():
        raise VendorRefused("no", status)

    if said is None:
        with pytest.raises(VendorRefused):
            denial(ask, also)
    else:
        assert denial(ask, also) == said
    assert denial(lambda: "an answer") == ""
