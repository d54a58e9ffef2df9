"""The stage of the keys that only a running daemon shows: all its parts, in this process."""

import asyncio
import contextlib
import http.client
import json
import socket
import sqlite3
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from unittest import mock

import requests
import yaml
from flow.daemon import free_port
from flow.wire.core import Core
from shared import NOW

from crmbridge.app import App
from crmbridge.config.load import load


class Running(Core):
    """A daemon. What it is told goes through its own doors."""

    def prepare(self) -> None:
        super().prepare()
        self.ports = [free_port(), free_port()]
        self.places |= {"$one": f"127.0.0.1:{self.ports[0]}", "$two": f"127.0.0.1:{self.ports[1]}"}
        self.asked_to_wait: list[float] = []

    def now(self) -> datetime:
        """The machine's: a scheduler whose clock nobody can set goes by it. Nothing here depends on the day."""
        return datetime.now(timezone.utc)

    def document(self, document: dict[str, Any]) -> None:
        document.setdefault("server", {}).setdefault("listen", "$one")
        super().document(document)

    def go(self) -> "Running":
        """Begin the daemon; it ends with the stage."""
        self.app = App(load(self.path), now=self.now)
        self._watch_timers(self._runner.get_loop())
        with mock.patch("crmbridge.app._ALERT_EVERY", 1):
            self._run(self.app.start())
        self._stack.callback(lambda: self._run(self._stop()))
        return self

    async def _stop(self) -> None:
        self.app.stop()
        assert await self.app.run() == 0

    def _watch_timers(self, loop: Any) -> None:
        later, at = loop.call_later, loop.call_at

        def noted(delay: float, *args: Any, **facts: Any) -> Any:
            self.asked_to_wait.append(delay)
            return later(delay, *args, **facts)

        def noted_at(when: float, *args: Any, **facts: Any) -> Any:
            self.asked_to_wait.append(when - loop.time())
            return at(when, *args, **facts)

        loop.call_later, loop.call_at = noted, noted_at

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Let the daemon work until something holds, and give that."""

        async def whole() -> Any:
            while not (found := await asyncio.to_thread(condition)):
                await asyncio.sleep(0.01)
            return found

        try:
            return self._run(whole())
        except TimeoutError:
            raise AssertionError(f"it did not come to that: {what}") from None

    def meanwhile(self, work: Callable[[], Any]) -> Any:
        """What `work` gives, while the daemon goes on."""
        return self._run(asyncio.to_thread(work))

    def get(self, path: str, port: int = 0) -> Any:
        """What it answers on one of two ports; None where nobody listens."""

        def ask() -> Any:
            try:
                return requests.get(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=30, allow_redirects=False)
            except requests.ConnectionError:
                return None

        return self.meanwhile(ask)

    def change(self, id: int = 1, **fields: Any) -> None:  # type: ignore[override]
        """One change of a record, posted."""
        body = {"type": "Deal", "id": id, "kind": "updated", "fields": {"name": "Parkers", "stage": "won"} | fields, "at": str(self.now())}
        url = f"http://127.0.0.1:{self.ports[0]}/hooks/crm"
        assert self.meanwhile(lambda: requests.post(url, json=body, timeout=30)).status_code == 202

    def ask(self, verb: str, path: str = "crmbridge.sock", **arguments: Any) -> Any:
        """A verb over the admin socket; None where nobody listens."""
        return self.meanwhile(lambda: self.ask_from_a_thread(verb, path, **arguments))

    def ask_from_a_thread(self, verb: str, path: str = "crmbridge.sock", **arguments: Any) -> Any:
        """The same while the daemon goes on, as within `until`."""
        connection = http.client.HTTPConnection("admin")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.sock.connect(str(self.folder / path))
            connection.request("POST", f"/api/v1/{verb}", json.dumps(arguments))
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except OSError:
            return None
        finally:
            connection.close()
        assert answer.status == 200, said
        return said

    def heard(self, server: Any, least: int = 1) -> list[Any]:
        """What a stand-in heard, once it is so much."""
        return self.until(lambda: list(server.seen) if len(server.seen) >= least else None, f"{least} requests")

    # --- its database

    def count(self, table: str) -> int:
        """Rows of a table of the store."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/crmbridge.db?mode=ro", uri=True)) as db:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def deliveries(self, state: str) -> int:
        """Messages in a state."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/crmbridge.db?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM deliveries WHERE state = ?", (state,)).fetchone()[0])

    def earlier(self) -> None:
        """What the store holds of a change of 400 days ago and of one of 40, both told at once, and of an order each."""
        text = self.path.read_text()
        with Core(self.folder) as past:
            past.document(yaml.safe_load(text.replace(self.places["$sink"], "$sink")))
            past.clock.seconds = (self.now() - NOW).total_seconds() - 400 * 86_400
            past.start()
            for id in (1, 2):
                past.change(id=id)
                assert len(past.said()) == id
                past.ordered("pause")
                past.clock.advance(360 * 86_400)
        self.path.write_text(text)
