"""Where HubSpot's API has what, by version: the only place that knows.

https://developers.hubspot.com/docs/api-reference/legacy/migration-guide
"""

from __future__ import annotations

from urllib.parse import quote

from connectors.sources.hubspot.options import LEGACY


class Paths:
    """Addresses in one version of the API; `v3` counts the undated ones, whose associations are v4."""

    def __init__(self, api_url: str, version: str) -> None:
        self._base = api_url
        self._dated = None if version == LEGACY else version

    def objects(self, record_type: str, tail: str = "") -> str:
        """`tail`: nothing for the list, `search`, `batch/read`."""
        area = f"/crm/objects/{self._dated}" if self._dated else "/crm/v3/objects"
        return f"{self._base}{area}/{_part(record_type)}" + (f"/{tail}" if tail else "")

    def associations(self, record_type: str, to: str) -> str:
        area = f"/crm/associations/{self._dated}" if self._dated else "/crm/v4/associations"
        return f"{self._base}{area}/{_part(record_type)}/{_part(to)}/batch/read"

    def properties(self, record_type: str) -> str:
        area = f"/crm/properties/{self._dated}" if self._dated else "/crm/v3/properties"
        return f"{self._base}{area}/{_part(record_type)}"

    def pipelines(self, record_type: str) -> str:
        area = f"/crm/pipelines/{self._dated}" if self._dated else "/crm/v3/pipelines"
        return f"{self._base}{area}/{_part(record_type)}"

    def owners(self) -> str:
        return f"{self._base}/crm/owners/{self._dated}" if self._dated else f"{self._base}/crm/v3/owners"

    def account(self) -> str:
        return f"{self._base}/account-info/{self._dated or 'v3'}/details"

    def token(self) -> str:
        return f"{self._base}/oauth/{self._dated or 'v1'}/token"


def _part(name: str) -> str:
    return quote(name, safe="")
