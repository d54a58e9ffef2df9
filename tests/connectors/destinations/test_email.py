"""E-mail: the contract of every destination, what a message is on the wire, its threads, its recipients, the login, the encryption."""

from __future__ import annotations

import email.utils
import io
import logging
from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flow.wire.networks import certificate
from standins.mail import KEY, SENDER, Mail, cut, made, publish, said

from connectors.destinations.email import CONNECTOR
from connectors.destinations.email.addresses import Mailbox, mailbox, mailboxes
from connectors.destinations.email.destination import PATIENCE
from crmbridge.contract import Destination, Setting
from crmbridge.errors import AuthFailed, DeliveryError, RateLimited, Rejected, Transient
from crmbridge.http import marked
from crmbridge.model import Channel, Literal, Network, Receipt, Value
from crmbridge.testing import DestinationContract, message

OTHER_KEY = "fedcba98765432100123456789abcdef"


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(certificate(None))
    return path


@pytest.fixture
def server() -> Iterator[Mail]:
    with Mail() as running:
        yield running


class TestEmail(DestinationContract):
    connector = CONNECTOR
    options: ClassVar = {"host": "127.0.0.1", "tls": "none", **SENDER}
    changes: ClassVar = {"channel": None}

    @pytest.fixture
    def destination(self, driver: Any, setting: Setting, server: Mail) -> Destination:
        return driver.own(made(server, setting))  # type: ignore[no-any-return]

    def test_hostile_names_are_published_or_refused(self, driver: Any, destination: Destination) -> None:
        for words in ("\0", "\ud800", "a\r\nX-Evil: 1", "x" * 10_000, "a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example\n"):
            outcome = driver.publish(destination, message(channel=Channel(words, words)))
            assert isinstance(outcome, (Receipt, Rejected)), outcome


# --- a message


def test_a_message_as_it_is_sent(server: Mail) -> None:
    text = (Literal("Parkers signed, see https://crm.example/deals/"), Value("7 a"), Literal(".\n\nBye\n.\n"), Value("<b>&"))
    receipt = publish(server, said(*text, link="https://crm.example/x?a=1&b=2"))
    assert receipt == Receipt(remote_id=f"<{KEY}@acme.example>")
    (taken,) = server.taken
    assert taken.mail == f"MAIL FROM:<news@acme.example> SIZE={len(taken.content)} RET=HDRS ENVID={KEY}"
    assert taken.to == ["RCPT TO:<sales@acme.example> NOTIFY=FAILURE,DELAY"]
    assert server.heard[0] == "ehlo acme.example"
    read = taken.parsed()
    assert not read.defects
    assert dict(read.items()) == {
        "From": "CRM news <news@acme.example>",
        "To": "sales@acme.example",
        "Subject": "Parkers signed, see https://crm.example/deals/7%20a.",
        "Date": "Sun, 22 Nov 2026 09:30:00 +0000",
        "Message-ID": f"<{KEY}@acme.example>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "DR, RN, NRN, OOF, AutoReply",
        "List-Id": "<mail.crmbridge.acme.example>",
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="=_{KEY}"',
    }
    assert [one.get_content_type() for one in read.iter_parts()] == ["text/plain", "text/html"]
    assert taken.text() == "Parkers signed, see https://crm.example/deals/7%20a.\n\nBye\n.\n<b>&\n\nhttps://crm.example/x?a=1&b=2\n"
    body = taken.text("html")
    assert '<p>Parkers signed, see <a href="https://crm.example/deals/7%20a">https://crm.example/deals/7%20a</a>.</p>' in body
    assert "<p>Bye<br>\n.<br>\n&lt;b&gt;&amp;</p>" in body
    assert '<p><a href="https://crm.example/x?a=1&amp;b=2">https://crm.example/x?a=1&amp;b=2</a></p>' in body


def test_every_line_is_short_and_ascii(server: Mail) -> None:
    for words in ("x" * 20_000, "ü" * 20_000, "日本" * 8_000, "a b " * 5_000, ".\r\n" * 300, "From me\n" * 300):
        publish(server, said(Literal(words), subject=(Literal(words),), record=message().record))
    for taken in server.taken:
        assert taken.content.isascii()
        assert taken.content.endswith(b"\r\n")
        lines = taken.content.split(b"\r\n")
        assert max(map(len, lines)) <= 78
        assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert [one.text() for one in server.taken][:3] == ["x" * 20_000 + "\n", "ü" * 20_000 + "\n", "日本" * 8_000 + "\n"]


