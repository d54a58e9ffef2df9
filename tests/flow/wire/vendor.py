"""The stage of sources that have a stand-in of their vendor: the one that is configured, and another beside it."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flow.wire.bridge import Stage, facts

from crmbridge.errors import SourceError


class Vendor(Stage):
    """`$crm` and `$far` are two of the vendor's servers on one clock, which is crmbridge's too."""

    def make(self) -> Any:
        """A stand-in."""
        raise NotImplementedError

    def prepare(self) -> None:
        self.crm, self.far = self.server("crm", self.make()), self.server("far", self.make())

    def now(self) -> Any:
        return self.crm.now

    def tick(self, seconds: float) -> None:
        """Time passes for all."""
        for one in (self.crm, self.far):
            one.tick(seconds)

    def polled(self, *names: str) -> Any:
        """What a poll tells, or why it cannot."""
        try:
            return facts(self.poll(), *names)
        except SourceError as error:
            return str(error)

    def begun(self) -> str:
        """One record that was there before a first poll, which learns it; returns its id."""
        self.start()
        id = self.crm.create()
        self.tick(120)
        assert self.polled("record_id") == []
        self.crm.told()
        self.tick(120)
        return id

    def told(self, *names: str) -> list[Any]:
        """What the webhooks tell that the vendor has to send; a refusal's status."""
        refused = [status for request in self.crm.told() if (status := self.receive(request)) >= 300]
        return refused + facts(self.news(), *names)

    def many(self) -> list[int]:
        """How many records each transaction of a first poll brings, of 25 that are there."""
        for _ in range(25):
            self.crm.create()
        self.tick(120)
        self.tried()
        return [one for one in self.batches if one]

    def tried(self) -> None:
        """One poll, however it ends."""
        self.start()
        self.polled()

    def seen(self, server: Any = None) -> list[Any]:
        """Requests by path, query, headers and body."""
        return [Request(one) for one in (server or self.crm).requests]


def described(name: str, options: Mapping[str, Any], record: str, title: str) -> str:
    """A configuration with one source of a type, which reads one field of one record type."""
    written = "".join(f"{key}: {json.dumps(value)}\n    " for key, value in options.items())
    return f"""
crmbridge: 1
sources:
  crm:
    type: {name}
    {written}
    records: {{{record}: {{fields: {{{title}: public}}}}}}
destinations: {{out: {{type: console}}}}
"""


class Request:
    """One request as a test looks at it."""

    def __init__(self, seen: Any) -> None:
        address = urlsplit(seen.path)
        self.path = address.path
        self.query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.headers = seen.headers
        self.body = seen.body

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}
