"""What several families of verbs share: finding the configuration, reaching the daemon, printing."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import click

import crmbridge
from crmbridge.cli.terminal import say, say_entry, say_over
from crmbridge.config.config import Config
from crmbridge.config.document import legible, read
from crmbridge.config.load import admin_door, load
from crmbridge.config.models import is_address
from crmbridge.contract import Secret
from crmbridge.peers import ACTOR
from crmbridge.server import reachable

if TYPE_CHECKING:
    from crmbridge.operate.book import Actor

F = TypeVar("F", bound=Callable[..., Any])


class Failure(Exception):
    """An error that ends the command with a message and an exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class NotRunning(Failure):
    """No daemon runs with this configuration."""


_PATIENCE = 900.0  # seconds: an order on a hundred thousand deliveries, or a replay of a month, takes minutes
DEFAULTS = ("crmbridge.yaml", "/etc/crmbridge/crmbridge.yaml")


def _given(_: click.Context, __: click.Parameter, value: str | None) -> Path | None:
    return Path(value) if value else next((Path(name) for name in DEFAULTS if Path(name).exists()), None)


def _found(context: click.Context, parameter: click.Parameter, value: str | None) -> Path:
    return required(_given(context, parameter, value))


def required(path: Path | None) -> Path:
    """Return the configuration's path. Raises UsageError without one: the verb can do only a part of its work without a configuration."""
    if path is None:
        raise click.UsageError(f"no configuration: give --config FILE, or make {DEFAULTS[0]} here")
    return path


def config_option(function: F) -> F:
    """Add the option `--config FILE` to a verb."""
    return _config_option(_found)(function)


def optional_config_option(function: F) -> F:
    """Add the option `--config FILE` to a verb that can also do without: see `required`."""
    return _config_option(_given)(function)


def _config_option(callback: Callable[..., Any]) -> Callable[[F], F]:
    return click.option(
        "--config",
        "-c",
        "path",
        envvar="CRMBRIDGE_CONFIG",
        callback=callback,
        metavar="FILE",
        help="The configuration; default ./crmbridge.yaml.",
    )


def written(path: Path) -> Any:
    """Return what the configuration file of a verb holds. It is read once for the whole verb.

    It may have problems. Of one that is no YAML as a whole each section counts: the daemon that runs with it can still be asked.
    """
    context = click.get_current_context(silent=True)
    files: dict[Path, Any] = context.meta.setdefault("crmbridge.written", {}) if context else {}
    if path not in files:
        document = read(path.absolute(), path.name)
        files[path] = document.data if document.data is not None else legible(path)
    return files[path]


def output_option(function: F) -> F:
    """Add the option `-o json` to a verb."""
    return click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="For people or for programs.")(function)


