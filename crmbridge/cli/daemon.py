"""run, reload: the daemon itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click

from crmbridge.cli.common import Failure, ask_daemon, config_option
from crmbridge.cli.terminal import say
from crmbridge.config.load import load
from crmbridge.errors import CrmbridgeError
from crmbridge.model import counted
from crmbridge.telemetry import configure_logging


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory where it is installed, else None."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@click.command()
@config_option
@click.option("--shadow", is_flag=True, help="Record what would be said, and publish nothing.")
def run(path: Path, shadow: bool) -> None:
    """Run the daemon until SIGTERM. SIGHUP applies a changed configuration; a bad one is refused and the old one runs on."""
    early: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: early.append(number))  # unhandled, the signal would end this process
    config = load(path)
    configure_logging(level=config.model.log.level, style=config.model.log.style)

    async def main() -> int:
        from crmbridge.app import App

        app = App(config, shadow=shadow)
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[None]] = set()

        async def reload_quietly() -> None:
            with contextlib.suppress(CrmbridgeError):  # the error was logged and counted, and status shows it
                await app.reload()

        def hang_up() -> None:
            reload_ = loop.create_task(reload_quietly())
            reloads.add(reload_)
            reload_.add_done_callback(reloads.discard)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, app.stop)
        try:
            await app.start()
        except OSError as error:
            from crmbridge.cli.holder import stranger

            if error.errno == errno.EADDRINUSE and (other := stranger(config)) is not None:
                raise Failure(
                    f"cannot listen on {config.model.server.listen}: it is held by {other}; stop that, or change server.listen"
                ) from error
            raise
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        if early:
            hang_up()  # the file may have changed since it was read
        # What start made lives as long as the process. So the collector need not look at it again, nor run as often as for a script.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        return await app.run()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        code = runner.run(main())
    if any(one is not threading.current_thread() and not one.daemon for one in threading.enumerate()):
        # Everything is on disk and released. Python would still wait for the thread of a connector until its vendor answers.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


@click.command()
@config_option
@click.option("--wait", is_flag=True, hidden=True, help="Kept for scripts: reload always waits for the outcome.")
def reload(path: Path, wait: bool) -> None:
    """Apply the changed configuration of the running daemon, and say how it went. Nothing under way is dropped."""
    answer = ask_daemon(path, "reload")
    say(f"reloaded: {counted(answer['rules'], 'rule')}")
