"""SOQL text. Pure.

https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select.htm
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Final

from crmbridge.model import cursors

_ESCAPED: Final = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*){0,5}", re.ASCII)


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + "".join(_ESCAPED.get(letter, letter) for letter in text) + "'"


def moment(stamp: cursors.Stamp | datetime) -> str:
    """An instant as a literal: unquoted, whole seconds, with a Z; a `+` in a query's address would become a blank. Raises ValueError."""
    found = stamp if isinstance(stamp, datetime) else cursors.instant(stamp)
    if found is None:
        raise ValueError(f"the stored cursor holds {stamp!r}, which is no instant")
    return found.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def named(name: str) -> str:
    """A field's or object's name; raises ValueError for anything else, which could be more than a name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the API name of a field")
    return name


def page(record_type: str, fields: Iterable[str], position: cursors.Position, limit: int) -> str:
    """The next records by (SystemModstamp, Id).

    Stamps are compared at whole seconds, so that many records share one; and SystemModstamp moves where LastModifiedDate does not.
    """
    where = ""
    if position.after is not None:
        stamp, id = position.after
        where = f" WHERE (SystemModstamp = {moment(stamp)} AND Id > {quoted(str(id))}) OR SystemModstamp > {moment(stamp)}"
    elif position.start is not None:
        where = f" WHERE SystemModstamp >= {moment(position.start)}"
    return f"SELECT {_list(fields)} FROM {named(record_type)}{where} ORDER BY SystemModstamp, Id LIMIT {limit}"  # nosec B608  # names are checked, values are quoted


def single(record_type: str, fields: Iterable[str], ids: Sequence[str]) -> str:
    """These records."""
    return f"SELECT {_list(fields)} FROM {named(record_type)} WHERE Id IN ({', '.join(map(quoted, ids))})"  # nosec B608  # names are checked, values are quoted


def merged(record_type: str, ids: Sequence[str]) -> str:
    """Which of these deleted records were merged, for queryAll."""
    return f"SELECT Id, MasterRecordId FROM {named(record_type)} WHERE IsDeleted = true AND Id IN ({', '.join(map(quoted, ids))})"  # nosec B608  # names are checked, values are quoted


def team(record_type: str, id: str) -> str:
    """The people of an account's or opportunity's team."""
    member = f"{named(record_type)}TeamMember"
    return f"SELECT User.Name, User.Email, TeamMemberRole FROM {member} WHERE {record_type}Id = {quoted(id)} ORDER BY CreatedDate"  # nosec B608  # names are checked, values are quoted


def some(record_type: str, fields: Iterable[str]) -> str:
    """Any record: whether these fields may be read."""
    return f"SELECT {_list(fields)} FROM {named(record_type)} LIMIT 1"  # nosec B608  # names are checked, values are quoted


def _list(fields: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(map(named, fields)))
