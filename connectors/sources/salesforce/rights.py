"""What this login must be let to do, as a Salesforce administrator calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from connectors.sources.salesforce import soql
from connectors.sources.salesforce.api import Api
from connectors.sources.salesforce.fields import SYSTEM, Described
from crmbridge.contract import Promise, Right
from crmbridge.http import VendorRefused, denial
from crmbridge.model import RecordSpec

_LATELY: Final = timedelta(minutes=2)  # the least span that getDeleted takes is one
_WITH_TEAMS: Final = ("Account", "Opportunity")
_UNKNOWN: Final = frozenset({400, 404})  # besides 403: an object or a field that is not for us is said not to be there


def rights(
    api: Api, records: Mapping[str, RecordSpec], described: Callable[[str], Described], now: Callable[[], datetime]
) -> Iterator[Right]:
    """Raises SourceError."""
    for name, spec in records.items():
        one = described(name)
        missing = one.missing({*spec, *SYSTEM})
        yield Right(
            name=f"field-level security of {name}",
            promise=Promise.CHANGES,
            lost=f"nothing of {name} is told until it is open, or the field is taken out of the configuration",
            refused=f"this login may not read {', '.join(missing)}" if missing else "",
        )
        if one.replicateable:
            yield Right(
                name=f"getDeleted of {name}",
                promise=Promise.DELETIONS,
                lost=f"deletions and merges of {name} are not told",
                refused=denial(partial(api.deleted, name, now() - _LATELY, now()), (404,)),
            )
        yield Right(
            name=f"Owner of {name} (Read on User, field-level security of its Email)",
            promise=Promise.TEAMS,
            lost="who works on a record is not known",
            refused=denial(partial(api.query, soql.some(name, one.owner())), _UNKNOWN),
        )
        if name in _WITH_TEAMS:
            yield _team(api, name)
    yield _everything(api)


def _team(api: Api, record_type: str) -> Right:
    refused = denial(partial(api.query, soql.some(f"{record_type}TeamMember", ["User.Name", "User.Email"])), _UNKNOWN)
    off = "INVALID_TYPE" in refused
    return Right(
        name=f"Read on {record_type}TeamMember",
        promise=Promise.TEAMS,
        lost="of who works on a record only the owner is known",
        refused="" if off else refused,
        note=f"teams are not switched on in this org, or not for this login: only the owner is known of a {record_type}" if off else "",
    )


def _everything(api: Api) -> Right:
    """Who may see all records is asked; who may not is often meant not to, so that it is no trouble."""
    try:
        rows = api.query(soql.some("UserPermissionAccess", ["PermissionsViewAllData"])).records
    except VendorRefused:
        rows = []
    given = any(one.get("PermissionsViewAllData") is True for one in rows)
    note = "" if given else "this login lacks it: records that are not shared with it, and their deletions, are never seen"
    return Right(name="View All Data", promise=Promise.CHANGES, lost="records that are not shared with this login are not seen", note=note)
