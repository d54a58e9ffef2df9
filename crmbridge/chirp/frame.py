"""What all pages share: who visits, forms that are proved to be ours, headers, and errors in the same look."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import jinja2
from aiohttp import web

from crmbridge.chirp import text as words
from crmbridge.chirp.people import People, Person, form_token
from crmbridge.chirp.posts import Posts
from crmbridge.errors import CrmbridgeError, InvalidRequest, StoreError
from crmbridge.server import read_body

_MAX_FORM = 128 * 1024  # bytes: the longest post with every character percent-encoded
_MAX_FIELDS = 20
_HERE = Path(__file__).parent
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_OURS = re.compile(r"/chirp(?:[/?][A-Za-z0-9/_\-?=&%.~+]*)?", re.ASCII)
_SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # With no-referrer, browsers send `Origin: null` with our own forms; same-origin tells other sites as little.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_YEAR = 365 * 24 * 3600  # seconds
_log = logging.getLogger(__name__)


class PageError(CrmbridgeError):
    """A page cannot be shown; `title` and `advice` are for its reader."""

    def __init__(self, status: int, title: str, advice: str, retry_after: float = 0) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.advice = advice
        self.retry_after = retry_after


def missing() -> PageError:
    """The one answer to an address that names nothing, or nothing this person may read."""
    return PageError(404, "There is nothing here", "The address may be mistyped, or what it named is not for you to read.")


def own_path(path: str) -> str:
    """`path` if it is an address of this feed, else the timeline: nobody is sent to another site from here."""
    return path if _OURS.fullmatch(path) and "//" not in path else "/chirp"


def origin_of(url: str) -> str:
    """Scheme, host and port of an address as browsers write an Origin."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}" if parts.port in (None, default) else f"{parts.scheme}://{host}:{parts.port}"


@dataclass(slots=True)
class Visit:
    """One request by a person or by nobody yet. `secret` is the cookie that forms are bound to."""

    request: web.Request
    person: Person | None
    secret: str
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def viewer(self) -> Person:
        """The person of a page that only people see."""
        assert self.person is not None
        return self.person


Answering = Callable[[Visit], Awaitable[web.StreamResponse]]