def test_a_repeat_has_the_same_bytes(server: Mail) -> None:
    what = said(Literal("Ä "), Value("1"), subject=(Literal("S"),), link="https://a.example/")
    destination = made(server)
    for _ in range(3):
        destination.publish(what, KEY, Receipt(remote_id="<a@b.example>"))
    destination.publish(what, OTHER_KEY, None)
    first, *repeats, other = server.taken
    assert repeats == [first, first]
    assert other.content != first.content
    assert server.sessions == 4


@pytest.mark.parametrize(
    ("name", "shown"), [("wins", "wins"), ("big_wins-2", "big_wins-2"), ("größe\r\nBcc: x@y", "gr-e-Bcc-x-y"), ("\u65e5", "-"), ("", "-")]
)
def test_any_name_makes_a_list(server: Mail, name: str, shown: str) -> None:
    made(server, Setting(name=name, network=Network(deadline=20))).publish(said(), KEY, None)
    read = server.taken[0].parsed()
    assert read["List-Id"] == f"<{shown}.crmbridge.acme.example>"
    assert read["Bcc"] is None


def test_the_date_is_when_it_happened_in_any_zone(server: Mail) -> None:
    there = message().occurred_at.astimezone(timezone(timedelta(hours=-7)))
    publish(server, said(occurred_at=there))
    assert server.taken[0].parsed()["Date"] == "Sun, 22 Nov 2026 09:30:00 +0000"


def test_any_key_makes_a_message_id(server: Mail) -> None:
    for key in ("a b", "<x>", "ü" * 200, ""):
        receipt = publish(server, key=key)
        assert server.taken[-1].parsed()["Message-ID"] == receipt.remote_id
        assert receipt.remote_id.isascii()
        assert " " not in receipt.remote_id


# --- subjects and threads


@pytest.mark.parametrize(
    ("subject", "text", "shown"),
    [
        (None, (Literal("\n  \nFirst  line\nSecond"),), "First line"),
        ((Literal("Won: "), Value("A\r\nB\tC")), (Literal("x"),), "Won: A B C"),
        ((Literal(" "), Value("\u202e\x00")), (Literal("x"),), "x"),
        ((Literal(" \n"),), (Literal("First"),), "First"),
        (None, (Literal("word " * 100),), ("word " * 30)[:-1] + "…"),
        (None, (Literal("x" * 200),), "x" * 149 + "…"),
        (None, (Literal("x" * 150),), "x" * 150),
        (None, (Literal("=?utf-8?q?Hi?= a=?b?="),), "=?utf-8?q?Hi?= a=?b?="),
        (None, (Literal("Grüße, 日本 👨‍👩‍👧"),), "Grüße, 日本 👨‍👩‍👧"),
    ],
)
def test_what_a_message_is_called(server: Mail, subject: Any, text: Any, shown: str) -> None:
    receipt = publish(server, said(*text, subject=subject, thread="crm/Deal/1"))
    assert server.taken[0].parsed()["Subject"] == shown
    assert receipt.extra == {"subject": shown}  # for replies
    assert publish(server, said(*text, subject=subject)).extra == {}


def test_a_reply_stands_in_its_thread(server: Mail) -> None:
    first = publish(server, said(Literal("Stage: open"), subject=(Literal("Parkers Ä"),), thread="t"))
    second = publish(server, said(Literal("Stage: won"), subject=(Literal("Parkers Ä"),), thread="t"), key=OTHER_KEY, parent=first)
    publish(server, said(Literal("Renamed"), subject=(Literal("Parkers B"),)), key=OTHER_KEY, parent=first)
    publish(server, said(Literal("No subject")), key=OTHER_KEY, parent=first)
    one, two, three, four = (taken.parsed() for taken in server.taken)
    assert (one["In-Reply-To"], one["References"]) == (None, None)
    for reply in (two, three, four):
        assert (reply["In-Reply-To"], reply["References"]) == (first.remote_id, first.remote_id)
        assert reply["Subject"] == "Re: Parkers Ä"  # what Gmail keeps together by
    assert second.extra["subject"] == "Parkers Ä"
    assert [taken.text() for taken in server.taken[1:]] == ["Stage: won\n", "Parkers B\n\nRenamed\n", "No subject\n"]


