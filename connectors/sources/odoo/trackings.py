"""States between two polls, out of Odoo's own log of tracked fields (`mail.tracking.value`): A -> B -> C is two changes.

A message of the log is one transaction: which fields it changed, from what, to what. Odoo shows the log to administrators only,
unless its access rights are changed; where it is refused, polls see the last state alone.
https://github.com/odoo/odoo/blob/14.0/addons/mail/models/mail_tracking_value.py
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.odoo.api import Api, Domain, Row
from connectors.sources.odoo.fields import Described, equal
from connectors.sources.odoo.known import Known
from connectors.sources.odoo.records import Records, label, stamp
from crmbridge.contract import Setting
from crmbridge.http import VendorRefused
from crmbridge.model import FieldValue, Observation

_log = logging.getLogger(__name__)
_REFUSED: Final = frozenset({403, 404, 422})
_LOG: Final = "mail.tracking.value"
_COLUMNS: Final = tuple(
    f"{side}_value_{type_}" for side in ("old", "new") for type_ in ("char", "text", "integer", "float", "monetary", "datetime")
)
_HALF: Final = timedelta(seconds=0.5)
_COUNTED: Final = 400_000


@dataclass(slots=True)
class Step:
    """One change of one record: old and new values by field."""

    message: int
    at: datetime
    actor: str | None
    changed: dict[str, tuple[FieldValue, FieldValue]] = field(default_factory=dict)


class Trackings:
    """Reads the log for the records of one page. Raises SourceError, but not where the log is refused."""

    def __init__(self, api: Api, records: Records, setting: Setting, *, called: bool) -> None:
        """`called`: there are webhooks too."""
        self._called = called
        self._api = api
        self._records = records
        self._setting = setting
        self._refused = False

    def forget(self) -> None:
        """Ask again: somebody may have changed the access rights."""
        self._refused = False

    def newest(self, model: str) -> int | None:
        """The number of the last message about any record of a model; 0 if there is none, None if the log is not for us."""
        try:
            rows = self._api.search_read("mail.message", [["model", "=", model]], ["id"], order="id desc", limit=1)
        except VendorRefused as error:
            self._without(error)
            return None
        return int(rows[0]["id"]) if rows else 0

    def between(
        self, model: str, start: str, rows: Sequence[Row], seen: Sequence[Observation], known: Known
    ) -> tuple[list[Observation], int | None]:
        """`seen`, which was made of `rows`, with the states of these records that were not told before each, in order.

        And the number of the last message that was read, 0 if there was none, None if the log is not for us.
        """
        if self._refused:
            return list(seen), None
        try:
            logged = self._logged(model, start, [row["id"] for row in rows])
        except VendorRefused as error:
            self._without(error)
            return list(seen), None
        described = self._records.described(model)
        found: list[Observation] = []
        for row, one in zip(rows, seen, strict=True):
            at, made = stamp(row, "write_date"), stamp(row, "create_date")
            steps = _steps(described, one, [entry for entry in logged.get(row["id"], ()) if at and entry.at <= at])
            states = self._states(one, [step for step in steps[:-1] if step.message > (known.told or 0)], known)
            new = made is not None and f"{made:%Y-%m-%d %H:%M:%S}" >= start
            if made is not None and new and steps and (states or row["id"] not in (known.ids or ())):
                found.append(_as_made(one, made, label(row.get("create_uid")), steps))
            found += [*states, one]
        return found, max((step.message for steps in logged.values() for step in steps), default=0)

    def _without(self, error: VendorRefused) -> None:
        """Go on without the log, and say so once."""
        if error.status not in _REFUSED:
            raise error
        self._refused = True
        facts = {"source": self._setting.name, "reason": str(error)}
        _log.warning("Odoo's log of old values may not be read: of states between two polls only the last is seen", extra=facts)

    def _states(self, seen: Observation, steps: Sequence[Step], known: Known) -> list[Observation]:
        """Each state behind one of these steps, none of which is what the record is now.

        Where a webhook may have told of a later state, in the same second even, a state counts as older than its second: it is
        told only if nothing of that second or later was seen.
        """
        careful = self._called or known.told is None
        found: list[Observation] = []
        for step in steps:
            fields = {name: new for name, (_, new) in step.changed.items()}
            before = {name: old for name, (old, _) in step.changed.items()}
            version = _version(step.at, step.message) if careful else step.at.isoformat()
            found.append(replace(seen, fields=fields, before=before, version=version, occurred_at=step.at, actor=step.actor))
        return found

    def _logged(self, model: str, start: str, ids: Sequence[int]) -> dict[int, list[Step]]:
        """What was logged of each record, by its id, in the order in which it was written."""
        if not ids:
            return {}
        domain: Domain = [["model", "=", model], ["res_id", "in", list(ids)], ["date", ">=", start]]
        messages = {row["id"]: row["res_id"] for row in self._api.search_read("mail.message", domain, ["res_id"])}
        if not messages:
            return {}
        columns = self._records.described(_LOG).by_name
        named = "field" if "field" in columns else "field_id"  # since 17
        asked = [named, *(name for name in _COLUMNS if name in columns), "mail_message_id", "create_date", "create_uid"]
        entries = self._api.search_read(_LOG, [["mail_message_id", "in", sorted(messages)]], asked)
        names = self._names(model) if entries else {}
        found: dict[int, Step] = {}
        described = self._records.described(model)
        for entry in entries:
            message, name, at = _id(entry.get("mail_message_id")), names.get(_id(entry.get(named))), stamp(entry, "create_date")
            if name is None or at is None or message not in messages:
                continue
            old, new = described.logged(name, entry, "old"), described.logged(name, entry, "new")
            step = found.setdefault(message, Step(message, at, label(entry.get("create_uid"))))
            step.changed[name] = (old[1], new[1]) if old[0] and new[0] else (_UNSAID, _UNSAID)
        steps: dict[int, list[Step]] = {}
        for message in sorted(found):
            steps.setdefault(messages[message], []).append(found[message])
        return steps

    def _names(self, model: str) -> Mapping[int, str]:
        """The configured fields by the number that the log calls them."""
        names = [name for name in self._setting.records[model] if "." not in name]
        rows = self._api.search_read("ir.model.fields", [["model", "=", model], ["name", "in", names]], ["name"])
        return {row["id"]: str(row["name"]) for row in rows}


_UNSAID: Final = "\0"  # a value that cannot be said exactly is equal to no other


def _steps(described: Described, seen: Observation, steps: Sequence[Step]) -> list[Step]:
    """The steps, of each field only if they lead without a gap to what it is now: everything else would be a guess."""
    whole = {name for step in steps for name in step.changed}
    for name in sorted(whole):
        chain = [step.changed[name] for step in steps if name in step.changed]
        ends = [new for _, new in chain]
        begins = [*(old for old, _ in chain[1:]), seen.fields.get(name)]
        if _UNSAID in (value for pair in chain for value in pair) or not all(map(equal, ends, begins)):
            whole.discard(name)
    kept: list[Step] = []
    for step in steps:
        changed = {name: values for name, values in step.changed.items() if name in whole}
        if changed:
            kept.append(replace(step, changed=changed))
    return kept


def _as_made(seen: Observation, made: datetime, actor: str | None, steps: Sequence[Step]) -> Observation:
    """A new record before all steps: rules see it made, and then what became of it."""
    first: dict[str, FieldValue] = {}
    for step in reversed(steps):
        first |= {name: old for name, (old, _) in step.changed.items()}
    return replace(seen, fields={**seen.fields, **first}, version=_version(made, 0), occurred_at=made, actor=actor)


def _version(at: datetime, message: int) -> str:
    """Half a second before its own second: older than the record as it was seen in that second or later, and newer than what
    was seen in the second before. So what comes again makes no news."""
    return (at - _HALF + timedelta(microseconds=message % _COUNTED)).isoformat(timespec="microseconds")


def _id(raw: Any) -> int:
    return raw[0] if isinstance(raw, list) and raw and isinstance(raw[0], int) else 0
