"""A stand-in of a vendor on the loopback interface: records with a life, a clock of its own, logins, a quota, and troubles on demand.

A subclass answers HTTP as its vendor does (`respond`), out of `rows`. It is driven by the same words for every vendor, so
that one scenario proves all sources.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Self

from crmbridge.contract import WebhookRequest
from crmbridge.testing.server import Behaviour, Exchange, ScriptedServer

BEGIN = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


@dataclass(slots=True)
class Row:
    """One record. `fields` are named by the scenario's words: title, stage, amount, owner."""

    id: str
    fields: dict[str, Any]
    created: datetime
    modified: datetime
    deleted: datetime | None = None
    merged_into: str | None = None
    visible: bool = True
    team: list[str] = field(default_factory=list)
    """The ids of the people on its team besides the owner."""


PEOPLE: Mapping[str, tuple[str, str]] = {"1": ("Susan Vale", "susan@acme.example"), "2": ("Omar Haddad", "omar@acme.example")}
"""The people of the vendor's customer: name and address by id."""


class StandIn:
    """A stand-in of a vendor, as a context manager. `url` is its address, and `requests` holds what it was asked."""

    first_id = 1001

    def __init__(self) -> None:
        self.now = BEGIN
        self.rows: dict[str, Row] = {}
        self.webhooks: list[WebhookRequest] = []
        """The webhooks that wait to be sent, where the vendor sends any. `told` takes them."""
        self.hidden_fields: set[str] = set()
        """The scenario's words for fields that the login may not read."""
        self.withdrawn: set[str] = set()
        """The rights that the login does not have, by the names that the source gives them."""
        self.lifetime = timedelta(hours=1)
        """How long an access token is good."""
        self.tokens: dict[str, datetime] = {}
        self.logins = 0
        self.refusing = False
        """True if no login is good any more."""
        self.used, self.quota = 10, 100_000
        """The number of requests that the vendor has counted, and how many there may be."""
        self._ids = itertools.count(self.first_id)
        self.server = ScriptedServer(self._next)

    # --- the life of records

    def create(self, *, at: datetime | None = None, **fields: Any) -> str:
        """Create a record and return its id.

        With `at` it is stamped then, though it is seen only from now on, like a transaction that was committed late.
        """
        moment = at or self.now
        facts = {"title": "Parkers", "stage": "open", "amount": "100.50", "owner": "1"} | fields
        row = Row(self.name_id(next(self._ids)), facts, moment, moment)
        self.rows[row.id] = row
        self.tell("created", row, {})
        return row.id

    def update(self, id: str, *, at: datetime | None = None, **fields: Any) -> None:
        row = self.rows[id]
        before = {name: row.fields[name] for name in fields}
        row.fields |= fields
        row.modified = at or self.now
        self.tell("updated", row, before)

    def delete(self, id: str) -> None:
        row = self.rows[id]
        row.deleted = row.modified = self.now
        self.tell("deleted", row, {})

    def restore(self, id: str) -> None:
        row = self.rows[id]
        row.deleted, row.merged_into, row.modified = None, None, self.now
        self.tell("restored", row, {})

    def merge(self, loser: str, winner: str) -> None:
        row = self.rows[loser]
        row.deleted = row.modified = self.rows[winner].modified = self.now
        row.merged_into = winner
        self.tell("merged", row, {})

    def hide(self, id: str) -> None:
        """Hide a record from this login. The record still exists."""
        self.rows[id].visible = False
        self.tell("hidden", self.rows[id], {})

    def show(self, id: str) -> None:
        self.rows[id].visible = True
        self.tell("shown", self.rows[id], {})

    def seen(self) -> list[Row]:
        """List the records that the login may read, by (modified, id)."""
        return sorted((row for row in self.rows.values() if row.visible), key=lambda row: (row.modified, row.id))

    def name_id(self, number: int) -> str:
        """Write an id as this vendor does."""
        return str(number)

    def tell(self, what: str, row: Row, before: Mapping[str, Any]) -> None:
        """Append to `webhooks` what the vendor tells of a change.

        `what`: created, updated, deleted, restored, merged, hidden or shown.
        """

    def told(self) -> list[WebhookRequest]:
        """Take the webhooks that came up since the last call."""
        found, self.webhooks = self.webhooks, []
        return found

    def tick(self, seconds: float = 1.0) -> None:
        self.now += timedelta(seconds=seconds)

    # --- logins

    def log_in(self) -> str:
        """Make a new access token."""
        self.logins += 1
        token = f"canary-token-{secrets.token_hex(8)}"
        self.tokens[token] = self.now + self.lifetime
        return token

    def knows(self, authorization: str) -> bool:
        """Say whether a bearer token is good now."""
        kind, _, token = authorization.partition(" ")
        return kind == "Bearer" and token in self.tokens and self.now < self.tokens[token]

    def revoke(self) -> None:
        """End all tokens at once."""
        self.tokens.clear()

    # --- rights

    def withdraw(self, right: str) -> None:
        """Take a right away from the login, as an administrator would."""
        self.withdrawn.add(right)

    def give(self, right: str) -> None:
        self.withdrawn.discard(right)

    # --- HTTP

    def respond(self, exchange: Exchange) -> None:
        """Answer one request as the vendor does."""
        raise NotImplementedError

    def then(self, *behaviours: Behaviour) -> None:
        """Give the next requests these behaviours instead."""
        self.server.then(*behaviours)

    def _next(self, exchange: Exchange) -> None:
        self.respond(exchange)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def requests(self) -> list[Any]:
        return self.server.seen

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()