class Frame:
    """Wraps the pages: finds the visitor, checks forms, renders, and turns errors into pages."""

    def __init__(
        self,
        people: People,
        posts: Posts,
        *,
        name: str,
        public_url: str | None,
        now: Callable[[], datetime],
        token: Callable[[], str],
    ) -> None:
        self._people = people
        self._posts = posts
        self.now = now
        self._token = token
        self._origin = origin_of(public_url) if public_url else None
        self._secure = bool(public_url and public_url.startswith("https:"))
        self._headers = _SECURITY | ({"Strict-Transport-Security": f"max-age={_YEAR}"} if self._secure else {})
        prefix = "__Host-" if self._secure else ""
        self._session_cookie, self._form_cookie = f"{prefix}chirp", f"{prefix}chirp-form"
        self._device_cookie = f"{prefix}chirp-device"
        self._static = {path.name: _Static(path) for path in sorted((_HERE / "static").iterdir()) if path.suffix in _TYPES}
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"ago": self._ago, "absolute": absolute, "iso": datetime.isoformat, "hue": hue}
        self._templates.filters |= {"pieces": words.pieces, "summary": words.summary, "initials": words.initials, "lengthy": words.lengthy}
        self._templates.globals |= {"site": name, "static": self._static_url, "most": words.MAX_TEXT}

    def routes(self) -> list[web.RouteDef]:
        """The files that pages need, and last of all the page for addresses that name nothing."""
        return [
            web.get("/chirp/static/{name}", self._file),
            web.get("/chirp/{rest:.*}", self.page(self._nothing)),
        ]

    # --- wrapping pages

    def page(self, answer: Answering, *, anyone: bool = False) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A page to read; without a session it leads to the sign-in page, unless `anyone` may see it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            visit = await self._visit(request)
            if visit.person is None and not anyone:
                return self.redirect(f"/chirp/sign-in?next={quote(own_path(request.path_qs), safe='')}")
            return await answer(visit)

        return self._guarded(handle)

    def form(self, answer: Answering, *, anyone: bool = False) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A form that was sent. Refused with 403 unless it comes from one of our pages, in this very session."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if not self._from_here(request):
                raise PageError(403, "This form came from elsewhere", "Open the feed at its own address, and try again there.")
            visit = await self._visit(request)
            visit.form = parse_form(await read_body(request, _MAX_FORM))
            proof = visit.form.get("proof", "").encode("utf-8", "replace")
            if not visit.secret or not hmac.compare_digest(proof, form_token(visit.secret).encode()):
                raise PageError(403, "This form is no longer valid", "Go back, load the page again, and send it once more.")
            if visit.person is None and not anyone:
                raise PageError(403, "You are signed out", "Sign in again; then send the form once more.")
            return await answer(visit)

        return self._guarded(handle)

    def _guarded(
        self, handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
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
                return self._refusal(PageError(503, "The feed cannot be written now", "Nothing was saved. Try again in a moment.", 30))
            except ConnectionError:
                raise
            except Exception:
                _log.exception("page failed", extra={"method": request.method, "path": request.path})
                return self._refusal(PageError(500, "Something broke on our side", "It is in the server's log. Try again in a moment."))

        return guarded

    async def _visit(self, request: web.Request) -> Visit:
        token = request.cookies.get(self._session_cookie, "")
        person = await self._people.who(token) if token else None
        return Visit(request, person, token if person else request.cookies.get(self._form_cookie, ""))

    def _from_here(self, request: web.Request) -> bool:
        """By Origin, which browsers send with every form; programs send neither header, and need the proof all the same."""
        origin = request.headers.get("Origin")
        if origin is None:
            return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
        return origin == (self._origin or f"{request.scheme}://{request.host}")

    # --- cookies

    def token_of(self, visit: Visit) -> str | None:
        """The session token that the browser sent, valid or not."""
        return visit.request.cookies.get(self._session_cookie)

    def set_session(self, answer: web.StreamResponse, token: str) -> None:
        """Signed in: the cookie of the new session takes the place of the form's."""
        self._set(answer, self._session_cookie, token, 30 * 24 * 3600)
        answer.del_cookie(self._form_cookie, path="/", secure=self._secure, httponly=True, samesite="Lax")

    def device(self, visit: Visit) -> str:
        """What the browser keeps of an earlier sign-in, ours or not."""
        return visit.request.cookies.get(self._device_cookie, "")

    def set_device(self, answer: web.StreamResponse, mark: str) -> None:
        """The browser keeps that a login was signed in with it; sign-out leaves it."""
        self._set(answer, self._device_cookie, mark, 180 * 24 * 3600)

    def drop_session(self, answer: web.StreamResponse) -> None:
        """Signed out."""
        answer.del_cookie(self._session_cookie, path="/", secure=self._secure, httponly=True, samesite="Lax")

    def _set(self, answer: web.StreamResponse, name: str, value: str, seconds: int) -> None:
        answer.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="Lax")

    # --- answers

    async def render(self, visit: Visit, template: str, status: int = 200, **values: Any) -> web.Response:
        """A page with everything around it."""
        fresh = ""
        if not visit.secret:
            fresh = visit.secret = self._token()
        followed = await self._posts.followed(visit.person.id) if visit.person else []
        html = self.fragment(
            template, **values, person=visit.person, followed=followed, proof=form_token(visit.secret), path=visit.request.path
        )
        answer = self._html(html, status)
        if fresh:
            self._set(answer, self._form_cookie, fresh, 24 * 3600)
        return answer

    def fragment(self, template: str, **values: Any) -> str:
        """A template alone."""
        return self._templates.get_template(template).render(values)

    def _html(self, html: str, status: int) -> web.Response:
        return web.Response(text=html, status=status, content_type="text/html", headers=self._headers)

    def redirect(self, path: str) -> web.Response:
        """On to another page of ours."""
        return web.Response(status=303, headers={"Location": path, **self._headers})

    def _refusal(self, refused: PageError) -> web.Response:
        html = self.fragment("error.html", status=refused.status, heading=refused.title, advice=refused.advice, person=None, path="")
        answer = self._html(html, refused.status)
        if refused.retry_after:
            answer.headers["Retry-After"] = str(max(1, round(refused.retry_after)))
        return answer

    async def _nothing(self, visit: Visit) -> web.StreamResponse:
        raise missing()

    # --- files

    def _static_url(self, name: str) -> str:
        return f"/chirp/static/{name}?v={self._static[name].version}"

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._static.get(request.match_info["name"])
        if found is None:
            return self._refusal(missing())
        caching = "public, max-age=31536000, immutable" if request.query_string == f"v={found.version}" else "no-cache"
        return web.Response(body=found.data, headers={**self._headers, "Content-Type": found.type, "Cache-Control": caching})

    def _ago(self, moment: datetime, *, long: bool = False) -> str:
        return ago(moment, self.now(), long=long)


class _Static:
    """A file of this package, kept in memory; its address changes with its content."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.type = _TYPES[path.suffix]
        self.version = hashlib.sha256(self.data).hexdigest()[:12]


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of an urlencoded form, the last of repeated ones. Raises InvalidRequest."""
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace"))
    except ValueError:
        raise InvalidRequest("the form is not application/x-www-form-urlencoded") from None


# --- words for times and colours ----------------------------------------------------------------


def ago(moment: datetime, now: datetime, *, long: bool = False) -> str:
    """How long ago: `5 min`, or `5 min ago` if `long`; beyond a week the date.

    feed.js says the same in the reader's own time zone, `long` for elements of the class `ago`.
    """
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return "now"
    for name, unit, limit in (("min", 60, 3600), ("h", 3600, 86400), ("d", 86400, 7 * 86400)):
        if seconds < limit:
            return f"{int(seconds // unit)} {name}{' ago' if long else ''}"
    return f"{moment.day} {moment:%b}" if moment.year == now.year else f"{moment.day} {moment:%b %Y}"


def absolute(moment: datetime) -> str:
    """The whole instant, for the tooltip."""
    return f"{moment:%A} {moment.day} {moment:%B %Y, %H:%M} UTC"


def hue(code: str) -> int:
    """Which of eight colours stands for this channel or person: always the same."""
    return hashlib.sha256(code.encode()).digest()[0] % 8
