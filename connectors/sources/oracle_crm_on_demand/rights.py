"""What the integration user must be let to do, as a role of Oracle CRM On Demand calls it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from connectors.sources.oracle_crm_on_demand import dialect
from connectors.sources.oracle_crm_on_demand.api import Api
from connectors.sources.oracle_crm_on_demand.people import People
from connectors.sources.oracle_crm_on_demand.trackings import FIELDS, QUERY
from crmbridge.contract import Promise, Right
from crmbridge.errors import SourceError
from crmbridge.http import denial

CLOSED: Final = frozenset({401, 403, 404})
"""How it says that something is not for this user."""


def rights(api: Api, people: People, record_types: Iterable[str], *, trackings: bool) -> Iterator[Right]:
    """`trackings`: deletions and merges are wanted. Raises SourceError."""
    if trackings:
        yield Right(
            name="Manage Modification Tracking",
            promise=Promise.DELETIONS,
            lost="deletions and merges are not told",
            refused=denial(partial(tracked, api), CLOSED),
        )
    yield Right(
        name="read access to Users",
        promise=Promise.TEAMS,
        lost="of the owner of a record only a name is known, and no address",
        refused=denial(lambda: api.page(dialect.USERS, fields=[dialect.ID, *people.columns()], q="", limit=1, offset=0), CLOSED),
    )
    for name in record_types:
        if child := people.child(name):
            yield _team(api, people, name, child)


def tracked(api: Api) -> None:
    """Prove that Modification Tracking can be read and asked for what is gone. Raises SourceError."""
    needed(api, dialect.TRACKINGS, set(FIELDS), {dialect.CHANGED, dialect.EVENT})
    api.page(dialect.TRACKINGS, fields=[dialect.ID], q=QUERY, limit=1, offset=0)


def needed(api: Api, resource: str, wanted: set[str], queried: set[str]) -> None:
    """Prove that a resource has these fields, and that some of them can be asked for. Raises SourceError."""
    known = api.attributes(resource)
    if missing := sorted((wanted | queried) - known.keys()):
        raise SourceError(f"{resource} has no field {', '.join(missing)} that this user may read; it has {', '.join(sorted(known))}")
    for name in sorted(queried):
        if not dialect.flag(known[name].get("queryable")):
            raise SourceError(f"{resource}: {name} is not queryable (its description says so), and without it nothing can be polled")


def _team(api: Api, people: People, name: str, child: str) -> Right:
    found, _ = api.page(name, fields=[dialect.ID], q="", limit=1, offset=0)
    ids = [str(one.get(dialect.ID)) for one in found]
    return Right(
        name=f"read access to {child} of {name}",
        promise=Promise.TEAMS,
        lost="of who works on a record only the owner is known",
        refused="".join(denial(partial(people.team, name, id), CLOSED) for id in ids),
        note="" if ids else f"there is no record in {name} yet that this user sees, so that it cannot be tried",
    )
