"""crmbridge.http: deadlines, marks, redirects, bounded answers, waits, links and signatures, over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from flow.wire.networks import certificate, encrypted
from hypothesis import given
from hypothesis import strategies as st

from crmbridge import http
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import Client, HttpSession, attempt, classify, looking, marked, refusal, retry_after, signed, signing_key, web_link
from crmbridge.model import Network, inside_link, visible
from crmbridge.telemetry import hide
from crmbridge.testing import ScriptedServer, answer, cut, dribble, hang, unresponsive

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
DEADLINE = 0.8
QUICK = Network(deadline=DEADLINE)
PATIENT = Network(deadline=20)

Outcome = tuple[int | BaseException, bool]


def by_session(url: str, network: Network = PATIENT, method: str = "POST") -> Outcome:
    with HttpSession(network) as session, marked() as mark:
        try:
            return session.request(method, url, data=b"x").status_code, mark.began
        except Exception as error:
            return error, mark.began


def by_client(url: str, network: Network = PATIENT, method: str = "POST") -> Outcome:
    async def run() -> Outcome:
        client = Client(network)
        with marked() as mark:
            try:
                return (await client.send(method, url, body=b"x")).status, mark.began
            except Exception as error:
                return error, mark.began
            finally:
                await client.close()

    return asyncio.run(run())


Transport = Callable[..., Outcome]
both = pytest.mark.parametrize("transport", [by_session, by_client])


@both
@pytest.mark.parametrize("path", ["/in?sp=%2Ftriggers%2Frun&sig=a%2Bb%3D", "/a%2Fb/%3A?x=%26&y=%3F", "/?next=https%3A%2F%2Fa.example%2F"])
def test_an_address_goes_out_as_it_is_written(transport: Transport, path: str) -> None:
    """It may be signed, to the last character."""
    with ScriptedServer(answer(204)) as server:
        assert transport(f"{server.url}{path}") == (204, True)
        assert [seen.path for seen in server.seen] == [path]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@contextmanager
def tcp(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where `serve` is given each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            opened.append(connection)
            threading.Thread(target=quietly, args=(connection,), daemon=True).start()

    def quietly(connection: socket.socket) -> None:
        with suppress(OSError):
            serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for connection in opened:
            connection.close()


def elapsed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


# --- the mark ---------------------------------------------------------------------------------


@both
def test_an_answer_is_an_answer_and_marks(transport: Transport, server: ScriptedServer) -> None:
    assert transport(server.url) == (200, True)
    (seen,) = server.seen
    assert seen.body == b"x"
    assert seen.headers["user-agent"].startswith("crmbridge/")


@both
def test_a_refused_connection_never_began(transport: Transport, server: ScriptedServer) -> None:
    server.refuse()
    error, began = transport(server.url)
    assert not began
    assert isinstance(classify(error, began), Transient)  # type: ignore[arg-type]


@both
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "xn--.invalid"])
def test_an_unknown_name_never_began(transport: Transport, host: str) -> None:
    error, began = transport(f"http://{host}/", Network(deadline=20))
    assert isinstance(error, (requests.RequestException, aiohttp.ClientError, ValueError))
    assert not began


@both
def test_connecting_ends_at_the_deadline(transport: Transport) -> None:
    with unresponsive() as url:
        (error, began), took = elapsed(lambda: transport(url, QUICK))
    assert isinstance(error, (requests.ConnectTimeout, TimeoutError))
    assert not began
    assert took < DEADLINE + 2.5


def test_several_addresses_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    with unresponsive() as url:
        port = int(url.rpartition(":")[2])
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))] * 4
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        (error, began), took = elapsed(lambda: by_session(url, QUICK))
    assert isinstance(error, requests.ConnectTimeout)
    assert not began
    assert took < DEADLINE + 2.5


def test_a_second_address_is_tried(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
    deaf = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", server.port, 0, 0))
    unknown = (9999, socket.SOCK_STREAM, 6, "", ("nowhere", 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unknown, deaf, good])
    assert by_session(server.url) == (200, True)


def garbage(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"this is not TLS\r\n")
    connection.recv(1000)


def silent(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def slow_hello(connection: socket.socket) -> None:
    """A TLS record of which one byte comes at a time: no single read ever waits long."""
    connection.recv(1000)
    for byte in b"\x16\x03\x03\x40\x00" + bytes(100):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


@both
@pytest.mark.parametrize("serve", [garbage, silent, slow_hello])
def test_a_failed_handshake_never_began(transport: Transport, serve: Callable[[socket.socket], None]) -> None:
    with tcp(serve) as port:
        (error, began), took = elapsed(lambda: transport(f"https://127.0.0.1:{port}/", QUICK))
    assert isinstance(error, Exception)
    assert not began
    assert took < DEADLINE + 2.5


@both
def test_a_cut_after_the_request_may_have_acted(transport: Transport, server: ScriptedServer) -> None:
    server.then(cut)
    error, began = transport(server.url)
    assert began
    assert isinstance(classify(error, began), OutcomeUnknown)  # type: ignore[arg-type]
    assert len(server.seen) == 1


@both
@pytest.mark.parametrize("behaviour", [hang, dribble])
def test_the_deadline_is_absolute(transport: Transport, server: ScriptedServer, behaviour: Any) -> None:
    server.then(behaviour)
    (error, began), took = elapsed(lambda: transport(server.url, QUICK))
    assert isinstance(error, (requests.Timeout, TimeoutError))
    assert "no complete answer within 0.8 s" in str(error)  # whether the read or the whole ended first
    assert began
    assert took < DEADLINE + 2.5


@both
def test_dribbled_headers_end_too(transport: Transport) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 200:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with tcp(serve) as port:
        (error, began), took = elapsed(lambda: transport(f"http://127.0.0.1:{port}/", QUICK))
    assert isinstance(error, (requests.Timeout, TimeoutError))
    assert began
    assert took < DEADLINE + 2.5


def test_a_session_outlives_a_deadline(server: ScriptedServer) -> None:
    server.then(answer(200), hang)
    with HttpSession(QUICK) as session:
        assert session.get(server.url).status_code == 200
        with pytest.raises(requests.Timeout):
            session.get(server.url)
        assert session.get(server.url).status_code == 200


def test_a_kept_connection_is_watched_too(server: ScriptedServer) -> None:
    server.then(answer(200), dribble)
    with HttpSession(QUICK) as session:
        session.get(server.url)
        began = time.monotonic()
        with pytest.raises(requests.Timeout):
            session.get(server.url)
        assert time.monotonic() - began < DEADLINE + 2.5


def test_calls_leave_no_descriptors_behind(server: ScriptedServer) -> None:
    import os

    with HttpSession(PATIENT) as session:
        session.get(server.url)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            session.get(server.url)
        assert len(os.listdir("/proc/self/fd")) <= before


def test_marks_nest_and_cross_threads_and_tasks(server: ScriptedServer) -> None:
    with marked() as outer:
        with marked() as inner:
            http.begin()
        assert inner.began
        assert outer.began
    http.begin()  # outside any mark: nothing to do

    async def run() -> bool:
        with marked() as mark:
            await asyncio.to_thread(by_session, server.url)
            return mark.began

    assert asyncio.run(run())
    with marked() as untouched:
        pass
    assert not untouched.began


def test_what_a_look_loses_was_only_a_look() -> None:
    """Whatever began: nothing was published by it. Clear answers stay what they are, and a mark around it still sees it begin."""
    for error in (OutcomeUnknown("late", code="500"), KeyError("x"), requests.ReadTimeout("late")):
        with marked() as outer, pytest.raises(Transient) as caught, looking():  # noqa: PT012
            http.begin()
            raise error
        assert outer.began
        assert caught.value.code == getattr(error, "code", "")
    refused = Rejected("no", code="find")
    with pytest.raises(Rejected) as kept, looking():
        raise refused
    assert kept.value is refused
    with pytest.raises(asyncio.CancelledError), looking():
        raise asyncio.CancelledError


def test_attempt_maps_everything_but_cancellation() -> None:
    for began, kind in [(False, Transient), (True, OutcomeUnknown)]:
        with pytest.raises(kind, match="KeyError: 'x'"), attempt():  # noqa: PT012
            if began:
                http.begin()
            raise KeyError("x")
    given = Rejected("no")
    with pytest.raises(Rejected) as caught, attempt():  # noqa: PT012
        http.begin()
        raise given
    assert caught.value is given
    with pytest.raises(asyncio.CancelledError), attempt():
        raise asyncio.CancelledError


def test_a_description_is_one_redacted_line() -> None:
    hide("hunter2-hunter2")
    said = http.describe(ValueError("a\nb hunter2-hunter2 " + "x" * 1000))
    assert said.startswith("ValueError: a b *** x")
    assert len(said) == 300
    with pytest.raises(AuthFailed, match="is not set"):
        http.credential(lambda: (_ for _ in ()).throw(ValueError("env A is not set")))


# --- manners ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/next", "http://[", "//", ""])
def test_redirects_are_answers(transport: Transport, server: ScriptedServer, status: int, location: str) -> None:
    server.then(answer(status, b"", {"Location": location}))
    assert transport(server.url) == (status, True)
    assert len(server.seen) == 1


@both
@pytest.mark.parametrize("status", [200, 302])
def test_answers_are_bounded(transport: Transport, server: ScriptedServer, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (http.client, http.session):
        monkeypatch.setattr(module, "MAX_ANSWER", 100_000)
    server.then(answer(status, b"x" * 100_000, {"Location": "/next"}), answer(status, b"x" * 100_001, {"Location": "/next"}))
    assert transport(server.url) == (status, True)
    error, began = transport(server.url)
    assert isinstance(error, (requests.RequestException, aiohttp.ClientError))
    assert began


@both
def test_a_small_answer_that_unpacks_huge_is_bounded(transport: Transport, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    for module in (http.client, http.session):
        monkeypatch.setattr(module, "MAX_ANSWER", 100_000)
    server.then(answer(200, gzip.compress(bytes(20_000_000)), {"Content-Encoding": "gzip"}))
    error, _ = transport(server.url)
    assert isinstance(error, (requests.RequestException, aiohttp.ClientError, ValueError))


@both
def test_the_environment_is_not_trusted(
    transport: Transport, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(netrc))
    assert transport(server.url) == (200, True)
    assert "authorization" not in server.seen[0].headers


@both
def test_the_configured_proxy_is_used(transport: Transport, server: ScriptedServer) -> None:
    assert transport("http://crm.invalid/x", Network(deadline=20, proxy=server.url)) == (200, True)
    assert server.seen[0].path == "http://crm.invalid/x"


@both
def test_a_proxy_that_refuses_a_tunnel_is_not_our_request(transport: Transport) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    with tcp(serve) as port:
        error, began = transport("https://crm.invalid/x", Network(deadline=20, proxy=f"http://127.0.0.1:{port}"))
    assert isinstance(error, Exception)
    assert not began


def test_cookies_are_not_kept(server: ScriptedServer) -> None:
    server.then(answer(200, b"", {"Set-Cookie": "a=b"}))
    with HttpSession(PATIENT) as session:
        session.get(server.url)
        session.get(server.url)
    assert "cookie" not in server.seen[1].headers


def test_a_private_ca_is_loaded_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(ssl, "create_default_context", lambda **facts: made.append(facts) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    file = str(tmp_path / "ca.pem")
    assert HttpSession(Network(ca_file=file)).verify == file

    async def run() -> None:
        client = Client(Network(ca_file=file, deadline=0.2))
        for _ in range(2):
            with pytest.raises((aiohttp.ClientError, TimeoutError)):
                await client.send("GET", "https://127.0.0.1:9/")
        await client.close()
        await client.close()

    asyncio.run(run())
    assert made == [{"cafile": file}]


@both
def test_only_a_certificate_that_somebody_vouches_for_is_believed(transport: Transport, tmp_path: Path) -> None:
    """One that signed itself is refused before a byte of the request, unless it is the authority that is configured."""
    pem = tmp_path / "server.pem"
    pem.write_bytes(certificate(None))
    with encrypted(str(pem)) as server:
        server.then(answer(204))
        error, began = transport(server.url)
        assert (isinstance(error, (requests.exceptions.SSLError, aiohttp.ClientSSLError)), began) == (True, False)
        assert transport(server.url, Network(deadline=20, ca_file=str(pem))) == (204, True)
        assert len(server.seen) == 1


@both
def test_no_older_tls_is_spoken(transport: Transport, tmp_path: Path) -> None:
    """What is offered begins at 1.2: seen in the greeting, for a machine's own settings may refuse the rest anyway."""
    greetings: list[bytes] = []
    with tcp(lambda connection: greetings.append(connection.recv(4096))) as port:
        transport(f"https://127.0.0.1:{port}/", QUICK)
    (greeting,) = greetings
    offered = greeting.partition(b"\x00\x2b\x00")[2]  # the extension supported_versions
    versions = offered[2 : 2 + offered[1]]
    assert {versions[at : at + 2] for at in range(0, len(versions), 2)} == {b"\x03\x04", b"\x03\x03"}


