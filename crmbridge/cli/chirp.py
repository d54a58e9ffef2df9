"""chirp user ...: the people of the embedded feed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from crmbridge.cli.common import Failure, NotRunning, ask_daemon, config_option, here, output_option, show, table
from crmbridge.cli.terminal import say
from crmbridge.config.config import Config
from crmbridge.config.load import load


@click.group()
def chirp() -> None:
    """Manage the embedded feed."""


@chirp.group()
def user() -> None:
    """Manage the people who may sign in."""


def _call(path: Path, verb: str, **arguments: Any) -> Any:
    """Carry a verb out through the running daemon, or on the feed's database if none runs."""
    config = load(path, secrets=False)
    if not config.embeds_feed:
        raise Failure("this configuration has no embedded feed: a destination of type chirp without a url")
    try:
        return ask_daemon(path, verb, **arguments)
    except NotRunning:
        pass
    return asyncio.run(_locally(config, verb, arguments))


async def _locally(config: Config, verb: str, arguments: dict[str, Any]) -> Any:
    from crmbridge.app import utc_now
    from crmbridge.chirp.embedded import feed_orders, feed_questions, open_feed
    from crmbridge.operate.book import Book
    from crmbridge.store import SqliteStore

    config.feed_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    feed, database = open_feed(config, utc_now)
    try:
        if question := feed_questions(feed).get(verb):
            return await question(**arguments)
        store = SqliteStore(config.store_path) if config.store_path.exists() else None
        try:
            return await Book(store, utc_now).carry_out(verb, arguments, here(), lambda _: feed_orders(feed)[verb](**arguments))
        finally:
            if store is not None:
                store.close()
    finally:
        feed.close()
        database.close()


@user.command("add")
@click.argument("login")
@click.option("--name", help="As others see it; the default is the login.")
@click.password_option(help="Asked for if not given; CRMBRIDGE_PASSWORD in the environment works too.", envvar="CRMBRIDGE_PASSWORD")
@config_option
def user_add(login: str, name: str | None, password: str, path: Path) -> None:
    """Add a person."""
    _call(path, "user_add", login=login, name=name or login, password=password)
    say(f"{login} can sign in")


@user.command("password")
@click.argument("login")
@click.password_option(envvar="CRMBRIDGE_PASSWORD")
@config_option
def user_password(login: str, password: str, path: Path) -> None:
    """Set a new password; every session of that person ends."""
    _call(path, "user_password", login=login, password=password)
    say("changed")


@user.command("remove")
@click.argument("login")
@click.confirmation_option(prompt="This person can no longer sign in. Go on?")
@config_option
def user_remove(login: str, path: Path) -> None:
    """End a person's access; what they wrote stays."""
    _call(path, "user_remove", login=login)
    say("removed")


@user.command("list")
@config_option
@output_option
def user_list(path: Path, output: str) -> None:
    """List everyone who may sign in."""
    show(_call(path, "user_list"), output, lambda data: table([[one["login"], one["name"]] for one in data["users"]], ["LOGIN", "NAME"]))


@user.command("link")
@click.argument("login")
@config_option
def user_link(login: str, path: Path) -> None:
    """Make a link that signs a person in once, within 15 minutes."""
    config = load(path, secrets=False)
    base = config.model.server.public_url or f"http://{config.model.server.listen}"
    say(base + _call(path, "user_link", login=login)["path"])
