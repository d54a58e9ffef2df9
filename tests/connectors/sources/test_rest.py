"""The rest source, by each way that APIs page, sort and log in."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from standins.rest import CLIENT_SECRET, TOKEN, Rest

from connectors.sources.rest import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.model import FieldSpec, Network, parse_instant
from crmbridge.rest import RestOptions, described
from crmbridge.rest.asking import Found, written
from crmbridge.rest.options import Described
from crmbridge.rest.source import RestSource
from crmbridge.testing import Can, ScriptedServer, SourceContract, answer
from crmbridge.testing.standin import BEGIN

PAGING = {
    "offset": {"style": "offset", "parameter": "offset"},
    "page": {"style": "page", "parameter": "page"},
    "cursor": {"style": "cursor", "parameter": "after", "next": "data.next"},
    "link": {"style": "link"},
}


class Contract(SourceContract):
    connector = CONNECTOR
    record_type = "Deal"
    fields: ClassVar = {"title": "title", "stage": "stage", "amount": "money.amount", "owner": "owner"}
    can = frozenset({Can.POLL, Can.DELETES, Can.LINKS, Can.LOGIN, Can.RIGHTS})
    secrets = (CLIENT_SECRET,)
    style: ClassVar[str] = "offset"
    ascending: ClassVar[bool] = True
    since: ClassVar[str | None] = "iso_ms"

    def stand_in(self, folder):
        return Rest(self.style, ascending=self.ascending, since=self.since)

    def options(self, crm):
        deals = {
            "path": "/deals",
            "items": "data.items",
            "id": "key.id",
            "changed": "meta.changed",
            "created": "meta.made",
            "deleted": "meta.gone",
            "fields": "fields",
            "url": "https://crm.example.com/deals/{id}",
            "ascending": self.ascending,
            "size": 10,
            "size_parameter": "limit",
            "paging": PAGING[self.style],
        }
        if self.since:
            deals["since"] = {"parameter": "since", "format": self.since}
        auth = {"scheme": "oauth2", "token_url": f"{crm.url}/oauth/token", "client_id": "app", "client_secret": CLIENT_SECRET}
        return {"url": f"{crm.url}/v1", "auth": auth, "types": {"Deal": deals}, "overlap": 60}

    def wrong_credentials(self, options):
        return options | {"auth": options["auth"] | {"client_secret": "another"}}


class TestOffset(Contract):
    pass


class TestPage(Contract):
    style = "page"
    since = "epoch_ms"


class TestCursor(Contract):
    style = "cursor"
    since = "iso"


class TestLink(Contract):
    style = "link"
    since = "epoch"


class TestUnsorted(Contract):
    """Pages in an order of the API's own."""

    ascending = False
    style = "cursor"


class TestEverything(Contract):
    """An API that cannot be asked since when."""

    since = None
    ascending = False
    style = "link"

    def test_it_is_read_again_from_an_instant(self):
        """There is no such thing."""


class TestRest(Contract):
    """What is the source's own."""

    @pytest.mark.parametrize(
        ("scheme", "auth"),
        [
            ("bearer", {"scheme": "bearer", "token": TOKEN}),
            ("basic", {"scheme": "basic", "username": "ann", "password": TOKEN}),
            ("header", {"scheme": "header", "name": "X-Api-Key", "value": TOKEN}),
        ],
    )
    def test_ways_to_be_known(self, make, worlds, crm, scheme, auth):
        """Each as its vendors have it; a wrong one is told in the API's words."""
        crm.auth = scheme
        crm.create()
        world = worlds(make({"auth": auth}))
        world.call(world.source.check)
        assert world.poll() == []
        name = next(name for name, value in auth.items() if value == TOKEN)
        world = worlds(make({"auth": auth | {name: "another"}}))
        with pytest.raises(SourceError, match="who are you"):
            world.call(world.source.check)

    def test_records_that_are_not_sorted_are_told(self, world, crm):
        """Going on from the last one would skip the others."""
        for _ in range(8):
            crm.create()
            crm.tick()
        crm.ascending = False
        with pytest.raises(SourceError, match="not sorted"):
            world.poll()

    def test_a_tie_that_cannot_be_paged_is_told(self, make, worlds, crm):
        """Nothing is skipped in silence."""
        options = self.options(crm)
        del options["types"]["Deal"]["paging"]
        for _ in range(25):
            crm.create()
        world = worlds(make(options))
        with pytest.raises(SourceError, match="more than 10 records"):
            world.poll()

    def test_credentials_go_to_nobody_else(self, make, worlds, crm):
        """An API that names a stranger for its next page is refused."""
        options = self.options(crm)
        options["types"]["Deal"] |= {"paging": PAGING["link"], "ascending": False}
        crm.style = "link"
        for _ in range(25):
            crm.create()
        page = {"data": {"items": [crm.row(row) for row in crm.seen()[:10]]}}
        crm.log_in()
        world = worlds(make(options))
        world.call(world.source.check)
        crm.then(answer(200, page, {"Link": '<https://evil.example/next>; rel="next"'}))
        with pytest.raises(SourceError, match=r"evil\.example"):
            world.poll()

    def test_a_misspelt_field_is_named(self, make, worlds, crm):
        """Where enough records prove it."""
        records = {"Deal": {"titel": FieldSpec()}}
        world = worlds(make(records=records), records)
        crm.create()
        world.call(world.source.check)
        for _ in range(12):
            crm.create()
        with pytest.raises(SourceError, match=r"none of 10 records has titel; the first has money, owner, stage, title"):
            world.call(world.source.check)

    @pytest.mark.parametrize(
        ("change", "words"), [({"items": "data"}, "no list"), ({"id": "key"}, "no id"), ({"changed": "meta"}, "no instant")]
    )
    def test_what_does_not_stand_where_it_should_is_told(self, make, worlds, crm, change, words):
        """With its path."""
        options = self.options(crm)
        options["types"]["Deal"] |= change
        crm.create()
        world = worlds(make(options))
        with pytest.raises(SourceError, match=words):
            world.poll()


