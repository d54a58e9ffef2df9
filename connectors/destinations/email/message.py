"""A message as SMTP carries it: headers and both forms of its text. Pure, and the same bytes for every attempt.

Words in headers are written by email.header.Header and not by a policy of email: those take `=?utf-8?q?...?=` within a plain text for an
encoded word of their own and decode it, and so would every reader. What Header wrote is read back as it was.
RFC 5322 (lines, dates, threads), RFC 2047 (words in headers), RFC 2045 (parts), RFC 3834 (automatic messages), RFC 2919 (List-Id).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timezone
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, quote
from typing import Final

from connectors.destinations.email.addresses import Mailbox
from connectors.destinations.email.words import html_words, plain_words, subject_line
from crmbridge.http import web_link
from crmbridge.model import Literal, Message, Receipt, Text, digest

_KEY: Final = re.compile(r"[0-9A-Za-z]{16,64}")
_MESSAGE_ID: Final = re.compile(r"<[^\s<>@\x00-\x1f\x7f-\U0010ffff]{1,200}@[^\s<>@\x00-\x1f\x7f-\U0010ffff]{1,255}>")
_UNLISTED: Final = re.compile(r"[^0-9A-Za-z_-]+")
_LINE: Final = 76
_REPLY: Final = "Re: "


def envelope_id(key: str) -> str:
    """The key as it may stand in a Message-ID, a boundary and an ENVID."""
    return key if _KEY.fullmatch(key) else digest(key)


def message_id(key: str, sender: Mailbox) -> str:
    """The Message-ID: the same for every attempt."""
    return f"<{envelope_id(key)}@{sender.domain}>"


def subject(message: Message, parent: Receipt | None) -> str:
    """What it is called. A reply is called what its first message is, or Gmail would show it apart: its own subject begins its text."""
    named = parent.extra.get("subject") if parent else None
    own = subject_line(message.subject, message.text)
    return f"{_REPLY}{named}" if isinstance(named, str) and named else own


def remembered(message: Message, parent: Receipt | None) -> dict[str, str]:
    """What a receipt keeps for replies. Receipts outlive messages, so that nothing of a record stands there where nobody replies."""
    return {"subject": subject(message, parent).removeprefix(_REPLY)} if message.thread is not None else {}


def said(message: Message, parent: Receipt | None) -> Text:
    """The text, under its own subject where that is not the thread's."""
    if message.subject is None or parent is None:
        return message.text
    own = subject_line(message.subject, ())
    return message.text if not own or f"{_REPLY}{own}" == subject(message, parent) else (*message.subject, Literal("\n\n"), *message.text)


def written(message: Message, text: Text, key: str, parent: Receipt | None, sender: Mailbox, to: Sequence[Mailbox], name: str) -> bytes:
    """All of it, with CRLF at the end of each line; `text` says it, and `name` is the destination's. Raises Rejected for a bad link."""
    link = web_link(message.link) if message.link is not None else None
    id = envelope_id(key)
    headers = [
        ("From", _people("From", [sender])),
        ("To", _people("To", to)),
        ("Subject", _words("Subject", subject(message, parent))),
        ("Date", format_datetime(message.occurred_at.astimezone(timezone.utc))),
        ("Message-ID", message_id(key, sender)),
    ]
    if parent is not None and _MESSAGE_ID.fullmatch(parent.remote_id):
        headers += [("In-Reply-To", parent.remote_id), ("References", parent.remote_id)]
    headers += [
        ("Auto-Submitted", "auto-generated"),
        # https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcmail/ced68690-498a-4567-9d14-5c01f974d8b1 , read
        # 2026-11-30: `All` would suppress the reports of failures too.
        ("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
        ("List-Id", f"<{_UNLISTED.sub('-', name)[:60] or '-'}.crmbridge.{sender.domain}>"),
    ]
    head = "".join(f"{field}: {value}\r\n" for field, value in headers)
    return head.encode() + _parts(plain_words(text, link), html_words(text, link), f"=_{id}")


def _parts(plain: str, html: str, boundary: str) -> bytes:
    """Both forms. An `=` is never left as it is within a part, so no part holds the boundary."""
    parts = EmailMessage(policy=SMTP)
    parts.set_content(f"{plain}\n", cte=_encoding(plain))
    parts.add_alternative(html, subtype="html", cte=_encoding(html))
    parts.set_boundary(boundary)
    return parts.as_bytes()


def _encoding(words: str) -> str:
    """The shorter of two, roughly: one takes 3 bytes for each that is not ASCII, the other 4 for each 3."""
    odd = sum(len(one.encode()) for one in words if not one.isascii())
    return "quoted-printable" if 2 * odd < len(words.encode()) / 3 else "base64"


def _words(field: str, words: str) -> str:
    foldable = all(len(word) < _LINE - len(field) - 2 for word in words.split(" "))
    charset = "us-ascii" if words.isascii() and "=?" not in words and foldable else "utf-8"
    return Header(words, charset, maxlinelen=_LINE, header_name=field).encode(linesep="\r\n")


def _people(field: str, boxes: Sequence[Mailbox]) -> str:
    """One to a line; no name is longer than what is folded."""
    return ",\r\n ".join(_person(field, one) for one in boxes)


def _person(field: str, one: Mailbox) -> str:
    if not one.name:
        return one.address
    if one.name.isascii() and "=?" not in one.name and len(one.name) < _LINE // 2:
        return f'"{quote(one.name)}" <{one.address}>'
    return f"{Header(one.name, 'utf-8', maxlinelen=_LINE, header_name=field).encode(linesep=chr(13) + chr(10))}\r\n <{one.address}>"