@pytest.mark.parametrize("odd", ["", "1503.0002", "<a@b>\r\nBcc: x@y.example", "<a b@c>", "<a@b.example> <c@d.example>", "<ä@b.example>"])
def test_a_parent_of_another_network_is_no_reference(server: Mail, odd: str) -> None:
    publish(server, parent=Receipt(remote_id=odd))
    read = server.taken[0].parsed()
    assert (read["In-Reply-To"], read["References"], read["Bcc"]) == (None, None, None)


# --- addresses


@pytest.mark.parametrize(
    ("written", "box"),
    [
        ("a@b.example", Mailbox("a", "b.example")),
        (" a+b.c@B.Example ", Mailbox("a+b.c", "b.example")),
        ("Ann Doe <a@b.example>", Mailbox("a", "b.example", "Ann Doe")),
        ("Jörg <j@bücher.example>", Mailbox("j", "xn--bcher-kva.example", "Jörg")),
        ('"Doe, Ann \\"A\\"" <a@b.example>', Mailbox("a", "b.example", 'Doe, Ann "A"')),
        ("<a@b.example>", Mailbox("a", "b.example")),
        ("jörg@b.example", Mailbox("jörg", "b.example")),
        ("team@mail.corp.acme", Mailbox("team", "mail.corp.acme")),
    ],
)
def test_addresses_that_are_taken(written: str, box: Mailbox) -> None:
    assert mailbox(written) == box


NO_ADDRESSES = (
    "", "a", "a@", "@b.example", "a b@c.example", "a@b..example", ".a@b.example", "a@b.example\r\nBcc: x@y.example", "a@-b.example",
    "Ann a@b.example", "Ann <a@b.example", "A\u202eB <a@b.example>", "a@b.example, c@d.example", "a@b.example>",
    "a@b.example <c@d.example>", "x" * 101 + " <a@b.example>", "a" * 65 + "@b.example",
    "a@" + "b" * 300 + ".example", '"a b"@c.example', "a@[127.0.0.1]",
    "a@\u202eb.example", "a\0@b.example", "a@b.example\nc", "a" * 5000, "#wins", "{{ record.Email }}", 'A"B <a@b.example>',
)  # fmt: skip


@pytest.mark.parametrize("written", NO_ADDRESSES)
def test_addresses_that_are_not(written: str) -> None:
    with pytest.raises(ValueError, match=r"no e-mail address|a name is printable"):
        mailbox(written)


def test_many_addresses() -> None:
    assert [one.address for one in mailboxes('a@b.example,"Doe, Ann" <c@d.example> , A <a@b.example>')] == ["a@b.example", "c@d.example"]
    assert len(mailboxes([f"a{number}@b.example" for number in range(100)])) == 100
    with pytest.raises(ValueError, match="101 addresses"):
        mailboxes([f"a{number}@b.example" for number in range(101)])
    with pytest.raises(ValueError, match="e-mail address"):
        mailboxes("a@b.example,")


def test_everybody_is_told_by_one_message(server: Mail) -> None:
    publish(server, to=["Ann Ä <ann@acme.example>", "bob@acme.example", '"Doe, J" <j@acme.example>'])
    (taken,) = server.taken
    assert taken.recipients == ["ann@acme.example", "bob@acme.example", "j@acme.example"]
    assert email.utils.getaddresses([str(taken.parsed()["To"])]) == [
        ("Ann Ä", "ann@acme.example"), ("", "bob@acme.example"), ("Doe, J", "j@acme.example"),
    ]  # fmt: skip


def test_a_step_names_others(server: Mail) -> None:
    publish(server, said(channel=Channel("Bob <bob@acme.example>, c@d.example")))
    assert server.taken[0].recipients == ["bob@acme.example", "c@d.example"]
    with pytest.raises(Rejected, match="`#wins` is no e-mail address"):
        publish(server, said(channel=Channel("#wins")))
    with pytest.raises(Rejected, match="nobody to write to"):
        publish(server, to=[])
    assert CONNECTOR.needs_channel(CONNECTOR.options(host="x.example", **{"from": "a@b.example"}))
    assert "`#wins` is no e-mail address" in CONNECTOR.channel_fault(CONNECTOR.options(host="x.example", **SENDER), "#wins")
    assert CONNECTOR.channel_fault(CONNECTOR.options(host="x.example", **SENDER), "a@b.example, B <b@c.example>") == ""


