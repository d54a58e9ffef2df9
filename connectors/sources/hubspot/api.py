"""HubSpot's API: log in, ask within its limits, understand its refusals.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
https://developers.hubspot.com/docs/api-reference/error-handling
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.hubspot.options import HubspotOptions, OAuth
from connectors.sources.hubspot.paths import Paths
from crmbridge.contract import Setting, login_secret
from crmbridge.errors import SourceError
from crmbridge.http import AccessToken, HttpSession, Tokens, Vendor, VendorRefused, log_in

BATCH: Final = 100
"""Records of one batch read."""
_MANY_ASSOCIATIONS: Final = 1000
_PAGES: Final = 1000  # of one list: a paging that turns in a circle ends too
_AN_HOUR: Final = timedelta(hours=1)
_WRONG_TOKEN: Final = "expired 20"  # noqa: S105  "expired 20543 day(s) ago": since 1970, so it never was a token
_GONE: Final = frozenset({"OBJECT_NOT_FOUND"})


class Api:
    """One account, read by any number of threads. Everything raises SourceError."""

    def __init__(self, options: HubspotOptions, setting: Setting) -> None:
        self.paths = Paths(options.api_url, options.api_version)
        self._options = options
        self._setting = setting
        self._session = HttpSession(setting.network)
        self._lock = threading.Lock()
        self._vendor: Vendor | None = None
        self._used: tuple[float, datetime] | None = None
        """The share of the day's requests, and when we heard of it."""
        self._searching = threading.Lock()
        self._search_at = 0.0  # by the monotonic clock, when the next search may begin

    def close(self) -> None:
        self._session.close()

    # --- limits

    def spare(self) -> None:
        """Raises SourceError while more than our share of the account's daily requests is used up."""
        if self._used is None:
            return
        share, heard = self._used
        again = heard + _AN_HOUR
        if share > self._options.quota_share and self._setting.now() < again:
            used, ours = f"{share:.0%}", f"{self._options.quota_share:.0%}"
            raise SourceError(f"{used} of the account's requests of today are used: over quota_share ({ours}), so others can work", again)

    def _heard(self, headers: Mapping[str, str]) -> None:
        """Searches say nothing of the quota, and logins by OAuth may not."""
        whole, left = headers.get("X-HubSpot-RateLimit-Daily", ""), headers.get("X-HubSpot-RateLimit-Daily-Remaining", "")
        if whole.isdecimal() and left.isdecimal() and int(whole) > 0:
            self._used = 1 - int(left) / int(whole), self._setting.now()

    def _wait_for_search(self) -> None:
        with self._searching:
            pause = self._search_at - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            self._search_at = time.monotonic() + 1 / self._options.searches_per_second

    # --- reading

    def search(
        self,
        record_type: str,
        filters: Sequence[tuple[str, str, str]],
        sort: str,
        properties: Sequence[str],
        limit: int,
        *,
        descending: bool = False,
    ) -> list[Any]:
        """The first records for which all of `filters` (property, operator, value) hold, the least `sort` first."""
        self._wait_for_search()
        body = {
            "filterGroups": [{"filters": [{"propertyName": name, "operator": how, "value": value} for name, how, value in filters]}],
            # A text, as HubSpot's OpenAPI has it and its own client sends it: https://github.com/HubSpot/hubspot-api-nodejs#readme
            "sorts": [json.dumps({"propertyName": sort, "direction": "DESCENDING" if descending else "ASCENDING"})],
            "properties": list(properties),
            "limit": limit,
            "after": "0",
        }
        return _results(self._ask().post(lambda _: self.paths.objects(record_type, "search"), body))

    def read(self, record_type: str, ids: Sequence[str], properties: Sequence[str]) -> list[Any]:
        """The records with these ids, in any order, without those that are gone; a merged one comes under its new id."""
        found: list[Any] = []
        for start in range(0, len(ids), BATCH):
            body = {
                "properties": list(properties),
                "propertiesWithHistory": [],
                "inputs": [{"id": id} for id in ids[start : start + BATCH]],
            }
            found += _results(self._ask().post(lambda _: self.paths.objects(record_type, "batch/read"), body))
        return found

    def associated(self, record_type: str, to: str, ids: Sequence[str]) -> dict[str, list[Any]]:
        """What each record is associated with, by its id; records without any are left out."""
        found: dict[str, list[Any]] = {}
        for start in range(0, len(ids), _MANY_ASSOCIATIONS):
            inputs = [{"id": id} for id in ids[start : start + _MANY_ASSOCIATIONS]]
            for _ in range(_PAGES):
                results = _results(self._ask().post(lambda _: self.paths.associations(record_type, to), {"inputs": inputs}))
                inputs = []
                for one in results:
                    id = str(one["from"]["id"])
                    found.setdefault(id, []).extend(one.get("to") or ())
                    if after := _after(one):
                        inputs.append({"id": id, "after": after})
                if not inputs:
                    break
        return found

    def archived(self, record_type: str, after: str, limit: int = BATCH) -> tuple[list[Any], str]:
        """One page of the recycle bin, and where the next begins; empty if there is none."""
        asked = {"archived": "true", "limit": str(limit), "properties": "hs_object_id"} | ({"after": after} if after else {})
        page = self._ask().get(lambda _: self.paths.objects(record_type), **asked)
        return _results(page), _after(page)

    def listed(self, url: str, **params: str) -> Iterator[Any]:
        """All entries of a list, page by page."""
        after = ""
        for _ in range(_PAGES):
            page = self._ask().get(lambda _: url, **params, **({"after": after} if after else {}))
            yield from _results(page)
            after = _after(page)
            if not after:
                return

    def account(self) -> Any:
        return self._ask().get(lambda _: self.paths.account())

    # --- logging in

    def _ask(self) -> Vendor:
        with self._lock:
            if self._vendor is None:
                self._vendor = Vendor(
                    self._session, self._tokens(), words=words, now=self._setting.now, heard=self._heard, expired=_expired, limit=_limit
                )
            return self._vendor

    def _tokens(self) -> Tokens:
        now, oauth = self._setting.now, self._options.oauth
        if oauth is None:
            return Tokens(self._given, now=now)

        def login() -> str:
            return "\0".join([self._options.api_url, oauth.client_id, oauth.refresh_token.reveal()])

        return Tokens(lambda last: self._refreshed(oauth, last), now=now, keep=self._setting.token_file, login=login)

    def _given(self, _: AccessToken | None) -> AccessToken:
        assert self._options.token is not None
        return AccessToken(login_secret(self._options.token))

    def _refreshed(self, oauth: OAuth, last: AccessToken | None) -> AccessToken:
        """https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/tokens/post-oauth-v1-token"""
        form = {
            "grant_type": "refresh_token",
            "client_id": oauth.client_id,
            "client_secret": login_secret(oauth.client_secret),
            "refresh_token": (last.refresh if last else "") or login_secret(oauth.refresh_token),
        }
        return log_in(self._session, self.paths.token(), form, now=self._setting.now())


