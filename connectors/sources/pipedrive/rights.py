"""What this login must be let to do, in Pipedrive's scopes, which name what a user's permission set allows too.

https://pipedrive.readme.io/docs/marketplace-scopes-and-permissions-explanations
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from connectors.sources.pipedrive.api import Api
from crmbridge.contract import Promise, Right
from crmbridge.http import denial

CLOSED: Final = frozenset({402, 403, 404})
"""What is not for this user, or not in this company's plan."""
_SCOPES: Final = {"deals": "deals:read", "persons": "contacts:read of persons", "organizations": "contacts:read of organizations"}


def rights(api: Api, record_types: Iterable[str], *, called: bool) -> Iterator[Right]:
    """`called`: webhooks are wanted. Raises SourceError."""
    names = list(record_types)
    for name in names:
        yield _asked(_SCOPES[name], Promise.CHANGES, f"nothing of {name} is told", partial(api.records, name, limit="1"))
    if "deals" in names:
        lost = "deals in the archive are not known, nor what changed of a deal shortly before it went there"
        yield _asked("deals:read of the archive", Promise.ARCHIVED, lost, partial(api.records, "deals", archived=True, limit="1"))
    yield _asked("users:read", Promise.TEAMS, "who owns a record is not known", partial(api.users.get, afresh=True))
    if called:
        lost = "only polls find changes, and nobody tells of merges, nor of persons and organizations that were deleted"
        yield _asked("webhooks:full", Promise.WEBHOOKS, lost, api.subscriptions)
    api.introduce(afresh=True)
    hidden = "records that are not visible for this user are never seen, by polls or webhooks"
    note = "" if api.is_admin() else f"this user is none: {hidden}"
    yield Right(name="admin of the company", promise=Promise.CHANGES, lost=hidden, note=note)


def _asked(name: str, promise: Promise, lost: str, ask: Callable[[], object]) -> Right:
    return Right(name=name, promise=promise, lost=lost, refused=denial(ask, CLOSED))
