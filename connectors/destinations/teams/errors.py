"""What each answer of a workflow's trigger means for the message.

Power Automate answers with `{"error": {"code", "message"}}`, and documents hardly any of its codes. These are those of its
trigger, as senders report them, beside https://learn.microsoft.com/en-us/power-automate/oauth-authentication (read 2026-11-30).
The trigger takes a message before anything is posted: what fails later is said to the workflow's owner alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected
from crmbridge.http import Answer, refusal, retry_after
from crmbridge.model import visible
from crmbridge.telemetry import redact

_ASKS: Final = "its trigger asks for a login: set *Who can trigger the flow?* to *Anyone*, save it, and copy the whole address again"
_MOVED: Final = "the workflow has no such trigger any more: copy its address again"
_GONE: Final = "the workflow is gone, perhaps with the account of who owned it: make it anew, and copy its address"
# Every message would fail alike until somebody repairs the workflow or its address.
_SHUT: Final = {
    "DirectApiAuthorizationRequired": _ASKS,
    "DirectApiInvalidAuthorizationScheme": "the `sig` of the address is missing or wrong, or the organisation allows none: copy it whole",
    "DirectApiRequestHasMoreThanOneAuthorization": "something on the way, such as a proxy, adds a login of its own",
    "OAuthAccessPolicyNotFound": _ASKS,
    "MisMatchingOAuthClaims": _ASKS,
    "AuthorizationFailed": "the `sig` of the address is wrong: copy the whole address again",
    "WorkflowTriggerIsNotEnabled": "the workflow is off, suspended or deleted: turn it on in the Workflows app, or make it anew",
    "WorkflowNotFound": _GONE,
    "WorkflowTriggerNotFound": _MOVED,
    "TriggerNotFound": _MOVED,
}
# This message is not what the trigger takes.
_REFUSED: Final = {
    "TriggerInputSchemaMismatch": "the trigger wants another form: make the workflow with the template, which has no schema",
    "InvalidRequestContent": "to the trigger it is no JSON",
    "RequestEntityTooLarge": "it is too large",
}
_SLOW: Final = ("WorkflowTriggerRequestsThrottled", "WorkflowRunThrottled", "RateLimitExceeded", "TooManyRequests")
# The workflow began, and failed before its own answer: it may have posted.
_LOST: Final = ("NoResponse", "GatewayTimeout", "InternalServerError", "ServiceUnavailable")

CODES: Final[Mapping[str, type[DeliveryError]]] = {
    **dict.fromkeys(_SHUT, AuthFailed),
    **dict.fromkeys(_REFUSED, Rejected),
    **dict.fromkeys(_SLOW, RateLimited),
    **dict.fromkeys(_LOST, OutcomeUnknown),
}
_SHUT_STATUS: Final = frozenset({401, 403, 404, 405, 410})
_SAID: Final = 200  # characters of Microsoft's own sentence in one refusal


def meaning(answer: Answer, now: datetime, *, old_address: bool) -> DeliveryError:
    """An answer other than 2xx. The code decides where it is one that is known, but for 5xx: there the workflow may have run."""
    code, words = said(answer.body)
    status = answer.status
    kind = CODES.get(code)
    hint = _SHUT.get(code) or _REFUSED.get(code) or ""
    if status in (401, 404, 410) and not hint and old_address:
        hint = "the addresses of workflows at logic.azure.com ended on 2025-11-30: copy the new one from the workflow's trigger"
    elif status in (404, 410) and not hint:
        hint = _GONE
    shown = "; ".join(part for part in (code, hint, words) if part) or "from the workflow's trigger"
    if status >= 500 or status == 408:
        return refusal(status, shown, answer.headers, now)
    text = redact(f"HTTP {status} {shown}")[:400]
    if status == 429 or kind is RateLimited:
        return RateLimited(text, retry_after(answer.headers, now) or now + timedelta(minutes=1), code=code or str(status))
    if kind is AuthFailed or (kind is None and status in _SHUT_STATUS):
        return AuthFailed(text, code=code or str(status))
    if kind is OutcomeUnknown:
        return OutcomeUnknown(text, code=code)
    if 300 <= status < 400:
        return Rejected(f"HTTP {status} a redirect, which is never followed", code=str(status))
    return Rejected(text, code=code or str(status))


def said(body: bytes) -> tuple[str, str]:
    """The code and the sentence of an answer; empty where it has none. A code that nobody has listed is shown as a part of the sentence."""
    try:
        error = json.loads(body)["error"]
        code, words = error["code"], error.get("message", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", ""
    words = " ".join(visible(words[: 4 * _SAID]).split()) if isinstance(words, str) else ""
    if not isinstance(code, str) or code not in CODES:
        return "", redact(f"{code[:60]}: {words}" if isinstance(code, str) else words)[:_SAID]
    return code, redact(words)[:_SAID]


# --- for people

_MEANS: Final[Mapping[type[DeliveryError], str]] = {
    AuthFailed: "Not published. The destination pauses until somebody acts (`crmbridge reload`); nothing is lost.",
    Rejected: "Not published, and never will be as it is: a dead letter with Microsoft's own words.",
    RateLimited: "Not published. The destination is silent for as long as `Retry-After` asks, else for a minute, then it is tried again.",
    OutcomeUnknown: "It may be published, and nobody can be asked: `on_unknown` decides.",
}


def answer_table() -> str:
    """What each answer of a trigger means, for the README."""
    rows = ["| HTTP 202, and any other 2xx | Accepted. The workflow has it, and has not posted it yet: see below. |"]
    for kind, means in _MEANS.items():
        rows.append(f"| {' '.join(f'`{code}`' for code in sorted(CODES) if CODES[code] is kind)} | {means} |")
    shut = ", ".join(map(str, sorted(_SHUT_STATUS)))
    rows += [
        f"| HTTP {shut} without a listed code | As `WorkflowNotFound`. |",
        "| HTTP 400, 413 and any other 4xx without a listed code; a redirect | As `TriggerInputSchemaMismatch`. |",
        "| HTTP 429 | As `TooManyRequests`. |",
        "| HTTP 5xx whatever its code, 408, no answer | As `NoResponse`. |",
    ]
    return "\n".join(["| answer | what it means |", "| --- | --- |", *rows])
