"""A mail server's answers, one kind a row: how it is known, what happens next, after how long. Data, and what reads it. Pure.

Reply codes: https://www.rfc-editor.org/rfc/rfc5321#section-4.2 , https://www.rfc-editor.org/rfc/rfc4954#section-6 (logins).
Enhanced status codes: https://www.rfc-editor.org/rfc/rfc3463 , and the registry of those that came later:
https://www.iana.org/assignments/smtp-enhanced-status-codes . Their class decides over the reply code's, their detail over both.
What Google and Microsoft say with them: https://support.google.com/a/answer/3726730 ,
https://learn.microsoft.com/troubleshoot/exchange/email-delivery/ndr/non-delivery-reports-in-exchange-online ,
https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements .
All read 2026-11-30. The first row that fits decides; README.md shows them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import visible
from crmbridge.telemetry import redact


class Step(StrEnum):
    """What the server answers to."""

    GREETING = "connection"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "end of the message"
    NOOP = "NOOP"


class Then(StrEnum):
    """What happens next."""

    PAUSE = "pause"  # until a person acts
    WAIT = "wait"
    DEAD = "dead letter"  # it is about this message, or its recipient
    RETRY = "retry"  # certainly not taken
    UNKNOWN = "unknown"  # may be taken


SESSION: Final = frozenset({Step.GREETING, Step.EHLO, Step.STARTTLS, Step.AUTH, Step.NOOP})
"""Nothing of a message was said yet."""
_ANY: Final = frozenset(Step)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server."""

    step: Step
    code: int
    text: str = ""

    @property
    def status(self) -> str:
        """The enhanced status code of a failure that it begins with, like 5.1.1; empty if it has none."""
        found = _STATUS.match(self.text)
        return found.group(1) if found else ""

    @property
    def kind(self) -> int:
        """4 for what may succeed later, 5 for what will not; the enhanced code's, where there is one. Else what the code begins with."""
        basic = self.code // 100
        return int(self.status[0]) if basic in (4, 5) and self.status else basic

    @property
    def words(self) -> str:
        """For people: one bounded line."""
        return redact(" ".join(f"{self.code} {visible(self.text[:1000])}".split()))[:200]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of answer. It fits if its step and its kind do, and any of its codes, details or words; without any, those are enough."""

    code: str
    """What the attempt's end is called."""
    then: Then
    seen: str
    """By what people know it."""
    kinds: frozenset[int]
    steps: frozenset[Step] = _ANY
    codes: frozenset[int] = frozenset()
    details: re.Pattern[str] | None = None
    """Of an enhanced code what follows its class, like 1.1."""
    words: tuple[str, ...] = ()
    says: str = ""
    """What stands before the server's own words."""
    wait: timedelta | None = None
    """The least that is waited, where the server names no time."""
    lane: bool = False
    """It is about one recipient, and other channels need not wait."""

    def fits(self, reply: Reply) -> bool:
        """Whether `reply` is of this kind."""
        if reply.kind not in self.kinds or reply.step not in self.steps:
            return False
        if not (self.codes or self.details or self.words):
            return True
        detail, words = reply.status[2:], reply.text.lower()
        return (
            reply.code in self.codes
            or (self.details is not None and bool(detail) and self.details.fullmatch(detail) is not None)
            or any(one in words for one in self.words)
        )


def _of(*steps: Step) -> frozenset[Step]:
    return frozenset(steps)


_STATUS: Final = re.compile(r"([45]\.\d{1,3}\.\d{1,3})(?=\s|$)")
_FOR_GOOD: Final = frozenset({5})
_LATER: Final = frozenset({4})
_ANSWERS: Final = frozenset({1, 2, 3})
_BOTH: Final = frozenset({4, 5})
_A_MINUTE: Final = timedelta(minutes=1)
# Greylisting lets a second try through after 5 minutes, mostly: https://www.rfc-editor.org/rfc/rfc6647#section-2.1
_GREY: Final = timedelta(minutes=5)
_AN_HOUR: Final = timedelta(hours=1)
_ONES: Final = _of(Step.RCPT, Step.DATA, Step.END)

