"""The content of one request for a page, and the place of the next page. Pure."""

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
    """The result of one request."""

    json: Any
    """The JSON of the answer. None: the API said that there is nothing."""
    link: str = ""
    """The Link header (RFC 8288) of the answer; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that only reads: a GET, or with a `body` a POST."""

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    nothing: Sequence[int] = ()
    """The statuses that say that there is nothing."""
    address: str = ""
    """The address of a page that the API named itself. It takes the place of the path."""


def request(one: Listing, since: datetime | None, bookmark: str, wanted: Sequence[str] = ()) -> Request:
    """Make the request for the page at `bookmark` (empty: the first) of what changed since `since`.

    `wanted` are the first parts of all paths into a record that somebody reads, for APIs that want to be told.
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
    """Return the bookmark of the page after this one, which held `count` records. Return None if this is the last page."""
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
    """Join two pieces of JSON: mappings key by key, lists end to end. Of anything else the second one stands."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: joined(one[name], other[name]) for name in one.keys() & other.keys()}
        return {**one, **other, **both}
    return [*one, *other] if isinstance(one, list) and isinstance(other, list) else other


def _when(since: Since, moment: datetime) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and query parameters that say since when."""
    said = since.template.replace("{since}", asked(since, moment))
    headers = {since.header: said} if since.header else {}
    return headers, dict(since.parameters) | ({since.parameter: said} if since.parameter else {})


def _filled(since: Since | None, moment: datetime) -> Any:
    """Return the part of a body that says since when."""

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
    """Write the instant from which the API is asked for changes, so that changes at that very instant are among the answers."""
    return written(moment if since.inclusive else moment - _UNITS.get(since.format, _SECOND), since.format)


def written(moment: datetime, form: str) -> str:
    """Write an instant as the API is asked for it. It is cut to its unit, never rounded up, so that no change is left out."""
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
    """Say whether a page whose last record is of `last` goes beyond `start`, in the unit in which the API is asked."""
    return last > start and written(last, form) != written(start, form)


def _linked(header: str) -> str | None:
    found = _NEXT.search(header)
    return found[1] if found else None
