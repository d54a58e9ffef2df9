"""What all pages share: their visitor, forms that are proved to be ours, headers, and errors in the same look."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from crmbridge.errors import CrmbridgeError, InvalidRequest, StoreError
from crmbridge.pages import forms
from crmbridge.pages.sessions import LONGEST, Person, Sessions
from crmbridge.pages.theme import Theme
from crmbridge.server import Answering, client_of, read_body

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # With no-referrer, browsers send `Origin: null` with our own forms. same-origin tells other sites as little.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""The headers of every page (OWASP, HTTP Headers Cheat Sheet)."""
_YEAR: Final = 365 * 24 * 3600  # seconds
_DAY: Final = 24 * 3600  # seconds
_log = logging.getLogger(__name__)
_security = logging.getLogger("crmbridge.security")


class PageError(CrmbridgeError):
    """A page cannot be shown. `title` and `advice` are for its reader."""

    def __init__(self, status: int, title: str, advice: str, retry_after: float = 0) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.advice = advice
        self.retry_after = retry_after


def missing() -> PageError:
    """Make the answer to an address that names nothing, or nothing that this person may read. It is the same for both."""
    return PageError(404, "There is nothing here", "The address may be mistyped, or what it named is not for you to read.")


@dataclass(slots=True)
class Visit:
    """One request, by a person or by somebody who has not signed in. `secret` is the cookie that forms are bound to."""

    request: web.Request
    person: Person | None
    secret: str
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def viewer(self) -> Person:
        """The person who visits a page that only people with a session see."""
        assert self.person is not None
        return self.person


Showing = Callable[[Visit], Awaitable[web.StreamResponse]]


