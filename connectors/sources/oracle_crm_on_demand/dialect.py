"""Oracle CRM On Demand's words, and every assumption about what its documents do not say. Pure.

Whoever finds out that the vendor does otherwise changes this file and no other. ASSUMED marks what no vendor page says as
far as we found; the rest stands on the page named. Pages: https://docs.oracle.com/cd/G30551_01 and G29753_01, REST API
Developer's Guide, whose topics read the same since Release 32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from crmbridge.errors import SourceError
from crmbridge.model import FieldType

# --- addresses and headers ------------------------------------------------------------------

ROOT: Final = "/OnDemand/user/Rest"
"""Overview, "REST API URL Format". Samples of paging print /user/OnDemand/Rest, which every other page contradicts."""
MAX_PAGE: Final = 100
"""The greatest `limit` ("Paging Collection Resources")."""
ACCEPT: Final = "application/json, */*;q=0.5"
"""ASSUMED: any type is fine. Answers are application/vnd.oracle.adf.resource+json, and 406 exists."""
LANGUAGE_HEADER: Final = "LOVLanguageMode"

# --- sessions -------------------------------------------------------------------------------

SESSION_COOKIE: Final = "JSESSIONID"
SESSION_HEADERS: Final = ("JSESSIONID", "JSESSION")
"""One page says that the session comes in a cookie, another in "the JSESSION response header": both are read."""
SESSION_LIFETIME: Final = timedelta(minutes=50)
"""ASSUMED: a company sets how long sessions live, and the API does not say it."""
LOCKED_OUT: Final = timedelta(minutes=15)
"""ASSUMED: how long to leave a login alone that was refused. A company sets after how many wrong passwords a user is locked."""
_SESSION_GONE: Final = re.compile(r"session is (?:not valid|invalid)|session (?:has )?(?:expired|timed out)", re.IGNORECASE)
"""ASSUMED, but for "the error returned reports that the session is not valid"; its status is not told."""
_TOO_FAST: Final = re.compile(r"maximum rate of requests", re.IGNORECASE)
""""REST API Request Rate Limits" gives the words, not the status: they are looked for in every refusal."""
RATE_WINDOW: Final = timedelta(minutes=1)
SERVER_DATE_IS_LOCAL: Final = True
"""ASSUMED: ServerDate of a login is in the user's time zone, as "Date and Time Formats" says of every instant."""

_COOKIE = re.compile(r"(?:^|,)\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=([^;,\s]*)")


def session_cookies(headers: Mapping[str, str]) -> str:
    """The Cookie header of the session that an answer opens; empty if it opens none.

    All cookies are taken: a load balancer's too, for a session may live on one server only.
    """
    cookies = dict(_COOKIE.findall(headers.get("Set-Cookie") or ""))
    if SESSION_COOKIE not in cookies:
        for name in SESSION_HEADERS:
            if value := re.match(r"(?:JSESSIONID=)?([^;,\s]+)", headers.get(name) or ""):
                cookies[SESSION_COOKIE] = value[1]
                break
        else:
            return ""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def session_is_gone(status: int, words: str) -> bool:
    """Whether a refusal may be cured by logging in again: 403 is what "you will receive" without a session."""
    return not too_fast(words) and (status in (401, 403) or _SESSION_GONE.search(words) is not None)


def too_fast(words: str) -> bool:
    """Whether a refusal says that there were too many requests."""
    return _TOO_FAST.search(words) is not None


# --- queries --------------------------------------------------------------------------------


def at_or_after(field: str, local: datetime) -> str:
    """A query for what is stamped then or later, by a naive instant of the user's zone.

    ASSUMED: a stamp in `q` is written as answers write it, in single quotes. No sample shows one; the grammar quotes text.
    """
    return f"{field}>='{local:%Y-%m-%dT%H:%M:%S}Z'"


def one_of(field: str, values: Sequence[str]) -> str:
    """ "Querying a Collection Resource": AND and OR chain values of one field."""
    return f"{field}=" + " OR =".join(f"'{value}'" for value in values) if values else ""


def all_of(*expressions: str) -> str:
    """A semicolon is AND between fields; none may trail."""
    return ";".join(filter(None, expressions))


ORDER: Final = "ModifiedDate:asc,Id:asc"
"""ASSUMED: two records of one stamp stand in the same order in each answer. Whether ids sort as they compare does not matter."""

# --- answers --------------------------------------------------------------------------------


def rows(body: Any, resource: str) -> list[Mapping[str, Any]]:
    """The records of an answer, of one and of many alike. Raises SourceError for what is no such answer.

    They stand under the resource's name; the vendor's own samples also show the singular.
    ASSUMED: an answer without any array, but with `links` or `_contextInfo`, is an empty collection.
    """
    if isinstance(body, Mapping) and "Error" not in body:
        arrays = {name: value for name, value in body.items() if isinstance(value, list) and name not in ("links", "_contextInfo")}
        found = arrays.get(resource, next(iter(arrays.values())) if len(arrays) == 1 else None)
        if found is None and not arrays and body.keys() & {"links", "_contextInfo"}:
            found = []
        if found is not None and all(isinstance(one, Mapping) for one in found):
            return found
    words = error_words(body)
    raise SourceError(f"{resource}: the answer holds no list of records: {words or str(body)[:200]}")


def is_last(body: Any, count: int, asked: int) -> bool:
    """Whether a page ends its collection: as `_contextInfo.lastpage` says, which some samples lack; else if it is not full."""
    context = body.get("_contextInfo") if isinstance(body, Mapping) else None
    context = context if isinstance(context, Mapping) else {}
    if context.get("lastpage") is not None:
        return flag(context["lastpage"])
    try:
        limit = min(asked, int(context.get("limit", asked)))  # what the vendor made of our limit
    except (TypeError, ValueError):
        limit = asked
    return count < limit


