"""What each answer of a mail server means, and each way in which a conversation can end."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from flow.wire.networks import certificate
from hypothesis import given
from hypothesis import strategies as st
from shared import ROOT
from standins.mail import KEY, SENDER, Mail, cut, dribble, flood, hang, lost, made, publish, said

from connectors.destinations.email import CONNECTOR
from connectors.destinations.email.errors import SESSION, TABLE, Reply, Step, Then, answer_table, meaning, named_wait, row
from crmbridge.contract import Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import SocketGuard, marked
from crmbridge.model import Literal, Network, Receipt
from crmbridge.testing.server import unresponsive

NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
KIND = {
    AuthFailed: Then.PAUSE,
    RateLimited: Then.WAIT,
    Rejected: Then.DEAD,
    Transient: Then.RETRY,
    OutcomeUnknown: Then.UNKNOWN,
}

ANSWERS = [
    # RFC 5321, section 4.2.3
    (Step.GREETING, "421 too busy", Then.WAIT, "busy"),
    (Step.GREETING, "554 no SMTP service here", Then.PAUSE, "server"),
    (Step.GREETING, "521 5.3.2 does not accept mail", Then.PAUSE, "server"),
    (Step.GREETING, "450 4.7.1 wait", Then.WAIT, "policy_later"),
    (Step.EHLO, "502 no such command", Then.PAUSE, "server"),
    (Step.EHLO, "550 access denied", Then.PAUSE, "server"),
    (Step.EHLO, "421 4.7.0 Try again later, closing connection.", Then.WAIT, "policy_later"),
    (Step.MAIL, "421 4.3.2 shutting down", Then.WAIT, "busy"),
    (Step.MAIL, "451 4.3.0 local error", Then.RETRY, "later"),
    (Step.MAIL, "452 4.3.1 no room", Then.WAIT, "busy"),
    (Step.MAIL, "455 parameters", Then.RETRY, "later"),
    (Step.MAIL, "550 5.7.1 sender not allowed", Then.PAUSE, "sender"),
    (Step.MAIL, "552 5.3.4 too large", Then.DEAD, "size"),
    (Step.MAIL, "553 5.1.7 bad sender address", Then.PAUSE, "sender"),
    (Step.MAIL, "555 parameters", Then.PAUSE, "sender"),
    (Step.RCPT, "450 mailbox busy", Then.WAIT, "greylisted"),
    (Step.RCPT, "451 4.7.1 Greylisted for 300 seconds", Then.WAIT, "greylisted"),
    (Step.RCPT, "452 4.5.3 too many recipients", Then.WAIT, "busy"),
    (Step.RCPT, "452 4.2.2 over quota", Then.WAIT, "full"),
    (Step.RCPT, "500 what?", Then.DEAD, "protocol"),
    (Step.RCPT, "501 5.1.3 bad address syntax", Then.DEAD, "address"),
    (Step.RCPT, "503 5.5.1 MAIL first", Then.DEAD, "protocol"),
    (Step.RCPT, "530 5.7.0 Authentication required", Then.PAUSE, "login"),
    (Step.RCPT, "550 no such user", Then.DEAD, "refused"),
    (Step.RCPT, "550 5.1.1 no such user", Then.DEAD, "address"),
    (Step.RCPT, "550 5.2.1 mailbox disabled", Then.DEAD, "mailbox"),
    (Step.RCPT, "550 5.4.1 no answer from host", Then.DEAD, "routing"),
    (Step.RCPT, "550 5.7.133 senders outside are not allowed", Then.DEAD, "policy"),
    (Step.RCPT, "551 not local", Then.DEAD, "address"),
    (Step.RCPT, "552 5.2.2 mailbox full", Then.DEAD, "mailbox"),
    (Step.RCPT, "553 name not allowed", Then.DEAD, "address"),
    (Step.RCPT, "554 5.7.1 <a@b.example>: Relay access denied", Then.DEAD, "relay"),
    (Step.RCPT, "550 5.7.64 TenantAttribution; Relay Access Denied", Then.DEAD, "relay"),
    (Step.RCPT, "556 5.1.10 null MX", Then.DEAD, "address"),
    (Step.DATA, "451 4.3.0 later", Then.RETRY, "later"),
    (Step.DATA, "503 no valid recipients", Then.DEAD, "protocol"),
    (Step.DATA, "554 5.5.1 no valid recipients", Then.DEAD, "protocol"),
    (Step.END, "421 going down", Then.WAIT, "busy"),
    (Step.END, "451 4.3.0 error in processing", Then.RETRY, "later"),
    (Step.END, "451 4.7.1 Greylisting in action, please come back in 10 minutes", Then.WAIT, "policy_later"),
    (Step.END, "452 4.3.1 no room", Then.WAIT, "busy"),
    (Step.END, "550 5.6.0 lines too long", Then.DEAD, "content"),
    (Step.END, "550 5.7.1 looks like spam", Then.DEAD, "policy"),
    (Step.END, "552 5.3.4 too large", Then.DEAD, "size"),
    (Step.END, "554 transaction failed", Then.DEAD, "refused"),
    (Step.END, "354 what?", Then.UNKNOWN, "odd"),
    (Step.END, "250 ok", Then.UNKNOWN, "odd"),
    (Step.DATA, "250 ok", Then.RETRY, "odd"),
    # RFC 3207, RFC 4954
    (Step.STARTTLS, "454 4.7.0 TLS not available", Then.WAIT, "policy_later"),
    (Step.STARTTLS, "454 TLS not available", Then.RETRY, "later"),
    (Step.STARTTLS, "502 not implemented", Then.PAUSE, "server"),
    (Step.AUTH, "432 4.7.12 A password transition is needed", Then.PAUSE, "login"),
    (Step.AUTH, "454 4.7.0 Temporary authentication failure", Then.WAIT, "login_later"),
    (Step.AUTH, "454 4.7.0 Too many login attempts, please try again later.", Then.WAIT, "login_later"),
    (Step.AUTH, "500 5.5.6 Authentication Exchange line is too long", Then.PAUSE, "login"),
    (Step.AUTH, "504 5.5.4 unrecognized mechanism", Then.PAUSE, "login"),
    (Step.AUTH, "534 5.7.9 Application-specific password required.", Then.PAUSE, "login"),
    (Step.AUTH, "535 5.7.8 Username and Password not accepted.", Then.PAUSE, "login"),
    (Step.AUTH, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant", Then.PAUSE, "login"),
    (Step.AUTH, "538 5.7.11 Encryption required for requested authentication mechanism", Then.PAUSE, "login"),
    (Step.AUTH, "550 5.7.30 Basic authentication is not supported for Client Submission.", Then.PAUSE, "login"),
    (Step.AUTH, "525 5.7.13 User account disabled", Then.PAUSE, "login"),
    # Google, Microsoft
    (Step.MAIL, "530 5.7.57 Client not authenticated to send mail", Then.PAUSE, "login"),
    (Step.MAIL, "530 5.7.0 Must issue a STARTTLS command first", Then.PAUSE, "login"),
    (Step.RCPT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", Then.WAIT, "greylisted"),
    (Step.END, "421 4.7.28 Gmail has detected an unusual rate of mail", Then.WAIT, "flood"),
    (Step.RCPT, "550 5.4.5 Daily user sending limit exceeded.", Then.WAIT, "quota"),
    (Step.END, "550 5.7.233 your tenant has exceeded its daily limit for sending email to external recipients", Then.WAIT, "quota"),
    (Step.END, "550 5.7.26 This mail has been blocked because the sender is unauthenticated.", Then.PAUSE, "sender"),
    (Step.END, "550 5.7.25 The IP address sending this message does not have a PTR record", Then.PAUSE, "sender"),
    (Step.END, "554 5.7.60 SMTP; Client does not have permissions to send as this sender", Then.PAUSE, "sender"),
    (Step.RCPT, "550 5.7.501 Access denied, spam abuse detected", Then.PAUSE, "sender"),
    (Step.RCPT, "501 5.1.8 Access denied, bad outbound sender", Then.PAUSE, "sender"),
    (Step.END, "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException", Then.PAUSE, "sender"),
    (Step.END, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", Then.WAIT, "quota"),
    (Step.MAIL, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Then.WAIT, "busy"),
    # the enhanced code decides over the other, what it tells over both; one that is none does not
    (Step.RCPT, "550 4.2.0 later", Then.WAIT, "greylisted"),
    (Step.RCPT, "450 5.1.1 never", Then.DEAD, "address"),
    (Step.END, "554 4.3.0 later", Then.RETRY, "later"),
    (Step.RCPT, "550 2.1.5 odd", Then.DEAD, "refused"),
    (Step.RCPT, "550 5.1.1.1 version", Then.DEAD, "refused"),
    (Step.RCPT, "550", Then.DEAD, "refused"),
    (Step.NOOP, "421 bye", Then.WAIT, "busy"),
    (Step.NOOP, "500 what?", Then.PAUSE, "server"),
]


def reply(step: Step, line: str) -> Reply:
    code, _, text = line.partition(" ")
    return Reply(step, int(code), text)


@pytest.mark.parametrize(("step", "line", "then", "code"), ANSWERS, ids=lambda one: str(one)[:40])
def test_what_an_answer_means(step: Step, line: str, then: Then, code: str) -> None:
    error = meaning(reply(step, line), NOW)
    assert (KIND[type(error)], error.code) == (then, code)
    assert line[:100] in str(error)
    if isinstance(error, RateLimited):
        assert timedelta(minutes=1) <= error.until - NOW <= timedelta(hours=24)


@pytest.mark.parametrize("step", list(Step))
def test_every_answer_has_a_meaning_on_purpose(step: Step) -> None:
    """All codes and all enhanced codes with them; 4yz is never for good, 5yz never tried in a loop, and only the last line leaves doubt."""
    for code in range(600):
        for status in [
            "",
            *(f"{kind}.{subject}.{detail} " for kind in (4, 5) for subject in range(9) for detail in (0, 1, 2, 3, 7, 28, 500)),
        ]:
            one = Reply(step, code, f"{status}words")
            then = row(one).then
            assert type(meaning(one, NOW)) in KIND
            assert (then is Then.UNKNOWN) <= (step is Step.END)
            if code // 100 == 4 and not status:
                assert then in (Then.WAIT, Then.RETRY)
            if code // 100 == 5 and not status:
                assert then in (Then.PAUSE, Then.DEAD)
                assert (then is Then.PAUSE) or step not in SESSION
            if code // 100 not in (4, 5):
                assert then is (Then.UNKNOWN if step is Step.END else Then.RETRY)


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.seen[:40])
def test_no_row_is_out_of_reach(one: Any) -> None:
    """Each row decides something: what stands before it leaves it some answer."""
    texts = [
        "",
        "4.7.12 x",
        "daily limit",
        "5.7.28 x",
        "5.7.60 x",
        "5.3.2 x",
        "5.3.4 x",
        "relay",
        "4.2.2 x",
        "4.2.1 x",
        "4.7.1 x",
        "5.3.1 x",
        "5.4.5 x",
    ]
    texts += [f"5.{subject}.1 x" for subject in range(8)]
    codes = (100, 0, 421, 432, 450, 452, 454, 459, 500, 521, 530, 550, 552, 553, 600)
    assert any(row(Reply(step, code, text)) is one for step in Step for code in codes for text in texts)


def test_the_readme_shows_the_table() -> None:
    text = (ROOT / "connectors/destinations/email/README.md").read_text("utf-8")
    found = text.split("<!-- answers: begin -->\n")[1].split("\n<!-- answers: end -->")[0]
    assert found == answer_table()
    assert len(found.splitlines()) == len(TABLE) + 2


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        ("Greylisted for 300 seconds", timedelta(minutes=5)),
        ("Greylisted, try again in 10 minutes", timedelta(minutes=10)),
        ("please retry in 90s", timedelta(seconds=90)),
        ("come back after 1 hour", timedelta(hours=1)),
        ("wait 2 hrs", timedelta(hours=2)),
        ("for 99999 hours", timedelta(hours=24)),
        ("in 5 messages", None),
        ("error 300 seconds", None),
        ("see https://a.example/in10m", None),
        ("", None),
    ],
)
def test_the_time_that_a_server_names(words: str, wait: timedelta | None) -> None:
    assert named_wait(words) == wait


def test_the_named_time_is_not_undercut_and_the_usual_one_neither() -> None:
    for words, minutes in (("4.7.1 Greylisted for 10 seconds", 5), ("4.7.1 Greylisted for 20 minutes", 20), ("4.7.1 Greylisted", 5)):
        error = meaning(Reply(Step.RCPT, 450, words), NOW)
        assert isinstance(error, RateLimited)
        assert error.until - NOW == timedelta(minutes=minutes)


@given(st.text(max_size=3000), st.integers(0, 999), st.sampled_from(Step))
def test_any_words_are_bounded_and_printable(text: str, code: int, step: Step) -> None:
    said = str(meaning(Reply(step, code, text), NOW))
    assert len(said) < 500
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said)


# --- conversations that end


@pytest.fixture
def server() -> Iterator[Mail]:
    with Mail() as running:
        yield running


def outcome(server: Mail, deadline: float = 20.0, **options: Any) -> tuple[DeliveryError | Receipt, bool]:
    """What one attempt came to, and whether it was marked as begun."""
    with marked() as mark:
        try:
            found: Any = made(server, Setting(name="mail", network=Network(deadline=deadline)), **options).publish(said(), KEY, None)
        except DeliveryError as error:
            return error, mark.began
    return found, mark.began


def called(act: Any) -> str:
    """An act's name, or the beginning of a line."""
    return getattr(act, "__name__", str(act)[:20])


