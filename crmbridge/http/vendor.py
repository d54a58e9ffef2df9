"""A CRM's JSON API as sources use it: log in, ask, understand refusals. Each call is one request and stores nothing; the poller repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import requests

from crmbridge.errors import SourceError
from crmbridge.http.answers import retry_after
from crmbridge.http.mark import describe
from crmbridge.http.session import HttpSession, read
from crmbridge.http.strict import lenient_numbers
from crmbridge.http.tokens import AccessToken, Tokens
from crmbridge.telemetry import redact

Words = Callable[[Any], str]
"""A function that returns what a vendor's error body says, from its JSON. It returns an empty text if the body says nothing."""

Limit = Callable[[Any, Mapping[str, str]], timedelta | None]
"""A function that reads from body and headers how long a vendor's 429 holds, in the vendor's own terms. A longer Retry-After wins."""
_LIMITED: Final = timedelta(minutes=1)  # how long to wait where a limit names no end
_MAINTENANCE: Final = timedelta(minutes=1)


class VendorRefused(SourceError):
    """The vendor refused a request. `status` is the status of its answer, and `body` its JSON if there is any."""

    def __init__(self, message: str, status: int, body: Any = None, retry_at: datetime | None = None) -> None:
        super().__init__(message, retry_at)
        self.status = status
        self.body = body


class Vendor:
    """Requests with a bearer token. A refused token is replaced once. An answer that is not JSON is an error, never an empty answer."""

    def __init__(
        self,
        session: HttpSession,
        tokens: Tokens,
        *,
        words: Words,
        now: Callable[[], datetime],
        heard: Callable[[Mapping[str, str]], None] = lambda _: None,
        expired: Callable[[VendorRefused], bool] = lambda error: error.status == 401,
        authorize: Callable[[AccessToken], dict[str, str]] = lambda token: {"Authorization": f"Bearer {token.value}"},
        limit: Limit = lambda _body, _headers: None,
    ) -> None:
        """Make requests through `session` with the token in `tokens`.

        `heard` sees the headers of each answer (quotas). `expired` says whether a new token may cure a refusal. `authorize` makes the
        headers that show a token. `limit` reads from the body of a 429 how long it holds, where no header says so.
        """
        self._session = session
        self._tokens = tokens
        self._words = words
        self._now = now
        self._heard = heard
        self._expired = expired
        self._authorize = authorize
        self._limit = limit

    def get(self, url: Callable[[AccessToken], str], **params: str) -> Any:
        """GET the JSON at `url`. Lost connections and gateway errors are tried again within the deadline. Raises SourceError."""
        return self._ask(lambda token: read(self._session, url(token), params=params, headers=self._headers(token)))

    def read(
        self, address: str, params: Mapping[str, str], *, body: Any = None, headers: Mapping[str, str], nothing: Collection[int] = ()
    ) -> Any:
        """Read JSON: by GET, or with a `body` by a POST that only reads. Raises SourceError.

        Returns None for a status of `nothing` without a body.
        """

        def send(token: AccessToken) -> requests.Response:
            shown = {**headers, **self._headers(token)}
            if body is None:
                return read(self._session, address, params=params, headers=shown)
            return self._session.post(address, params=dict(params), json=body, headers=shown)

        return self._ask(send, nothing)

    def post(self, url: Callable[[AccessToken], str], body: Any) -> Any:
        """POST JSON in a request that only reads (a search), and return the JSON of the answer. Raises SourceError."""
        return self._ask(lambda token: self._session.post(url(token), json=body, headers=self._headers(token)))

    def _ask(self, send: Callable[[AccessToken], requests.Response], nothing: Collection[int] = ()) -> Any:
        token = self._tokens.get()
        try:
            return self._answer(send, token, nothing)
        except VendorRefused as error:
            if not self._expired(error):
                raise
        self._tokens.refused(token)
        return self._answer(send, self._tokens.get(), nothing)

    def _answer(self, send: Callable[[AccessToken], requests.Response], token: AccessToken, nothing: Collection[int]) -> Any:
        return understood(lambda: send(token), words=self._words, now=self._now(), heard=self._heard, limit=self._limit, nothing=nothing)

    def _headers(self, token: AccessToken) -> dict[str, str]:
        return {"Accept": "application/json", **self._authorize(token)}

    def close(self) -> None:
        """Release the connections; safe to call twice."""
        self._session.close()


def understood(
    send: Callable[[], requests.Response],
    *,
    words: Words,
    now: datetime,
    heard: Callable[[Mapping[str, str]], None] = lambda _: None,
    limit: Limit = lambda _body, _headers: None,
    nothing: Collection[int] = (),
) -> Any:
    """Return the JSON of a good answer, in which numbers with a point are Decimal.

    Returns None for a status of `nothing` without a body.
    Raises VendorRefused, or SourceError where no answer came or the answer holds no JSON.
    """
    try:
        answer = send()
    except requests.RequestException as error:
        raise SourceError(describe(error)) from None
    heard(answer.headers)
    body = _json(answer)
    status = answer.status_code
    if status in nothing and not answer.content:
        return None
    if 200 <= status < 300 and body is not None:
        return body
    if 200 <= status < 400:
        raise SourceError(_begin(f"HTTP {status}, but no JSON: is this the right address, or maintenance? {_shown(answer)}"))
    said = (words(body) if body is not None else "") or _shown(answer)
    until = retry_after(answer.headers, now)
    if status == 429:
        named = limit(body, answer.headers)
        until = max(filter(None, (until, now + named if named else None)), default=now + _LIMITED)
    elif status >= 500:
        until = until or (now + _MAINTENANCE if body is None else None)
    raise VendorRefused(_begin(f"HTTP {status} {said}".strip()), status, body, until)


def denial(ask: Callable[[], object], also: Collection[int] = ()) -> str:
    """Return the vendor's words if it refuses to let us `ask`, with 403 or a status of `also`; empty if it lets us. Raises SourceError."""
    try:
        ask()
    except VendorRefused as error:
        if error.status != 403 and error.status not in also:
            raise
        return str(error)
    return ""


def _json(answer: requests.Response) -> Any:
    try:
        return lenient_numbers(answer.content.decode(json.detect_encoding(answer.content)))
    except (ValueError, RecursionError):
        return None


def _shown(answer: requests.Response) -> str:
    """Show a body that is no JSON: its text, or only that it is a web page."""
    if "html" in answer.headers.get("Content-Type", "").lower() or answer.content.lstrip()[:1] == b"<":
        return "(a web page)"
    return answer.content[:200].decode("utf-8", "replace")


def _begin(text: str) -> str:
    return redact(" ".join(text.split()))[:400]
