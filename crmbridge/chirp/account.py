"""Signing in and out, and the account page."""

from __future__ import annotations

from aiohttp import web

from crmbridge.chirp.frame import Frame, PageError, Visit, own_path
from crmbridge.chirp.people import SHORTEST_PASSWORD, BusyError, Guesses, People, normal_login


class AccountPages:
    """The pages about one's own sign-in."""

    def __init__(self, frame: Frame, people: People) -> None:
        self._frame = frame
        self._people = people
        self._guesses = Guesses()

    def routes(self) -> list[web.RouteDef]:
        page, form = self._frame.page, self._frame.form
        return [
            web.get("/chirp/sign-in", page(self.sign_in, anyone=True)),
            web.post("/chirp/sign-in", form(self.signing_in, anyone=True)),
            web.get("/chirp/enter/{token}", page(self.enter, anyone=True), allow_head=False),  # what only looks must not use it up
            web.post("/chirp/sign-out", form(self.sign_out)),
            web.get("/chirp/account", page(self.account)),
            web.post("/chirp/account/password", form(self.change_password)),
            web.post("/chirp/account/sign-out-everywhere", form(self.sign_out_everywhere)),
        ]

    async def sign_in(self, visit: Visit) -> web.StreamResponse:
        onward = own_path(visit.request.query.get("next", "/chirp"))
        if visit.person is not None:
            return self._frame.redirect(onward)
        return await self._frame.render(visit, "sign_in.html", next=onward, login="", problem="")

    async def signing_in(self, visit: Visit) -> web.StreamResponse:
        login, password = visit.form.get("login", ""), visit.form.get("password", "")
        onward, address = own_path(visit.form.get("next", "/chirp")), visit.request.remote or ""
        name = normal_login(login)[:100]
        if wait := self._guesses.begin(name, address, self._frame.now()):
            minutes = max(1, round(wait / 60))
            advice = f"Wait about {minutes} min, then try again. Your administrator can set a new password."
            raise PageError(429, "Too many tries to sign in", advice, wait)
        try:
            person = await self._people.check_password(name, password)
        except BusyError:
            raise PageError(429, "Too many people sign in at this moment", "Try again in a few seconds.", 5) from None
        if person is None:
            problem = "This login and password do not belong together."
            return await self._frame.render(visit, "sign_in.html", 400, next=onward, login=login[:100], problem=problem)
        self._guesses.succeed(name, address)
        return await self._entered(visit, person, onward)

    async def enter(self, visit: Visit) -> web.StreamResponse:
        person = await self._people.take_link(visit.request.match_info["token"])
        if person is None:
            raise PageError(403, "This link is used up", "A sign-in link works once, for 15 minutes. Ask for a new one, or sign in.")
        return await self._entered(visit, person, "/chirp")

    async def _entered(self, visit: Visit, person: int, onward: str) -> web.StreamResponse:
        answer = self._frame.redirect(onward)
        self._frame.set_session(answer, await self._people.begin_session(person, self._frame.token_of(visit)))
        return answer

    async def sign_out(self, visit: Visit) -> web.StreamResponse:
        await self._people.end_session(visit.viewer)
        return self._gone()

    async def sign_out_everywhere(self, visit: Visit) -> web.StreamResponse:
        await self._people.end_sessions(visit.viewer)
        return self._gone()

    def _gone(self) -> web.StreamResponse:
        answer = self._frame.redirect("/chirp/sign-in")
        self._frame.drop_session(answer)
        return answer

    async def account(self, visit: Visit) -> web.StreamResponse:
        return await self._account(visit)

    async def change_password(self, visit: Visit) -> web.StreamResponse:
        person, address = visit.viewer, visit.request.remote or ""
        old, new = visit.form.get("old", ""), visit.form.get("new", "")
        if wait := self._guesses.begin(person.login, address, self._frame.now()):
            raise PageError(429, "Too many wrong passwords", f"Wait about {max(1, round(wait / 60))} min, then try again.", wait)
        try:
            right = await self._people.check_password(person.login, old) == person.id
        except BusyError:
            raise PageError(429, "Too many people sign in at this moment", "Try again in a few seconds.", 5) from None
        if not right:
            return await self._account(visit, 400, problem="The current password is not right.")
        self._guesses.succeed(person.login, address)
        try:
            await self._people.set_password(person.login, new, kept=person.session)
        except ValueError as error:
            return await self._account(visit, 400, problem=str(error))
        return await self._account(visit, done="Your password is changed. Everywhere else you are signed out.")

    async def _account(self, visit: Visit, status: int = 200, *, problem: str = "", done: str = "") -> web.StreamResponse:
        return await self._frame.render(visit, "account.html", status, problem=problem, done=done, shortest=SHORTEST_PASSWORD)
