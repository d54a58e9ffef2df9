"""Webhook bodies become observations."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from connectors.sources.webhook.options import Constant, Map, StandardWebhooks, WebhookOptions, header
from connectors.sources.webhook.signatures import standard_webhook_id, verify
from crmbridge.contract import Reply, Setting, WebhookRequest
from crmbridge.errors import InvalidRequest
from crmbridge.http import look, strict_json
from crmbridge.model import Body, FieldValue, Observation, Reading, RecordSpec, clean, parse_instant, parse_number

MAX_ITEMS: Final = 10_000
_MAX_FIELDS: Final = 2_000
_UNREAD: Final = object()
_VERIFIED: Final = 256  # bodies kept between verify and parse
_SMALL: Final = 16 * 1024  # bytes of a body that is kept
_NO_HEADERS: Final[Mapping[str, str]] = {}
_NOT_JSON: Final = re.compile(
    r"\s*(multipart/|application/x-www-form-urlencoded|text/html|[\w.+-]+/([\w.+-]+\+)?xml)", re.ASCII | re.IGNORECASE
)


class WebhookSource:
    """Implements `crmbridge.contract.WebhookSource`."""

    def __init__(self, options: WebhookOptions, setting: Setting) -> None:
        self._signature = options.signature
        self._map = options.map
        self._records = setting.records
        self._reading = options.reading(setting.days)
        self._repeats_within = timedelta(seconds=options.repeats_within)
        self._telling = _telling_headers(options.map)
        self._verified: dict[bytes, Any] = {}
        """What `verify` read and `parse` is going to ask for, so that most bodies are read once."""

    def verify(self, request: WebhookRequest) -> None:
        content_type = request.headers.get("content-type", "")
        verify(self._signature, request)
        if _NOT_JSON.match(content_type):
            raise InvalidRequest(f"the body must be JSON, not {content_type[:80]}", 415)
        try:
            body = strict_json(request.body)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        if len(request.body) <= _SMALL:
            if len(self._verified) >= _VERIFIED:
                del self._verified[next(iter(self._verified))]
            self._verified[request.body] = body

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        body = self._verified.pop(request.body, _UNREAD)
        if body is _UNREAD:
            body = strict_json(request.body)
        items = _look(self._map.items, body, body) if self._map.items else [body]
        if not isinstance(items, list):
            raise ValueError(f"{self._map.items} is not a list")
        if len(items) > MAX_ITEMS:
            raise ValueError(f"{self._map.items} has more than {MAX_ITEMS} items")
        digest = functools.cache(lambda: self._digest(request))  # made once, not for each item
        return [found for index, item in enumerate(items) if (found := self._observation(request, body, item, index, digest))]

    def reply(self, accepted: bool) -> Reply:
        return Reply(202, b"accepted\n") if accepted else Reply(503, b"try again later\n")

    def _observation(self, request: WebhookRequest, body: Any, item: Any, index: int, digest: Callable[[], str]) -> Observation | None:
        where, headers = self._map, request.headers
        word = _word(_look(where.kind.from_, body, item, headers)) if where.kind else None
        if where.kind and word in where.kind.ignore:
            return None
        named = where.record_type
        record_type = named.value if isinstance(named, Constant) else _text(_look(named, body, item, headers))
        if not record_type:
            raise ValueError(f"record_type: nothing stands at {where.record_type} (item {index})")
        record_id = _text(_look(where.record_id, body, item, headers))
        if not record_id:
            raise ValueError(f"record_id: nothing stands at {where.record_id} (item {index})")
        spec = self._records.get(record_type)
        deleted = bool(where.kind and word in where.kind.deleted)
        fields = self._fields(_look(where.fields, body, item), spec, where.fields, required=not deleted)
        before = self._fields(_look(where.before, body, item), spec, where.before, required=False) if where.before else None
        version = self._version(_look(where.version, body, item, headers), where.version, request.received_at) if where.version else None
        id = self._observation_id(request, body, item, index)
        return Observation(
            record_type=record_type,
            record_id=record_id,
            fields=fields,
            before=before,
            created=bool(where.kind and word in where.kind.created),
            deleted=deleted,
            version=version,
            observation_id=id,
            body=None if version or id else Body(digest(), index, request.received_at, self._repeats_within),
            occurred_at=self._instant(_look(where.occurred_at, body, item, headers) if where.occurred_at else None, request.received_at),
            actor=_text(_look(where.actor, body, item, headers)) if where.actor else None,
            url=_text(_look(where.url, body, item, headers)) if where.url else None,
        )

    def _version(self, value: Any, where: str, received_at: datetime) -> str | None:
        """A number or an instant, which can be put in order; anything else would make later changes look stale.

        None in the hour that comes twice: a change in its second half must not look older than one in its first.
        """
        text = _text(value)
        if text is None or parse_number(text) is not None:
            return text
        try:
            moment = self._reading.instant(text, received_at)
        except ValueError as error:
            raise ValueError(
                f"version: {text[:60]!r} at {where} is neither a number nor an instant ({error}); map another field, or none"
            ) from None
        if self._reading.zone is None and parse_instant(text) is not None:
            return text
        return None if self._reading.is_double(text) else moment.isoformat()

    def _instant(self, value: Any, received_at: datetime) -> datetime:
        if value is None:
            return received_at
        try:
            return self._reading.instant(value, received_at)
        except ValueError:
            return received_at

    def _digest(self, request: WebhookRequest) -> str:
        """Names the bytes that say what happened."""
        found = hashlib.sha256(request.body)
        for name in self._telling:
            found.update(b"\0" + clean(request.headers.get(name, "")).encode())
        return found.hexdigest()

    def _observation_id(self, request: WebhookRequest, body: Any, item: Any, index: int) -> str | None:
        """The sender's own id, if it gives one."""
        where = self._map.observation_id
        named = _text(_look(where, body, item, request.headers)) if where else None
        if where and named:
            # An id of the whole request is the same for all of its items.
            return f"{named[:480]}#{index}" if self._map.items and not where.startswith("item") else named[:500]
        sent = standard_webhook_id(request) if isinstance(self._signature, StandardWebhooks) else None
        return f"{sent}#{index}" if sent else None

    def _fields(self, raw: Any, spec: RecordSpec | None, where: str | None, *, required: bool) -> dict[str, FieldValue]:
        if raw is None and not required:
            return {}
        if not isinstance(raw, dict):
            raise ValueError(f"fields: no mapping stands at {where}")
        if spec is not None and (found := _found(raw, spec, self._reading)) is not None:
            return found
        flat: dict[str, Any] = {}
        _flatten(raw, flat)
        if len(flat) > _MAX_FIELDS:
            raise ValueError(f"fields: more than {_MAX_FIELDS} at {where}")
        if spec is None:
            return {name: self._reading.value(value) for name, value in flat.items()}
        return {name: self._reading.read(flat[name], one) for name, one in spec.items() if name in flat}


