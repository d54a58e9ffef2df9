"""One conversation with a mail server, by smtplib: encrypted, logged in, under one deadline, with bounded answers.

What smtplib does by itself and we do not: try one login after another (which locks accounts), write passwords to stderr when asked to
debug, take ASCII only for a password, read an answer of any length.

What decides whether a message is out: its last line, a dot, is sent apart from the rest, and `begin` is said right before it. Without that
line no server may deliver (https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1.4); with it, only the server's answer tells.
"""

from __future__ import annotations

import base64
import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NoReturn

from connectors.destinations.email.addresses import Mailbox
from connectors.destinations.email.errors import Reply, Step, meaning
from connectors.destinations.email.options import PORTS, EmailOptions
from crmbridge.errors import AuthFailed, Rejected
from crmbridge.http import SocketGuard, begin, credential
from crmbridge.model import Network
from crmbridge.telemetry import hide

_LONGEST_LINE: Final = 2000  # bytes; RFC 5321 says 512, and servers say more
_MOST_LINES: Final = 100
_ANSWER: Final = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_DOTS: Final = re.compile(rb"(?m)^\.")
_PARTING: Final = 1.0  # seconds to say goodbye for


class Dialogue(smtplib.SMTP):
    """A connection that is opened, used once and closed. Each method raises a DeliveryError for a refusal, else what went wrong."""

    def __init__(self, options: EmailOptions, name: str, network: Network, watch: SocketGuard, now: Callable[[], datetime]) -> None:
        """Opens nothing. We are called `name`; `watch` ends it; `now` is what a server's wait begins at."""
        super().__init__(local_hostname=name)
        self._options = options
        self._network = network
        self._watch = watch
        self._now = now
        self._within = False
        """A message is under way: whatever is sent is a line of it."""

    def open(self) -> None:
        """Connect, encrypt, log in; whoever offers no encryption is not spoken to any further."""
        self._host = self._options.host
        port = self._options.port or PORTS[self._options.tls]
        try:
            found = socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise OSError(f"Failed to resolve '{self._host}'") from None
        try:
            self.sock = self._watch.connect(found)
        except TimeoutError:
            raise
        except OSError as error:
            raise OSError(f"no connection to {self._host}: {error.strerror or error}") from None
        self.sock.settimeout(max(self._watch.left, 0.001))
        context = None if self._options.tls == "none" else _trusting(self._network.ca_file)
        if context and self._options.tls == "implicit":
            self.sock = context.wrap_socket(self.sock, server_hostname=self._host)
        self._must(Step.GREETING, self.getreply(), 220)
        self._must(Step.EHLO, self.ehlo(), 250)
        if context and self._options.tls == "starttls":
            if not self.has_extn("starttls"):
                raise AuthFailed("the mail server offers no STARTTLS: is it the right port, or is somebody in between?", code="tls")
            try:
                self.starttls(context=context)
            except smtplib.SMTPResponseException as refusal:
                self._refused(Step.STARTTLS, (refusal.smtp_code, _bytes(refusal.smtp_error)))
            self._must(Step.EHLO, self.ehlo(), 250)
        if self._options.user is not None and self._options.password is not None:
            self._log_in(self._options.user, credential(self._options.password.reveal))

    def _log_in(self, user: str, password: str) -> None:
        """Once, by the first mechanism of two that the server offers: https://www.rfc-editor.org/rfc/rfc4616 , and LOGIN."""
        offered = self.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            answer = self.docmd("AUTH", f"PLAIN {_hidden(f'{chr(0)}{user}{chr(0)}{password}')}")
        elif "LOGIN" in offered:
            answer = self.docmd("AUTH", f"LOGIN {_hidden(user)}")
            if answer[0] == 334:
                answer = self.docmd(_hidden(password))
        else:
            raise AuthFailed("the mail server offers no login by password here (AUTH PLAIN or LOGIN)", code="login")
        self._must(Step.AUTH, answer, 235)

    def ask(self) -> None:
        """Whether all is well, without a message."""
        self._must(Step.NOOP, self.noop(), 250)

    def propose(self, sender: Mailbox, to: Sequence[Mailbox], id: str, size: int) -> Mapping[str, Reply]:
        """MAIL and RCPT, for a message of `size` bytes; returns what was said of each address that is not taken."""
        limit = self.esmtp_features.get("size", "").strip()
        if limit.isdecimal() and 0 < int(limit) < size:
            raise Rejected(f"the message has {size} bytes, and the mail server takes {limit}", code="size")
        if reports := self.has_extn("dsn"):  # https://www.rfc-editor.org/rfc/rfc3461 : without the message, which its sender has
            id, notify = f" RET=HDRS ENVID={id}", " NOTIFY=FAILURE,DELAY"
        utf8 = any(one.utf8 for one in (sender, *to))
        self.command_encoding = "utf-8" if utf8 else "ascii"
        more = f"{f' SIZE={size}' if self.has_extn('size') else ''}{' SMTPUTF8' if utf8 else ''}{id if reports else ''}"
        self._must(Step.MAIL, self.docmd("MAIL", f"FROM:<{sender.address}>{more}"), 250)
        refused = {}
        for one in to:
            code, text = self.docmd("RCPT", f"TO:<{one.address}>{notify if reports else ''}")
            if code == 421:  # it closes the connection, and is asked about nobody else
                self._refused(Step.RCPT, (code, text))
            if code not in (250, 251, 252):
                refused[one.address] = _reply(Step.RCPT, (code, text))
        return refused

    def deliver(self, content: bytes) -> None:
        """The message itself, to those who were taken."""
        self._must(Step.DATA, self.docmd("DATA"), 354)
        assert self.sock is not None
        self._within = True
        self.sock.sendall(_DOTS.sub(b"..", content))
        begin()
        self.sock.sendall(b".\r\n")
        self._within = False
        answer = self.getreply()
        if answer[0] // 100 != 2:  # any 2yz is a yes: https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1
            self._refused(Step.END, answer)

    def part(self) -> None:
        """Say goodbye, briefly, and close; what comes of it is no matter."""
        with contextlib.suppress(OSError, ValueError):
            if self.sock is not None and not self._within and not self._watch.expired:
                self.sock.settimeout(max(min(self._watch.left, _PARTING), 0.001))
                self.docmd("QUIT")
        with contextlib.suppress(OSError):
            self.close()

    def getreply(self) -> tuple[int, bytes]:
        """One answer, of bounded length; smtplib's own reads as long as a server writes, and takes what is cut off for whole."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        if self.file is None:
            self.file = self.sock.makefile("rb")
        lines: list[bytes] = []
        code = line = b""
        while len(lines) < _MOST_LINES:
            line = self.file.readline(_LONGEST_LINE)
            found = _ANSWER.fullmatch(line.rstrip(b"\r\n")) if line.endswith(b"\n") else None
            if not found or (lines and found.group(1) != code):
                break
            code = found.group(1)
            lines.append(_joined(lines, (found.group(3) or b"").strip()))
            if found.group(2) != b"-":
                return int(code), b"\n".join(lines)
        self.close()
        raise smtplib.SMTPServerDisconnected(
            "the mail server closed the connection" if not line else "what the mail server says is not SMTP"
        )

    def _must(self, step: Step, answer: tuple[int, bytes], wanted: int) -> None:
        if answer[0] != wanted:
            self._refused(step, answer)

    def _refused(self, step: Step, answer: tuple[int, bytes]) -> NoReturn:
        raise meaning(_reply(step, answer), self._now())


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    """Certificates are verified against the public authorities, or those of the file alone, and name their server as RFC 9525 says."""
    context = ssl.create_default_context(cafile=ca_file)
    context.hostname_checks_common_name = False
    return context


def _reply(step: Step, answer: tuple[int, bytes]) -> Reply:
    return Reply(step, answer[0], answer[1].decode("utf-8", "replace"))


def _joined(lines: Sequence[bytes], line: bytes) -> bytes:
    """A further line without the enhanced code that stands before each: it is one code for all (RFC 2034)."""
    status = lines[0].split(b" ", 1)[0] if lines else b""
    return line.removeprefix(status).lstrip() if status[:2] in (b"2.", b"4.", b"5.") else line


def _hidden(words: str) -> str:
    """Base64 as AUTH has it; from now on in no log and no error, whoever repeats it."""
    written = base64.b64encode(words.encode()).decode()
    hide(written)
    return written


def _bytes(text: bytes | str) -> bytes:
    return text.encode("utf-8", "replace") if isinstance(text, str) else text
