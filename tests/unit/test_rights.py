"""Rights of a login: looked at when its source begins, then slowly; whatever happens to that, changes are read."""

import asyncio
import logging
from dataclasses import replace

import pytest
from test_interpreter import Part
from test_poller import Crm, make, page
from test_troubles import GOOD, GOOD_SOURCE, LACKING

from crmbridge.contract import Caller, Promise, Right
from crmbridge.errors import SourceError
from crmbridge.intake.rights import EVERY, Rights
from crmbridge.store import SqliteStore
from crmbridge.troubles.find import find
from crmbridge.troubles.trouble import Code

OWNERS = Right(name="crm.objects.owners.read", promise=Promise.TEAMS, lost="who owns a record is not known", refused="HTTP 403")


class Entitled(Crm):
    """A source whose rights are given, or cannot be looked at."""

    def __init__(self, *pages, rights=()):
        super().__init__(*pages)
        self.given_rights = rights
        self.looks = 0

    def rights(self):
        self.looks += 1
        if isinstance(self.given_rights, Exception):
            raise self.given_rights
        return self.given_rights


@pytest.fixture
async def part(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield Part(store)
    store.close()


def looking(crm):
    """Rights on a clock of their own."""
    clock = [1000.0]
    return Rights("crm", crm, call=Caller("test", 1), monotonic=lambda: clock[0]), clock


async def test_it_is_looked_at_again_slowly_and_when_people_changed_something():
    crm = Entitled(rights=[LACKING, replace(OWNERS, refused="")])
    rights, clock = looking(crm)
    looks = []
    for seconds in (0, EVERY - 1, 2, 10):
        clock[0] += seconds
        await rights.look()
        looks.append(crm.looks)
    assert (looks, rights.lacking) == ([1, 1, 2, 2], [LACKING])
    crm.given_rights = [replace(LACKING, refused=""), replace(OWNERS, refused="", note="may be meant so")]
    rights.forget()
    await rights.look()
    assert (crm.looks, rights.lacking) == (3, [])


@pytest.mark.parametrize("error", [SourceError("HTTP 503"), KeyError("nobody foresaw this")])
async def test_what_is_known_stands_where_nobody_answers(error):
    """And it is tried again sooner; each right that lacks is logged once."""
    crm = Entitled(rights=[LACKING])
    rights, clock = looking(crm)
    await rights.look()
    crm.given_rights = error
    clock[0] += EVERY
    await rights.look()
    assert rights.lacking == [LACKING]
    crm.given_rights = [LACKING]
    clock[0] += EVERY / 10
    await rights.look()
    assert (crm.looks, rights.lacking) == (3, [LACKING])


async def test_a_right_that_lacks_is_logged_once(caplog):
    crm = Entitled(rights=[LACKING])
    rights, _ = looking(crm)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            rights.forget()
            await rights.look()
    (said,) = [one for one in caplog.records if one.message == "the login lacks a right"]
    assert (said.source, said.right, said.lost) == ("crm", LACKING.name, LACKING.lost)


async def test_a_poller_looks_before_its_first_poll_and_reads_on_without(part):
    """A look that fails holds up nothing."""
    crm = Entitled(page("1", ("a", "old")), rights=KeyError("nobody foresaw this"))
    poller = make(part, crm)
    reading = asyncio.create_task(poller.run())
    async with asyncio.timeout(10):
        while not poller.state.last_success:
            await asyncio.sleep(0.01)
        assert (crm.looks, list(poller.rights.lacking)) == (1, [])
        crm.given_rights = [LACKING]
        poller.look_again()
        while not poller.rights.lacking:
            await asyncio.sleep(0.01)
    assert (crm.looks, poller.state.failures) == (2, 0)
    reading.cancel()


async def test_rights_are_not_looked_at_while_the_source_fails(part):
    """That is what must be mended first, and one cause is one trouble."""
    crm = Entitled(SourceError("down"), SourceError("down"), rights=[LACKING])
    poller = make(part, crm, chance=lambda: 0.0)
    crm.check = lambda: (_ for _ in ()).throw(SourceError("the login is refused"))
    reading = asyncio.create_task(poller.run())
    async with asyncio.timeout(10):
        while poller.state.failures < 2:
            await asyncio.sleep(0.01)
    reading.cancel()
    assert crm.looks == 0


def test_all_that_lacks_is_one_trouble_of_its_source():
    """However many rights: each is named with what is lost."""
    (found,) = find(replace(GOOD, sources=[replace(GOOD_SOURCE, lacking=[LACKING, OWNERS])]))
    assert (found.code, found.about, found.count) == (Code.RIGHT_MISSING, "crm", 2)
    for one in (LACKING, OWNERS):
        assert one.name in found.what
        assert one.lost in found.what