def test_addresses_beyond_ascii(server: Mail) -> None:
    publish(server, to="Jörg <jörg@bücher.example>")
    (taken,) = server.taken
    assert "SMTPUTF8" in taken.mail.split()
    assert taken.recipients == ["jörg@xn--bcher-kva.example"]
    assert "<jörg@xn--bcher-kva.example>".encode() in taken.content
    publish(server, to="j@bücher.example")  # its domain has a spelling in ASCII
    assert "SMTPUTF8" not in server.taken[1].mail


def test_a_server_that_does_not_know_such_addresses() -> None:
    with Mail(features=("SIZE 100000",)) as server:
        with pytest.raises(AuthFailed, match="SMTPUTF8"):  # every message would be refused
            publish(server, to="jörg@acme.example")
        with pytest.raises(AuthFailed, match="SMTPUTF8"):
            made(server, to="jörg@acme.example").check()
        with pytest.raises(Rejected, match="SMTPUTF8"):
            publish(server, said(channel=Channel("jörg@acme.example")))
        publish(server)
        (taken,) = server.taken
        assert (taken.mail.split(" ", 2)[1:], taken.to) == (
            ["FROM:<news@acme.example>", f"SIZE={len(taken.content)}"],
            ["RCPT TO:<sales@acme.example>"],
        )
    with Mail(features=()) as server:
        publish(server)
        assert server.taken[0].mail == "MAIL FROM:<news@acme.example>"


def test_a_message_that_is_too_large_is_not_offered() -> None:
    with Mail(features=("SIZE 500",)) as server:
        with pytest.raises(Rejected, match="500"):
            publish(server)
        assert "MAIL" not in server.commands()


# --- some are refused


TWO = ["ann@acme.example", "bob@acme.example"]


def late(server: Mail, **options: Any) -> Any:
    """An attempt half an hour after it happened."""
    now = message().occurred_at + PATIENCE
    return made(server, Setting(name="mail", network=Network(deadline=20), now=lambda: now), to=TWO, **options).publish(said(), KEY, None)


def soon(server: Mail) -> Any:
    now = message().occurred_at + timedelta(minutes=29)
    return made(server, Setting(name="mail", network=Network(deadline=20), now=lambda: now), to=TWO).publish(said(), KEY, None)


def test_who_is_refused_for_good_is_named_beside_the_receipt(server: Mail) -> None:
    server.then("RCPT", "550 5.1.1 no such user")
    receipt = soon(server)
    assert receipt.extra["note"] == "not taken for ann@acme.example: 550 5.1.1 no such user (to RCPT)"
    assert server.taken[0].recipients == ["bob@acme.example"]


def test_a_server_that_takes_fewer_recipients_leaves_nobody_out_unsaid(server: Mail) -> None:
    """Waiting changes nothing there, and half of them would never know."""
    server.then("RCPT", "452 4.5.3 too many recipients")
    with pytest.raises(Rejected, match="takes 1 recipients of one message, and 2 are named: split `to`") as caught:
        soon(server)
    assert (caught.value.code, server.taken) == ("too_many_recipients", [])


@pytest.mark.parametrize("answer", ["200 fine", "235 ok", "251 forwarded"])
def test_any_yes_is_one(server: Mail, answer: str) -> None:
    """RFC 5321, 4.2.1: who knows not the rest of a code goes by its first digit."""
    server.then("END", answer)
    assert soon(server).remote_id


def test_who_is_put_off_is_waited_for_half_an_hour(server: Mail) -> None:
    server.then("RCPT", "450 4.7.1 greylisted")
    with pytest.raises(RateLimited, match=r"ann@acme.example: 450 4\.7\.1 greylisted") as caught:
        soon(server)
    assert caught.value.until == message().occurred_at + timedelta(minutes=34)
    assert caught.value.scope == "lane"
    assert not server.taken
    server.then("RCPT", "450 4.7.1 greylisted")
    receipt = late(server)
    assert "not taken for ann@acme.example: 450 4.7.1" in receipt.extra["note"]
    assert server.taken[0].recipients == ["bob@acme.example"]


def test_a_server_that_closes_is_asked_about_nobody_else(server: Mail) -> None:
    server.then("RCPT", "421 4.3.2 shutting down")
    with pytest.raises(RateLimited, match="shutting down"):
        late(server)
    assert server.commands().count("RCPT") == 1
    assert not server.taken