def test_a_client_answer_is_whole(server: ScriptedServer) -> None:
    server.then(answer(201, {"a": [1]}, {"X-Y": "z"}))

    async def run() -> http.Answer:
        client = Client(PATIENT)
        try:
            return await client.send("PUT", server.url, body=b"{}", headers={"A": "b"})
        finally:
            await client.close()

    found = asyncio.run(run())
    assert (found.status, found.json(), found.headers["x-y"]) == (201, {"a": [1]}, "z")
    assert (server.seen[0].method, server.seen[0].headers["a"]) == ("PUT", "b")


# --- reads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status", "requests_made"),
    [
        ([answer(503), cut, answer(200)], 200, 3),
        ([answer(502), answer(504), answer(503), answer(200)], 503, 3),
        ([answer(500)], 500, 1),
        ([answer(429)], 429, 1),
        ([answer(200)], 200, 1),
    ],
)
def test_reads_are_tried_again_twice(server: ScriptedServer, script: list[Any], status: int, requests_made: int) -> None:
    server.then(*script)
    with HttpSession(PATIENT) as session:
        assert http.read(session, server.url).status_code == status
    assert len(server.seen) == requests_made
    assert {seen.method for seen in server.seen} == {"GET"}


def test_reads_give_up_with_the_last_error(server: ScriptedServer) -> None:
    server.default = cut
    with HttpSession(PATIENT) as session, pytest.raises(requests.ConnectionError):
        http.read(session, server.url)
    assert len(server.seen) == 3


