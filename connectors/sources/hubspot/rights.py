"""What this login must be let to do, in HubSpot's scopes. https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from connectors.sources.hubspot.api import Api
from connectors.sources.hubspot.records import of_company, owned
from connectors.sources.hubspot.types import WITH_PIPELINES, number, scope
from crmbridge.contract import Promise, Right
from crmbridge.http import denial
from crmbridge.model import RecordSpec

_COMPANIES: Final = "companies"
_NO_ACCOUNT: Final = frozenset({401, 404})  # besides 403, where the account's details are not for this login


def rights(api: Api, records: Mapping[str, RecordSpec]) -> Iterator[Right]:
    """Raises SourceError."""
    paths = api.paths
    for name in records:
        yield Right(
            name=scope(name),
            promise=Promise.CHANGES,
            lost=f"nothing of {name} is told, deletions neither",
            refused=denial(partial(api.archived, name, "", limit=1)),
        )
        if number(name) in WITH_PIPELINES:
            yield Right(
                name=f"{scope(name, 'schemas')} (pipelines)",
                promise=Promise.NAMES,
                lost=f"pipelines and stages of {name} are called by their ids",
                refused=_listed(api, paths.pipelines(name)),
            )
    fields = [name for spec in records.values() for name in owned(spec)]
    yield Right(
        name="crm.objects.owners.read",
        promise=Promise.TEAMS,
        lost="who owns a record and works on it is not known" + (f", nor {', '.join(dict.fromkeys(fields))}" if fields else ""),
        refused=_listed(api, paths.owners()),
    )
    companies = scope(_COMPANIES)
    if any(map(of_company, records.values())) and companies not in map(scope, records):
        yield Right(
            name=companies,
            promise=Promise.CHANGES,
            lost="the configured fields of a record's company cannot be read, so that nothing is told",
            refused=_listed(api, paths.objects(_COMPANIES)),
        )
    lost = "a change has a link to its record only where HubSpot's own answer holds one"
    refused = denial(api.account, _NO_ACCOUNT)  # nobody says which keys may be given it: no trouble, then
    yield Right(name="account details (scope oauth)", promise=Promise.LINKS, lost=lost, note=f"{lost} ({refused})" if refused else "")


def _listed(api: Api, url: str) -> str:
    return denial(lambda: next(api.listed(url, limit="1"), None))