def test_nobody_takes_it(server: Mail) -> None:
    server.then("RCPT", "550 5.1.1 no", "550 5.7.1 not you")
    with pytest.raises(Rejected, match=r"ann@acme.example: 550 5\.1\.1 no .*; bob@acme.example: 550 5\.7\.1 not you") as caught:
        late(server)
    assert caught.value.code == "address"
    server.then("RCPT", "550 5.1.1 no", "450 4.2.0 later")
    with pytest.raises(RateLimited):  # one may take it yet
        late(server)
    server.then("RCPT", "450 4.2.0 later", "459 odd")
    with pytest.raises(RateLimited):
        late(server)
    server.then("RCPT", "459 odd", "459 odd")
    with pytest.raises(Transient):
        late(server)
    server.then("RCPT", "550 5.1.1 no", "530 5.7.0 log in first")
    with pytest.raises(AuthFailed):
        late(server)
    assert not server.taken


# --- the login and the encryption


USER = {"user": "bridge", "password": "canary-p\u00e4ssword"}


@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN", "LOGIN", "login PLAIN", "XOAUTH2 LOGIN"])
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_logged_in_over_tls(pem: Path, tls: str, mechanisms: str) -> None:
    with Mail(certificate=pem, implicit=tls == "implicit", users={"bridge": "canary-p\u00e4ssword"}, mechanisms=mechanisms) as server:
        setting = Setting(name="mail", network=Network(deadline=20, ca_file=str(pem)))
        destination = made(server, setting, tls=tls, **USER)
        destination.check()
        assert "MAIL" not in server.commands()
        assert server.commands()[-2:] == ["NOOP", "QUIT"]
        destination.publish(said(), KEY, None)
        assert len(server.taken) == 1
        assert server.commands().count("AUTH") == 2
        with pytest.raises(AuthFailed, match=r"535 5\.7\.8") as caught:
            made(server, setting, tls=tls, user="bridge", password="canary-wrong").check()
        assert caught.value.code == "login"
        assert server.commands().count("AUTH") == 3, "one try: several lock accounts"


def test_a_server_without_a_login_is_named(server: Mail) -> None:
    with pytest.raises(AuthFailed, match="offers no login"):
        publish(server, **USER)
    with Mail(users={"bridge": "x"}, mechanisms="CRAM-MD5 XOAUTH2") as other, pytest.raises(AuthFailed, match="offers no login"):
        publish(other, **USER)


def test_a_stripped_starttls_is_refused(server: Mail) -> None:
    with pytest.raises(AuthFailed, match="offers no STARTTLS"):
        made(server, tls="starttls", **USER).publish(said(), KEY, None)
    assert server.commands() == ["EHLO", "QUIT"]


def test_what_is_said_before_the_encryption_is_not_believed(pem: Path) -> None:
    """Bytes behind the answer to STARTTLS, in plain text, are no part of the encrypted conversation."""

    def inject(session: Any) -> None:
        session.say("220 go ahead\r\n250-mail.example\r\n250 AUTH PLAIN")
        session.encrypt()
        session.file = session.connection.makefile("rb")

    with Mail(certificate=pem) as server:
        server.then("STARTTLS", inject)
        with pytest.raises(AuthFailed, match="offers no login"):
            made(server, Setting(name="mail", network=Network(deadline=20, ca_file=str(pem))), tls="starttls", **USER).check()
        assert "AUTH" not in server.commands()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_that_nobody_vouches_for_pauses(pem: Path, tls: str) -> None:
    with Mail(certificate=pem, implicit=tls == "implicit", users={"bridge": "x"}) as server:
        with pytest.raises(AuthFailed, match="TLS fails") as caught:
            made(server, tls=tls, **USER).publish(said(), KEY, None)
        assert caught.value.code == "certificate"
        trusting = Setting(name="mail", network=Network(deadline=20, ca_file=str(pem)))
        with pytest.raises(AuthFailed, match="TLS fails"):  # another name than the certificate's
            made(server, trusting, host="localhost", tls=tls, **USER).check()
        assert "AUTH" not in server.commands()


def test_tls_where_there_is_none_is_transient(server: Mail) -> None:
    with marked() as mark, pytest.raises(Transient):
        made(server, tls="implicit").publish(said(), KEY, None)
    assert not mark.began