BEFORE = ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("step", BEFORE)
@pytest.mark.parametrize(
    "act", [cut, "220-", "", "garbage", "25", "2500 x", "250_x", "354", "9" * 3000, flood], ids=lambda act: str(act)[:20]
)
def test_whatever_ends_before_the_message_is_tried_again(server: Mail, step: str, act: Any) -> None:
    if step == "DATA" and act == "354":
        return
    server.then(step, act)
    error, began = outcome(server, deadline=20 if act != "220-" else 1)
    assert isinstance(error, Transient), error
    assert not began
    assert not server.taken
    assert server.sessions == 1, "a destination never repeats"


@pytest.mark.parametrize("step", BEFORE)
@pytest.mark.parametrize("act", [hang, dribble], ids=called)
def test_the_deadline_is_absolute(server: Mail, step: str, act: Any) -> None:
    server.then(step, act)
    started = time.monotonic()
    error, began = outcome(server, deadline=1)
    assert isinstance(error, Transient), error
    assert str(error) == "TimeoutError: no complete answer within 1 s"
    assert not began
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("act", [cut, hang, dribble, lost, "garbage", "354 go on", "", flood], ids=called)
def test_an_answer_to_the_last_line_that_is_lost_is_unknown(server: Mail, act: Any) -> None:
    server.then("END", act)
    started = time.monotonic()
    error, began = outcome(server, deadline=1 if act in (hang, dribble) else 20)
    assert isinstance(error, OutcomeUnknown), error
    assert began
    assert time.monotonic() - started < 10
    assert server.sessions == 1