def _found(raw: Mapping[str, Any], spec: RecordSpec, reading: Reading) -> dict[str, FieldValue] | None:
    """The configured fields, where all of them stand in `raw` itself: most senders nest nothing. Else None."""
    found: dict[str, FieldValue] = {}
    for name, one in spec.items():
        value = raw.get(name, _UNREAD)
        if value is _UNREAD or isinstance(value, dict):
            return None
        found[name] = reading.read(value, one)
    return found


def _flatten(raw: Mapping[str, Any], flat: dict[str, Any], prefix: str = "") -> None:
    """Put the leaves of `raw` into `flat`, by their dotted paths."""
    for key, value in raw.items():
        name = clean(f"{prefix}{key}")
        if isinstance(value, dict):
            _flatten(value, flat, f"{name}.")
        else:
            flat[name] = value


def _telling_headers(where: Map) -> list[str]:
    """The headers that say what happened to which record: with another one the same body is another request."""
    paths = [where.record_id, where.record_type, where.kind.from_ if where.kind else None]
    return sorted({name for path in paths if isinstance(path, str) and (name := header(path))})


def _look(path: str, body: Any, item: Any, headers: Mapping[str, str] = _NO_HEADERS) -> Any:
    """What stands at a path that begins with `body`, `item` or `headers`; None if nothing does."""
    root, _, rest = path.partition(".")
    if root == "headers":
        return headers.get(rest.lower())
    value = body if root == "body" else item
    return look(rest, value) if rest else value


def _text(value: Any) -> str | None:
    """A scalar as text, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    return clean(str(value))[:1000].strip() or None


def _word(value: Any) -> str | None:
    """A word that says what happened; a flag is `true` or `false`."""
    return str(value).lower() if isinstance(value, bool) else _text(value)