def words(body: Any) -> str:
    """What an error says, with the scopes that are missing, any one of which is enough."""
    if not isinstance(body, dict):
        return ""
    said = str(body.get("message") or body.get("error_description") or body.get("error") or "")
    scopes = list(dict.fromkeys(_scopes(body)))
    if scopes:
        said += f" Missing scope: {' or '.join(scopes)}."
    if _WRONG_TOKEN in said and "day(s)" in said:
        said += " That means that it is no token of HubSpot's: is it whole?"
    return f"{said} ({body['category']})" if isinstance(body.get("category"), str) else said


def _scopes(body: Mapping[str, Any]) -> Iterator[str]:
    inner = body.get("errors")
    for one in [body, *(inner if isinstance(inner, list) else ())]:
        context = one.get("context") if isinstance(one, dict) else None
        for name in ("requiredGranularScopes", "requiredScopes", "missingScopes"):
            found = context.get(name) if isinstance(context, dict) else None
            yield from map(str, found if isinstance(found, list) else ())


def _expired(error: VendorRefused) -> bool:
    return error.status == 401 and not (_WRONG_TOKEN in str(error) and "day(s)" in str(error))


def _limit(body: Any, headers: Mapping[str, str]) -> timedelta | None:
    """How long a 429 holds: the day's limit till midnight in the account's time zone, so an hour is a try; the others for moments."""
    if headers.get("Retry-After"):
        return None
    said = f"{body.get('policyName', '')} {body.get('message', '')}".lower() if isinstance(body, dict) else ""
    if "daily" in said:
        return _AN_HOUR
    return timedelta(seconds=10 if "ten_secondly" in said else 2 if "secondly" in said else 60)


def _results(answer: Any) -> list[Any]:
    """The entries of an answer. What names no record is an error, except that records are gone or have no associations."""
    found = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SourceError("HubSpot answered without results")
    errors = answer.get("errors")
    for one in errors if isinstance(errors, list) else ():
        if not isinstance(one, dict) or one.get("category") not in _GONE:
            raise SourceError(f"HubSpot: {words(one)}"[:400])
    return found


def _after(answer: Any) -> str:
    try:
        return str(answer["paging"]["next"]["after"])
    except (KeyError, TypeError):
        return ""