def test_all_tries_of_a_read_share_the_deadline(server: ScriptedServer) -> None:
    server.then(answer(503))
    server.default = hang
    with HttpSession(Network(deadline=1)) as session:
        began = time.monotonic()
        with pytest.raises(requests.Timeout):
            http.read(session, server.url)
        assert time.monotonic() - began < 3


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        (" 30 ", 30),
        ("1.5", 1.5),
        ("86400", 86400),
        ("999999999", 999999999),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 13:01:00 +0100", 60),
        ("Sun, 22 Nov 2026 12:01:00 -0000", 60),
        ("Sunday, 22-Nov-26 12:01:00 GMT", 60),
        ("Sun Nov 22 12:01:00 2026", 60),
        ("", None),
        ("-1", None),
        ("+5", None),
        ("1e9", None),
        ("١٢", None),
        ("12 seconds", None),
        ("9999999999999999", None),
        ("soon", None),
        ("Sun, 99 Nov 2026 99:99:99 GMT", None),
        ("Sun, 22 Nov 999999999 12:01:00 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert retry_after({"Retry-After": value}, NOW) == expected
    assert retry_after({"retry-after": value}, NOW) == expected
    assert retry_after({}, NOW) is None


@given(st.text())
def test_retry_after_never_raises(value: str) -> None:
    found = retry_after({"Retry-After": value}, NOW)
    assert found is None or found.tzinfo


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Rejected), (400, Rejected), (401, AuthFailed), (403, AuthFailed), (404, Rejected), (408, OutcomeUnknown), (409, Rejected),
        (410, Rejected), (422, Rejected), (429, RateLimited), (500, OutcomeUnknown), (502, OutcomeUnknown),
        (503, OutcomeUnknown), (599, OutcomeUnknown),
    ],
)  # fmt: skip
def test_refusals(status: int, kind: type[DeliveryError]) -> None:
    hide("canary-in-an-answer")
    error = refusal(status, "words\n canary-in-an-answer", {}, NOW)
    assert type(error) is kind
    assert str(error) == f"HTTP {status} words ***"
    assert error.code == str(status)
    if isinstance(error, RateLimited):
        assert error.until == NOW + timedelta(minutes=1)


