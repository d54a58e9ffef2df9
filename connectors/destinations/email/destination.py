"""One attempt to hand a message to a mail server, and what comes of it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from connectors.destinations.email.addresses import Mailbox, mailbox, mailboxes
from connectors.destinations.email.dialogue import Dialogue
from connectors.destinations.email.errors import Reply, meaning
from connectors.destinations.email.message import envelope_id, message_id, remembered, said, written
from connectors.destinations.email.options import EmailOptions
from connectors.destinations.email.words import plain_words
from crmbridge.contract import Limits, Rate, Setting
from crmbridge.errors import AuthFailed, DeliveryError, RateLimited, Rejected, Transient
from crmbridge.http import SocketGuard, attempt, describe, looking
from crmbridge.model import Message, Receipt, Text, shortened

# https://www.spamresource.com/2022/01/what-is-gmail-clipping-and-what-to-do.html , read 2026-11-30: Gmail shows a page's first
# 102 kB, and the rest behind a link.
LENGTH: Final = 50_000
# https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements , read 2026-11-30: 30 messages a
# minute, which is the default of `per_minute`, and three connections of one mailbox at once; we leave one.
_CONNECTIONS: Final = 2
PATIENCE: Final = timedelta(minutes=30)
"""How long after a change everybody is waited for, where some recipients are put off: greylisting takes less."""


class EmailDestination:
    """A mail server, as one sender sees it. Each attempt has a connection of its own."""

    def __init__(self, options: EmailOptions, setting: Setting) -> None:
        for path, fault in options.objections(public=False):
            raise ValueError(f"{path[-1]} {fault}")
        self._options = options
        self._setting = setting
        self._sender = mailbox(options.from_)
        self._to = mailboxes(options.to) if options.to else ()
        self.limits = Limits(length=LENGTH, per_destination=Rate(count=options.per_minute, seconds=60), concurrency=_CONNECTIONS)

    def measure(self, text: Text) -> int:
        """Characters of the plain text."""
        return len(plain_words(text))

    def check(self) -> None:
        """EHLO, STARTTLS, AUTH, NOOP: no message."""
        with looking(), self._connected() as server:
            self._can_be_spelt(server, (self._sender, *self._to))
            server.ask()

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """One message, in one transaction, to all recipients."""
        with attempt():
            to = self._recipients(message)
            text = said(message, parent)
            text = shortened(text, lambda one: self.measure(one) <= LENGTH)
            if (length := self.measure(text)) > LENGTH:
                raise Rejected(f"the text has {length} characters, and {LENGTH} are sent", code="too_long")
            content = written(message, text, key, parent, self._sender, to, self._setting.name)
            with self._connected() as server:
                self._can_be_spelt(server, (self._sender, *to))
                refused = server.propose(self._sender, to, envelope_id(key), len(content))
                missed = settled(len(to), refused, message.occurred_at, self._setting.now())
                server.deliver(content)
            return Receipt(
                remote_id=message_id(key, self._sender), extra=remembered(message, parent) | ({"note": missed} if missed else {})
            )

    def close(self) -> None:
        """Nothing is kept open."""

    def _recipients(self, message: Message) -> tuple[Mailbox, ...]:
        if message.channel is None:
            if not self._to:
                raise Rejected("nobody to write to: set `to` for the destination, or `channel` for the step", code="no_channel")
            return self._to
        try:
            return mailboxes(message.channel.key)
        except ValueError as error:
            raise Rejected(f"the channel {error}", code="no_channel") from None

    def _can_be_spelt(self, server: Dialogue, people: Sequence[Mailbox]) -> None:
        """Addresses that only SMTPUTF8 can spell need a server that offers it; where every message needs it, the destination pauses."""
        odd = [one.address for one in people if one.utf8]
        if odd and not server.has_extn("smtputf8"):
            text = f"the mail server takes no such address ({', '.join(odd)}): it does not offer SMTPUTF8"
            ours = {one.address for one in (self._sender, *self._to)}
            raise (AuthFailed if ours & {*odd} else Rejected)(text, code="smtputf8")

    @contextmanager
    def _connected(self) -> Iterator[Dialogue]:
        """A conversation that ends within the deadline."""
        network = self._setting.network
        with SocketGuard(network.deadline) as watch:
            server = Dialogue(self._options, self._sender.domain, network, watch, self._setting.now)
            try:
                server.open()
                yield server
            except ssl.SSLCertVerificationError as error:
                raise AuthFailed(describe(error), code="certificate") from None
            except (OSError, ValueError) as error:
                if watch.expired or isinstance(error, TimeoutError):
                    raise TimeoutError(f"no complete answer within {network.deadline:g} s") from None
                raise
            finally:
                server.part()


def settled(asked: int, refused: Mapping[str, Reply], since: datetime, now: datetime) -> str:
    """Who misses a message that goes out all the same, in words; empty if nobody does. Raises DeliveryError where it must not go out now.

    Everybody who may take it later is waited for, half an hour from when it happened: one transaction is one message. After that
    it goes to those who take it. Where nobody takes it, it is refused only if all refuse it for good.
    """
    found = {address: meaning(reply, now) for address, reply in refused.items()}
    if pause := next((one for one in found.values() if isinstance(one, AuthFailed)), None):
        raise pause
    if len(found) < asked and any(reply.code == 452 and reply.status == "4.5.3" for reply in refused.values()):
        raise Rejected(
            f"the mail server takes {asked - len(found)} recipients of one message, and {asked} are named: split `to`, or the channel",
            code="too_many_recipients",
        )
    words = "; ".join(f"{address}: {error}" for address, error in found.items())
    later = [one for one in found.values() if isinstance(one, (RateLimited, Transient))]
    if later and (len(found) == asked or now - since < PATIENCE):
        raise _latest(later, words)
    if found and len(found) == asked:
        raise Rejected(words, code=next(iter(found.values())).code)
    return f"not taken for {words}"[:2000] if found else ""


def _latest(later: Sequence[DeliveryError], words: str) -> DeliveryError:
    """The one that asks for the longest wait."""
    waits = [one for one in later if isinstance(one, RateLimited)]
    if not waits:
        return Transient(words, code=later[0].code)
    longest = max(waits, key=lambda one: one.until)
    return RateLimited(words, longest.until, code=longest.code, scope=longest.scope)
