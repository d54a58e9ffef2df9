"""Proof of the sender, on raw bytes. Anything malformed raises InvalidSignature, never an exception of another kind."""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from crmbridge.contract import Secret, WebhookRequest, revealed
from crmbridge.errors import InvalidSignature
from crmbridge.hooks import jwt
from crmbridge.hooks.bodies import Form, pairs, read_body
from crmbridge.hooks.encodings import canonical, decoded, is_any, loose
from crmbridge.hooks.layouts import Held, filled, held, placeholders
from crmbridge.hooks.paths import EVERY, at, every, parts_of
from crmbridge.hooks.proofs import Basic, Bearer, Hmac, HmacSha256, Jwt, Shown, Signature, StandardWebhooks, Unsigned

TOLERANCE: Final = (
    300  # seconds, both directions; https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
)
_MOST_ITEMS: Final = 10_000
_COUNTED: Final = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)  # no leading zeros: they could be the end of the signed text before it
_STAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_ID: Final = re.compile(r"[!-~]{1,256}", re.ASCII)
_log = logging.getLogger(__name__)


def verify(signature: Signature, request: WebhookRequest, form: Form = "json") -> None:
    """Verify that the request proves its sender. `form` is how its body is written, for a secret that stands in the body.

    Raises InvalidSignature.
    """
    match signature:
        case StandardWebhooks():
            _standard(signature, request)
        case HmacSha256():
            value = header(request, signature.header)
            if not value.startswith(signature.prefix):
                raise InvalidSignature
            given = decoded(value[len(signature.prefix) :], signature.encoding)
            _compare([given], [hmac.digest(key, request.body, hashlib.sha256) for key in _keys(signature.secret)])
        case Hmac():
            _hmac(signature, request)
        case Jwt():
            _jwt(signature, request)
        case Shown():
            given_texts = shown(signature, request, form)
            if not given_texts or not all(is_one_of(one, signature.secret) for one in given_texts):
                raise InvalidSignature(f"the secret is missing or wrong (in the {signature.in_})")
        case Bearer():
            _compare([_credentials(request, "bearer")], _keys(signature.secret))
        case Basic():
            if not is_basic(request, signature.username, signature.secret):
                raise InvalidSignature
        case Unsigned():
            pass


def header(request: WebhookRequest, name: str) -> str:
    """Return a header that proves something; empty if it is missing.

    Raises InvalidSignature if the header came more than once, for nobody can say which one counts.
    """
    if name.lower() in request.repeated:
        raise InvalidSignature(f"the header {name} came more than once")
    return request.headers.get(name.lower(), "")


def is_one_of(given: str, secrets: Sequence[Secret]) -> bool:
    """Say whether a text is one of the secrets, in constant time. A secret that cannot be read shuts out nobody who knows another one."""
    return is_any(given.encode("utf-8", "replace"), map(str.encode, revealed(secrets)))


def is_basic(request: WebhookRequest, user: str, secrets: Sequence[Secret]) -> bool:
    """Say whether the request shows `user` and one of the secrets by HTTP Basic (RFC 7617), in constant time."""
    try:
        given = canonical(_credentials(request, "basic").decode("ascii"))
    except InvalidSignature:
        return False
    return is_any(given, [f"{user}:{secret}".encode() for secret in revealed(secrets)])


def shown(signature: Shown, request: WebhookRequest, form: Form) -> Sequence[str]:
    """Return the texts that stand where the secret should. Each of them must be the secret.

    Returns none if one of them is empty, or if there are several and the path has no `*`.
    """
    name = signature.name or ""
    match signature.in_:
        case "header":
            found = [header(request, name)]
        case "path":
            found = [request.path]
        case "query":
            found = query_values(request, name)
        case _:
            found = _in_body(request, parts_of(name), form)
    return found if all(found) and (len(found) == 1 or EVERY in parts_of(name)) else []


def _in_body(request: WebhookRequest, parts: Sequence[str], form: Form) -> list[str]:
    """Return the text at a path of the body. If the path has a `*`, return the text of every element. Return none if one is no text."""
    try:
        body = read_body(request.body, form)
        here = parts.index(EVERY) if EVERY in parts else 0
        items = every(body, parts[: here + 1], _MOST_ITEMS) if EVERY in parts else [body]
    except ValueError:
        return []
    found: list[Any] = [at(one, parts[here + 1 :] if EVERY in parts else parts) for one in items or []]
    return found if all(isinstance(one, str) for one in found) else []


def query_values(request: WebhookRequest, name: str) -> list[str]:
    """Return the decoded values of a name in the query. Return none if the query is malformed."""
    try:
        return [value for key, value in pairs(request.query.encode("utf-8", "replace")) if key == name]
    except ValueError:
        return []


def request_id_header(signature: Signature) -> str:
    """Return the signed header that holds the sender's own id of a request, the same in every redelivery. Empty if there is none."""
    match signature:
        case StandardWebhooks():
            return "webhook-id"
        case Hmac(id=str(name)):
            return name.lower()
    return ""


def proof_header(signature: Signature) -> str | None:
    """Return the header that holds a secret or a token, in lower case. It is never stored. None if no such header proves the sender."""
    match signature:
        case Shown(in_="header", name=str(name)) | Jwt(header=name):
            return name.lower()
    return None


# --- one function for each scheme ---------------------------------------------------------------