# --- links and signatures ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://crm.example/a?b=c&d=%20#e", "https://crm.example/a?b=c&d=%20#e"),
        (" https://crm.example/a ", "https://crm.example/a"),
        ("https://crm.example/|x>\n<!channel>", "https://crm.example/%7Cx%3E%0A%3C%21channel%3E".replace("%21", "!")),
        ("https://crm.example/ä b", "https://crm.example/%C3%A4%20b"),
        ("http://Bücher.example/x", "http://xn--bcher-kva.example/x"),
        ("https://crm.example:8443/\u202e", "https://crm.example:8443/%E2%80%AE"),
        ("https://crm.example/\ud800", "https://crm.example/%3F"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
    ],
)
def test_links(given: str, expected: str) -> None:
    assert web_link(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "javascript:alert(1)",
        "//a.example",
        "https:",
        "https://",
        "data:text/html,x",
        "http://[",
        "http://a..ü/",
        "ftp://a.example",
        "crm",
    ],
)
def test_other_links_are_refused(given: str) -> None:
    with pytest.raises(Rejected):
        web_link(given)


@given(st.text(alphabet="htps:/.a<>|\n \u202eé\ud800%@[]"))
def test_links_are_ascii_without_mark_up(path: str) -> None:
    found = web_link(f"https://a.example/{path}")
    assert found.isascii()
    assert not set(found) & set('<>| \n"`\\')


