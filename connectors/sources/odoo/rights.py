"""What this login must be let to read besides the records themselves, in Odoo's own access rights (`ir.model.access`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from connectors.sources.odoo.api import Api
from connectors.sources.odoo.records import Records
from crmbridge.contract import Promise, Right
from crmbridge.http import denial

_NOT_FOR_US: Final = frozenset({404, 422})  # besides 403: no such model, or none that this login may name
_LOG: Final[Mapping[str, Sequence[str]]] = {
    "mail.message": ["model", "res_id"],
    "mail.tracking.value": ["mail_message_id"],
    "ir.model.fields": ["name"],
}
"""Where Odoo keeps what it tracked, with what is read there."""
_UNSEEN: Final = "states between two polls are not seen: of several changes of one record only the last is told"


def rights(api: Api, records: Records, models: Sequence[str], *, old_values: bool) -> Iterator[Right]:
    """Of the log of old values, if that is wanted, and of who works on the records of these models. Raises SourceError."""
    if old_values:
        for model, fields in _LOG.items():
            yield _asked(api, model, fields, Promise.OLD_VALUES, _UNSEEN)
    relations = [records.described(model).relation(name) for model in models for name in ("user_id", "team_id")]
    if any(relations):
        yield _asked(api, "res.users", ["name", "email"], Promise.TEAMS, "who works on a record is not known")
    for team in dict.fromkeys(one for one in relations if one not in (None, "res.users")):
        yield _asked(api, str(team), ["user_id"], Promise.TEAMS, "of who works on a record only the salesperson is known")


def _asked(api: Api, model: str, fields: Sequence[str], promise: Promise, lost: str) -> Right:
    refused = denial(lambda: api.search_read(model, [], fields, limit=1), _NOT_FOR_US)
    return Right(name=f"read {model} (ir.model.access)", promise=promise, lost=lost, refused=refused)