TABLE: Final = (
    Row(code="odd", then=Then.UNKNOWN, kinds=_ANSWERS, steps=_of(Step.END), seen="1yz, 3yz to the end of a message"),
    Row(code="odd", then=Then.RETRY, kinds=_ANSWERS, seen="1yz, 2yz, 3yz out of place"),
    # --- the login, the account, the sender: every message would be refused
    Row(
        code="login",
        then=Then.PAUSE,
        kinds=_FOR_GOOD,
        codes=frozenset({523, 525, 530, 534, 535, 538}),
        details=re.compile(r"7\.(?:8|9|1[0-4]|30|57|139)"),
        seen="523, 525, 530, 534, 535, 538; 5.7.8 to 5.7.14; Microsoft's 5.7.30, 5.7.57, 5.7.139",
        says="the mail server does not take the login (`user`, `password`; an app password where there is a second factor)",
    ),
    Row(
        code="login",
        then=Then.PAUSE,
        kinds=_LATER,
        details=re.compile(r"7\.12"),
        seen="4.7.12: a new password is needed",
        says="the mail server wants a new password",
    ),
    Row(
        code="login",
        then=Then.PAUSE,
        kinds=_FOR_GOOD,
        steps=_of(Step.AUTH),
        seen="any other 5yz to AUTH",
        says="the mail server does not take the login",
    ),
    Row(
        code="login_later",
        then=Then.WAIT,
        kinds=_LATER,
        steps=_of(Step.AUTH),
        seen="4yz to AUTH (454 4.7.0: too many logins)",
        wait=_GREY,
    ),
    Row(
        code="quota",
        then=Then.WAIT,
        kinds=_BOTH,
        details=re.compile(r"7\.23[23]"),
        words=(
            "daily user sending",
            "daily sending quota",
            "sending limit exceeded",
            "relay limit exceeded",
            "email quota exceeded",
            "daily limit",
            "submissionquotaexceeded",
        ),
        seen="“daily sending quota”, “relay limit exceeded” (Google), Microsoft's 5.7.232, 5.7.233, `SubmissionQuotaExceeded`",
        says="the account has sent as much as it may",
        wait=_AN_HOUR,
    ),
    Row(
        code="quota",
        then=Then.WAIT,
        kinds=_FOR_GOOD,
        details=re.compile(r"4\.5"),
        seen="Google's 5.4.5: as much as a day allows is sent",
        says="the account has sent as much as it may",
        wait=_AN_HOUR,
    ),
    Row(
        code="flood",
        then=Then.WAIT,
        kinds=_BOTH,
        details=re.compile(r"7\.28"),
        seen="X.7.28: more mail than the server likes",
        wait=timedelta(minutes=15),
    ),
    Row(
        code="sender",
        then=Then.PAUSE,
        kinds=_FOR_GOOD,
        details=re.compile(r"1\.[78]|7\.(?:2[0-7]|29|60|[567]\d\d)"),
        words=("storedrv.submission",),
        seen="5.1.7, 5.1.8 (the sender's address), 5.7.20 to 5.7.27, 5.7.29 (DKIM, SPF, DMARC, no name for the address), "
        "Microsoft's 5.7.60 (may not send as this), 5.7.5xx to 5.7.7xx (blocked), `STOREDRV.Submission` (its own mailbox is full)",
        says="the mail server does not take messages from this sender (`from`; SPF, DKIM and DMARC of its domain)",
    ),
    Row(
        code="server",
        then=Then.PAUSE,
        kinds=_FOR_GOOD,
        steps=SESSION,
        seen="any other 5yz before a message (554, 521: it takes no mail from here)",
        says="the mail server does not talk to us",
    ),
    Row(
        code="server",
        then=Then.PAUSE,
        kinds=_FOR_GOOD,
        details=re.compile(r"3\.[25]"),
        codes=frozenset({521}),
        seen="521; 5.3.2, 5.3.5 (takes no mail, is not set up rightly)",
        says="the mail server takes no mail",
    ),
    # --- this message, this recipient
    Row(
        code="size",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_of(Step.MAIL, Step.DATA, Step.END),
        codes=frozenset({552}),
        details=re.compile(r"2\.3|3\.4"),
        seen="552, 5.2.3, 5.3.4: too large",
    ),
    Row(
        code="sender",
        then=Then.PAUSE,
        kinds=_FOR_GOOD,
        steps=_of(Step.MAIL),
        seen="any other 5yz to MAIL",
        says="the mail server does not take messages from this sender (`from`)",
    ),
    Row(
        code="relay",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_of(Step.RCPT),
        words=("relay",),
        seen="“relay access denied”, 5.7.54, 5.7.64",
        says="the server passes nothing on to this address (log in with `user`, or name a server that does)",
    ),
    Row(
        code="address",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_ONES,
        details=re.compile(r"1\.\d+"),
        codes=frozenset({551, 553, 556}),
        seen="551, 553, 556; 5.1.x: no such address",
    ),
    Row(
        code="mailbox",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_ONES,
        details=re.compile(r"2\.\d+"),
        seen="5.2.x: the mailbox is closed, or full",
    ),
    Row(
        code="routing",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_ONES,
        details=re.compile(r"[34]\.\d+"),
        seen="5.3.x, 5.4.x: the system or the way there",
    ),
    Row(
        code="protocol",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_ONES,
        details=re.compile(r"5\.\d+"),
        codes=frozenset({500, 501, 502, 503, 504, 555}),
        seen="500 to 504, 555; 5.5.x: what we asked for",
    ),
    Row(
        code="content",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_ONES,
        details=re.compile(r"6\.\d+"),
        seen="5.6.x: what is in it",
    ),
    Row(
        code="policy",
        then=Then.DEAD,
        kinds=_FOR_GOOD,
        steps=_ONES,
        details=re.compile(r"7\.\d+"),
        seen="any other 5.7.x to RCPT or a message: not wanted by this recipient, or taken for spam",
    ),
    Row(code="refused", then=Then.DEAD, kinds=_FOR_GOOD, seen="any other 5yz (550, 554), 5.0.x"),
    # --- later
    Row(
        code="full",
        then=Then.WAIT,
        kinds=_LATER,
        steps=_of(Step.RCPT),
        details=re.compile(r"2\.2"),
        seen="4.2.2 to RCPT: the mailbox is full",
        wait=timedelta(minutes=30),
        lane=True,
    ),
    Row(
        code="greylisted",
        then=Then.WAIT,
        kinds=_LATER,
        steps=_of(Step.RCPT),
        codes=frozenset({450, 451}),
        details=re.compile(r"[27]\.\d+"),
        seen="450, 451; 4.2.x, 4.7.x to RCPT: greylisting, mostly",
        wait=_GREY,
        lane=True,
    ),
    Row(
        code="policy_later",
        then=Then.WAIT,
        kinds=_LATER,
        details=re.compile(r"7\.\d+"),
        words=("greylist", "graylist"),
        seen="4.7.x elsewhere, or greylisting by its name",
        wait=_GREY,
    ),
    Row(
        code="busy",
        then=Then.WAIT,
        kinds=_LATER,
        codes=frozenset({421, 432, 452}),
        details=re.compile(r"3\.[12]|4\.5|5\.3"),
        seen="421, 432, 452; 4.3.1, 4.3.2, 4.4.5, 4.5.3: it has too much to do, or no room",
        wait=_A_MINUTE,
    ),
    Row(code="later", then=Then.RETRY, kinds=_LATER, seen="any other 4yz"),
    Row(
        code="odd",
        then=Then.UNKNOWN,
        kinds=frozenset({0, 6, 7, 8, 9}),
        steps=_of(Step.END),
        seen="no answer of SMTP to the end of a message",
    ),
    Row(code="odd", then=Then.RETRY, kinds=frozenset({0, 6, 7, 8, 9}), seen="no answer of SMTP"),
)