def test_a_password_is_read_when_it_is_needed(tmp_path: Path) -> None:
    with Mail(users={"bridge": "canary-second"}) as server:
        secret = tmp_path / "password"
        destination = made(server, user="bridge", password={"file": str(secret)})
        with pytest.raises(AuthFailed, match="cannot be read"):
            destination.check()
        secret.write_text("canary-second\n")
        destination.check()


def test_secrets_are_never_shown(capfd: pytest.CaptureFixture[str]) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    shown: list[str] = []
    try:
        with Mail(users={"bridge": USER["password"]}) as server:
            destination = made(server, **USER)
            echo = "AHRoZSBzYW1l"

            def repeat(session: Any) -> None:
                session.say(f"535 5.7.8 bad: {session.mail.heard[-1]} {USER['password']} {echo}")

            destination.check()
            for act in (repeat, cut, "454 4.7.0 " + USER["password"], "235 welcome"):
                server.then("AUTH", act)
                try:
                    shown.append(repr(destination.publish(said(), KEY, None)))
                except DeliveryError as error:
                    shown.append(f"{error} {error!r} {vars(error)}")
            told = [line.split(" ")[-1] for line in server.heard if line.startswith("AUTH")]
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    shown += [stream.getvalue(), repr(destination), repr(CONNECTOR.options(host="x.example", **SENDER, **USER)), *capfd.readouterr()]
    assert told
    for secret in (USER["password"], *told):
        assert not [one for one in shown if secret in one]


# --- options


def refusal(**options: Any) -> str:
    try:
        found = CONNECTOR.options(**{"host": "smtp.acme.example", **SENDER, **options}).objections(public=False)
    except ValueError as error:
        return str(error)
    return "; ".join(f"{path[-1]} {words}" for path, words in found)


def test_options_that_do_not_go_together() -> None:
    assert refusal() == ""
    assert refusal(user="a") == "password is missing beside user"
    assert refusal(password="a") == "user is missing beside password"
    assert refusal(tls="none").startswith("tls none is for a server on this machine")
    assert refusal(tls="none", host="10.0.0.1") != ""
    for host in ("localhost", "127.0.0.1", "::1", "127.9.9.9"):
        assert refusal(tls="none", host=host) == ""
    for host in ("smtp://x.example", "a@b", "x y", "", "x\n"):
        assert refusal(host=host) != ""
    assert "no e-mail address" in refusal(**{"from": "acme"})
    assert "no e-mail address" in refusal(to=["a@b.example", "c"])
    with pytest.raises(ValueError, match="none is for"):
        CONNECTOR.build(CONNECTOR.options(host="x.example", tls="none", **SENDER), Setting(name="mail"))


def test_ports_follow_the_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append((host, port))
        return []

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    for options in ({"tls": "starttls"}, {"tls": "implicit"}, {"tls": "none"}, {"port": 2525}):
        destination = CONNECTOR.build(CONNECTOR.options(host="localhost", **SENDER, **options), Setting(name="mail"))
        with pytest.raises(Transient, match="no address"):
            destination.check()
    assert asked == [("localhost", 587), ("localhost", 465), ("localhost", 25), ("localhost", 2525)]


def test_what_ends_at_microsoft_is_noted() -> None:
    options = {**SENDER, **USER}
    ((path, words),) = CONNECTOR.options(host="smtp.office365.com", **options).notes()
    assert (path, "December 2026" in words) == (("password",), True)
    assert CONNECTOR.options(host="smtp.acme.example", **options).notes() == []


def test_the_pace_is_that_of_the_options(server: Mail) -> None:
    limits = made(server).limits.per_destination
    assert limits is not None
    assert (limits.count, limits.seconds) == (30, 60)
    limits = made(server, per_minute=600).limits.per_destination
    assert limits is not None
    assert limits.count == 600


def test_an_unknown_host_is_transient() -> None:
    options = CONNECTOR.options(host="no-such-host.invalid", **SENDER)
    with pytest.raises(Transient, match=r"cannot find no-such-host\.invalid"):
        CONNECTOR.build(options, Setting(name="mail", network=Network(deadline=20))).check()
    with Mail() as gone:
        gone.refuse()
        with pytest.raises(Transient, match=r"cannot connect to 127\.0\.0\.1: Connection refused"):
            publish(gone)
