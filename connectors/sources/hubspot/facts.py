"""What changes rarely in an account, kept for minutes: properties, stages, owners, where records are shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from connectors.sources.hubspot.api import Api
from connectors.sources.hubspot.types import WITH_PIPELINES, number
from connectors.sources.hubspot.values import Property, properties
from crmbridge.errors import SourceError
from crmbridge.http import Refused
from crmbridge.model import Reading, clean

T = TypeVar("T")
KEPT: Final = timedelta(minutes=10)
_ACCOUNT_KEPT: Final = timedelta(days=1)


class Kept(Generic[T]):
    """A value that is asked for again when it is older than `lasting`; once for all threads."""

    def __init__(self, ask: Callable[[], T], now: Callable[[], datetime], lasting: timedelta = KEPT) -> None:
        self._ask = ask
        self._now = now
        self._lasting = lasting
        self._lock = threading.Lock()
        self._until: datetime | None = None
        self.last: T | None = None
        """The value however old it is, without asking; None if there never was one."""

    def get(self, *, afresh: bool = False) -> T:
        """Raises SourceError."""
        with self._lock:
            now = self._now()
            # A clock that was set back would keep it for longer than it lasts.
            good = self._until is not None and now < self._until <= now + self._lasting
            if self.last is None or afresh or not good:
                self.last = self._ask()
                self._until = now + self._lasting
            return self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who can own records: a person or a queue."""

    id: str
    name: str
    email: str | None
    team: str | None
    """The name of the first team."""
    user: str | None
    """The id of the person as a user: what events and histories name."""


class Facts:
    """One account's facts."""

    def __init__(self, api: Api, now: Callable[[], datetime], reading: Reading) -> None:
        self._api = api
        self.reading = reading
        self._now = now
        self._lock = threading.Lock()
        self._properties: dict[str, Kept[Mapping[str, Property]]] = {}
        self.owners: Kept[Mapping[str, Owner]] = Kept(lambda: self._read_owners(archived=False), now)
        """By id."""
        self.former_owners: Kept[Mapping[str, Owner]] = Kept(lambda: self._read_owners(archived=True), now)
        self.address: Kept[str] = Kept(self._read_address, now, _ACCOUNT_KEPT)
        """Where records are shown, as far as their type; empty if this login may not know."""

    def properties(self, record_type: str) -> Kept[Mapping[str, Property]]:
        with self._lock:
            if record_type not in self._properties:
                self._properties[record_type] = Kept(lambda: self._read_properties(record_type), self._now)
            return self._properties[record_type]

    def owner(self, id: str, *, former: bool = True) -> Owner | None:
        """The owner with this id; also one who has left, if `former`. Raises SourceError."""
        found = self.owners.get().get(id)
        return found or (self.former_owners.get().get(id) if former else None)

    def url(self, record_type: str, id: str) -> str | None:
        """A record's web address, as far as it is known without asking."""
        kind = number(record_type)
        return f"{self.address.last}/{kind}/{id}" if self.address.last and kind else None

    # --- asking

    def _read_properties(self, record_type: str) -> Mapping[str, Property]:
        listed = list(self._api.listed(self._api.paths.properties(record_type)))
        return properties(listed, self._stages(record_type), self.reading)

    def _stages(self, record_type: str) -> Mapping[str, Mapping[str, str]]:
        names = WITH_PIPELINES.get(number(record_type) or "")
        if names is None:
            return {}
        pipelines, stages = dict[str, str](), dict[str, str]()
        for one in self._pipelines(record_type):
            pipelines[str(one.get("id"))] = str(one.get("label"))
            inner = one.get("stages")
            for stage in inner if isinstance(inner, list) else ():
                stages[str(stage.get("id"))] = str(stage.get("label"))
        return {names[0]: pipelines, names[1]: stages}

    def _pipelines(self, record_type: str) -> list[Any]:
        try:
            return list(self._api.listed(self._api.paths.pipelines(record_type)))
        except Refused as error:
            if error.status != 403:
                raise
            return []  # a login without the right to know: stages are called by their ids

    def _read_owners(self, *, archived: bool) -> Mapping[str, Owner]:
        asked = {"limit": "100", "archived": "true" if archived else "false"}
        return {one.id: one for one in map(_owner, self._api.listed(self._api.paths.owners(), **asked))}

    def _read_address(self) -> str:
        try:
            account = self._api.account()
        except Refused as error:
            if error.status in (401, 403, 404):  # a login without the right to know; all else works
                return ""
            raise
        domain, portal = account.get("uiDomain"), account.get("portalId")
        if not isinstance(domain, str) or not portal:
            raise SourceError("HubSpot's account details say nothing of the account")
        return f"https://{domain}/contacts/{portal}/record"


def _owner(raw: Any) -> Owner:
    name = " ".join(filter(None, (raw.get("firstName"), raw.get("lastName"))))
    email = raw.get("email") or None
    teams = raw.get("teams")
    named = [team for team in (teams if isinstance(teams, list) else ()) if isinstance(team, dict) and team.get("name")]
    named.sort(key=lambda team: not team.get("primary"))
    user = raw.get("userId") or raw.get("userIdIncludingInactive")
    return Owner(
        id=str(raw.get("id")),
        name=clean(str(name or email or raw.get("id"))),
        email=clean(str(email)) if email else None,
        team=clean(str(named[0]["name"])) if named else None,
        user=str(user) if user else None,
    )
