"""A mail server whose every answer can be scripted, line by line: SMTP as RFC 5321 has it, with STARTTLS, AUTH, DSN, SIZE and SMTPUTF8."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import socket
import socketserver
import ssl
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

from connectors.destinations.email import CONNECTOR
from crmbridge.contract import Destination, Setting
from crmbridge.model import Literal, Message, Network, Receipt, Value
from crmbridge.testing import message

FEATURES = ("PIPELINING", "SIZE 35882577", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")


@dataclass
class Taken:
    """A message that the server has accepted: who, and what."""

    mail: str
    to: list[str]
    content: bytes
    """As it was sent, without the dots of transport."""

    @property
    def recipients(self) -> list[str]:
        return [one[one.index("<") + 1 : one.index(">")] for one in self.to]

    def parsed(self) -> EmailMessage:
        return email.message_from_bytes(self.content, policy=email.policy.default)

    def text(self, kind: str = "plain") -> str:
        """One of its two forms, as it is read."""
        part = self.parsed().get_body((kind,))
        assert part is not None
        return part.get_content().replace("\r\n", "\n")


Act = Callable[["Session"], None]


@dataclass
class Mail:
    """A context manager. `then("RCPT", "550 5.1.1 no")` scripts the next answer to a command, `always` every one of them.

    Commands are GREETING, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, WITHIN (within a message), END (its last line), NOOP, QUIT. An answer is
    a line, or an act like `cut`.
    """

    certificate: Path | None = None
    """A PEM file with a key: then it offers STARTTLS, or with `implicit` speaks TLS from the first byte."""
    implicit: bool = False
    users: dict[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = FEATURES
    mechanisms: str = "PLAIN LOGIN"
    narrow: bool = False
    """It takes little before it reads: whoever sends more waits."""
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        self.taken: list[Taken] = []
        self.heard: list[str] = []
        """Every command, as it came; logins too."""
        self.sessions = 0
        self.stopping = threading.Event()
        self._script: dict[str, deque[str | Act]] = defaultdict(deque)
        self._always: dict[str, str | Act] = {}
        self._lock = threading.Lock()
        mail = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    Session(mail, self.request).run()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A peer that went away is no affair of ours."""

        self._server = Server((self.host, self.port), Handler)
        if self.narrow:
            self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = int(self._server.server_address[1])
        self.url = str(self.port)  # what the wire's YAML calls it
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def then(self, command: str, *answers: str | Act) -> Self:
        self._script[command].extend(answers)
        return self

    def always(self, command: str, answer: str | Act) -> Self:
        self._always[command] = answer
        return self

    def next(self, command: str) -> str | Act | None:
        with self._lock:
            return self._script[command].popleft() if self._script[command] else self._always.get(command)

    def commands(self, *but: str) -> list[str]:
        """The verbs that came, in order."""
        return [verb for line in self.heard if (verb := line.split(" ", 1)[0].upper()) not in but]

    def refuse(self) -> None:
        """Stop listening."""
        if not self.stopping.is_set():
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._thread.join(5)


