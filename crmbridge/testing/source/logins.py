"""Tests of logging in, and of what must be reported where it fails."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from crmbridge.contract import Describing, Source, Teams, WebhookSource
from crmbridge.errors import SourceError
from crmbridge.model import RecordSpec
from crmbridge.testing.source.parts import Can, SourceParts, needs
from crmbridge.testing.standin import StandIn
from crmbridge.testing.world import World


class LoginsContract(SourceParts):
    """The tests of a source's shape, its credentials and its tokens."""

    def test_its_abilities_are_those_it_has(self, make: Callable[..., Any]) -> None:
        source = make()
        assert isinstance(source, Source) == (Can.POLL in self.can)
        assert isinstance(source, WebhookSource) == (Can.WEBHOOK in self.can)
        assert isinstance(source, Teams) == (Can.TEAMS in self.can)
        assert isinstance(source, Describing) == (Can.SCHEMA in self.can)

    def test_every_option_is_described(self) -> None:
        for name, facts in self.connector.options.model_fields.items():
            assert (facts.description or "").endswith("."), name

    @needs(Can.POLL)
    def test_check_proves_the_login(self, world: World) -> None:
        world.call(world.source.check)

    @needs(Can.LOGIN)
    def test_wrong_credentials_are_told_without_them(self, make: Any, worlds: Any, crm: StandIn, caplog: Any) -> None:
        caplog.set_level(logging.DEBUG)
        world = worlds(make(self.wrong_credentials(self.options(crm))))
        with pytest.raises(SourceError) as told:
            world.call(world.source.check)
        self.shows_no_secret(str(told.value), repr(told.value), caplog.text, repr(world.source), repr(vars(world.source)))

    @needs(Can.SCHEMA)
    def test_a_field_that_cannot_be_read_is_named(self, world: World, crm: StandIn) -> None:
        crm.hidden_fields.add("stage")
        with pytest.raises(SourceError, match=self.fields["stage"]):
            world.call(world.source.check)

    @needs(Can.SCHEMA)
    def test_a_record_type_that_is_not_there_is_named(self, make: Any, worlds: Any, records: Mapping[str, RecordSpec]) -> None:
        world = worlds(make(records={"Nonsense": records[self.record_type]}))
        with pytest.raises(SourceError, match="Nonsense"):
            world.call(world.source.check)

    @needs(Can.LOGIN)
    def test_a_token_is_replaced_before_it_expires(self, world: World, crm: StandIn) -> None:
        self.begun(crm, world)
        logins, asked = crm.logins, len(crm.requests)
        crm.tick(crm.lifetime.total_seconds() - 260)  # `begun` lets some minutes pass; the rest is soon less than a margin
        world.poll()
        crm.tick(150)
        id = crm.create()
        assert [event.record_id for event in world.poll()] == [id]
        assert crm.logins >= logins
        assert not [one for one in crm.requests[asked:] if getattr(one, "refused", False)]

    @needs(Can.LOGIN)
    def test_a_token_that_is_refused_is_replaced_once(self, world: World, crm: StandIn) -> None:
        """Expect a refused token to be replaced once, for the vendor may end it at any time.

        A login that is no longer good is reported, and not tried over and over.
        """
        self.begun(crm, world)
        logins = crm.logins
        crm.revoke()
        id = crm.create()
        assert [event.record_id for event in world.poll()] == [id]
        assert crm.logins == logins + 1
        crm.revoke()
        crm.refusing = True
        asked = len(crm.requests)
        with pytest.raises(SourceError):
            world.poll()
        assert len(crm.requests) - asked <= 4

    @needs(Can.LOGIN)
    def test_many_threads_log_in_once(self, make: Any, crm: StandIn) -> None:
        source, together, failed = make(), Barrier(8), list[BaseException]()

        def read() -> None:
            together.wait()
            try:
                source.poll(None)
            except BaseException as error:
                failed.append(error)

        threads = [Thread(target=read) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        asyncio.run(_done(source.close()))
        assert (failed, crm.logins) == ([], 1)

    @needs(Can.LOGIN)
    def test_a_token_outlives_a_restart(self, make: Any, worlds: Any, crm: StandIn, tmp_path: Path) -> None:
        """Expect a token to be kept in a file that nobody else may read. Other credentials do not use it."""
        for _ in range(2):
            world = worlds(make())
            world.call(world.source.check)
        assert crm.logins == 1
        kept = [path for path in tmp_path.iterdir() if path.is_file() and "token" in path.name]
        assert {oct(path.stat().st_mode & 0o777) for path in kept} == {"0o600"}


async def _done(result: Any) -> None:
    """Await the result of a method, whether it is `def` or `async def`."""
    if inspect.isawaitable(result):
        await result