_NAMED: Final = re.compile(
    r"(?:in|for|after|within|wait)\s+(?:about\s+|another\s+)?(\d{1,5})\s*(s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?)?\b", re.IGNORECASE
)
_UNIT: Final = {"s": 1, "m": 60, "h": 3600}
_LONGEST: Final = timedelta(hours=24)


def answer_table() -> str:
    """The table as README.md shows it."""
    lines = ["| the server says | then | at least for |", "| --- | --- | --- |"]
    for one in TABLE:
        wait = f"{int(one.wait.total_seconds()) // 60} min" if one.wait else ""
        lines.append(f"| {one.seen} | {one.then.value} | {wait}{', this channel' if one.lane else ''} |")
    return "\n".join(lines)


def row(reply: Reply) -> Row:
    """The row that decides."""
    return next(one for one in TABLE if one.fits(reply))


def named_wait(words: str) -> timedelta | None:
    """The time that a server's words name, like “try again in 300 seconds”; a day at most."""
    found = _NAMED.search(words[:1000])
    return min(timedelta(seconds=int(found.group(1)) * _UNIT[found.group(2).lower()]), _LONGEST) if found else None


def meaning(reply: Reply, now: datetime) -> DeliveryError:
    """A refusal, or an answer that is none."""
    kind = row(reply)
    text = ": ".join(filter(None, (kind.says, f"{reply.words} (to {reply.step})")))
    match kind.then:
        case Then.PAUSE:
            return AuthFailed(text, code=kind.code)
        case Then.DEAD:
            return Rejected(text, code=kind.code)
        case Then.UNKNOWN:
            return OutcomeUnknown(text, code=kind.code)
        case Then.WAIT:
            wait = max(kind.wait or _A_MINUTE, named_wait(reply.text) or timedelta(0))
            return RateLimited(text, now + wait, code=kind.code, scope="lane" if kind.lane else "destination")
    return Transient(text, code=kind.code)