class Session:
    """One connection."""

    def __init__(self, mail: Mail, connection: socket.socket) -> None:
        self.mail = mail
        self.connection: Any = connection
        self.connection.settimeout(30)
        self.encrypted = False
        self.over = False
        self.sender, self.to = "", []
        self.content = b""

    def run(self) -> None:
        with self.mail._lock:
            self.mail.sessions += 1
        if self.mail.implicit:
            self.encrypt()
        self.file = self.connection.makefile("rb")
        self.answer("GREETING", "220 mail.example ESMTP")
        while not self.over:
            line = self.file.readline(12_000)
            if not line.endswith(b"\r\n"):
                break
            words = line[:-2].decode("utf-8", "surrogateescape")
            self.mail.heard.append(words)
            verb = words.split(" ", 1)[0].split(":")[0].upper()
            getattr(self, f"on_{verb.lower()}", lambda _: self.say("502 5.5.2 no such command"))(words)
        with contextlib.suppress(OSError):
            self.connection.close()

    def encrypt(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert self.mail.certificate is not None
        context.load_cert_chain(self.mail.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.encrypted = True

    def say(self, line: str) -> None:
        self.connection.sendall(line.encode("utf-8", "surrogateescape") + b"\r\n")

    def answer(self, command: str, usual: str) -> bool:
        """Whether the usual answer was given."""
        scripted = self.mail.next(command)
        if callable(scripted):
            scripted(self)
        else:
            self.say(usual if scripted is None else scripted)
        return scripted is None

    def cut(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.over = True
        self.connection.close()

    def take(self) -> None:
        with self.mail._lock:
            self.mail.taken.append(Taken(self.sender, list(self.to), self.content))

    # --- commands

    def on_ehlo(self, line: str) -> None:
        offered = [*self.mail.features]
        if self.mail.certificate and not self.encrypted:
            offered.append("STARTTLS")
        if self.mail.users:
            offered.append(f"AUTH {self.mail.mechanisms}")
        lines = ["mail.example", *offered]
        self.answer("EHLO", "\r\n".join(f"250{'-' if one is not lines[-1] else ' '}{one}" for one in lines))

    def on_starttls(self, line: str) -> None:
        if self.answer("STARTTLS", "220 2.0.0 go ahead"):
            self.encrypt()
            self.file = self.connection.makefile("rb")

    def on_auth(self, line: str) -> None:
        _, mechanism, *more = line.split(" ")
        if mechanism == "PLAIN":
            _, user, password = base64.b64decode(more[0]).decode().split("\0")
        else:
            user = base64.b64decode(more[0]).decode()
            self.say("334 UGFzc3dvcmQ6")
            password = base64.b64decode(self.file.readline(12_000)).decode()
        good = self.mail.users.get(user) == password
        self.answer("AUTH", "235 2.7.0 welcome" if good else "535 5.7.8 credentials invalid")

    def on_mail(self, line: str) -> None:
        if self.answer("MAIL", "250 2.1.0 ok"):
            self.sender, self.to = line, []

    def on_rcpt(self, line: str) -> None:
        if self.answer("RCPT", "250 2.1.5 ok"):
            self.to.append(line)

    def on_data(self, line: str) -> None:
        if not self.answer("DATA", "354 go on"):
            return
        lines = []
        while (one := self.file.readline()) != b".\r\n":
            if not one:
                self.over = True
                return
            lines.append(one[1:] if one.startswith(b".") else one)
            if callable(within := self.mail.next("WITHIN")):
                within(self)
                return
        self.content = b"".join(lines)
        if self.answer("END", "250 2.0.0 queued as 1"):
            self.take()

    def on_noop(self, line: str) -> None:
        self.answer("NOOP", "250 2.0.0 ok")

    def on_rset(self, line: str) -> None:
        self.answer("RSET", "250 2.0.0 ok")

    def on_quit(self, line: str) -> None:
        self.answer("QUIT", "221 2.0.0 bye")
        self.over = True


# --- acts


def cut(session: Session) -> None:
    """Reset the connection."""
    session.cut()


def lost(session: Session) -> None:
    """Take the message, and let the answer be lost."""
    session.take()
    session.cut()


def hang(session: Session) -> None:
    """Say nothing, until the server stops."""
    session.mail.stopping.wait()
    session.cut()


def dribble(session: Session) -> None:
    """An answer that never ends, a byte at a time."""
    for _ in range(200):
        if session.mail.stopping.wait(0.05):
            break
        session.connection.sendall(b"2")
    session.cut()


def flood(session: Session) -> None:
    """An answer of lines without end."""
    for _ in range(200_000):
        session.connection.sendall(b"250-more of it\r\n" * 100)


# --- what speaks to it

KEY = "0123456789abcdef0123456789abcdef"
SENDER = {"from": "CRM news <news@acme.example>", "to": "sales@acme.example"}


def made(server: Mail, setting: Setting | None = None, **options: Any) -> Destination:
    given = {"host": "127.0.0.1", "port": server.port, "tls": "none", **SENDER, **options}
    built: Destination = CONNECTOR.build(CONNECTOR.options(**given), setting or Setting(name="mail", network=Network(deadline=20)))
    return built


def said(*text: Literal | Value, **changes: Any) -> Message:
    return message(*text, **{"channel": None, **changes})


def publish(server: Mail, *what: Message, key: str = KEY, parent: Receipt | None = None, **options: Any) -> Receipt:
    receipt: Any = made(server, **options).publish(what[0] if what else said(), key, parent)
    return receipt
