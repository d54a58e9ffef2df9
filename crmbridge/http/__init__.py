"""The one way connectors speak HTTP: an absolute deadline, no hidden retries, and a mark when a request began.

An exception that a connector does not map itself is Transient before the mark and OutcomeUnknown after it (`classify`, `attempt`).
"""

from crmbridge.http.answers import is_loopback, refusal, retry_after, signed, signing_key, web_link
from crmbridge.http.client import Answer, Client
from crmbridge.http.mark import MAX_ANSWER, USER_AGENT, Mark, attempt, begin, classify, credential, describe, looking, marked
from crmbridge.http.session import Session, read

__all__ = [
    "MAX_ANSWER",
    "USER_AGENT",
    "Answer",
    "Client",
    "Mark",
    "Session",
    "attempt",
    "begin",
    "classify",
    "credential",
    "describe",
    "is_loopback",
    "looking",
    "marked",
    "read",
    "refusal",
    "retry_after",
    "signed",
    "signing_key",
    "web_link",
]
