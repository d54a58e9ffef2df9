"""E-mail addresses, as a configuration writes them: `ann@acme.example` or `Ann Doe <ann@acme.example>`. Pure.

Judged by email-validator: what RFC 5322 allows and people use, domains by IDNA 2008, nothing that a mail client shows deceptively.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 100
"""Recipients of one message: what every server must take (https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.8)."""
_LONGEST_NAME: Final = 100  # characters; what people call themselves is shorter
_NAMED: Final = re.compile(r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^"<>@,;]*))\s*<(?P<address>[^<>]*)>')
_ESCAPED: Final = re.compile(r"\\(.)")
_COMMAS: Final = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')  # outside quotes


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address, and what its owner is called. Every part is printable, and holds no line break."""

    local: str
    domain: str
    """In ASCII (an A-label where it is international), as DNS has it."""
    name: str = ""

    @property
    def address(self) -> str:
        """What stands in the envelope."""
        return f"{self.local}@{self.domain}"

    @property
    def utf8(self) -> bool:
        """Only a server that offers SMTPUTF8 can take it (RFC 6531): the part before the @ has no spelling in ASCII."""
        return not self.local.isascii()


def mailbox(written: str) -> Mailbox:
    """One address, with a name or without. Raises ValueError with what is wrong."""
    from email_validator import EmailNotValidError, validate_email  # for who uses it

    written = written.strip()
    shown = f"`{written[:80]}`"
    named = _NAMED.fullmatch(written)  # names as people write them: email-validator wants quotes around an umlaut
    name = (_ESCAPED.sub(r"\1", named["quoted"]) if named["quoted"] is not None else named["bare"].strip()) if named else ""
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(f"{shown}: a name is printable, and has {_LONGEST_NAME} characters at most")
    try:
        found = validate_email(named["address"] if named else written, check_deliverability=False, globally_deliverable=False, strict=True)
    except EmailNotValidError as error:
        raise ValueError(f"{shown} is no e-mail address: {error}") from None
    if not found.ascii_domain:
        raise ValueError(f"{shown} is no e-mail address: its domain has no spelling in ASCII")
    return Mailbox(found.local_part, found.ascii_domain, name)


def mailboxes(written: str | Sequence[str]) -> tuple[Mailbox, ...]:
    """Each address once, in order: of a list, or of one text with commas between them. Raises ValueError."""
    texts = _COMMAS.split(written) if isinstance(written, str) else written
    found = {one.address: one for one in map(mailbox, texts)}
    if len(found) > MOST:
        raise ValueError(f"has {len(found)} addresses, and servers need not take more than {MOST}")
    return tuple(found.values())
