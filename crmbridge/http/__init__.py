"""The one way in which connectors speak HTTP: an absolute deadline, no hidden retries, and a mark when a request began.

An exception that a connector does not map itself is Transient before the mark and OutcomeUnknown after it (`classify`, `attempt`).
"""

from crmbridge.http.answers import is_loopback, refusal, retry_after, signed, signing_key, web_link
from crmbridge.http.client import Answer, Client
from crmbridge.http.kept import Kept
from crmbridge.http.mark import MAX_ANSWER, USER_AGENT, Mark, aside, attempt, begin, classify, credential, describe, looking, marked
from crmbridge.http.oauth import Denied, claim, exchange, log_in, login_failed
from crmbridge.http.picture import INSTALL, NoPicture, Picture, Pictures, can_make, made_anew
from crmbridge.http.reading import reading
from crmbridge.http.session import HttpSession, read
from crmbridge.http.strict import look, strict_json
from crmbridge.http.tokens import AccessToken, NotKept, Tokens
from crmbridge.http.vendor import Vendor, VendorRefused, denial, understood
from crmbridge.http.watch import SocketGuard
from crmbridge.http.xml import parse_xml
from crmbridge.peers import is_this_machine

__all__ = [
    "INSTALL",
    "MAX_ANSWER",
    "USER_AGENT",
    "AccessToken",
    "Answer",
    "Client",
    "Denied",
    "HttpSession",
    "Kept",
    "Mark",
    "NoPicture",
    "NotKept",
    "Picture",
    "Pictures",
    "SocketGuard",
    "Tokens",
    "Vendor",
    "VendorRefused",
    "aside",
    "attempt",
    "begin",
    "can_make",
    "claim",
    "classify",
    "credential",
    "denial",
    "describe",
    "exchange",
    "is_loopback",
    "is_this_machine",
    "log_in",
    "login_failed",
    "look",
    "looking",
    "made_anew",
    "marked",
    "parse_xml",
    "read",
    "reading",
    "refusal",
    "retry_after",
    "signed",
    "signing_key",
    "strict_json",
    "understood",
    "web_link",
]
