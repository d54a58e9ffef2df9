"""What changes rarely in an account, kept for minutes: properties, stages, owners, where records are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connectors.sources.hubspot.api import Api
from connectors.sources.hubspot.types import WITH_PIPELINES, number
from connectors.sources.hubspot.values import Property, properties
from crmbridge.errors import SourceError
from crmbridge.http import Kept, VendorRefused
from crmbridge.model import Reading, clean

_A_DAY: Final = 86_400.0  # seconds


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

        def clock() -> float:
            return now().timestamp()

        self.properties = Kept(self._read_properties, clock=clock)
        """By name, for each record type."""
        self.owners = Kept(lambda _: self._read_owners(archived=False), clock=clock)
        """By id."""
        self.former_owners = Kept(lambda _: self._read_owners(archived=True), clock=clock)
        self._address = Kept(self._read_address, seconds=_A_DAY, clock=clock)

    def owner(self, id: str, *, former: bool = True) -> Owner | None:
        """The owner with this id; also one who has left, if `former`. Raises SourceError."""
        found = self.owners.get().get(id)
        return found or (self.former_owners.get().get(id) if former else None)

    def url(self, record_type: str, id: str) -> str | None:
        """A record's web address, as far as it is known without asking."""
        kind, address = number(record_type), self._address.last()
        return f"{address}/{kind}/{id}" if address and kind else None

    def learn_address(self, *, afresh: bool = False) -> None:
        """Where records are shown, as far as this login may know. Raises SourceError."""
        self._address.get(afresh=afresh)

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
        except VendorRefused as error:
            if error.status != 403:
                raise
            return []  # a login without the right to know: stages are called by their ids

    def _read_owners(self, *, archived: bool) -> Mapping[str, Owner]:
        asked = {"limit": "100", "archived": "true" if archived else "false"}
        return {one.id: one for one in map(_owner, self._api.listed(self._api.paths.owners(), **asked))}

    def _read_address(self, _: str) -> str:
        try:
            account = self._api.account()
        except VendorRefused as error:
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
