"""The pages that people read and write: timeline, channels, a channel, a post."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from crmbridge.chirp import text as words
from crmbridge.chirp.changes import Changes
from crmbridge.chirp.live import Live
from crmbridge.chirp.posts import ChannelView, Post, Posts
from crmbridge.pages import Frame, PageError, Visit, missing
from crmbridge.pages.sessions import digest_of

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_FORM_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)


def _number(text: str | None) -> int | None:
    """Read a whole number from an address or a header. Return None if it is not one."""
    return int(text) if text and _NUMBER.fullmatch(text) else None


class Site:
    """The pages of the feed."""

    def __init__(self, frame: Frame, posts: Posts, changes: Changes, live: Live, token: Callable[[], str]) -> None:
        self._frame = frame
        self._posts = posts
        self._changes = changes
        self._live = live
        self._token = token
        self._pace = PostingLimit()

    def routes(self) -> list[web.RouteDef]:
        page, form = self._frame.page, self._frame.form
        return [
            web.get("/chirp", page(self.timeline)),
            web.get("/chirp/", page(self.timeline)),
            web.get("/chirp/channels", page(self.channels)),
            web.get("/chirp/c/{code}", page(self.channel)),
            web.post("/chirp/c/{code}", form(self.say)),
            web.post("/chirp/c/{code}/follow", form(self.follow)),
            web.post("/chirp/c/{code}/unfollow", form(self.unfollow)),
            web.get("/chirp/p/{code}", page(self.post)),
            web.post("/chirp/p/{code}", form(self.reply)),
            web.get("/chirp/live", page(self.live), allow_head=False),
        ]

    # --- reading

    async def timeline(self, visit: Visit) -> web.StreamResponse:
        begin = await self._begin()
        before = _number(visit.request.query.get("before"))
        posts, more = await self._posts.timeline(visit.viewer.id, before)
        live = f"/chirp/live?{begin}" if before is None else ""
        return await self._frame.render(visit, "timeline.html", posts=posts, more=more, before=before, live=live)

    async def channels(self, visit: Visit) -> web.StreamResponse:
        search = words.clean_line(visit.request.query.get("q", ""))[:100]
        before = _number(visit.request.query.get("before"))
        channels, more = await self._posts.channels(visit.viewer.id, search, before)
        return await self._frame.render(visit, "channels.html", channels=channels, more=more, search=search, before=before)

    async def channel(self, visit: Visit) -> web.StreamResponse:
        return await self._channel_page(visit)

    async def _channel_page(self, visit: Visit, status: int = 200, *, problem: str = "", said: str = "") -> web.StreamResponse:
        begin = await self._begin()
        channel = await self._channel(visit)
        before = _number(visit.request.query.get("before"))
        posts, more = await self._posts.channel_posts(visit.viewer.id, channel.id, before)
        live = f"/chirp/live?channel={channel.code}&{begin}" if before is None else ""
        shown = {"posts": posts, "more": more, "before": before, "live": live, "problem": problem, "said": said, "key": self._form_key()}
        return await self._frame.render(visit, "channel.html", status, channel=channel, **shown)

    async def post(self, visit: Visit) -> web.StreamResponse:
        return await self._post_page(visit)

    async def _post_page(self, visit: Visit, status: int = 200, *, problem: str = "", said: str = "") -> web.StreamResponse:
        after = _number(visit.request.query.get("after")) or 0
        found = await self._posts.thread(visit.viewer.id, visit.request.match_info["code"], after)
        if found is None:
            raise missing()
        post, replies, more = found
        shown = {"more": more, "after": after, "problem": problem, "said": said, "key": self._form_key()}
        return await self._frame.render(visit, "post.html", status, post=post, replies=replies, **shown)

    async def live(self, visit: Visit) -> web.StreamResponse:
        query, person = visit.request.query, visit.viewer
        channel = await self._channel(visit, query["channel"]) if "channel" in query else None
        after = _number(visit.request.headers.get("Last-Event-ID"))
        if after is None:
            after = _number(query.get("after"))
        if after is None:
            after = await self._posts.newest()
        changed = _number(query.get("changed"))
        if changed is None:
            changed = await self._changes.newest()
        if self._live.full(person):
            raise PageError(503, "Too many live pages are open", "New posts show when the page is loaded again.", 60)

        def render(post: Post) -> str:
            return self._frame.fragment("one_post.html", post=post, place="timeline" if channel is None else "channel")

        return await self._live.serve(visit.request, person, channel.id if channel else None, after, changed, render)

    async def _begin(self) -> str:
        """Return where the live stream of a page begins. It is asked before the page is read, so that no post falls in between."""
        return f"after={await self._posts.newest()}&changed={await self._changes.newest()}"

    async def _channel(self, visit: Visit, code: str | None = None) -> ChannelView:
        channel = await self._posts.channel(visit.viewer.id, code if code is not None else visit.request.match_info["code"])
        if channel is None:
            raise missing()
        return channel

    # --- writing

    async def say(self, visit: Visit) -> web.StreamResponse:
        text, problem = _said(visit)
        if problem:
            return await self._channel_page(visit, 400, problem=problem, said=text)
        self._pace.keep(visit.viewer.id, self._frame.now())
        code = visit.request.match_info["code"]
        if await self._posts.say(visit.viewer.id, code, text, self._sent_key(visit)) is None:
            raise missing()
        return self._frame.redirect(f"/chirp/c/{code}")

    async def reply(self, visit: Visit) -> web.StreamResponse:
        text, problem = _said(visit)
        if problem:
            return await self._post_page(visit, 400, problem=problem, said=text)
        self._pace.keep(visit.viewer.id, self._frame.now())
        found = await self._posts.thread(visit.viewer.id, visit.request.match_info["code"])
        if found is None:
            raise missing()
        parent = found[0]
        said = await self._posts.say(visit.viewer.id, parent.channel, text, self._sent_key(visit), parent.code)
        if said is None:
            raise missing()
        return self._frame.redirect(f"/chirp/p/{parent.parent or parent.code}#p-{said.code}")

    async def follow(self, visit: Visit) -> web.StreamResponse:
        return await self._follow(visit, follows=True)

    async def unfollow(self, visit: Visit) -> web.StreamResponse:
        return await self._follow(visit, follows=False)

    async def _follow(self, visit: Visit, *, follows: bool) -> web.StreamResponse:
        code = visit.request.match_info["code"]
        if not await self._posts.follow(visit.viewer.id, code, follows=follows):
            raise missing()
        # Redirects to the page with the button. The form names one of two pages, never an address.
        return self._frame.redirect("/chirp/channels" if visit.form.get("from") == "channels" else f"/chirp/c/{code}")

    def _form_key(self) -> str:
        """Make a new name for the post that a form will make, so that a double click makes only one post."""
        return digest_of(self._token()).hex()[:32]

    def _sent_key(self, visit: Visit) -> str:
        key = visit.form.get("key", "")
        return key if _FORM_KEY.fullmatch(key) else self._form_key()


class PostingLimit:
    """A limit on how fast a person may post. What a script or a stuck key sends must not fill everybody's timeline."""

    MOST: Final = 20
    """The number of posts a minute."""
    _MINUTE: Final = timedelta(minutes=1)

    def __init__(self) -> None:
        self._said: dict[int, deque[datetime]] = {}

    def keep(self, person: int, now: datetime) -> None:
        """Count a post. Raises PageError that says when to go on."""
        said = self._said.setdefault(person, deque(maxlen=self.MOST))
        if len(said) == self.MOST and (left := (said[0] + self._MINUTE - now).total_seconds()) > 0:
            advice = f"At most {self.MOST} a minute can be posted. Wait {max(1, round(left))} s, go back, and send it again."
            raise PageError(429, "You post very fast", advice, left)
        said.append(now)


def _said(visit: Visit) -> tuple[str, str]:
    """Return the cleaned text of a form, and what is wrong with it, if anything."""
    text = words.clean(visit.form.get("text", "")).strip()
    if not text:
        return "", "Write something first."
    if len(text) > words.MAX_TEXT:
        return text, f"This has {len(text):,} characters; a post can have {words.MAX_TEXT:,}."
    return text, ""
