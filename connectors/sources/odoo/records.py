"""Rows become observations: their fields, and fields of the records that they lead to. Keeps descriptions for minutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.sources.odoo.api import Api, Domain, Row
from connectors.sources.odoo.fields import STAMPS, Described
from crmbridge.contract import Member, Setting, each
from crmbridge.errors import SourceError
from crmbridge.http import Kept, VendorRefused
from crmbridge.model import FieldSpec, FieldValue, Observation, Reading, RecordSpec, clean, cursors, parse_instant


class Records:
    """Reads records whole. Everything raises SourceError."""

    def __init__(self, api: Api, url: str, setting: Setting, reading: Reading) -> None:
        self._api = api
        self._reading = reading
        self._url = url
        self._setting = setting
        self._described = Kept(lambda model: Described(self._api.fields_get(model), self._reading))

    def described(self, model: str, *, afresh: bool = False) -> Described:
        """A model as this login may see it."""
        return self._described.get(model, afresh=afresh)

    def check(self, model: str) -> None:
        """Prove that all configured fields can be read; says which cannot."""
        spec = self._setting.records[model]
        if missing := self._missing(model, [*spec, *STAMPS]):
            raise SourceError(f"{model} has no field {', '.join(missing)} that this login may read")
        self.fields(model, self.rows(model, [], limit=1), spec)

    def _missing(self, model: str, names: Iterable[str]) -> list[str]:
        described = self.described(model, afresh=True)
        missing = []
        for name in names:
            head, _, tail = name.partition(".")
            if head not in described.by_name:
                missing.append(name)
            elif tail:
                relation = described.relation(head)
                if relation is None or self._missing(relation, [tail]):
                    missing.append(name)
        return sorted(missing)

    def rows(self, model: str, domain: Domain, limit: int | None = None) -> list[Row]:
        """Records by id, with all that is configured of the type."""
        names = self.described(model).asked(self._setting.records.get(model, {}))
        return self._api.search_read(model, domain, names, limit=limit)

    def observations(self, model: str, rows: Sequence[Row], position: cursors.Position | None = None) -> list[Observation]:
        """One for each row; `position` of the pass that found it."""
        spec = self._setting.records.get(model, {})

        def read(row: Row) -> tuple[dict[str, FieldValue], Observation]:
            fields = self._own(model, row, spec)
            return fields, self._observation(model, row, fields, position)

        found = each(
            rows,
            read,
            record_type=model,
            id=lambda row: row["id"],
            spec=spec,
            now=self._setting.now(),
            all_or_none=position is not None and position.start is None,
        )
        self._add_related(model, [row for row, _ in found.good], spec, [fields for _, (fields, _) in found.good])
        return found.observations(lambda pair: (pair[1],))

    def _observation(self, model: str, row: Row, fields: Mapping[str, FieldValue], position: cursors.Position | None) -> Observation:
        at, made = stamp(row, "write_date"), stamp(row, "create_date")
        return Observation(
            record_type=model,
            record_id=str(row["id"]),
            fields=fields,
            existed=cursors.existed(made, position) if position else False,
            version=at.isoformat() if at else None,
            occurred_at=at or made or self._setting.now(),
            actor=label(row.get("write_uid")),
            url=f"{self._url}/web#id={row['id']}&model={model}&view_type=form",
        )

    def fields(self, model: str, rows: Sequence[Row], spec: RecordSpec) -> list[dict[str, FieldValue]]:
        """The configured fields of each row; one that Odoo does not know, or does not let us see, was not looked at."""
        found = [self._own(model, row, spec) for row in rows]
        self._add_related(model, rows, spec, found)
        return found

    def _own(self, model: str, row: Row, spec: RecordSpec) -> dict[str, FieldValue]:
        described = self.described(model)
        return {name: described.value(name, row.get(name), one) for name, one in spec.items() if name in described.by_name}

    def _add_related(self, model: str, rows: Sequence[Row], spec: RecordSpec, found: Sequence[dict[str, FieldValue]]) -> None:
        """Put into the fields of each row what is configured of the records that it leads to."""
        described = self.described(model)
        behind: dict[str, dict[str, FieldSpec]] = {}
        for name, one in spec.items():
            head, _, tail = name.partition(".")
            if tail:
                behind.setdefault(head, {})[tail] = one
        for head, inner in behind.items():
            relation = described.relation(head)
            if relation is not None:
                self._related(head, relation, inner, rows, found)

    def _related(self, head: str, model: str, spec: RecordSpec, rows: Sequence[Row], found: Sequence[dict[str, FieldValue]]) -> None:
        """Fields of the records that `head` leads to, by one search: a reading would fail for all if one is not for us."""
        ids = [row[head][0] if isinstance(row.get(head), list) else None for row in rows]
        wanted = sorted({id for id in ids if id is not None})
        described = self.described(model)
        related = self._api.search_read(model, [["id", "in", wanted]], described.asked(spec)) if wanted else []
        values = {row["id"]: one for row, one in zip(related, self.fields(model, related, spec), strict=True)}
        for id, fields in zip(ids, found, strict=True):
            told = values.get(id, {})
            for name in spec:
                if name.partition(".")[0] in described.by_name:
                    fields[f"{head}.{name}"] = told.get(name)

    # --- people

    def members(self, model: str, id: int) -> list[Member]:
        """The salesperson first, then the head and the members of the sales team; nobody who was archived."""
        described = self.described(model)
        asked = [name for name in ("user_id", "team_id") if described.relation(name)]
        rows = self._api.search_read(model, [["id", "=", id]], asked) if asked else []
        if not rows:
            return []
        roles: dict[int, str | None] = {}
        if owner := _first(rows[0].get("user_id")):
            roles[owner] = "owner"
        team = described.relation("team_id") if "team_id" in asked else None
        if team and (number := _first(rows[0].get("team_id"))):
            roles = self._team(team, number) | roles
        if not roles:
            return []
        people = self._api.search_read("res.users", [["id", "in", sorted(roles)], ["active", "=", True]], ["name", "email"])
        people.sort(key=lambda one: (roles[one["id"]] != "owner", roles[one["id"]] is None, one["id"]))
        return [
            Member(
                name=clean(str(one.get("name") or one["id"])),
                email=clean(one["email"]) if one.get("email") else None,
                role=roles[one["id"]],
            )
            for one in people
        ]

    def _team(self, model: str, id: int) -> dict[int, str | None]:
        """Who is in a team: `member_ids`, which `crm.team` has in every version, though since 15 it is only a view of `crm.team.member`."""
        described = self.described(model)
        asked = [name for name in ("user_id", "member_ids") if name in described.by_name]
        try:
            rows = self._api.search_read(model, [["id", "=", id]], asked)
        except VendorRefused as error:
            if error.status != 403:
                raise
            return {}  # the team is not for this login; the salesperson is known all the same
        roles: dict[int, str | None] = {}
        for row in rows:
            members = row.get("member_ids")
            roles |= {one: None for one in (members if isinstance(members, list) else ()) if isinstance(one, int)}
            if head := _first(row.get("user_id")):
                roles[head] = "team leader"
        return roles


def stamp(row: Row, name: str) -> datetime | None:
    """An instant as Odoo writes it: UTC, naive, whole seconds."""
    raw = row.get(name)
    return parse_instant(raw) if isinstance(raw, str) else None


def _first(raw: Any) -> int | None:
    return raw[0] if isinstance(raw, list) and raw and isinstance(raw[0], int) else None


def label(raw: Any) -> str | None:
    """What people read of a many2one."""
    return clean(str(raw[1])) if isinstance(raw, list) and len(raw) > 1 else None
