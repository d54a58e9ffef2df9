"""How webhook bodies become observations, by a map."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from crmbridge.contract import WebhookRequest
from crmbridge.hooks.map import KindMap, Map, telling_headers
from crmbridge.hooks.paths import Constant, Entries, Way, at, every, look
from crmbridge.model import FieldValue, Observation, Reading, RecordSpec, Unnamed, clean, parse_instant, parse_number

MAX_ITEMS: Final = 10_000
_MAX_FIELDS: Final = 2_000
_UNREAD: Final = object()


class Observing:
    """A reader of bodies, by a map that is the same for every request."""

    def __init__(
        self, where: Map, records: Mapping[str, RecordSpec], reading: Reading, *, repeats_within: timedelta, rereads: bool, id_header: str
    ) -> None:
        """Read by the map `where`. `rereads`: the source can read whole the records that a webhook only names.

        `id_header` is the header that holds the sender's id of a request, if any does.
        """
        self._map = where
        self._records = records
        self._reading = reading
        self._repeats_within = repeats_within
        self._partial = where.fields is None and rereads
        self._id_header = id_header
        self._telling = telling_headers(where)

    def observations(self, request: WebhookRequest, body: Any) -> list[Observation]:
        """Return the observations that `body`, the request's, holds. Raises ValueError with the path at which something is missing."""
        items = self._items(body)
        digest = functools.cache(lambda: self._digest(request))  # made at most once, not for each item
        return [found for index, item in enumerate(items) if (found := self._observation(request, body, item, index, digest))]

    def _items(self, body: Any) -> Sequence[Any]:
        where = self._map.items
        if where is None:
            return [body]
        try:
            items = every(body, where.parts, MAX_ITEMS)
        except ValueError as error:
            raise ValueError(f"{where} has {error}") from None
        if items is None:
            raise ValueError(f"{where} is not a list")
        return items

    def _observation(self, request: WebhookRequest, body: Any, item: Any, index: int, digest: Callable[[], str]) -> Observation | None:
        where, headers = self._map, request.headers
        happened = _happened(where.kind, body, item, headers)
        if happened is None:
            return None

        def one(path: Way | Constant | None) -> str | None:
            return path.value if isinstance(path, Constant) else _text(look(path, body, item, headers)) if path else None

        record_type = one(where.record_type)
        if not record_type:
            raise ValueError(f"record_type: nothing stands at {where.record_type} (item {index})")
        record_id = one(where.record_id)
        if not record_id:
            raise ValueError(f"record_id: nothing stands at {where.record_id} (item {index})")
        spec = self._records.get(record_type)
        deleted = happened == "deleted"
        fields = self._fields(body, item, spec, where.fields, required=not deleted) if where.fields else {}
        before = self._fields(body, item, spec, where.before, required=False) if where.before else None
        version = self._version(look(where.version, body, item, headers), where.version, request.received_at) if where.version else None
        id = self._observation_id(request, body, item, index)
        return Observation(
            record_type=record_type,
            record_id=record_id,
            fields=fields,
            before=before,
            created=happened == "created",
            deleted=deleted,
            partial=self._partial and not deleted,
            version=version,
            observation_id=id,
            body=None if version or id else Unnamed(digest(), index, request.received_at, self._repeats_within),
            occurred_at=self._instant(look(where.occurred_at, body, item, headers) if where.occurred_at else None, request.received_at),
            actor=one(where.actor),
            url=one(where.url),
        )

    def _version(self, value: Any, where: Way, received_at: datetime) -> str | None:
        """Return the version as a number or an instant, which have an order. Raises ValueError for anything else.

        Without an order, later changes would look stale. Returns None in the hour that comes twice: a change in its second half must not
        look older than one in its first.
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
        """Name the bytes that say what happened by a hash."""
        found = hashlib.sha256(request.body)
        for name in self._telling:
            found.update(b"\0" + clean(request.headers.get(name, "")).encode())
        return found.hexdigest()

    def _observation_id(self, request: WebhookRequest, body: Any, item: Any, index: int) -> str | None:
        """Return the sender's own id of an item, if the sender gives one."""
        where = self._map.observation_id
        named = _text(look(where, body, item, request.headers)) if where else None
        if where and named:
            # An id of the whole request is the same for all of its items, so the item's index tells them apart.
            return f"{named[:480]}#{index}" if self._map.items and where.root != "item" else named[:500]
        sent = request.headers.get(self._id_header) if self._id_header else None
        return f"{sent}#{index}" if sent else None

    def _fields(self, body: Any, item: Any, spec: RecordSpec | None, where: Way | Entries, *, required: bool) -> dict[str, FieldValue]:
        raw = look(where.from_ if isinstance(where, Entries) else where, body, item)
        if raw is None and not required:
            return {}
        if isinstance(where, Entries):
            raw = _gathered(raw, where)
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


def _happened(kind: KindMap | None, body: Any, item: Any, headers: Mapping[str, str]) -> str | None:
    """Return `created`, `updated` or `deleted`. Return None for what is of no interest."""
    if kind is None or kind.from_ is None:
        return kind.value if kind else "updated"
    word = _word(look(kind.from_, body, item, headers))
    if _is_one(word, kind.ignore):
        return None
    return "created" if _is_one(word, kind.created) else "deleted" if _is_one(word, kind.deleted) else "updated"


def _is_one(word: str | None, words: Sequence[str]) -> bool:
    """Say whether a word is one of these, in which * is any text."""
    return word is not None and (word in words or any("*" in one and _pattern(one).fullmatch(word) for one in words))


@functools.lru_cache(maxsize=256)
def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, word.split("*"))), re.DOTALL)


def _gathered(raw: Any, where: Entries) -> Any:
    """Turn entries or pairs into a mapping of name to value; return anything else as it is. Raises ValueError for a repeated name."""
    part = (where.value,)
    if where.key is None:
        if not isinstance(raw, dict):
            return raw
        return {name: at(pair, part) for name, pair in raw.items() if _has(pair, part[0])}
    if not isinstance(raw, list):
        return raw
    if len(raw) > _MAX_FIELDS:
        raise ValueError(f"fields: more than {_MAX_FIELDS} at {where}")
    found: dict[str, Any] = {}
    for entry in raw:
        name = _text(entry.get(where.key)) if isinstance(entry, dict) else None
        if name is None:
            raise ValueError(f"fields: an entry at {where} has no {where.key}")
        if name in found:
            raise ValueError(f"fields: {name[:60]} stands twice at {where}")
        if _has(entry, part[0]):
            found[name] = at(entry, part)
    return found


def _has(pair: Any, part: str) -> bool:
    """Say whether a pair or an entry has this part. One without it says nothing of its field, which differs from null."""
    return part in pair if isinstance(pair, dict) else isinstance(pair, list) and part.isdigit() and int(part) < len(pair)


def _found(raw: Mapping[str, Any], spec: RecordSpec, reading: Reading) -> dict[str, FieldValue] | None:
    """Read the configured fields if all of them stand in `raw` itself, for most senders nest nothing. Else return None."""
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


def _text(value: Any) -> str | None:
    """Return a scalar as text, and None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    return clean(str(value))[:1000].strip() or None


def _word(value: Any) -> str | None:
    """Return the word that says what happened. A flag becomes `true` or `false`."""
    return str(value).lower() if isinstance(value, bool) else _text(value)
