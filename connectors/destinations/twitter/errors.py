"""What each answer to `POST /2/tweets` means for the post.

https://docs.x.com/x-api/fundamentals/response-codes-and-errors ; the 402 and duplicate bodies are from the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from crmbridge.errors import AuthFailed, DeliveryError, Duplicate, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import refusal
from crmbridge.telemetry import redact

# 403s that every post would get: the app, its access level or its authentication is wrong.
_SETTINGS = ("client-forbidden", "unsupported-authentication", "not-authorized-for-resource", "oauth1-permissions")
_WINDOW = timedelta(minutes=15)  # https://docs.x.com/x-api/fundamentals/rate-limits
_UNIX = re.compile(r"\d{9,11}", re.ASCII)
_DAILY = ("x-app-limit-24hour", "x-user-limit-24hour")


def meaning(status: int, headers: Mapping[str, str], said: Any, now: datetime) -> DeliveryError:
    """An answer other than 201. `said` is its JSON, or None if it is none."""
    problem = said if isinstance(said, dict) else {}
    kind, detail = str(problem.get("type") or ""), _detail(problem)
    text, code = redact(f"HTTP {status} {detail}".strip())[:300], kind.rpartition("/")[2] or str(status)
    if status == 429:
        return RateLimited(text, reset(headers, now), code=code)
    if status == 402:
        return AuthFailed(f"the X account's credits are used up: {text}", code="credits")
    if status == 403:
        return _forbidden(problem, kind, text, code)
    if 200 <= status < 300:
        return OutcomeUnknown(f"X answered {status} without naming the post", code=code)
    return refusal(status, detail, headers, now)


def _forbidden(problem: Mapping[str, Any], kind: str, text: str, code: str) -> DeliveryError:
    if not problem:
        # Not X's API but the edge before it ("Just a moment..."): the request was stopped there, so nothing was
        # posted, and the edge lets later ones pass.
        return Transient("HTTP 403 from the network edge before X", code="edge")
    if "duplicate content" in text.lower():
        return Duplicate(text, code="duplicate")
    if kind.endswith(_SETTINGS) or str(problem.get("reason") or "") in _SETTINGS:
        return AuthFailed(text, code=code)
    return Rejected(text, code=code)


def _detail(problem: Mapping[str, Any]) -> str:
    """The most telling of the texts in a problem body."""
    errors = problem.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    for text in (problem.get("detail"), first.get("message"), first.get("detail"), problem.get("title")):
        if isinstance(text, str) and text:
            return " ".join(text.split())
    return ""


def reset(headers: Mapping[str, str], now: datetime) -> datetime:
    """When X takes posts again: the latest reset among its limits that are used up, else a window from now."""
    moments = [_moment(headers.get("x-rate-limit-reset"))]
    moments += [_moment(headers.get(f"{limit}-reset")) for limit in _DAILY if headers.get(f"{limit}-remaining") == "0"]
    known = [moment for moment in moments if moment is not None]
    return max(known) if known else now + _WINDOW


def _moment(value: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(value), timezone.utc) if value and _UNIX.fullmatch(value) else None
