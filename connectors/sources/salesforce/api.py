"""The few calls of the REST API that this source makes.

https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/intro_rest_resources.htm
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.salesforce import soql
from connectors.sources.salesforce.login import Login, words
from connectors.sources.salesforce.options import SalesforceOptions
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.http import HttpSession, Kept, Tokens, Vendor, VendorRefused

_USAGE: Final = re.compile(r"api-usage=([0-9]{1,12})/([0-9]{1,12})", re.ASCII)
_PAUSE: Final = timedelta(minutes=15)  # until the quota, which counts the last 24 hours, is looked at again


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of one query."""

    records: list[dict[str, Any]]
    done: bool


class Api:
    """Reads one org. Every method raises SourceError."""

    def __init__(self, options: SalesforceOptions, setting: Setting) -> None:
        session = HttpSession(setting.network)
        self._options = options
        self._now: Callable[[], datetime] = setting.now
        self._pause_until: datetime | None = None
        self._usage = ""
        self._described = Kept(self._asked_description)
        login = Login(options, session, setting.now)
        self._tokens = Tokens(login.obtain, now=setting.now, keep=setting.token_file, login=login.name)
        self._vendor = Vendor(session, self._tokens, words=words, now=setting.now, heard=self._heard, expired=_expired)

    def query(self, text: str, *, everything: bool = False) -> Rows:
        """SOQL; `everything`: the deleted ones too (queryAll)."""
        body = self._get(f"query{'All' if everything else ''}", q=text)
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
            raise SourceError("the answer to a query has no records")
        return Rows(records, body.get("done") is not False)

    def describe(self, record_type: str) -> dict[str, Any]:
        """An object and its fields, as this login may see them; believed for some minutes."""
        return self._described.get(record_type)

    def _asked_description(self, record_type: str) -> dict[str, Any]:
        try:
            found = self._get(f"sobjects/{_named(record_type)}/describe")
        except VendorRefused as error:
            if error.status == 404:
                raise SourceError(f"{record_type}: there is no such object, or this login may not read it") from None
            raise
        if not isinstance(found, dict) or not isinstance(found.get("fields"), list):
            raise SourceError(f"{record_type}: its description has no fields")
        return found

    def deleted(self, record_type: str, start: datetime, end: datetime) -> dict[str, Any]:
        """Ids that were deleted between two instants at least a minute apart, and up to when that is known."""
        found = self._get(f"sobjects/{_named(record_type)}/deleted/", start=soql.moment(start), end=soql.moment(end))
        if not isinstance(found, dict) or not isinstance(found.get("deletedRecords"), list):
            raise SourceError(f"{record_type}: the answer to getDeleted has no deletedRecords")
        return found

    def forget(self) -> None:
        """Ask for descriptions anew."""
        self._described.forget()

    @property
    def scopes(self) -> set[str]:
        """What the app was allowed; empty if the login did not say."""
        return set(self._tokens.get().facts.get("scope", "").split())

    @property
    def instance(self) -> str:
        """The address that records are linked at."""
        return self._tokens.get().facts.get("url", self._options.url)

    def close(self) -> None:
        self._vendor.close()

    def _get(self, path: str, **params: str) -> Any:
        now = self._now()
        if self._pause_until is not None and now < self._pause_until:
            raise SourceError(
                f"{self._usage} of the org's API requests are used, and quota_share leaves the rest to others", self._pause_until
            )
        try:
            return self._vendor.get(
                lambda token: f"{token.facts.get('url', self._options.url)}/services/data/v{self._options.api_version}/{path}", **params
            )
        except VendorRefused as error:
            if error.status == 403 and "REQUEST_LIMIT_EXCEEDED" in str(error):
                # One code for the daily limit and for too many calls at once; only the words differ.
                again = timedelta(minutes=1) if "Concurrent" in str(error) else _PAUSE
                raise SourceError(str(error), error.retry_at or now + again) from None
            raise

    def _heard(self, headers: Mapping[str, str]) -> None:
        """`Sforce-Limit-Info: api-usage=18/5000; api-bursts=1/750`: usage in the last 24 hours, by everybody."""
        found = _USAGE.search(headers.get("Sforce-Limit-Info", ""))
        if found is None:
            return
        used, most = int(found[1]), int(found[2])
        self._usage = f"{used} of {most}"
        self._pause_until = self._now() + _PAUSE if most and used / most > self._options.quota_share else None


def _expired(error: VendorRefused) -> bool:
    """A new token cures an ended session; nothing but an administrator cures one that may not use the API."""
    return error.status == 401 and "not valid for use" not in str(error)


def _named(record_type: str) -> str:
    try:
        return soql.named(record_type)
    except ValueError as error:
        raise SourceError(str(error)) from None
