"""The base of the stand-ins of presets: JSON, a login, rights by paths, fields that are gone, a quota in headers, odd answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from crmbridge.testing.server import Exchange
from crmbridge.testing.standin import Row, StandIn

TOKEN = "canary-preset-token"  # noqa: S105  # nosec B105  # opens only a stand-in
Answer = tuple[int, Any]
"""The status and body of an answer. None is no body."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One request and its answer."""

    path: str
    """The path after the address of the API."""
    asked: Mapping[str, Any]
    """The parameters of the query, and the keys of a body."""
    status: int
    body: Any


class Json(StandIn):
    """A vendor that answers JSON. `answer` is the part that each vendor writes itself."""

    BASE: ClassVar[str] = ""
    """The path that stands before each path of the API."""

    def __init__(self) -> None:
        super().__init__()
        self.endless = False
        """The vendor ignores which page it is asked for."""
        self.headers: Mapping[str, str] = {}
        """Further headers of each answer, which tell of its quota."""
        self.odd: Callable[[Any], Any] = lambda body: body
        """A function that changes each good answer before it is given."""
        self.touched = 0
        """The number of records that `odd` has changed."""
        self.said: list[Dialogue] = []

    def respond(self, exchange: Exchange) -> None:
        address = urlsplit(exchange.path)
        asked = {name: values[-1] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        path = address.path.removeprefix(self.BASE)
        if self.refusing or not self.admitted(exchange.headers):
            return self.say(exchange, *self.refusal())
        if f"{exchange.seen.method} {self.url}{address.path}" in self.withdrawn:
            return self.say(exchange, *self.denial())
        body = exchange.seen.json() if exchange.seen.body and exchange.seen.method == "POST" else None
        status, found = self.answer(path, asked, body, exchange.headers)
        self.said.append(Dialogue(path, {**asked, **(body or {})}, status, found))
        return self.say(exchange, status, self.odd(found) if status < 300 else found)

    def admitted(self, headers: Any) -> bool:
        """Say whether these headers prove a login."""
        return bool(headers.get("Authorization") == f"Bearer {TOKEN}")

    def refusal(self) -> Answer:
        """Return the answer to a client that the vendor does not know."""
        return 401, {"message": "who are you?"}

    def denial(self) -> Answer:
        """Return the answer to a client that lacks the right."""
        return 403, {"message": "not for you"}

    def answer(self, path: str, asked: Mapping[str, str], body: Any, headers: Any) -> Answer:
        """Answer a request, by its path after BASE, its query, its JSON and its headers."""
        raise NotImplementedError

    def live(self) -> list[Row]:
        """List the records that the login may read, by (modified, id), without deleted ones."""
        return [row for row in self.seen() if row.deleted is None]

    def gone(self) -> list[Row]:
        """List the deleted records, the latest first."""
        found = [row for row in self.rows.values() if row.deleted is not None]
        return sorted(found, key=lambda row: (row.deleted or self.now, row.id), reverse=True)

    def shown(self, fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields without those that the login may not read. `names` are the vendor's words for the scenario's."""
        hidden = {names[word] for word in self.hidden_fields}
        return {name: value for name, value in fields.items() if name not in hidden}

    def cut(self, rows: Sequence[Row], begin: Any, size: Any) -> Sequence[Row]:
        """Return one page of the rows."""
        begin = 0 if self.endless else int(begin)
        return rows[begin : begin + int(size)]

    def say(self, exchange: Exchange, status: int, body: Any, headers: Mapping[str, str] | Collection[tuple[str, str]] = ()) -> None:
        """Answer with JSON."""
        data = b"" if body is None else json.dumps(body).encode()
        exchange.reply(status, data, {"Content-Type": "application/json", **self.headers, **dict(headers)})
