"""Who works on a record: its owner and its team."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.sources.oracle_crm_on_demand import dialect
from connectors.sources.oracle_crm_on_demand.api import Api
from crmbridge.contract import Member
from crmbridge.http import VendorRefused
from crmbridge.model import clean

_KEPT = timedelta(hours=1)  # for which a user's name is not asked for again: each request is one of 30 a minute
_MOST = 1000  # users kept
_NOT_FOR_US = (400, 401, 403, 404)


class People:
    """Reads owners and teams, in two or three requests a record. Every method raises SourceError."""

    def __init__(self, api: Api, now: Callable[[], datetime]) -> None:
        self._api = api
        self._now = now
        self._users: dict[str, tuple[Member | None, datetime]] = {}

    def of(self, record_type: str, id: str) -> list[Member]:
        """The owner first, then the team, each once."""
        owner_id, owner = self._owner(record_type, id)
        team = self.team(record_type, id)
        owner = owner or next((one for user_id, one in team if user_id == owner_id), None)
        found = [owner] if owner else []
        for user_id, one in team:
            if user_id != owner_id and one not in found:
                found.append(one)
        return found

    def _owner(self, record_type: str, id: str) -> tuple[str, Member | None]:
        fields = [name for name in (dialect.OWNER, dialect.OWNER_WORDS) if name in self._api.attributes(record_type)]
        if not fields:  # a type that nobody owns
            return "", None
        record = self._api.one(record_type, id, fields=[dialect.ID, *fields])
        owner_id = str(dialect.value_of(record, dialect.OWNER) or "")
        words = dialect.value_of(record, dialect.OWNER_WORDS)
        known = self._user(owner_id) if owner_id else None
        return owner_id, known or (Member(name=clean(str(words))) if words else None)

    def _user(self, id: str) -> Member | None:
        """None where this login may not read users, or they have no name that we know of."""
        kept = self._users.get(id)
        if kept is None or kept[1] <= self._now():
            try:
                member = self._asked(id)
            except VendorRefused as error:
                if error.status not in _NOT_FOR_US or dialect.too_fast(str(error)):
                    raise
                member = None
            if len(self._users) >= _MOST:
                self._users.clear()
            kept = self._users[id] = (member, self._now() + _KEPT)
        return kept[0]

    def columns(self) -> list[str]:
        """What is read of a user: the name, and the address if there is one; nothing where users have no name that we know of."""
        known = self._api.attributes(dialect.USERS)
        name = next((one for one in dialect.USER_NAME if one in known), None)
        mail = next((one for one in dialect.USER_MAIL if one in known), None)
        return [one for one in (name, mail) if one] if name else []

    def child(self, record_type: str) -> str | None:
        """The child resource with the teams of a record type."""
        return dialect.team_child(record_type, dialect.children_in(self._api.describe(record_type)))

    def _asked(self, id: str) -> Member | None:
        columns = self.columns()
        if not columns:
            return None
        user = self._api.one(dialect.USERS, id, fields=[dialect.ID, *columns])
        words, *mails = (dialect.value_of(user, name) for name in columns)
        return Member(name=clean(str(words)), email=_text(mails[0]) if mails else None) if words else None

    def team(self, record_type: str, id: str) -> Sequence[tuple[str, Member]]:
        """Who is of a record's team, by id."""
        child = self.child(record_type)
        if child is None:
            return []
        fields = [dialect.TEAM_USER, dialect.TEAM_NAME, dialect.TEAM_MAIL, dialect.TEAM_ROLE]
        try:
            rows = self._api.children(record_type, id, child, fields=fields)
        except VendorRefused as error:
            if error.status == 404 and child not in dialect.children_in(self._api.describe(record_type)):  # a guess, and a wrong one
                return []
            raise
        found = []
        for row in rows:
            name = _text(dialect.value_of(row, dialect.TEAM_NAME))
            if name:
                email, role = _text(dialect.value_of(row, dialect.TEAM_MAIL)), _text(dialect.value_of(row, dialect.TEAM_ROLE))
                found.append((str(row.get(dialect.TEAM_USER) or ""), Member(name=name, email=email, role=role)))
        return found


def _text(value: Any) -> str | None:
    return clean(str(value)) if value else None
