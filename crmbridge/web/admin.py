"""The admin API: metrics, and every verb as POST /api/v1/<verb> with JSON arguments.

A unix socket that only its owner can open asks for no password. At an address, everyone needs the token (RFC 6750).
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import json
import logging
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from crmbridge.errors import CrmbridgeError, InvalidRequest
from crmbridge.operate.book import Actor
from crmbridge.operate.verbs import Verbs
from crmbridge.peers import ACTOR
from crmbridge.server import Answering, client_of, read_body

_log = logging.getLogger("crmbridge.security")


def admin_routes(desk: Verbs, exposition: Callable[[], Awaitable[bytes]], token: Callable[[], str] | None = None) -> list[web.RouteDef]:
    """Make the routes of the admin API. A CrmbridgeError or ValueError of a verb is answered 409 with its words.

    `token` is read anew for each request.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def call(request: web.Request) -> web.Response:
        arguments = _arguments(await read_body(request))
        try:
            return web.json_response(await desk.answer(request.match_info["verb"], arguments, lambda: _actor(request)))
        except InvalidRequest:
            raise
        except (CrmbridgeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=409)

    return [web.get("/metrics", _known(metrics, token)), web.post("/api/v1/{verb}", _known(call, token))]


def _known(answering: Answering, token: Callable[[], str] | None) -> Answering:
    """Let only those who show the token reach `answering`. A browser on another site cannot show it."""
    if token is None:
        return answering

    async def guarded(request: web.Request) -> web.StreamResponse:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token().encode()):
            _log.warning("admin refused", extra={"address": client_of(request), "path": request.path})
            return web.Response(status=401, text="show the token of admin.token\n", headers={"WWW-Authenticate": "Bearer"})
        return await answering(request)

    return guarded


def _actor(request: web.Request) -> Actor:
    """Return the actor behind a request: the name they go by, and what the door proves of them."""
    name = unquote(request.headers.get(ACTOR, ""), errors="replace")
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is not None and connection.family == socket.AF_UNIX:
        user = _user_of(connection)
        return Actor.of(name.strip() or user, f"socket, user {user or 'unknown'}")
    return Actor.of(name, f"token, from {client_of(request)}" if connection is not None else "gone before it was known")


def _user_of(connection: Any) -> str:
    """Return the user of the process at the other end of a unix socket, as the kernel knows it (unix(7), SO_PEERCRED).

    Empty if the kernel does not tell.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return ""
    size = struct.calcsize("iII")
    return _user_name(struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1])


@functools.lru_cache(maxsize=64)
def _user_name(uid: int) -> str:
    """Return the name of a user by number. Results are cached, for the directory of users may be far away."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"number {uid}"


def _arguments(body: bytes) -> dict[str, Any]:
    try:
        arguments = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the arguments cannot be read: {error}") from None
    if not isinstance(arguments, dict):
        raise InvalidRequest("the arguments are not a JSON object")
    return arguments
