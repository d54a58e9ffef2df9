"""What the user of the key must be let to read besides the configured fields, in Tryton's own access rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from connectors.sources.tryton.api import Api, Record
from crmbridge.contract import Promise, Right
from crmbridge.http import denial

_UNSEEN: Final = "states between two polls, old values and deletions are not seen"


def rights(api: Api, models: Sequence[str], people: Callable[[str], Sequence[str]], *, history: bool) -> Iterator[Right]:
    """`people`: the fields that say who works on a record of a model; `history`: it is wanted. Raises SourceError."""
    for model in models:
        if history:
            yield _history(api, model)
        if fields := people(model):
            yield _people(api, model, fields)


def _history(api: Api, model: str) -> Right:
    kept = api.keeps_history(model)
    return Right(
        name=f"history of {model}",
        promise=Promise.OLD_VALUES,
        lost=_UNSEEN,
        refused=denial(lambda: api.revisions(model, [1])) if kept else "",
        note="" if kept else f"the model keeps none (`_history`): {_UNSEEN}",
    )


def _people(api: Api, model: str, fields: Sequence[str]) -> Right:
    """Tryton leaves fields out that its access rules forbid, and says nothing."""
    rows = list[Record]()
    refused = denial(lambda: rows.extend(api.search(model, fields, [], ["id"], limit=1)))
    hidden = [name for name in fields for row in rows if not has(row, name)]
    return Right(
        name=f"people of {model}: read {', '.join(fields)} (ir.model.access, ir.model.field.access)",
        promise=Promise.TEAMS,
        lost="who works on a record is not known, or not by address",
        refused=refused or (f"{', '.join(hidden)} is left out of the answer" if hidden else ""),
        note="" if rows or refused else f"there is no {model} yet that this user sees, so that it cannot be tried",
    )


def has(row: Any, name: str) -> bool:
    """Whether a dotted field stands in a row, or in each of several; what is empty on the way ends it."""
    if isinstance(row, list):
        return all(has(one, name) for one in row)
    first, _, rest = name.partition(".")
    return not isinstance(row, Mapping) or (first in row and (not rest or has(row[first], rest)))