def flag(value: Any) -> bool:
    """ASSUMED: true is true, or a text that says so."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "y", "yes"))


def value_of(row: Mapping[str, Any], path: str) -> Any:
    """A field's raw value; None if it is empty.

    Money comes as {"type": "currency", "value": "10000.50", "Modifier": "USD"}; `Revenue.Modifier` is its currency.
    ASSUMED: an empty field is null, "" or absent, and all three are the same.
    """
    name, _, inner = path.partition(".")
    value = row.get(name)
    if isinstance(value, Mapping):
        value = value.get(inner or "value") if inner or "value" in value else value
    elif inner:
        value = None
    return None if value == "" else value


def is_money(row: Mapping[str, Any], path: str) -> bool:
    value = row.get(path)
    return isinstance(value, Mapping) and "value" in value


def error_words(body: Any) -> str:
    """ "Error Response Format": the details and their codes, for `detail` is in the user's language."""
    errors = body.get("Error") if isinstance(body, Mapping) else None
    if isinstance(errors, Mapping):
        errors = [errors]
    if not isinstance(errors, list):
        return ""
    found = [" ".join(str(one.get(key)) for key in ("errorCode", "detail") if one.get(key)) for one in errors if isinstance(one, Mapping)]
    return "; ".join(filter(None, found))


# --- descriptions of resources --------------------------------------------------------------

_TYPES: Final = {
    "number": FieldType.NUMBER,
    "integer": FieldType.NUMBER,
    "int": FieldType.NUMBER,
    "decimal": FieldType.NUMBER,
    "percent": FieldType.NUMBER,
    "currency": FieldType.MONEY,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "date-time": FieldType.DATETIME,
    "timestamp": FieldType.DATETIME,
    "boolean": FieldType.BOOLEAN,
    "checkbox": FieldType.BOOLEAN,
}
"""ASSUMED, but for `string`: the names of types in a description."""


def field_type(name: Any) -> FieldType:
    return _TYPES.get(str(name).lower(), FieldType.TEXT)


def resource_in(body: Any, resource: str) -> Mapping[str, Any]:
    """One resource of a description ({"Resources": {"Accounts": {...}}}). Raises SourceError if it is not there."""
    found = body.get("Resources") if isinstance(body, Mapping) else None
    if isinstance(found, Mapping):
        one = found.get(resource, next(iter(found.values())) if len(found) == 1 else None)
        if isinstance(one, Mapping) and isinstance(one.get("attributes"), list):
            return one
    raise SourceError(f"{resource}: its description cannot be read: {error_words(body) or str(body)[:200]}")


def children_in(described: Mapping[str, Any]) -> list[str]:
    """Names of child resources: the item's links whose rel is child."""
    item = described.get("item")
    links = item.get("links") if isinstance(item, Mapping) else None
    links = links if isinstance(links, Mapping) else {}
    return [name for name, one in links.items() if isinstance(one, Mapping) and one.get("rel") == "child"]


# --- names of resources and fields ----------------------------------------------------------

ID, CHANGED, CREATED, ACTOR, OWNER = "Id", "ModifiedDate", "CreatedDate", "ModifiedById", "OwnerId"
"""Audit fields of every object ("Status keys", "Audit fields"). ModifiedBy and CreatedBy hold a name and a date in one text."""
OWNER_WORDS: Final = "Owner"
USERS: Final = "Users"
USER_NAME: Final = ("FullName", "Alias")
USER_MAIL: Final = ("EMailAddr", "UserEmail", "Email")
"""ASSUMED: what users' names and addresses are called; the first that the description of Users lists is read."""
TEAM_NAME, TEAM_MAIL, TEAM_ROLE, TEAM_USER = "FullName", "UserEmail", "TeamRole", "UserId"
"""Of the Team child in Web services v2.0, whose names REST uses; a REST sample shows all but UserEmail."""


def singular(resource: str) -> str:
    """Opportunities -> Opportunity, CustomObjects4 -> CustomObject4."""
    stem, number = re.fullmatch(r"(.*?)([0-9]*)", resource, re.DOTALL).groups()  # type: ignore[union-attr]  # it always matches
    stem = stem[:-3] + "y" if stem.endswith("ies") else stem.removesuffix("s")
    return stem + number


def team_child(resource: str, children: Iterable[str]) -> str | None:
    """The child resource that holds a record's team; None if there is none.

    ASSUMED: {singular}Teams. The only sample is CustomObject4Teams; a description that lists children outweighs it.
    """
    usual, known = f"{singular(resource)}Teams", list(children)
    teams = [name for name in known if name.endswith("Teams")]
    if not known or usual in teams:
        return usual
    return teams[0] if teams else None


# --- Modification Tracking ------------------------------------------------------------------

TRACKINGS: Final = "ModificationTrackings"
"""ASSUMED: the supported resource "Modification Trackings" without its blank, as the others are written."""
EVENT, OBJECT, OBJECT_ID, CHILD_ID = "EventName", "ObjectName", "ObjectId", "ChildObjectId"
"""ASSUMED: ChildObjectId; the page in the application calls the column "Child Object Id"."""
DELETED, RESTORED, MERGED = "DeleteRecord", "RestoreRecord", "MergeRecords"
"""PreDeleteRecord is left aside: such a record "might not actually be deleted". Of a merge, the object is the primary record
and the child object the duplicate."""
