"""The door for the outside: /hooks/<source>, and health."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from crmbridge.contract import Reply, WebhookRequest
from crmbridge.intake.webhooks import Webhooks
from crmbridge.model import counted
from crmbridge.server import read_body


def hook_routes(webhooks: Webhooks, now: Callable[[], datetime]) -> list[web.RouteDef]:
    """Make the routes that receive webhooks, and the handshakes before them. The server's guard answers InvalidRequest with its status."""

    async def receive(request: web.Request) -> web.Response:
        return _answered(await webhooks.receive(request.match_info["source"], _asked(request, await read_body(request), now())))

    async def greet(request: web.Request) -> web.Response:
        reply = webhooks.greet(request.match_info["source"], _asked(request, b"", now()))
        if reply is None:
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        return _answered(reply)

    name = "/hooks/{source:[A-Za-z][A-Za-z0-9_-]{0,63}}"
    addresses = [name, name + "/{rest:[A-Za-z0-9_.~-]{1,200}}"]
    return [
        route
        for address in addresses
        for route in (web.post(address, receive), web.get(address, greet, allow_head=False), web.head(address, greet))
    ]


def _asked(request: web.Request, body: bytes, at: datetime) -> WebhookRequest:
    headers: dict[str, str] = {}
    repeated = set()
    for name, value in request.headers.items():
        key = name.lower()
        if key in headers:
            repeated.add(key)
        else:
            headers[key] = value
    query = request.raw_path.partition("?")[2]  # as it was sent, not decoded: some senders sign it
    path = request.match_info.get("rest", "")
    return WebhookRequest(headers, body, query, at, path, request.method, request.raw_path, frozenset(repeated))


def _answered(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers={**reply.headers, "Content-Type": reply.content_type})


def health_routes(ready: Callable[[], str], degraded: Callable[[], int] = lambda: 0) -> list[web.RouteDef]:
    """Make the routes of health. /healthz: the process answers. /readyz: it can take in; else `ready` returns the reason why not.

    `degraded` is the number of troubles that need somebody. With troubles it is still ready, for many CRMs never send a webhook again.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = ready()
        count = degraded()
        more = f"degraded: {counted(count, 'trouble')}, see `crmbridge status`\n" if count else ""
        return web.Response(text=f"{reason or 'ready'}\n{more}", status=503 if reason else 200)

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]