def test_inside_a_link() -> None:
    for text in ("https://a.example/", "see https://a.example/x?y=", "<https://a.example/x"):
        assert inside_link(text), text
    for text in (
        "",
        "https://",
        "https://a.example",
        "https://a.example/x ",
        "https://a.example/x>",
        "<https://a.example/|",
        "a.example/",
        "https:///x",
        "http://http://",
    ):
        assert not inside_link(text), text
    assert not inside_link("http://a/|" * 20_000)


def test_what_is_visible() -> None:
    assert visible("plain\ttext\n") == "plain\ttext\n"
    assert visible("a\0b\x1b[2J\x85c\x7f") == "ab[2Jc"
    assert visible("a\r\nb\rc\u2028d\u2029e") == "a\nb\nc\nd\ne"
    assert visible("\u202eevil\u2066x\u2069\u061c\ufeff\u200b\u200e\u2060\U000e0041") == "evilx"
    assert visible("e\u0301 \u212b \ud800") == "é Å \ufffd"
    for kept in ("👩\u200d🚀", "می\u200cخواهم", "שלום עולם", "مرحبا", "日本語", "❤️"):
        assert visible(kept) == kept


@given(st.text(st.characters(codec=None)))
def test_visible_text_is_stable_and_encodable(text: str) -> None:
    found = visible(text)
    assert visible(found) == found
    found.encode()
    assert not set(found) & {*map(chr, range(9)), "\r", "\x1b", "\x9b", "\u202e", "\u2066", "\u061c", "\ufeff", "\u200b", "\U000e0001"}


def test_the_published_signature() -> None:
    """The vector of the Standard Webhooks libraries."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    moment = datetime.fromtimestamp(1614265330.9, timezone.utc)
    assert signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", moment, b'{"test": 2432232314}') == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_signing_keys() -> None:
    for secret in ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr"):
        assert signing_key(secret) == signing_key(f"whsec_{secret}")
        assert len(signing_key(secret)) >= 23
    for secret in ("", "whsec_", "not base64!", "whsec_ä", "a"):
        with pytest.raises(ValueError, match="signing secret") as caught:
            signing_key(secret)
        assert not secret or secret not in str(caught.value).replace("whsec_", "", 1) or secret == "a"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8/x", True),
        ("http://localhost", True),
        ("http://[::1]/", True),
        ("http://10.0.0.1/", False),
        ("http://a.example", False),
        ("x", False),
    ],
)
def test_loopback(url: str, expected: bool) -> None:
    assert http.is_loopback(url) is expected


def test_json_is_read_from_bytes() -> None:
    assert http.Answer(200, {}, json.dumps({"a": 1}).encode()).json() == {"a": 1}
    with pytest.raises(ValueError):
        http.Answer(200, {}, b"\xff").json()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/", "cannot connect to 127.0.0.1: Connection refused"),
        ("http://nowhere.invalid/", "cannot find nowhere.invalid: is the name right, and does this machine resolve names?"),
    ],
)
def test_who_cannot_be_reached_is_told_in_words(url: str, words: str) -> None:
    """The commonest first error; not the inner life of libraries."""
    with pytest.raises(requests.ConnectionError) as told:
        HttpSession(Network(deadline=3.0)).get(url)
    assert http.describe(told.value) == words


def test_what_does_not_speak_tls_is_told() -> None:
    """A forgotten `s` of https, and the other way round."""
    with ScriptedServer() as server, pytest.raises(requests.ConnectionError) as told:
        HttpSession(Network(deadline=3.0)).get(server.url.replace("http:", "https:"))
    assert http.describe(told.value).startswith("TLS fails, ")
