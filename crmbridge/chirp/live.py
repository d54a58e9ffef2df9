"""New and changed posts on open pages, by Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream sleeps until something was published or changed. Then it reads what its viewer may read beyond the last post and the last
change that it sent. So what it sends never depends on what woke it: nothing is lost when a connection is cut, no post is shown twice,
and a change that is sent twice shows the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

from aiohttp import web

from crmbridge.chirp.changes import Change, Changes
from crmbridge.chirp.posts import Post, Posts
from crmbridge.pages import Person, Sessions
from crmbridge.server import streaming

HEARTBEAT = 15.0  # seconds; proxies drop a connection that is silent for a minute, and an ended session is noticed here at the latest
MAX_STREAMS, MAX_PER_PERSON = 500, 10
_GATHER = 0.05  # seconds to wait for further posts after a wake-up
_MOST = 100  # posts that a stream sends at once; a page that missed more is loaded again


class _Stream:
    def __init__(self, person: int) -> None:
        self.person = person
        self.wake = asyncio.Event()


class Live:
    """The open streams of the feed."""

    def __init__(self, posts: Posts, changes: Changes, sessions: Sessions) -> None:
        self._posts = posts
        self._changes = changes
        self._sessions = sessions
        self._streams: set[_Stream] = set()

    def announce(self, posts: Sequence[int]) -> None:
        """Wake all streams after something was published."""
        if posts:
            self._wake(self._streams)

    def changed(self) -> None:
        """Wake all streams after something was edited or deleted."""
        self._wake(self._streams)

    def ended(self, person: int) -> None:
        """Wake the streams of a person, one of whose sessions has ended. Each stream checks whether that session was its own."""
        self._wake([stream for stream in self._streams if stream.person == person])

    @staticmethod
    def _wake(streams: Sequence[_Stream] | set[_Stream]) -> None:
        for stream in streams:
            stream.wake.set()

    @property
    def open(self) -> int:
        """The number of open streams."""
        return len(self._streams)

    def full(self, person: Person) -> bool:
        """Say whether one more stream would be too many, for this person or for all."""
        own = sum(stream.person == person.id for stream in self._streams)
        return len(self._streams) >= MAX_STREAMS or own >= MAX_PER_PERSON

    async def serve(
        self, request: web.Request, person: Person, channel: int | None, after: int, changed: int, render: Callable[[Post], str]
    ) -> web.StreamResponse:
        """Send what comes after the post `after` and the change `changed`, until the reader, the session or the server ends."""
        answer = web.StreamResponse()
        answer.headers["Content-Type"] = "text/event-stream; charset=utf-8"
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Accel-Buffering"] = "no"
        stream = _Stream(person.id)
        self._streams.add(stream)
        try:
            with streaming(request):
                await answer.prepare(request)
                await answer.write(b"retry: 2000\n\n")
                await self._run(answer, stream, person, channel, after, changed, render)
        except ConnectionError:
            pass  # the reader has gone
        finally:
            self._streams.discard(stream)
        return answer

    async def _run(
        self,
        answer: web.StreamResponse,
        stream: _Stream,
        person: Person,
        channel: int | None,
        after: int,
        changed: int,
        render: Callable[[Post], str],
    ) -> None:
        while await self._sessions.who_has(person.session, seen=False) is not None:
            stream.wake.clear()
            news = await self._posts.news(person.id, channel, after, _MOST + 1)
            changes = await self._changes.since(person.id, channel, changed, _MOST + 1)
            if len(news) > _MOST or len(changes) > _MOST:
                await answer.write(b"event: reload\ndata:\n\n")
                return
            for post in news:
                await answer.write(event(post.id, render(post)))
                after = post.id
            for change in changes:
                await answer.write(change_event(change, render(change.post) if change.post else ""))
                changed = change.id
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await stream.wake.wait()
                await asyncio.sleep(_GATHER)
            except TimeoutError:
                await answer.write(b": still here\n\n")
        await answer.write(b"event: end\ndata:\n\n")


def event(post: int, html: str) -> bytes:
    """Write one post as an event. It is JSON, for a line end in the page's text would end the event's line."""
    return f"id: {post}\ndata: {json.dumps({'html': html})}\n\n".encode()


def change_event(change: Change, html: str) -> bytes:
    """Write the event of a post that looks different now, or is gone (no html). It has no id: the browser keeps that of the last post."""
    data = json.dumps({"change": change.id, "post": f"p-{change.code}", "html": html})
    return f"event: change\ndata: {data}\n\n".encode()
