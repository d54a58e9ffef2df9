"""What one request for a page says, and where the next page is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from crmbridge.http import look
from crmbridge.rest.options import Listing, Resource, Since

_NEXT: Final = re.compile(r"<([^<>]*)>(?=[^<]*;\s*rel\s*=\s*\"?next\"?)", re.IGNORECASE)
_UNITS: Final = {"iso_ms": timedelta(milliseconds=1), "epoch_ms": timedelta(milliseconds=1), "date": timedelta(days=1)}
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Found:
    """What one request brought."""

    json: Any
    """None: the API said that there is nothing."""
    link: str = ""
    """The Link header (RFC 8288), or nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """A GET, or with a `body` a POST that only reads."""

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    nothing: Sequence[int] = ()
    """Statuses that say that there is nothing."""
    address: str = ""
    """Of a page that the API named itself, instead of the path."""


def request(one: Listing, since: datetime | None, bookmark: str, wanted: Sequence[str] = ()) -> Request:
    """How the page at `bookmark` (empty: the first) is asked for, of what changed `since` then.

    `wanted`: the first parts of all paths into a record that somebody reads, for APIs that want to be told.
    """
    paging = one.paging
    if bookmark and paging and paging.style == "link":
        return Request(one.path, body=one.body, nothing=one.nothing, address=bookmark)
    moment = since if one.since else None
    headers, params = dict[str, str](), dict(one.parameters)
    told: dict[str, Any] = {}
    if one.since and moment:
        headers, more = _when(one.since, moment)
        params |= more
    if isinstance(one, Resource) and one.fields_parameter and wanted:
        told[one.fields_parameter] = ",".join(wanted)
    if one.size_parameter:
        told[one.size_parameter] = one.size
    if bookmark and paging and paging.parameter:
        told[paging.parameter] = bookmark if paging.style == "cursor" else int(bookmark)
    if one.body is None:
        return Request(one.path, params | {name: str(value) for name, value in told.items()}, None, headers, one.nothing)
    body = joined(one.body, _filled(one.since, moment)) if one.since and moment else one.body
    return Request(one.path, params, {**body, **told}, headers, one.nothing)


def following(one: Listing, body: Found, bookmark: str, count: int) -> str | None:
    """Where the page behind this one is, which held `count` records; None where there is none."""
    paging = one.paging
    if paging is None or body.json is None:
        return None
    match paging.style:
        case "offset":
            return str(int(bookmark or "0") + count) if count >= one.size else None
        case "page":
            return str(int(bookmark or paging.first) + 1) if count >= one.size else None
        case "cursor":
            found = look(paging.next, body.json) if paging.next else None
        case _:
            found = look(paging.next, body.json) if paging.next else _linked(body.link)
    return str(found) if found not in (None, "", False) else None


def joined(one: Any, other: Any) -> Any:
    """Two pieces of JSON in one: mappings are joined, lists go on, and else the second stands."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: joined(one[name], other[name]) for name in one.keys() & other.keys()}
        return {**one, **other, **both}
    return [*one, *other] if isinstance(one, list) and isinstance(other, list) else other


def _when(since: Since, moment: datetime) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and query parameters that say since when."""
    said = since.template.replace("{since}", asked(since, moment))
    headers = {since.header: said} if since.header else {}
    return headers, dict(since.parameters) | ({since.parameter: said} if since.parameter else {})


def _filled(since: Since | None, moment: datetime) -> Any:
    """What a body says besides, once it says since when."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner) for inner in value]
        if not isinstance(value, str) or since is None:
            return value
        said = asked(since, moment)
        return int(said) if value == "{since}" and since.format in ("epoch", "epoch_ms") else value.replace("{since}", said)

    return fill((since.body if since else None) or {})


def asked(since: Since, moment: datetime) -> str:
    """The instant as the API is asked for it, so that what changed then is among the answers."""
    return written(moment if since.inclusive else moment - _UNITS.get(since.format, _SECOND), since.format)


def written(moment: datetime, form: str) -> str:
    """An instant as the API is asked; cut to its unit, so that nothing of it is left out."""
    utc = moment.astimezone(timezone.utc)
    match form:
        case "epoch":
            return str(int(utc.timestamp()))
        case "epoch_ms":
            return str(int(utc.timestamp() * 1000))
        case "date":
            return f"{utc:%Y-%m-%d}"
        case "iso_ms":
            return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"
        case "iso_offset":
            return f"{utc:%Y-%m-%dT%H:%M:%S}+00:00"
        case "spaced":
            return f"{utc:%Y-%m-%d %H:%M:%S}"
    return f"{utc:%Y-%m-%dT%H:%M:%SZ}"


def is_beyond(last: datetime, start: datetime, form: str) -> bool:
    """Whether a page whose last record is of `last` shows more than that of `start`, by the unit in which it is asked."""
    return last > start and written(last, form) != written(start, form)


def _linked(header: str) -> str | None:
    found = _NEXT.search(header)
    return found[1] if found else None
