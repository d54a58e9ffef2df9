"""X's answers, one kind a row: how it is known, what happens next, and until when. Data.

X's own table is short (https://docs.x.com/x-api/fundamentals/response-codes-and-errors, read 2026-11-30), and its OpenAPI
description (2.167) knows nine problem types. The rest was seen: bodies in other people's issues and sources, and the numbers
of v1.1, which X still writes into texts of v2. So each row looks at the status, at names (the last part of the
problem's `type`, its `title`, `reason` or `code`) and at words. The first row that fits decides; README.md shows them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Then(StrEnum):
    """What happens next."""

    PAUSE = "pause"  # until a person acts
    WAIT = "wait"  # until the instant that X names
    DEAD = "dead letter"  # it is about this message
    ANEW = "said as the first post of its thread"  # what it replies to is gone
    DUPLICATE = "delivered if an attempt of ours was lost before, else dead letter"
    RETRY = "retry"  # certainly not published
    UNKNOWN = "look it up"  # may be published


class Until(StrEnum):
    """Where X names an instant, as far as it says anything of the limit in question."""

    BODY = "`reset_date`"
    AFTER = "`Retry-After`"
    DAY = "`x-app-limit-24hour-reset`, `x-user-limit-24hour-reset`"
    WINDOW = "`x-rate-limit-reset`"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the table looks at it. `names` and `words` are in lower case."""

    status: int
    names: frozenset[str]
    words: str
    reply: bool
    plain: bool
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of answer. It fits if its status does, and any of its names or words; without either, the status is enough."""

    code: str
    """What the attempt's end is called; empty for X's own word."""
    then: Then
    seen: str
    """By what people know it."""
    status: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    says: str = ""
    """What stands before X's own words."""
    until: tuple[Until, ...] = ()
    otherwise: timedelta | None = None
    """How long to wait where X names no instant; None is a pause."""
    reply: bool = False
    """It fits only a reply."""
    plain: bool = False
    """It fits only an answer that says nothing but its status."""
    read_only: bool = False
    """It fits too where the header `x-access-level` shows that the login may not write."""

    def fits(self, answer: Answer) -> bool:
        """Whether `answer` is of this kind."""
        if (self.status and answer.status not in self.status) or (self.reply and not answer.reply):
            return False
        if self.plain:
            return answer.plain
        if self.read_only and answer.read_only:
            return True
        if not (self.names or self.words):
            return True
        return not self.names.isdisjoint(answer.names) or any(words in answer.words for words in self.words)


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


_AN_HOUR: Final = timedelta(hours=1)
_WINDOW: Final = timedelta(minutes=15)  # https://docs.x.com/x-api/fundamentals/rate-limits
_A_DAY: Final = timedelta(hours=24)
_ACCOUNT: Final = (Until.BODY, Until.AFTER)  # every answer carries x-rate-limit-reset, which is about something else here
_YES: Final = frozenset(range(200, 300))
_LOST: Final = frozenset({408, *range(500, 600)})
_NO: Final = frozenset(range(400, 500)) - _LOST