@pytest.mark.parametrize("form", ["iso", "iso_ms", "epoch", "epoch_ms", "date"])
def test_an_instant_as_it_is_asked_is_never_later(form):
    """It is cut, so that nothing of the unit is left out."""
    for step in range(0, 3000, 7):
        moment = BEGIN + timedelta(milliseconds=step, microseconds=step)
        said = written(moment, form)
        read = parse_instant(said) if not said.isdigit() else None
        number = int(said) / (1000 if form == "epoch_ms" else 1) if read is None else read.timestamp()
        assert moment.timestamp() - 86_400 < number <= moment.timestamp()


def test_fields_that_go_by_a_number():
    """Custom fields often have no other name; what has none at all is no field."""
    rows = [{"id": 45, "name": "Area"}, {"id": "46"}, {"id": None, "name": "Gone"}, {"id": True}, {"name": "Else"}]
    one = Described(path="/fields", name="id", label="name", prefix="custom.")
    assert [(info.name, info.label) for info in described(one, SimpleNamespace(json=rows))] == [("custom.45", "Area"), ("custom.46", "46")]


@pytest.mark.parametrize("omits_empty", [False, True])
def test_a_field_that_few_records_leave_out_is_not_gone(monkeypatch, omits_empty):
    """An API that leaves out what is empty, one record changed since, and no phone in it: that is no trouble."""
    deals = {"path": "/d", "changed": "u", "omits_empty": omits_empty}
    options = RestOptions.model_validate(
        {"url": "https://crm.example.com", "auth": {"scheme": "bearer", "token": TOKEN}, "types": {"Deal": deals}}
    )
    source = RestSource(options, Setting(name="crm", records={"Deal": {"name": FieldSpec(), "phone": FieldSpec()}}))
    items = []
    monkeypatch.setattr(source._api, "page", lambda *_: Found(items, ""))
    for count, phone, lacking in [(1, True, {"Deal": []}), (1, False, {}), (9, False, {}), (10, False, {"Deal": ["phone"]})]:
        items[:] = [{"id": n, "u": "2026-11-22T11:00:00Z", "name": "x"} | ({"phone": "1"} if phone else {}) for n in range(count)]
        assert source.poll(None).lacking == lacking
    source.close()


# --- an API that leads in a circle


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_of_pages_is_told(length, tmp_path):
    """However long it is; what stood on its pages is not told again and again, and a mended API goes on from there."""
    pages = {"": "1", **{str(number): str(number % length + 1) for number in range(1, length + 1)}}

    def respond(exchange):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(exchange.path).query).items()}
        place = asked.get("after", "")
        items = [{"id": f"{place or 0}-{number}", "at": "2026-11-22T12:00:00Z"} for number in range(2)]
        exchange.reply(200, json.dumps({"data": items, "next": pages.get(place)}).encode(), {"Content-Type": "application/json"})

    with ScriptedServer(respond) as server:
        deal = {"path": "/deals", "items": "data", "changed": "at", "size": 2, "ascending": False}
        deal["paging"] = {"style": "cursor", "parameter": "after", "next": "next"}
        options = CONNECTOR.options(url=server.url, auth={"scheme": "bearer", "token": "t"}, types={"Deal": deal})
        source = CONNECTOR.build(options, Setting(name="crm", network=Network(deadline=5.0), folder=tmp_path))
        page = source.poll(None)
        for _ in range(length - 1):
            page = source.poll(page.cursor)
        with pytest.raises(SourceError, match="leads in a circle"):
            source.poll(page.cursor)
        assert len(server.seen) == length + 1
        pages[str(length)] = None
        assert not source.poll(page.cursor).has_more
