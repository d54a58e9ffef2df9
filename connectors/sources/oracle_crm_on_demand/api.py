"""The REST API as this source asks it: a page, one record, a child, a description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from connectors.sources.oracle_crm_on_demand import dialect
from connectors.sources.oracle_crm_on_demand.login import Login
from connectors.sources.oracle_crm_on_demand.options import OracleOptions
from connectors.sources.oracle_crm_on_demand.pace import Pace, PacedSession
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.http import Vendor, VendorRefused


class Api:
    """Asks and reads answers. Every method raises SourceError; Refused, which is one, where the vendor said no."""

    def __init__(self, options: OracleOptions, setting: Setting) -> None:
        self._root = f"{options.url}{dialect.ROOT}/{options.release}"
        self._setting = setting
        self._pace = Pace(options.requests_per_minute)
        session = PacedSession(setting.network, self._pace)
        self.login = Login(options, setting, session)
        self._vendor = Vendor(
            session,
            self.login.tokens,
            words=dialect.error_words,
            now=setting.now,
            expired=lambda error: dialect.session_is_gone(error.status, str(error)),
            authorize=self.login.headers,
        )
        self._described: dict[str, Mapping[str, Any]] = {}

    def page(self, resource: str, *, fields: list[str], q: str, limit: int, offset: int) -> tuple[list[Mapping[str, Any]], bool]:
        """Records of a collection by (ModifiedDate, Id), and whether they are the last."""
        body = self._get(resource, fields=",".join(fields), q=q, orderBy=dialect.ORDER, limit=str(limit), offset=str(offset))
        found = dialect.rows(body, resource)
        return found, dialect.is_last(body, len(found), limit)

    def one(self, resource: str, id: str, *, fields: list[str]) -> Mapping[str, Any]:
        """One record."""
        found = dialect.rows(self._get(f"{resource}/{quote(id, safe='')}", fields=",".join(fields)), resource)
        if not found:
            raise SourceError(f"{resource} {id} is not there")
        return found[0]

    def children(self, resource: str, id: str, child: str, *, fields: list[str]) -> list[Mapping[str, Any]]:
        """The first 100 children of a record."""
        path = f"{resource}/{quote(id, safe='')}/child/{quote(child, safe='')}"
        return dialect.rows(self._get(path, fields=",".join(fields), limit=str(dialect.MAX_PAGE)), child)

    def describe(self, resource: str) -> Mapping[str, Any]:
        """A resource's description. It is asked for once: it counts among the requests of a minute."""
        if resource not in self._described:
            try:
                self._described[resource] = dialect.resource_in(self._get(f"{resource}/describe"), resource)
            except VendorRefused as error:
                raise VendorRefused(f"{resource} cannot be described: {error}", error.status, error.body, error.retry_at) from None
        return self._described[resource]

    def attributes(self, resource: str) -> dict[str, Mapping[str, Any]]:
        """What a description says of each field."""
        return {str(one["name"]): one for one in self.describe(resource)["attributes"] if isinstance(one, Mapping) and one.get("name")}

    def forget(self) -> None:
        """Describe everything anew."""
        self._described.clear()

    def stop(self) -> None:
        """Nothing more is asked, and nobody waits any longer."""
        self._pace.close()

    def close(self) -> None:
        """Release connections; log off, unless the session is kept for the next process."""
        if self._setting.state_folder is None:
            self.login.log_off()
        self._vendor.close()

    def _get(self, path: str, **params: str) -> Any:
        # %20 for a blank: nobody says that the vendor takes `+` for one.
        query = urlencode({name: value for name, value in params.items() if value}, quote_via=quote, safe="")
        try:
            return self._vendor.get(lambda _: f"{self._root}/{path}?{query}" if query else f"{self._root}/{path}")
        except VendorRefused as error:
            if dialect.too_fast(str(error)):
                raise VendorRefused(str(error), error.status, error.body, self._setting.now() + dialect.RATE_WINDOW) from None
            if error.status in (401, 403):
                raise VendorRefused(
                    f"{error}; a new session was refused too: what may the user's role see?", error.status, error.body
                ) from None
            raise
