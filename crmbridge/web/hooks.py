"""The outside's door: POST /hooks/<source>, and health."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from crmbridge.contract import WebhookRequest
from crmbridge.intake.webhooks import Webhooks
from crmbridge.server import read_body


def hook_routes(webhooks: Webhooks, now: Callable[[], datetime]) -> list[web.RouteDef]:
    """Receive webhooks; what is wrong with one is answered with its status, by the server's guard."""

    async def receive(request: web.Request) -> web.Response:
        body = await read_body(request)
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), value)
        query = request.raw_path.partition("?")[2]  # as it was sent, not decoded: some senders sign it
        path = request.match_info.get("rest", "")
        reply = await webhooks.receive(request.match_info["source"], WebhookRequest(headers, body, query, now(), path))
        return web.Response(status=reply.status, body=reply.body, headers={"Content-Type": reply.content_type})

    address = "/hooks/{source:[A-Za-z][A-Za-z0-9_-]{0,63}}"
    return [web.post(address, receive), web.post(address + "/{rest:[A-Za-z0-9_.~-]{1,200}}", receive)]


def health_routes(ready: Callable[[], str], degraded: Callable[[], int] = lambda: 0) -> list[web.RouteDef]:
    """/healthz: the process answers. /readyz: it can take in; `ready` gives the reason why not, empty if it can.

    `degraded`: how many troubles need somebody. That many leave it ready: many CRMs never send a webhook again.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = ready()
        count = degraded()
        more = f"degraded: {count} troubles, see `crmbridge status`\n" if count else ""
        return web.Response(text=f"{reason or 'ready'}\n{more}", status=503 if reason else 200)

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]