@pytest.mark.parametrize("act", [cut, hang], ids=called)
def test_a_message_that_did_not_leave_whole_is_tried_again(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Without its last line no server may deliver it. Little of it fits into the buffers between the two."""
    connect = SocketGuard.connect
    small = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)]
    monkeypatch.setattr(SocketGuard, "connect", lambda self, addresses, options=(): connect(self, addresses, small))
    with Mail(narrow=True) as server, marked() as mark:
        server.then("WITHIN", act)
        destination = made(server, Setting(name="mail", network=Network(deadline=3)))
        with pytest.raises(Transient):
            destination.publish(said(Literal("\u00fc" * 49_000)), KEY, None)
        assert not mark.began
        assert not server.taken


def test_what_follows_the_answer_does_not_matter(server: Mail) -> None:
    for act in (cut, "500 what?", hang, flood):
        server.then("QUIT", act)
        found, _ = outcome(server)
        assert isinstance(found, Receipt)
    assert len(server.taken) == 4


def test_the_last_line_may_be_refused(server: Mail) -> None:
    for line, kind in (
        ("451 4.3.0 later", Transient),
        ("550 5.7.1 spam", Rejected),
        ("421 bye", RateLimited),
        ("530 5.7.0 login", AuthFailed),
    ):
        server.then("END", line)
        error, began = outcome(server)
        assert type(error) is kind
        assert began
    assert not server.taken


def test_an_answer_of_many_lines_is_one() -> None:
    with Mail() as server:
        server.then("RCPT", "550-5.1.1 The account does not exist.\r\n550-5.1.1 Try double-checking\r\n550 5.1.1 the address")
        error, _ = outcome(server)
        assert isinstance(error, Rejected)
        assert "550 5.1.1 The account does not exist. Try double-checking the address" in str(error)
        server.then("RCPT", "550-5.1.1 one\r\n250 ok")  # two codes are none
        error, _ = outcome(server)
        assert isinstance(error, Transient)


def test_an_attempt_that_is_over_sends_no_last_line(server: Mail) -> None:
    """What was given up while it was under way cannot be published any more."""
    mark, read, ended = marked(), [], threading.Event()

    def over(session: Any) -> None:
        mark.end()
        session.say("354 go on")
        session.connection.settimeout(5)
        while (line := session.file.readline()) not in (b".\r\n", b""):
            read.append(line)
        read.append(line)
        session.over = True
        ended.set()

    server.then("DATA", over)
    with mark, pytest.raises(Transient, match="no complete answer"):
        made(server).publish(said(), KEY, None)
    assert not mark.began
    assert ended.wait(10)
    assert read[-1] == b""
    assert b"QUIT\r\n" not in read


def test_no_connection_in_time_is_transient() -> None:
    with unresponsive() as url:
        options = CONNECTOR.options(host="127.0.0.1", port=int(url.rpartition(":")[2]), tls="none", **SENDER)
        destination = CONNECTOR.build(options, Setting(name="mail", network=Network(deadline=1)))
        with pytest.raises(Transient, match="within 1 s"):
            destination.publish(said(), KEY, None)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_handshake_that_never_ends(tmp_path: Path, tls: str) -> None:
    pem = tmp_path / "server.pem"
    pem.write_bytes(certificate(None))
    with Mail(certificate=pem) as server:
        if tls == "starttls":
            server.then("STARTTLS", lambda session: (session.say("220 go ahead"), hang(session)))
        else:
            server.then("GREETING", hang)
        started = time.monotonic()
        error, began = outcome(server, deadline=1, tls=tls)
        assert isinstance(error, Transient), error
        assert not began
        assert time.monotonic() - started < 4


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "NOOP"])
def test_a_check_that_is_cut_off_proves_nothing(server: Mail, step: str) -> None:
    server.then(step, cut)
    with pytest.raises(Transient):
        made(server).check()
    server.then(step, "421 4.3.2 going down")
    with pytest.raises(RateLimited):
        made(server).check()
    server.then(step, "554 5.7.1 go away")
    with pytest.raises(AuthFailed):
        made(server).check()
    assert not server.taken


def test_a_second_session_is_not_the_first_ones_affair(server: Mail) -> None:
    """One connection for each attempt: what went wrong in one is forgotten."""
    server.then("EHLO", cut)
    assert isinstance(outcome(server)[0], Transient)
    publish(server)
    assert len(server.taken) == 1
