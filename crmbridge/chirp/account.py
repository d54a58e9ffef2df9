"""The pages to sign in and out, and the account page."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from crmbridge.chirp.guessing import BusyError, Guesses, device_mark, known_device
from crmbridge.chirp.passwords import SHORTEST_PASSWORD
from crmbridge.chirp.people import People, normal_login
from crmbridge.pages import Frame, PageError, Sessions, Visit
from crmbridge.pages.sessions import session_code
from crmbridge.peers import neighbourhood
from crmbridge.server import client_of

_log = logging.getLogger("crmbridge.security")
"""The log of who signed in and out, and who was refused. The log's own encoding quotes what a stranger typed; no secret is in it."""

_BROWSERS: Final = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS: Final = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "macOS"))
_LINUX: Final = ("Linux", "Linux")


def device_of(agent: str) -> str:
    """Name the other end as a person would, from its User-Agent: `Firefox on Windows`."""
    browser = next((name for mark, name in _BROWSERS if re.search(rf"\b{mark}(?:iOS)?/", agent)), "")
    system = next((name for mark, name in (*_SYSTEMS, _LINUX) if mark in agent), "")
    return f"{browser} on {system}" if browser and system else browser or system or "Another program"


class AccountPages:
    """The pages about one's own sign-in.

    `secrets` gives the keys of the marks that known devices keep. `token` is as for `Feed`. `counted` is told the outcome of each
    password and link.
    """

    def __init__(
        self,
        frame: Frame,
        people: People,
        sessions: Sessions,
        secrets: Callable[[], Sequence[str]],
        token: Callable[[], str],
        counted: Callable[[str], None],
    ) -> None:
        self._frame = frame
        self._people = people
        self._sessions = sessions
        self._secrets = secrets
        self._token = token
        self._counted = counted
        self._guesses = Guesses()

    def routes(self) -> list[web.RouteDef]:
        page, form = self._frame.page, self._frame.form
        return [
            web.get("/chirp/sign-in", page(self.sign_in, anyone=True)),
            web.post("/chirp/sign-in", form(self.signing_in, anyone=True)),
            web.get("/chirp/enter/{token}", page(self.enter, anyone=True)),
            web.post("/chirp/enter/{token}", form(self.entering, anyone=True)),
            web.post("/chirp/sign-out", form(self.sign_out)),
            web.get("/chirp/account", page(self.account)),
            web.post("/chirp/account/password", form(self.change_password)),
            web.post("/chirp/account/end-session", form(self.end_session)),
            web.post("/chirp/account/sign-out-everywhere", form(self.sign_out_everywhere)),
        ]

    async def sign_in(self, visit: Visit) -> web.StreamResponse:
        onward = self._frame.own_path(visit.request.query.get("next", "/chirp"))
        if visit.person is not None:
            return self._frame.redirect(onward)
        return await self._frame.render(visit, "sign_in.html", next=onward, login="", problem="")

    async def signing_in(self, visit: Visit) -> web.StreamResponse:
        login, password = visit.form.get("login", ""), visit.form.get("password", "")
        onward, name = self._frame.own_path(visit.form.get("next", "/chirp")), normal_login(login)[:100]
        person = await self._checked(visit, name, password)
        if person is None:
            problem = "This login and password do not belong together."
            return await self._frame.render(visit, "sign_in.html", 400, next=onward, login=login[:100], problem=problem)
        answer = await self._entered(visit, person, onward, "password")
        if not self._device(visit, name) and (secrets := self._secrets()):
            self._frame.set_device(answer, device_mark(name, self._token(), secrets[0]))
        return answer

    async def _checked(self, visit: Visit, login: str, password: str) -> int | None:
        """Check a login with its password. Return the person's id, or None if they do not match.

        Raises PageError: too many tries, or too busy.
        """
        address, now = client_of(visit.request), self._frame.now()
        origin, device = neighbourhood(address), self._device(visit, login)
        told = {"login": login, "address": address}
        if wait := self._guesses.begin(login, origin, device, now):
            self._counted("put_off")
            _log.warning("sign-in put off", extra=told | {"seconds": round(wait)})
            advice = f"Wait {_in_words(wait)}, then try again. Your administrator can set a new password."
            raise PageError(429, "Too many tries to sign in", advice, wait)
        try:
            person = await self._people.check_password(login, password, self._guesses.rank(login, origin, device, now))
        except BusyError:
            self._guesses.unchecked(login, origin, device, now)
            self._counted("turned_away")
            _log.warning("sign-in turned away", extra=told | {"why": "too many passwords wait to be checked"})
            raise PageError(429, "Too many people sign in at this moment", "Try again in a few seconds.", 5) from None
        self._counted("refused" if person is None else "ok")
        if person is None:
            _log.warning("sign-in refused", extra=told)
        else:
            self._guesses.right(login, origin, device, now)
        return person

    def _device(self, visit: Visit, login: str) -> str:
        return known_device(self._frame.device(visit), login, self._secrets())

    async def enter(self, visit: Visit) -> web.StreamResponse:
        """Show the page of a one-time link. Showing it uses nothing up: mail programs and chats open every link before a person does."""
        name = await self._people.link_of(visit.request.match_info["token"])
        if name is None:
            raise _used_up(visit)
        return await self._frame.render(visit, "enter.html", name=name, action=visit.request.path)

    async def entering(self, visit: Visit) -> web.StreamResponse:
        person = await self._people.take_link(visit.request.match_info["token"])
        self._counted("refused" if person is None else "ok")
        if person is None:
            raise _used_up(visit)
        return await self._entered(visit, person, "/chirp", "link")

    async def _entered(self, visit: Visit, person: int, onward: str, by: str) -> web.StreamResponse:
        answer = self._frame.redirect(onward)
        self._frame.set_session(answer, await self._begin(visit, person, by))
        return answer

    async def _begin(self, visit: Visit, person: int, by: str) -> str:
        """Begin a new session in place of the browser's present one, if any. `by` tells the log how somebody proved who they are."""
        agent, address = visit.request.headers.get("User-Agent", ""), client_of(visit.request)
        token = await self._sessions.begin(person, self._frame.token_of(visit), agent=device_of(agent), address=address)
        _log.info("signed in", extra={"person": person, "by": by, "address": address})
        return token

    async def sign_out(self, visit: Visit) -> web.StreamResponse:
        await self._sessions.end(visit.viewer)
        _log.info("signed out", extra=_whose(visit))
        return self._gone()

    async def sign_out_everywhere(self, visit: Visit) -> web.StreamResponse:
        await self._sessions.end_all(visit.viewer)
        _log.info("signed out everywhere", extra=_whose(visit))
        return self._gone()

    def _gone(self) -> web.StreamResponse:
        answer = self._frame.redirect("/chirp/sign-in")
        self._frame.drop_session(answer)
        return answer

    async def account(self, visit: Visit) -> web.StreamResponse:
        return await self._account(visit)

    async def change_password(self, visit: Visit) -> web.StreamResponse:
        person, old, new = visit.viewer, visit.form.get("old", ""), visit.form.get("new", "")
        if await self._checked(visit, person.login, old) != person.id:
            return await self._account(visit, 400, problem="The current password is not right.")
        try:
            await self._people.set_password(person.login, new, kept=person.session)
        except ValueError as error:
            return await self._account(visit, 400, problem=str(error))
        _log.info("password changed", extra={"login": person.login, "address": client_of(visit.request)})
        # A token that was stolen before must not outlive the old password.
        visit.secret = token = await self._begin(visit, person.id, "password")
        visit.person = await self._sessions.who(token)
        answer = await self._account(visit, done="Your password is changed. Everywhere else you are signed out.")
        self._frame.set_session(answer, token)
        return answer

    async def end_session(self, visit: Visit) -> web.StreamResponse:
        if await self._sessions.end_other(visit.viewer, visit.form.get("session", "")):
            _log.info("session ended", extra=_whose(visit))
        return self._frame.redirect("/chirp/account")

    async def _account(self, visit: Visit, status: int = 200, *, problem: str = "", done: str = "") -> web.StreamResponse:
        sessions, own = await self._sessions.of(visit.viewer), session_code(visit.viewer.session)
        shown = {"problem": problem, "done": done, "shortest": SHORTEST_PASSWORD, "sessions": sessions, "own": own}
        return await self._frame.render(visit, "account.html", status, **shown)


def _whose(visit: Visit) -> dict[str, int | str]:
    return {"person": visit.viewer.id, "address": client_of(visit.request)}


def _used_up(visit: Visit) -> PageError:
    _log.warning("link refused", extra={"address": client_of(visit.request)})
    return PageError(403, "This link is used up", "A sign-in link works once, for 15 minutes. Ask for a new one, or sign in.")


def _in_words(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"about {round(seconds / 60)} min"