def show(data: Any, output: str, text: Callable[[Any], Iterable[str]]) -> None:
    """Print `data` as JSON, or the lines that `text` makes of it."""
    if output == "json":
        say(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        for line in text(data):
            say_entry(line)


def call(path: Path, verb: str, **arguments: Any) -> Any:
    """Ask the running daemon, or carry the verb out on its database if none runs. Raises Failure."""
    address, token = admin_door(path, written(path))
    if is_address(address) or os.path.exists(address):  # noqa: PTH110
        with contextlib.suppress(ConnectionRefusedError):  # no daemon runs, or a killed one left its socket behind
            return _ask(address, token, verb, arguments)
    return asyncio.run(_locally(load(path, secrets=False), verb, arguments))


def ask_daemon(path: Path, verb: str, **arguments: Any) -> Any:
    """Ask the running daemon. Raises Failure if none runs."""
    address, token = admin_door(path, written(path))
    try:
        return _ask(address, token, verb, arguments)
    except (FileNotFoundError, ConnectionRefusedError):
        load(path, secrets=False)  # if the configuration has problems, they are the better answer
        raise NotRunning(f"no crmbridge runs with {path} (nobody listens on {address})") from None


def _ask(address: str, token: Secret | None, verb: str, arguments: dict[str, Any]) -> Any:
    import http.client
    import socket

    class Unix(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(_PATIENCE)
            self.sock.connect(address)

    headers = {"Content-Type": "application/json", ACTOR: quote(_myself(), errors="replace")}
    if is_address(address):
        connection = http.client.HTTPConnection(reachable(address).removeprefix("http://"), timeout=_PATIENCE)
        headers["Authorization"] = f"Bearer {_revealed(token)}"
    else:
        connection = Unix("admin")
    try:
        connection.request("POST", f"/api/v1/{verb}", body=json.dumps(arguments), headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except PermissionError:
        raise Failure(f"{address}: permission denied; run this as the user of the daemon") from None
    except (ConnectionResetError, BrokenPipeError, http.client.HTTPException):
        raise Failure("the daemon ended before it answered; if that was an order, `crmbridge orders` says how far it came") from None
    finally:
        connection.close()
    if answer.status == 200:
        return json.loads(body)
    if answer.status == 409:
        raise Failure(json.loads(body)["error"])
    if answer.status == 401:
        raise Failure(f"who listens on {address} does not know this `admin.token`")
    raise Failure(f"the daemon answered {answer.status}: {body.decode('utf-8', 'replace').strip()}")


def _revealed(token: Secret | None) -> str:
    try:
        return token.reveal() if token else ""
    except ValueError as error:
        raise Failure(f"admin.token: {error}") from None


def _myself() -> str:
    """Return the name under which this command is written down. A person who became another user for it is named as they signed in."""
    for name in ("CRMBRIDGE_ACTOR", "SUDO_USER", "DOAS_USER"):
        if told := os.environ.get(name):
            return told[:100]
    return _user()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"number {os.getuid()}"


async def _locally(config: Config, verb: str, arguments: dict[str, Any]) -> Any:
    if not config.store_path.exists():
        raise Failure(f"crmbridge has not run yet: {config.store_path} does not exist")
    return await _on_the_database(config, verb, arguments)


async def _on_the_database(config: Config, verb: str, arguments: Mapping[str, Any]) -> Any:
    """Carry a verb out on the database, where no daemon runs."""
    from crmbridge import assemble
    from crmbridge.app import utc_now
    from crmbridge.operate.port import Stopped
    from crmbridge.operate.verbs import Verbs
    from crmbridge.store import SqliteStore

    store = SqliteStore(config.store_path)
    try:
        port = Stopped(store=store, config=config, clock=utc_now, built=lambda name: assemble.source(config, name, utc_now))
        desk = Verbs(port)
        await desk.begin()
        return await desk.answer(verb, arguments, here)
    finally:
        store.close()


def here() -> Actor:
    """Return the actor who gives this command, where no daemon runs."""
    from crmbridge.operate.book import Actor

    return Actor.of(_myself(), f"no daemon, user {_user()}")


def shipped(inside: str, beside: str, witness: str, what: str) -> Path:
    """Find a shipped folder: `inside` the package in an installed wheel, `beside` it in a checkout. Raises Failure that names `what`."""
    package = Path(crmbridge.__file__).parent
    for folder in (package / inside, package.parent / beside):
        if (folder / witness).exists():
            return folder
    raise Failure(f"{what} not installed; install crmbridge from its wheel or its repository")


def going_on(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make the next portion part of the same order."""
    return {"order": answer["order"]} if "order" in answer else {}


@contextlib.contextmanager
def progress(count: int | None, what: str = "") -> Iterator[Progress]:
    """Show the progress of long work on the last line of a terminal. Without a terminal, or if the work is quick, nothing is shown."""
    shown = Progress(count, what)
    try:
        yield shown
    finally:
        shown.wipe()


class Progress:
    """The progress of some work: how much is done, and of how much if that is known."""

    _QUIET: Final = 1.0  # seconds; shorter work shows nothing

    def __init__(self, count: int | None, what: str) -> None:
        self._of = f" of {count:,}" if count is not None else ""
        self._what = f" {what}" if what else ""
        self._done = 0
        self._began = time.monotonic()
        self._shown = False

    def update(self, more: int) -> None:
        """Count `more` things as done."""
        self._done += more
        if sys.stderr.isatty() and time.monotonic() - self._began > self._QUIET:
            self._shown = True
            say_over(f"{self._done:,}{self._of}{self._what} ...")

    def wipe(self) -> None:
        """Leave the line empty."""
        if self._shown:
            say_over("")


def table(rows: Sequence[Sequence[Any]], headings: Sequence[str]) -> list[str]:
    """Lay out rows in columns for people. The last column is not padded."""
    cells = [[str("" if cell is None else cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def picture_line(media: dict[str, str]) -> str:
    """Describe a message's picture for people."""
    return f"without its picture: {media['fault']}" if media["fault"] else f"picture {media['url']}: {media['alt']}"
