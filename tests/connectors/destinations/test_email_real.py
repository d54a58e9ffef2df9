"""E-mail to a server that nobody here wrote: aiosmtpd, with STARTTLS, TLS from the first byte, AUTH, and answers of its own."""

from __future__ import annotations

import email
import email.policy
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from flow.daemon import free_port
from flow.wire.networks import certificate
from standins.mail import KEY, SENDER, said

from connectors.destinations.email import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import marked
from crmbridge.model import Literal, Network, Receipt, Value

CUT = "cut"
"""An answer of a hook's: the connection is gone instead."""


class Inbox:
    """What aiosmtpd asks: says what `answers` hold for a command, once each, and keeps what was taken."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.taken: list[Envelope] = []

    def _next(self, server: Any, command: str, usual: str) -> str:
        answer = (self.answers.get(command) or [usual]).pop(0)
        if answer == CUT:
            server.transport.abort()
            return "421 gone"
        return answer

    async def handle_MAIL(self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]) -> str:
        answer = self._next(server, "MAIL", "250 2.1.0 ok")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]) -> str:
        answer = self._next(server, "RCPT", "250 2.1.5 ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        answer = self._next(server, "DATA", "250 2.0.0 queued as 1")
        if answer.startswith("250") or answer == "421 gone":
            self.taken.append(envelope)
        return answer

    def read(self) -> EmailMessage:
        """The last message."""
        content = self.taken[-1].content
        assert isinstance(content, bytes)
        return email.message_from_bytes(content, policy=email.policy.default)


def known(server: Any, session: Any, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    """Who may log in."""
    return AuthResult(handled=False, success=(data.login, data.password) == (b"bridge", "pässword".encode()))


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(certificate(None))
    return path


Start = Callable[..., tuple[Inbox, Any]]


@pytest.fixture
def start(pem: Path) -> Iterator[Start]:
    """Begin a server; its inbox, and a destination that speaks to it."""
    running: list[Controller] = []

    def begin(tls: str = "none", **options: Any) -> tuple[Inbox, Any]:
        inbox = Inbox()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        more: dict[str, Any] = {"starttls": {"tls_context": context}, "implicit": {"ssl_context": context}, "none": {}}[tls]
        if tls != "none":
            more |= {"authenticator": known, "auth_required": tls == "starttls", "auth_require_tls": tls == "starttls"}
        port = free_port()
        controller = Controller(inbox, hostname="127.0.0.1", port=port, **more)
        controller.start()
        running.append(controller)
        login = {} if tls == "none" else {"user": "bridge", "password": "pässword"}
        given = {"host": "127.0.0.1", "port": port, "tls": tls, **SENDER, **login, **options}
        setting = Setting(name="mail", network=Network(deadline=20, ca_file=str(pem)))
        return inbox, CONNECTOR.build(CONNECTOR.options(**given), setting)

    yield begin
    for one in running:
        one.stop()


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_a_message_arrives(start: Start, tls: str) -> None:
    inbox, destination = start(tls, to=["Ann Ä <ann@acme.example>", "bob@acme.example"])
    destination.check()
    assert not inbox.taken
    text = (Literal("Parkers signed.\n.\n"), Value("<b>ü & https://evil.com</b>"), Literal("\n\nSee https://crm.example/x"))
    receipt = destination.publish(said(*text, subject=(Literal("Won: "), Value("Pärkers\r\nBcc: x@y.example")), thread="t"), KEY, None)
    (envelope,) = inbox.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("news@acme.example", ["ann@acme.example", "bob@acme.example"])
    read = inbox.read()
    assert read["Subject"] == "Won: Pärkers Bcc: x@\u200by.\u200bexample"
    assert read["Message-ID"] == receipt.remote_id
    plain = read.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == (
        "Parkers signed.\n.\n<b>ü & https:\u200b/\u200b/evil.\u200bcom</b>\n\nSee https://crm.example/x\n"
    )
    page = read.get_body(("html",))
    assert page is not None
    assert "&lt;b&gt;ü &amp; https:" in page.get_content()
    destination.publish(said(Literal("Paid")), KEY[::-1], receipt)
    assert (inbox.read()["In-Reply-To"], inbox.read()["Subject"]) == (receipt.remote_id, f"Re: {receipt.extra['subject']}")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_wrong_password_pauses(start: Start, tls: str) -> None:
    inbox, destination = start(tls, password="wrong")
    for attempt in (destination.check, lambda: destination.publish(said(), KEY, None)):
        with pytest.raises(AuthFailed, match="535") as caught:
            attempt()
        assert caught.value.code == "login"
    assert not inbox.taken


def test_a_server_that_wants_a_login_first_pauses(start: Start) -> None:
    inbox, destination = start("starttls", user=None, password=None)
    with pytest.raises(AuthFailed, match="530"):
        destination.publish(said(), KEY, None)
    assert not inbox.taken


@pytest.mark.parametrize(
    ("command", "answer", "kind", "taken"),
    [
        ("MAIL", CUT, Transient, 0),
        ("RCPT", CUT, Transient, 0),
        ("DATA", CUT, OutcomeUnknown, 1),
        ("MAIL", "421 4.3.2 too busy", RateLimited, 0),
        ("MAIL", "550 5.7.60 not as this sender", AuthFailed, 0),
        ("RCPT", "450 4.7.1 Greylisted for 5 minutes", RateLimited, 0),
        ("RCPT", "451 4.3.0 later", RateLimited, 0),
        ("RCPT", "550 5.1.1 no such user", Rejected, 0),
        ("DATA", "451 4.3.0 later", Transient, 0),
        ("DATA", "554 5.7.1 spam", Rejected, 0),
        ("DATA", "530 5.7.0 log in", AuthFailed, 0),
    ],
)
def test_what_becomes_of_a_message_that_is_not_taken(start: Start, command: str, answer: str, kind: type[Exception], taken: int) -> None:
    inbox, destination = start()
    inbox.answers[command] = [answer]
    with marked() as mark, pytest.raises(kind) as caught:
        destination.publish(said(), KEY, None)
    assert type(caught.value) is kind
    assert mark.began is (command == "DATA")
    assert len(inbox.taken) == taken
    receipt = destination.publish(said(), KEY, None)
    assert isinstance(receipt, Receipt)
    assert len(inbox.taken) == taken + 1
    assert len({one.content for one in inbox.taken}) == 1, "a repeat has the same bytes"


def test_one_of_two_is_refused(start: Start) -> None:
    inbox, destination = start(to=["ann@acme.example", "bob@acme.example"])
    inbox.answers["RCPT"] = ["550 5.1.1 no such user"]
    receipt = destination.publish(said(), KEY, None)
    assert receipt.extra["note"] == "not taken for ann@acme.example: 550 5.1.1 no such user (to RCPT)"
    assert inbox.taken[0].rcpt_tos == ["bob@acme.example"]


def test_addresses_beyond_ascii(start: Start) -> None:
    inbox, destination = start(to="jörg@bücher.example")
    destination.publish(said(), KEY, None)
    assert inbox.taken[0].rcpt_tos == ["jörg@xn--bcher-kva.example"]
    assert inbox.taken[0].mail_options[-1] == "SMTPUTF8"
    assert inbox.read()["To"] == "jörg@xn--bcher-kva.example"