TABLE: Final = (
    Row(code="", then=Then.UNKNOWN, status=_YES, seen="2xx without the id of a post", says="X answered without naming the post"),
    Row(code="", then=Then.UNKNOWN, status=_LOST, seen="408, 5xx, `internal-error`"),
    # --- the account, the app, the login: every post would be refused
    Row(
        code="spend_cap",
        then=Then.WAIT,
        status=_NO,
        names=_of("spendcapreached"),
        words=("spend cap", "spending cap", "spending limit"),
        seen="`SpendCapReached`: the spending limit of the billing cycle",
        says="the spending limit of the X account is reached (raise it in the Developer Console, or wait)",
        until=_ACCOUNT,
    ),
    Row(
        code="credits",
        then=Then.WAIT,
        status=_NO,
        names=_of("credits", "credits-depleted", "creditsdepleted"),
        seen="`problems/credits`, `CreditsDepleted`, 402",
        says="the X account's credits are used up (buy some in the Developer Console)",
        until=_ACCOUNT,
    ),
    Row(
        code="credits",
        then=Then.PAUSE,
        status=frozenset({402}),
        seen="any other 402",
        says="X wants to be paid (see the Developer Console)",
    ),
    Row(
        code="usage_cap_daily",
        then=Then.WAIT,
        status=_NO,
        words=("daily product cap", "usage cap exceeded: daily"),
        seen="`usage-capped` of a day",
        says="what the plan allows for a day is used up",
        until=(Until.BODY, Until.AFTER, Until.DAY),
        otherwise=_A_DAY,
    ),
    Row(
        code="usage_cap",
        then=Then.WAIT,
        status=_NO,
        names=_of("usage-capped", "usagecapexceeded"),
        seen="`usage-capped`, `UsageCapExceeded`",
        says="what the X account's plan allows is used up (see the Developer Console)",
        until=(Until.BODY, Until.AFTER, Until.DAY),
    ),
    Row(
        code="day_limit",
        then=Then.WAIT,
        status=_NO,
        names=_of("185", "344"),
        words=("daily limit", "daily status update limit", "daily post limit"),
        seen="the account's daily limit of posts (185, 344)",
        says="the X account has posted as much as it may in a day",
        until=(Until.BODY, Until.AFTER, Until.DAY),
        otherwise=_AN_HOUR,
    ),
    Row(
        code="",
        then=Then.WAIT,
        status=frozenset({429}),
        seen="any other 429, `rate-limit-exceeded`",
        until=tuple(Until),
        otherwise=_WINDOW,
    ),
    Row(
        code="locked",
        then=Then.PAUSE,
        status=_NO,
        names=_of("326"),
        words=("temporarily locked", "account is locked", "account has been locked", "unlock your account"),
        seen="the account is locked (326)",
        says="the X account is locked (sign in at x.com to unlock it)",
    ),
    Row(
        code="suspended",
        then=Then.PAUSE,
        status=_NO,
        names=_of("64", "416"),
        words=("account is suspended", "account has been suspended", "account is currently suspended", "suspended application"),
        seen="the account or the app is suspended (64, 416)",
        says="the X account or its app is suspended (appeal at help.x.com)",
    ),
    Row(
        code="automated",
        then=Then.PAUSE,
        status=_NO,
        names=_of("226"),
        words=("might be automated", "looks automated"),
        seen="“this request looks like it might be automated” (226)",
        says="X takes what the account does for unwanted automation (label the account as automated, post less)",
    ),
    Row(
        code="no_write",
        then=Then.PAUSE,
        status=frozenset({401, 403}),
        names=_of("oauth1-permissions", "261"),
        words=("oauth1 app permissions", "read-only application", "perform write actions", "missing required scope"),
        read_only=True,
        seen="`oauth1-permissions`, “Read-only application” (261), `x-access-level: read`",
        says="the login may not write (give the app “Read and write” and make new tokens; OAuth 2.0 needs the scope tweet.write)",
    ),
    Row(
        code="login",
        then=Then.PAUSE,
        status=_NO,
        names=_of("unauthorized", "32", "89", "99", "135", "215"),
        words=("could not authenticate you", "invalid or expired token", "bad authentication data", "timestamp out of bounds"),
        seen="401, “Could not authenticate you” (32), “Invalid or expired token” (89), “Timestamp out of bounds” (135)",
        says="X does not know the login (are the tokens whole and not revoked, and is this machine's clock right?)",
    ),
    Row(code="login", then=Then.PAUSE, status=frozenset({401}), seen="any other 401", says="X does not know the login"),
    Row(
        code="",
        then=Then.PAUSE,
        status=_NO,
        names=_of("client-forbidden", "client-not-enrolled", "official-client-forbidden", "unsupported-authentication", "87", "220", "453"),
        words=("attached to a project", "different access level", "this application is not permitted", "client is not permitted"),
        seen="`client-forbidden`, `client-not-enrolled`, `unsupported-authentication`",
        says="the app may not do this (see its access in the Developer Console)",
    ),
    # --- this message
    Row(
        code="duplicate",
        then=Then.DUPLICATE,
        status=_NO,
        names=_of("187"),
        words=("duplicate content", "status is a duplicate"),
        seen="“duplicate content” (187)",
    ),
    Row(
        code="parent_gone",
        then=Then.ANEW,
        status=_NO,
        names=_of("385"),
        words=("deleted or not visible",),
        seen="a reply to a post that is deleted or not visible (385)",
        says="the post that this one replies to is gone, or not visible",
    ),
    Row(
        code="parent_gone",
        then=Then.ANEW,
        status=_NO,
        names=_of("resource-not-found", "not-authorized-for-resource", "resource-unavailable", "144"),
        reply=True,
        seen="`resource-not-found`, `not-authorized-for-resource`, `resource-unavailable` to a reply",
        says="the post that this one replies to is gone, or not visible",
    ),
    Row(
        code="edge",
        then=Then.RETRY,
        status=frozenset({404}),
        names=_of("not json"),
        seen="a 404 that is no JSON: what stands before X says nothing of a post",
        says="stopped at the network edge before X",
    ),
    Row(
        code="parent_gone",
        then=Then.ANEW,
        status=frozenset({404}),
        reply=True,
        seen="any other 404 to a reply",
        says="the post that this one replies to is gone, or not visible",
    ),
    Row(
        code="reply_not_allowed",
        then=Then.DEAD,
        status=_NO,
        names=_of("433"),
        words=(
            "reply to this conversation is not allowed",
            "not allowed to reply",
            "otherwise engaged by the author",
            "only reply to or quote posts where",
            "who can reply",
        ),
        seen="a reply that X's rules do not let through (433)",
        says="X allows self-serve accounts only replies to who mentioned or quoted them",
    ),
    Row(
        code="cashtags",
        then=Then.DEAD,
        status=_NO,
        words=("one cashtag",),
        seen="“Posts are limited to a maximum of one cashtag”",
    ),
    Row(
        code="length",
        then=Then.DEAD,
        status=_NO,
        names=_of("186"),
        words=("a bit shorter", "text is too long"),
        seen="the text is too long (186)",
    ),
    Row(
        code="media",
        then=Then.DEAD,
        status=_NO,
        names=_of("323", "324", "386"),
        words=("media id", "media_id", "allowed attachment types"),
        seen="the picture is not taken (323, 324, 386); the post is sent without it",
    ),
    Row(
        code="link",
        then=Then.DEAD,
        status=_NO,
        names=_of("407"),
        words=("given url is invalid", "malware", "potentially harmful"),
        seen="an address that X does not let through (407)",
    ),
    # --- the rest
    Row(
        code="",
        then=Then.PAUSE,
        status=frozenset({403}),
        names=_of("not-authorized-for-resource"),
        seen="`not-authorized-for-resource` to a post of its own",
        says="the login may not do this",
    ),
    Row(
        code="",
        then=Then.DEAD,
        status=_NO,
        names=_of("invalid-request", "resource-not-found", "resource-unavailable", "disallowed-resource", "not-authorized-for-field")
        | _of("field-unauthorized", "field-hydration-failure"),
        seen="`invalid-request`, `resource-not-found`, `resource-unavailable`, `disallowed-resource`, `not-authorized-for-field`, "
        "`field-unauthorized`, `field-hydration-failure`",
    ),
    Row(
        code="",
        then=Then.DEAD,
        status=_NO,
        names=_of("streaming-connection", "rule-cap", "invalid-rules", "duplicate-rules", "operational-disconnect", "client-disconnected"),
        seen="`streaming-connection`, `rule-cap`, `invalid-rules`, `duplicate-rules`, `operational-disconnect`, `client-disconnected`: "
        "X's streams, which nobody here asks for",
    ),
    Row(
        code="not_permitted",
        then=Then.DEAD,
        status=frozenset({403}),
        words=("not permitted to perform this action",),
        seen="“You are not permitted to perform this action.”",
        says="X does not say why (seen for texts that are too long, for mentions of people who do not want it, for blocked readers)",
    ),
    Row(
        code="edge",
        then=Then.RETRY,
        status=frozenset({403}),
        names=_of("not json"),
        seen="a 403 that is no JSON: the network edge before X, which lets later ones pass",
        says="stopped at the network edge before X",
    ),
    Row(
        code="forbidden",
        then=Then.PAUSE,
        status=frozenset({403}),
        plain=True,
        seen="a 403 that says nothing but “Forbidden”: nothing in it is about the message",
        says="X refuses and does not say why (most often the app is not set to “Read and write”)",
    ),
    Row(code="", then=Then.DEAD, seen="any other answer"),
)
