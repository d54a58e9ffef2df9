"""A JSON API that is asked for pages and records, within the quota that it names."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.http import AccessToken, HttpSession, Tokens, Vendor, VendorRefused
from crmbridge.rest.asking import Found, Request, request
from crmbridge.rest.login import Login
from crmbridge.rest.options import Listing, Quota, RestOptions, Single

_GONE: Final = frozenset({404, 410})
_NUMBER: Final = re.compile(r"\s*(\d{1,13})(?:\.\d+)?\s*", re.ASCII)
_LONGEST: Final = timedelta(days=1)  # the longest wait for a quota before the API is asked again


class Api:
    """A client of one API. Raises SourceError."""

    def __init__(self, options: RestOptions, setting: Setting) -> None:
        self._url = options.url
        self._shown = options.headers
        self._quota = options.quota
        self._now: Callable[[], datetime] = setting.now
        session = HttpSession(setting.network)
        self._heard = threading.local()
        self._spent: datetime | None = None
        """The instant until which the quota is spent."""
        self._login = Login(options.auth, session, setting.now)
        keep = setting.token_file if self._login.keeps else None
        self._vendor = Vendor(
            session,
            Tokens(self._login.obtain, now=setting.now, keep=keep, login=self._login.name),
            words=self.words,
            now=setting.now,
            heard=self._hear,
            authorize=self._headers,
            limit=self.limit,
        )

    def page(self, one: Listing, since: datetime | None = None, bookmark: str = "", wanted: Sequence[str] = ()) -> Found:
        """Read the page at `bookmark` of the records that changed since `since`. An empty bookmark is the first page."""
        return self.ask(request(one, since, bookmark, wanted))

    def record(
        self,
        one: Single,
        id: str,
        nothing: Sequence[int] = (),
        *,
        more: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Read one record by its id; return None if it is gone, or if a status of `nothing` says so. `more` are further parameters."""
        if id in ("", ".", ".."):  # such an id names no record, and would make another address
            return None
        path = one.path.replace("{id}", quote(id, safe=""))
        try:
            return self.ask(Request(path, {**one.parameters, **(more or {})}, None, headers or {}, nothing)).json
        except VendorRefused as error:
            if error.status not in _GONE:
                raise
            return None

    def ask(self, request: Request) -> Found:
        """Send one request, unless the quota is spent."""
        now = self._now()
        if self._spent is not None and now < self._spent:
            raise SourceError("its quota is spent, or left to others (`quota`)", self._spent)
        address = self._own(request.address) if request.address else self._url + request.path
        self._heard.link = ""
        found = self._vendor.read(address, request.params, body=request.body, headers=request.headers, nothing=request.nothing)
        return Found(found, self._heard.link)

    def close(self) -> None:
        self._vendor.close()

    @staticmethod
    def words(body: Any) -> str:
        """Return what an error body says, from wherever APIs usually put that."""
        if isinstance(body, list) and body:
            body = body[0]
        if not isinstance(body, dict):
            return ""
        for name in ("message", "error_description", "detail", "title", "error", "errors"):
            value = body.get(name)
            if isinstance(value, dict):
                value = value.get("message") or value.get("detail")
            if isinstance(value, list) and value:
                value = value[0].get("message") if isinstance(value[0], dict) else value[0]
            if isinstance(value, str) and value:
                return value
        return ""

    def limit(self, _body: Any, headers: Mapping[str, str]) -> timedelta | None:
        """Return how long a 429 holds, where its headers say so in other words than Retry-After."""
        return until(self._quota, headers, self._now()) if self._quota else None

    # --- parts

    def _headers(self, token: AccessToken) -> dict[str, str]:
        return {**self._shown, **self._login.headers(token)}

    def _own(self, address: str) -> str:
        """Check that an address which the API gave lies at the API itself, so that nobody else sees our credentials. Raises SourceError."""
        whole = urljoin(self._url + "/", address)
        ours, theirs = urlsplit(self._url), urlsplit(whole)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise SourceError(f"the API names {theirs.netloc[:100]} for its next page, which is not its own address")
        return whole

    def _hear(self, headers: Mapping[str, str]) -> None:
        self._heard.link = headers.get("Link", "")
        quota = self._quota
        if quota is None or quota.remaining is None:
            return
        left, wait = number(headers.get(quota.remaining, ""), "remaining"), until(quota, headers, self._now())
        self._spent = self._now() + wait if left is not None and left <= quota.spare and wait is not None else None


def until(quota: Quota, headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long it takes until the quota is renewed, if the headers say so: at least a second, at most a day."""
    said = number(headers.get(quota.reset, ""), "reset")
    if said is None:
        return None
    seconds = {"seconds": said, "epoch": said - now.timestamp(), "epoch_ms": said / 1000 - now.timestamp()}[quota.reset_in]
    return min(max(timedelta(seconds=min(seconds, _LONGEST.total_seconds())), timedelta(seconds=1)), _LONGEST)


def number(header: str, word: str) -> int | None:
    """Read a number from a header: all of it, or the part after `word=`, as in `limit=100, remaining=50, reset=5`. Fractions are cut."""
    parts = [part.partition("=") for part in re.split(r"[,;]", header)]
    found = _NUMBER.fullmatch(header) or next((_NUMBER.fullmatch(value) for name, _, value in parts if name.strip() == word), None)
    return int(found[1]) if found else None