def _standard(signature: StandardWebhooks, request: WebhookRequest) -> None:
    id, stamp, given = (header(request, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(id) or "." in id or not _STAMP.fullmatch(stamp) or len(given) > 4096:
        raise InvalidSignature("the webhook-id, webhook-timestamp or webhook-signature header is missing or malformed")
    signed = f"{id}.{stamp}.".encode() + request.body
    wanted = [hmac.digest(key, signed, hashlib.sha256) for key in map(_standard_key, revealed(signature.secret)) if key]
    parts = [part.partition(",") for part in given.split(" ")]
    _compare([canonical(value) for version, _, value in parts[:10] if version == "v1" and value], wanted)
    if abs(request.received_at.timestamp() - int(stamp)) > TOLERANCE:
        raise InvalidSignature(f"the webhook-timestamp is more than {TOLERANCE} s away from now: is a clock wrong?")


def _hmac(signature: Hmac, request: WebhookRequest) -> None:
    found = _held(signature, header(request, signature.header))
    names = placeholders(signature.signed)
    stamp = (header(request, signature.timestamp) if signature.timestamp else found.timestamp) or ""
    id = (header(request, signature.id) if signature.id else found.id) or ""
    if "timestamp" in names and (instant(stamp, signature.stamp) is None):
        raise InvalidSignature("the timestamp is missing or malformed")
    if "id" in names and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", id, re.ASCII):
        raise InvalidSignature("the id is missing or malformed")
    method, path = request.method.encode("utf-8", "replace"), request.address.encode("utf-8", "replace")
    values = {"body": request.body, "timestamp": stamp.encode(), "id": id.encode(), "method": method, "path": path}
    signed = filled(signature.signed, values)
    keys = [key for one in revealed(signature.secret) if (key := _key(one, signature.key, signature.key_prefix))]
    given = [decoded(one, signature.encoding) for one in found.signatures]
    if not all(given):
        raise InvalidSignature(f"the header {signature.header} is malformed")
    _compare(given, [hmac.digest(key, signed, signature.digest) for key in keys])
    moment = instant(stamp, signature.stamp) if "timestamp" in names else None
    if moment is not None and abs(request.received_at.timestamp() - moment) > signature.tolerance:
        raise InvalidSignature(f"the timestamp is more than {signature.tolerance} s away from now: is a clock wrong?")


def _held(signature: Hmac, value: str) -> Held:
    if signature.wrapped == "base64":
        value = canonical(value).decode("ascii", "replace")
    found = held(value, signature.layout, signature.separator)
    if found is None:
        raise InvalidSignature(f"the header {signature.header} is missing or malformed")
    return found


def instant(written: str, how: str) -> float | None:
    """Read a timestamp as seconds since 1970. Return None for anything else, also for a time without an offset: its zone is unknown."""
    if how == "iso8601":
        if not _INSTANT.fullmatch(written):
            return None
        try:
            return datetime.fromisoformat(written).timestamp()
        except (ValueError, OverflowError):
            return None
    if not _COUNTED.fullmatch(written):
        return None
    return int(written) / (1000 if how == "milliseconds" else 1)


def _jwt(signature: Jwt, request: WebhookRequest) -> None:
    value = header(request, signature.header)
    if not value.startswith(signature.prefix):
        raise InvalidSignature
    found = jwt.claims(value[len(signature.prefix) :], _keys(signature.secret))
    if found is None:
        raise InvalidSignature
    if not jwt.in_its_time(found, request.received_at.timestamp(), signature.tolerance):
        raise InvalidSignature("the token is not of now (`exp`, `nbf`, `iat`), or does not say of when it is: is a clock wrong?")
    if signature.audience is not None:
        named = found.get("aud")
        if signature.audience not in (named if isinstance(named, list) else [named]):
            raise InvalidSignature("the token was made for another receiver (`aud`)")
    if signature.body_claim is not None:
        said = found.get(signature.body_claim)
        digest = hashlib.sha256(request.body).hexdigest()
        if not isinstance(said, str) or not hmac.compare_digest(said.encode("utf-8", "replace"), digest.encode()):
            raise InvalidSignature("the token was made for another body")


@functools.lru_cache(maxsize=64)
def _standard_key(secret: str) -> bytes:
    key = loose(secret.removeprefix("whsec_"))
    if not key:
        _log.error("a webhook's secret is not a whsec_ secret")
    return key


@functools.lru_cache(maxsize=64)
def _key(secret: str, written: str, prefix: str) -> bytes:
    secret = secret.removeprefix(prefix)
    key = secret.encode() if written == "text" else loose(secret) if written == "base64" else decoded(secret, "hex")
    if not key:
        _log.error("a webhook's secret is not written as its source says", extra={"key": written})
    return key


def _keys(secrets: Sequence[Secret]) -> list[bytes]:
    return [value.encode() for value in revealed(secrets)]


def _credentials(request: WebhookRequest, scheme: str) -> bytes:
    kind, _, value = header(request, "Authorization").partition(" ")
    if kind.lower() != scheme or not value or not value.isascii():
        raise InvalidSignature
    return value.encode()


def _compare(given: Sequence[bytes], wanted: Sequence[bytes]) -> None:
    """Compare each given proof with each one that counts. Raises InvalidSignature if none is equal."""
    found = [is_any(one, wanted) for one in given]  # none is left out once one is good: the time must tell nothing
    if True not in found:
        raise InvalidSignature
