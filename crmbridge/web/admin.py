"""The admin API: health, metrics, and every verb of `Operations` as POST /api/v1/<verb> with JSON arguments.

On a unix socket that only its owner can open it asks for no password; at an address everyone needs the token (RFC 6750).
"""

from __future__ import annotations

import hmac
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from crmbridge.errors import CrmbridgeError, InvalidRequest
from crmbridge.server import Answering, client_of, read_body

_log = logging.getLogger("crmbridge.security")
Verb = Callable[..., Awaitable[Any]]


def admin_routes(
    verbs: Mapping[str, Verb], exposition: Callable[[], Awaitable[bytes]], token: Callable[[], str] | None = None
) -> list[web.RouteDef]:
    """`verbs` by name; what they raise as a CrmbridgeError or ValueError is answered 409 with its words. `token`: read for each request."""

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

    return [web.get("/metrics", _known(metrics, token)), web.post("/api/v1/{verb}", _known(call, token))]


def _known(answering: Answering, token: Callable[[], str] | None) -> Answering:
    """`answering` for those who show the token; a browser on another site cannot."""
    if token is None:
        return answering

    async def guarded(request: web.Request) -> web.StreamResponse:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token().encode()):
            _log.warning("admin refused", extra={"address": client_of(request), "path": request.path})
            return web.Response(status=401, text="show the token of admin.token\n", headers={"WWW-Authenticate": "Bearer"})
        return await answering(request)

    return guarded


def _arguments(body: bytes, verb: Verb) -> dict[str, Any]:
    try:
        arguments = json.loads(body or b"{}")
        inspect.signature(verb).bind(**arguments)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"the arguments cannot be used: {error}") from None
    return dict(arguments)