class Frame:
    """The frame around the pages of one site. It finds the visitor, checks forms, renders, and turns errors into pages."""

    def __init__(
        self,
        sessions: Sessions,
        look: Theme,
        *,
        cookie: str,
        public_url: str | None,
        now: Callable[[], datetime],
        token: Callable[[], str],
        around: Callable[[Person | None], Awaitable[Mapping[str, Any]]],
    ) -> None:
        """Set up the frame. `cookie` begins the names of the site's cookies. `around` returns what every page shows in addition."""
        self._sessions = sessions
        self._look = look
        self.now = now
        self._token = token
        self._around = around
        self._origin = forms.origin_of(public_url) if public_url else None
        self._secure = bool(public_url and public_url.startswith("https:"))
        self._headers = HEADERS | ({"Strict-Transport-Security": f"max-age={_YEAR}"} if self._secure else {})
        prefix = "__Host-" if self._secure else ""
        self._session_cookie, self._form_cookie, self._device_cookie = (f"{prefix}{cookie}{what}" for what in ("", "-form", "-device"))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the files that pages need. The last route is the page for addresses that name nothing."""
        root = self._look.root
        return [web.get(f"{root}/static/{{name}}", self._file), web.get(f"{root}/{{rest:.*}}", self.page(self._nothing))]

    def own_path(self, path: str) -> str:
        """Return `path` if it is an address of this site, else the site's root. Nobody is sent to another site from here."""
        return forms.own_path(path, self._look.root)

    # --- wrapping pages

    def page(self, show: Showing, *, anyone: bool = False) -> Answering:
        """Wrap a page to read. Without a session it leads to the sign-in page, unless `anyone` may see it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            visit = await self._visit(request)
            if visit.person is None and not anyone:
                return self.redirect(f"{self._look.root}/sign-in?next={quote(self.own_path(request.path_qs), safe='')}")
            return await show(visit)

        return self._guarded(handle)

    def form(self, take: Showing, *, anyone: bool = False) -> Answering:
        """Wrap the receiver of a form. It is refused with 403 unless it comes from one of our pages, in this very session."""

        async def handle(request: web.Request) -> web.StreamResponse:
            ours = self._origin or f"{request.scheme}://{request.host}"
            if not forms.from_here(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), ours):
                _denied(request, "it came from another site")
                raise PageError(403, "This form came from elsewhere", "Open this site at its own address, and try again there.")
            visit = await self._visit(request)
            visit.form = forms.parse_form(await read_body(request, forms.LONGEST))
            if not forms.proves(visit.form.get("proof", ""), visit.secret):
                _denied(request, "it has no proof of this session")
                raise PageError(403, "This form is no longer valid", "Go back, load the page again, and send it once more.")
            if visit.person is None and not anyone:
                raise PageError(403, "You are signed out", "Sign in again; then send the form once more.")
            return await take(visit)

        return self._guarded(handle)

    def _guarded(self, handle: Answering) -> Answering:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handle(request)
            except PageError as refused:
                return self._refusal(refused)
            except InvalidRequest as error:
                answer = self._refusal(PageError(error.status, "This request cannot be read", f"{error}."))
                answer.force_close()
                return answer
            except StoreError as error:
                _log.error("page not stored", extra={"path": request.path, "error": str(error)})
                return self._refusal(PageError(503, "Nothing can be saved now", "What you sent was not saved. Try again in a moment.", 30))
            except ConnectionError:
                raise
            except Exception:
                _log.exception("page failed", extra={"method": request.method, "path": request.path})
                return self._refusal(PageError(500, "Something broke on our side", "It is in the server's log. Try again in a moment."))

        return guarded

    async def _visit(self, request: web.Request) -> Visit:
        token = request.cookies.get(self._session_cookie, "")
        person = await self._sessions.who(token) if token else None
        return Visit(request, person, token if person else request.cookies.get(self._form_cookie, ""))

    # --- cookies

    def token_of(self, visit: Visit) -> str | None:
        """Return the session token that the browser sent, valid or not."""
        return visit.request.cookies.get(self._session_cookie)

    def set_session(self, answer: web.StreamResponse, token: str) -> None:
        """Set the cookie of a new session after sign-in. It takes the place of the form's cookie."""
        self._set(answer, self._session_cookie, token, round(LONGEST.total_seconds()))
        self._drop(answer, self._form_cookie)

    def drop_session(self, answer: web.StreamResponse) -> None:
        """Drop the cookie of the session after sign-out."""
        self._drop(answer, self._session_cookie)

    def device(self, visit: Visit) -> str:
        """Return the mark that the browser keeps of an earlier sign-in. It may be forged."""
        return visit.request.cookies.get(self._device_cookie, "")

    def set_device(self, answer: web.StreamResponse, mark: str) -> None:
        """Let the browser keep the mark that a login was signed in with it. Sign-out leaves the mark."""
        self._set(answer, self._device_cookie, mark, 180 * _DAY)

    def _set(self, answer: web.StreamResponse, name: str, value: str, seconds: int) -> None:
        answer.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="Lax")

    def _drop(self, answer: web.StreamResponse, name: str) -> None:
        answer.del_cookie(name, path="/", secure=self._secure, httponly=True, samesite="Lax")

    # --- answers

    async def render(self, visit: Visit, template: str, status: int = 200, **values: Any) -> web.Response:
        """Render a page with everything around it."""
        fresh = ""
        if not visit.secret:
            fresh = visit.secret = self._token()
        around = {"person": visit.person, "proof": forms.proof_of(visit.secret), "path": visit.request.path}
        answer = self._html(self._look.render(template, **values, **around, **await self._around(visit.person)), status)
        if fresh:
            self._set(answer, self._form_cookie, fresh, _DAY)
        return answer

    def fragment(self, template: str, **values: Any) -> str:
        """Render a template alone."""
        return self._look.render(template, **values)

    def redirect(self, path: str) -> web.Response:
        """Redirect to another page of ours."""
        return web.Response(status=303, headers={"Location": path, **self._headers})

    def _html(self, html: str, status: int) -> web.Response:
        return web.Response(text=html, status=status, content_type="text/html", headers=self._headers)

    def _refusal(self, refused: PageError) -> web.Response:
        html = self.fragment("error.html", status=refused.status, heading=refused.title, advice=refused.advice, person=None, path="")
        answer = self._html(html, refused.status)
        if refused.retry_after:
            answer.headers["Retry-After"] = str(max(1, round(refused.retry_after)))
        return answer

    async def _nothing(self, visit: Visit) -> web.StreamResponse:
        raise missing()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._look.files.get(request.match_info["name"])
        if found is None:
            return self._refusal(missing())
        caching = "public, max-age=31536000, immutable" if request.query_string == f"v={found.version}" else "no-cache"
        return web.Response(body=found.data, headers={**self._headers, "Content-Type": found.type, "Cache-Control": caching})


def _denied(request: web.Request, why: str) -> None:
    _security.warning("form refused", extra={"path": request.path, "address": client_of(request), "why": why})
