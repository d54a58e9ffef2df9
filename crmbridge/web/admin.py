"""The admin API: health, metrics, and every verb of `Operations` as POST /api/v1/<verb> with JSON arguments.

It listens on a unix socket that only its owner can open, so it asks for no password.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from crmbridge.errors import CrmbridgeError, InvalidRequest
from crmbridge.server import read_body

Verb = Callable[..., Awaitable[Any]]


def admin_routes(verbs: Mapping[str, Verb], exposition: Callable[[], Awaitable[bytes]]) -> list[web.RouteDef]:
    """`verbs` by name; what they raise as a CrmbridgeError or ValueError is answered 409 with its words."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def call(request: web.Request) -> web.Response:
        verb = verbs.get(request.match_info["verb"])
        if verb is None:
            raise InvalidRequest("there is no such verb", 404)
        arguments = _arguments(await read_body(request), verb)
        try:
            return web.json_response(await verb(**arguments))
        except (CrmbridgeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=409)

    return [web.get("/metrics", metrics), web.post("/api/v1/{verb}", call)]


def _arguments(body: bytes, verb: Verb) -> dict[str, Any]:
    try:
        arguments = json.loads(body or b"{}")
        inspect.signature(verb).bind(**arguments)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"the arguments cannot be used: {error}") from None
    return dict(arguments)
