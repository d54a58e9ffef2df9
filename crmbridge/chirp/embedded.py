"""The feed inside the daemon: its files, its secret, and what an administrator may do with its people."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

from crmbridge.chirp.feed import SCHEMA, Feed
from crmbridge.config.config import Config
from crmbridge.contract import Secret
from crmbridge.db import Database
from crmbridge.telemetry import Metrics


def feed_secret(config: Config) -> Secret:
    """Return the secret between the chirp destination and the embedded feed. It is made once, and kept 0600."""
    path = config.state_folder() / "chirp.secret"
    if not path.exists():
        # The file appears whole or not at all: a secret that a crash left half written would be kept for ever.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return Secret("file", str(path))


def open_feed(config: Config, now: Callable[[], datetime], metrics: Metrics | None = None) -> tuple[Feed, Database]:
    """Open the embedded feed and its database, which the caller closes. Raises StoreError."""
    secret = feed_secret(config)
    database = Database(config.feed_path, SCHEMA)
    feed = Feed(
        database,
        name=config.model.chirp.name,
        public_url=config.model.server.public_url,
        secrets=lambda: [secret.reveal()],
        now=now,
        token=lambda: secrets.token_urlsafe(32),
        metrics=metrics,
    )
    return feed, database


def feed_questions(feed: Feed) -> dict[str, Any]:
    """Return the questions that an administrator may ask of the feed, by verb."""

    async def user_list() -> dict[str, Any]:
        return {"users": [{"login": one.login, "name": one.name} for one in await feed.users()]}

    return {"user_list": user_list}


def feed_orders(feed: Feed) -> dict[str, Any]:
    """Return the orders that an administrator may give on the feed's people, by verb."""

    async def user_add(login: str, name: str, password: str) -> dict[str, Any]:
        await feed.add_user(login, name, password)
        return {}

    async def user_password(login: str, password: str) -> dict[str, Any]:
        await feed.set_password(login, password)
        return {}

    async def user_remove(login: str) -> dict[str, Any]:
        await feed.remove_user(login)
        return {}

    async def user_link(login: str) -> dict[str, Any]:
        return {"path": await feed.one_time_link(login)}

    return {
        "user_add": user_add,
        "user_password": user_password,
        "user_remove": user_remove,
        "user_link": user_link,
    }
