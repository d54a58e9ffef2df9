"""The parts of the tests of sources: fixtures, and the words of the scenario."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from crmbridge.contract import Connector, Setting, WebhookRequest
from crmbridge.model import ChangeEvent, FieldSpec, FieldType, Network, RecordSpec
from crmbridge.testing.standin import StandIn
from crmbridge.testing.world import World

OVERLAP = 60  # seconds that the sources of this suite look back


class Can(StrEnum):
    """What a source can do, as far as its vendor allows it. The table of connectors uses these words."""

    POLL = "poll"
    WEBHOOK = "webhook"
    SIGNED = "signed"  # webhooks prove their sender by a signature of the body
    OLD_VALUES = "old values"  # the vendor tells them; otherwise they come from what was seen before
    DELETES = "deletes"
    MERGES = "merges"
    TEAMS = "teams"
    SCHEMA = "schema"
    LOGIN = "login"  # it obtains tokens that expire
    QUOTA = "quota"  # the vendor tells how much of it is used
    LINKS = "links"
    RIGHTS = "rights"  # it proves the rights that its login needs


F = TypeVar("F", bound=Callable[..., Any])


def needs(*abilities: Can) -> Callable[[F], F]:
    """Mark a test of abilities that not every vendor has. A class whose vendor lacks one has no such test."""

    def mark(test: F) -> F:
        wanted: frozenset[Can] = getattr(test, "needed", frozenset())
        test.needed = wanted | frozenset(abilities)  # type: ignore[attr-defined]
        return test

    return mark


class SourceParts:
    """The fixtures and words that the tests share."""

    def __init_subclass__(cls, **facts: Any) -> None:
        super().__init_subclass__(**facts)
        if not hasattr(cls, "can"):
            return
        for name in dir(cls):
            needed: frozenset[Can] = getattr(getattr(cls, name), "needed", frozenset())
            if not needed <= cls.can:
                setattr(cls, name, None)

    connector: ClassVar[Connector]
    record_type: ClassVar[str]
    fields: ClassVar[Mapping[str, str]]
    """This vendor's names for title, stage, amount and owner."""
    can: ClassVar[frozenset[Can]]
    proven: ClassVar[str] = "stand-in"
    """What these tests run against."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """The secrets among the options. None of them may be shown anywhere."""
    page: ClassVar[int] = 10
    """The number of records of one read, as `options` asks for."""

    def stand_in(self, folder: Path) -> StandIn:
        """Make the stand-in of the vendor."""
        raise NotImplementedError

    def options(self, crm: StandIn) -> dict[str, Any]:
        """Return the options as under `sources:`, with an overlap of OVERLAP seconds and pages of `page` records."""
        raise NotImplementedError

    def wrong_credentials(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return `options` with credentials that cannot log in."""
        raise NotImplementedError

    def forgeries(self, request: WebhookRequest) -> Iterator[WebhookRequest]:
        """Yield requests like `request` that prove nothing, of kinds that only this vendor has."""
        yield from ()

    # --- parts

    @pytest.fixture
    def crm(self, tmp_path: Path) -> Iterator[StandIn]:
        with self.stand_in(tmp_path) as made:
            yield made

    @pytest.fixture
    def records(self) -> Mapping[str, RecordSpec]:
        types = {"amount": FieldType.NUMBER}
        return {self.record_type: {name: FieldSpec(type=types.get(word, FieldType.ANY)) for word, name in self.fields.items()}}

    @pytest.fixture
    def make(self, crm: StandIn, records: Mapping[str, RecordSpec], tmp_path: Path) -> Callable[..., Any]:
        """Return a function that makes a source. `changes` replace options; `facts` replace what the core gives it."""

        def made(changes: Mapping[str, Any] | None = None, **facts: Any) -> Any:
            given: dict[str, Any] = {
                "name": "crm", "network": Network(deadline=5.0), "records": records, "now": lambda: crm.now, "folder": tmp_path,
                "state_folder": tmp_path,
            }  # fmt: skip
            options = {**self.options(crm), **(changes or {})}
            return self.connector.build(self.connector.options(**options), Setting(**(given | facts)))

        return made

    @pytest.fixture
    def worlds(self, tmp_path: Path, records: Mapping[str, RecordSpec], crm: StandIn) -> Iterator[Callable[..., World]]:
        """Return a function that makes a world around a source, each with a store of its own."""
        made: list[World] = []

        def build(source: Any, others: Mapping[str, RecordSpec] | None = None) -> World:
            folder = tmp_path / f"world{len(made)}"
            folder.mkdir()
            made.append(World(source, others or records, folder, lambda: crm.now))
            return made[-1]

        yield build
        for one in made:
            one.close()

    @pytest.fixture
    def world(self, worlds: Callable[..., World], make: Callable[..., Any]) -> World:
        return worlds(make())

    def says(self, event: ChangeEvent, word: str, *, before: bool = False) -> Any:
        """Return the value of an event under one of the scenario's words. A choice counts as its value."""
        value = (event.before if before else event.fields).get(self.fields[word])
        return getattr(value, "value", value)

    def begun(self, crm: StandIn, world: World) -> str:
        """Begin with one record from before the first start, which is learnt. Return its id."""
        id = crm.create()
        crm.tick(120)
        if Can.POLL in self.can:
            crm.told()
            assert world.poll() == []
        else:
            self.changes(crm, world)
        crm.tick(120)
        return id

    def changes(self, crm: StandIn, world: World) -> list[ChangeEvent]:
        """Return what is new, by a poll, or by webhooks where there are no polls."""
        if Can.POLL in self.can:
            return world.poll()
        for request in crm.told():
            assert world.hear(request) < 300
        return world.news()

    def shows_no_secret(self, *shown: str) -> None:
        for text in shown:
            for secret in self.secrets:
                assert secret not in text
                assert base64.b64encode(secret.encode()).decode() not in text
            assert "canary-token-" not in text
