"""What only HubSpot's API has: a search with a cap and a slow index, a recycle bin, labels, owners, companies, scopes."""

import random
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from pydantic import ValidationError
from standins import hubspot as hubspot_stand_in
from standins.hubspot import CLIENT_SECRET, PORTAL, REFRESH, HubspotParts

from connectors.sources.hubspot import CONNECTOR
from connectors.sources.hubspot.options import HubspotOptions
from connectors.sources.hubspot.paths import Paths
from connectors.sources.hubspot.types import stamp_property
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.model import ChangeKind, Choice, FieldSpec, FieldType, RecordRef
from crmbridge.testing import answer


def spec(*names, **types):
    return {"deals": {name: FieldSpec() for name in names} | {name: FieldSpec(type=type_) for name, type_ in types.items()}}


def test_each_type_has_its_own_stamp():
    """Searching contacts by the others' finds nothing, without an error."""
    names = ("contacts", "contact", "0-1", "deals", "companies", "tickets", "2-123", "p1_cars")
    assert [stamp_property(name) for name in names] == ["lastmodifieddate"] * 3 + ["hs_lastmodifieddate"] * 5


def test_addresses_by_version():
    """Dated versions put the version elsewhere."""
    old, new = Paths("https://x", "v3"), Paths("https://x", "2026-09")
    assert [old.objects("deals"), new.objects("deals", "search")] == [
        "https://x/crm/v3/objects/deals",
        "https://x/crm/objects/2026-09/deals/search",
    ]
    assert old.associations("deals", "companies") == "https://x/crm/v4/associations/deals/companies/batch/read"
    assert new.associations("deals", "companies") == "https://x/crm/associations/2026-09/deals/companies/batch/read"
    assert [old.token(), new.token()] == ["https://x/oauth/v1/token", "https://x/oauth/2026-09/token"]
    assert new.objects("../a?b") == "https://x/crm/objects/2026-09/..%2Fa%3Fb"


def test_what_ends_at_hubspot_is_said():
    """The undated version works for a while, and people are told when it ends; a dated one that lacks paths is refused."""
    login = {"client_id": "app", "client_secret": "s", "refresh_token": "r"}
    ((path, words),) = HubspotOptions(oauth=login, api_version="v3").notes()
    assert (path, "2027-02-16" in words, "2027-03-30" in words) == (("api_version",), True, True)
    assert "2027-02-16" not in HubspotOptions(token="t", api_version="v3").notes()[0][1]
    assert HubspotOptions(token="t").notes() == HubspotOptions(token="t", api_version="2027-03").notes() == []
    for version in ("2025-09", "2026-9", "v4", "2026-06"):
        with pytest.raises(ValueError, match="leave it out, for 2026-09"):
            HubspotOptions(token="t", api_version=version)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"token": "t", "oauth": {"client_id": "a", "client_secret": "b", "refresh_token": "c"}},
        {"token": "t", "api_version": "2026-04"},
        {"token": "t", "api_version": "v4"},
        {"token": "t", "page": 201},
        {"token": "t", "webhook": {"client_secret": "s", "url": "/hooks/crm"}},
        {"token": "t", "webhook": {"client_secret": [], "url": "https://a.example/hooks/crm"}},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        CONNECTOR.options(**options)


@pytest.mark.parametrize("records", [{}, spec("owner.shoesize"), {"deals": {"a": FieldSpec()}, "0-3": {"a": FieldSpec()}}])
def test_records_that_cannot_be(records):
    with pytest.raises(ValueError):
        CONNECTOR.build(CONNECTOR.options(token="t"), Setting(name="crm", records=records))


class TestSearching(HubspotParts):
    def test_no_search_is_paged_by_offset(self, world, crm, monkeypatch):
        """HubSpot refuses to page beyond 10,000 (here: 25), and records move while they are read."""
        monkeypatch.setattr(hubspot_stand_in, "CAP", 25)
        self.begun(crm, world)
        ids = [crm.create() for _ in range(101)]
        assert sorted(one.record_id for one in world.poll()) == sorted(ids)
        assert {one["after"] for one in crm.searches} == {"0"}
        assert len(crm.searches) < 40

    @pytest.mark.parametrize("count", [9, 10, 11, 20, 21, 40])
    def test_ties_of_any_number(self, world, crm, count):
        """Ends of pages and of ties fall together, or not."""
        self.begun(crm, world)
        ids = [crm.create(at=crm.now - timedelta(milliseconds=number // 10)) for number in range(count)]
        assert sorted(one.record_id for one in world.poll()) == sorted(ids)

    def test_the_index_may_be_behind(self, world, crm):
        """Records that have changed since are found by their old stamps, and show their new ones; nothing in between is left out."""
        ids = [crm.create(title=f"Deal {number}", at=crm.now + timedelta(seconds=number)) for number in range(40)]
        crm.tick(1000)
        crm.lag = timedelta(seconds=30)
        for id in ids[7:20]:
            crm.update(id, stage="won")
        assert world.poll() == []
        assert all(world.knows("deals", id) for id in ids)
        crm.tick(31)
        assert world.poll() == []

    def test_what_changes_while_a_long_pass_goes_on(self, world, crm):
        """The next pass looks back from where this one began, not from the newest that it met."""
        self.begun(crm, world)
        ids = [crm.create(title=f"Deal {number}") for number in range(30)]
        real, searches = crm._search, []

        def search(body):
            found = real(body)
            searches.append(body)
            if len(searches) == 3:  # the first page, the newest stamp, the second page
                crm.update(ids[0], stage="won")
                crm.tick(600)
                crm.update(ids[-1], stage="won")
            return found

        crm._search = search
        told = world.poll() + world.poll()
        assert {one.record_id for one in told} == set(ids)
        assert {one.record_id for one in told if self.says(one, "stage") == "won"} == {ids[0], ids[-1]}

    @pytest.mark.parametrize("seed", range(10))
    def test_nothing_is_missed_whatever_happens_meanwhile(self, world, crm, seed):
        """A slow index, bulk jobs, ties, records that change and go between two pages: in the end all is known as it is."""
        chance = random.Random(seed)
        crm.lag = timedelta(seconds=chance.choice([0, 5, 45]))
        real, busy = crm.respond, [True]

        def live():
            rows = [row for row in crm.rows.values() if row.deleted is None]
            match chance.randrange(8):
                case 0 | 1:
                    for _ in range(chance.choice([1, 1, 3, 25])):
                        crm.create(title=f"Deal {chance.random()}")
                case 2 | 3 | 4 if rows:
                    for row in chance.sample(rows, min(len(rows), chance.choice([1, 2, 5, 40]))):
                        crm.update(row.id, stage=chance.choice(["open", "won", "lost"]), amount=str(chance.randrange(100)))
                case 5 if rows:
                    crm.delete(chance.choice(rows).id)
            crm.tick(chance.choice([0, 0, 0.001, 1, 10, 40]))

        def respond(exchange):
            real(exchange)
            if busy[0] and chance.random() < 0.3:
                live()

        for _ in range(30):
            crm.create()
        crm.respond = respond
        for _ in range(12):
            for _ in range(chance.randrange(6)):
                live()
            world.poll()
        busy[0] = False
        crm.tick(250)
        world.poll()
        assert world.poll() == []
        known = world.run(world.store.known([RecordRef("crm", "deals", id) for id in crm.rows])).snapshots
        for id, row in crm.rows.items():
            found = known.get(RecordRef("crm", "deals", id))
            if row.deleted is None:
                assert found is not None
                assert not found.deleted
                assert (found.fields["dealstage"].value, found.fields["amount"]) == (row.fields["stage"], Decimal(row.fields["amount"]))
            else:
                assert found is None or found.deleted

    def test_searches_ask_for_ids_only(self, make, worlds, crm):
        """A search of more than 3000 characters is refused; what is configured may be longer."""
        many = [f"a_property_of_our_own_{number}" for number in range(200)]
        world = worlds(make(records=spec("dealname", *many)))
        self.begun(crm, world)
        id = crm.create()
        assert [one.record_id for one in world.poll()] == [id]

    def test_a_search_that_turns_in_a_circle_is_an_error(self, make, crm):
        """The daemon must not read one page for ever."""
        source = make()
        for _ in range(30):
            crm.create()
        crm.tick(1000)
        page = source.poll(None)
        page = source.poll(page.cursor)
        real = crm._search
        crm._search = lambda body: real({**body, "filterGroups": [{"filters": body["filterGroups"][0]["filters"][:1]}]})
        with pytest.raises(SourceError, match="does not get on"):
            source.poll(page.cursor)

    def test_searches_keep_their_distance(self, make, crm):
        """Five a second are for all apps of the account."""
        source = make({"searches_per_second": 20})
        begun = time.monotonic()
        for _ in range(3):
            source.poll(None)
        assert time.monotonic() - begun >= 0.1


class TestRecords(HubspotParts):
    def first(self, source, *ids):
        return source.fetch_many("deals", ids)[0].fields

    def test_labels(self, make, crm):
        """Stages come from the pipelines, picklists from the properties; several may be ticked."""
        source = make(records=spec("dealstage", "pipeline", "hs_priority", "tags", "closedate"))
        id = crm.create(stage="won")
        crm.more[id] = {"hs_priority": "high", "tags": "a;b;new", "closedate": "2026-12-01T00:00:00.000Z"}
        assert self.first(source, id) == {
            "dealstage": Choice("won", "Closed Won"),
            "pipeline": Choice("default", "Sales Pipeline"),
            "hs_priority": Choice("high", "High"),
            "tags": (Choice("a", "Tag A"), Choice("b", "Tag B"), Choice("new", "new")),
            "closedate": datetime(2026, 12, 1, tzinfo=timezone.utc),
        }
        crm.more[id] = {"closedate": "1572480000000"}
        assert self.first(source, id)["hs_priority"] is None
        typed = make(records=spec(dealstage=FieldType.TEXT, closedate=FieldType.DATE))
        assert self.first(typed, id) == {"dealstage": "won", "closedate": date(2019, 10, 31)}

    def test_a_stage_that_is_new(self, world, crm, monkeypatch):
        """Told by its id now and by its name later, it would be a change that never was; one without a label is asked for once."""
        id = self.begun(crm, world)
        monkeypatch.setitem(hubspot_stand_in.STAGES, "fresh", "Fresh")
        crm.update(id, stage="fresh")
        assert [one.fields["dealstage"] for one in world.poll()] == [Choice("fresh", "Fresh")]
        crm.tick()
        crm.update(id, stage="ghost")
        asked = len(crm.requests)
        assert [one.fields["dealstage"] for one in world.poll()] == [Choice("ghost", "ghost")]
        world.poll()
        assert len([one for one in crm.requests[asked:] if "/properties/" in one.path]) == 1

    def test_owners(self, make, crm):
        """Also those who have left, and nobody."""
        source = make(records=spec("owner.name", "owner.email", "owner.team"))
        ids = [crm.create(owner=owner) for owner in ("1", "9", "", "77")]
        found = {one.record_id: tuple(one.fields.values()) for one in source.fetch_many("deals", ids)}
        nobody = (None, None, None)
        assert [found[id] for id in ids] == [
            ("Susan Vale", "susan@acme.example", "Sales"),
            ("Nora Left", "left@acme.example", None),
            nobody,
            nobody,
        ]

    def test_the_primary_company(self, make, crm):
        """Associations have no order, and may come on a later page."""
        source = make(records=spec("dealname", "company.id", "company.name"))
        one, other = crm.create(), crm.create()
        crm.company_of[one] = "7001"
        found = {each.record_id: each.fields for each in source.fetch_many("deals", [one, other])}
        assert found[one] == {"dealname": "Parkers", "company.id": "7001", "company.name": "Acme Ltd"}
        assert found[other] == {"dealname": "Parkers", "company.id": None, "company.name": None}

    def test_only_what_is_configured_is_asked_for(self, make, crm):
        source = make(records=spec("dealname"))
        source.fetch_many("deals", [crm.create()])
        areas = {one.path.split("/")[2] for one in crm.requests if one.path.startswith("/crm/")}
        assert areas == {"objects", "properties", "pipelines"}

    def test_a_property_that_is_hidden_later_is_not_cleared(self, world, crm):
        """It was not looked at."""
        id = self.begun(crm, world)
        crm.hidden_fields.add("amount")
        crm.tick(3600)
        crm.update(id, stage="won")
        (event,) = world.poll()
        assert self.says(event, "amount") is not None

    def test_where_a_record_is_shown(self, make, crm):
        """HubSpot says it, or the account's details do; a login without the right to those has no links."""
        id = crm.create()
        url = f"https://app-eu1.hubspot.com/contacts/{PORTAL}/record/0-3/{id}"
        assert make().fetch_many("deals", [id])[0].url == url
        crm.show_url = False
        assert make().fetch_many("deals", [id])[0].url == url
        crm.secret_scopes.add("account-info")
        assert make().fetch_many("deals", [id])[0].url is None

    def test_more_than_one_batch(self, make, crm):
        """A batch read takes 100; what is gone is left out; ids may repeat."""
        ids = [crm.create() for _ in range(230)]
        crm.delete(ids[7])
        found = make().fetch_many("deals", [*ids, *ids, "999999"])
        assert sorted(one.record_id for one in found) == sorted({*ids} - {ids[7]})
        assert make().fetch_many("companies", ["1"]) == ()

    def test_stages_that_may_not_be_named_are_called_by_their_ids(self, make, worlds, crm):
        """And that their names come or go is no change."""
        world = worlds(make())
        id = self.begun(crm, world)
        crm.withdraw("crm.schemas.deals.read (pipelines)")
        crm.tick(1200)
        crm.update(id, title="Acme")
        (event,) = world.poll()
        assert (event.fields["dealstage"], event.before["dealname"]) == (Choice("open", "open"), "Parkers")
        assert world.poll() == []
        crm.give("crm.schemas.deals.read (pipelines)")
        crm.tick(1200)
        crm.update(id, stage="won")
        (event,) = world.poll()
        assert event.fields["dealstage"] == Choice("won", "Closed Won")

    def test_rights_are_called_as_scopes_are(self, make, crm):
        """Whatever name a type goes by; each stands once."""
        records = {name: {"x": FieldSpec(), "company.name": FieldSpec()} for name in ("0-3", "company", "2-77")}
        crm.respond = lambda exchange: exchange.reply(200, b'{"results": [], "access_token": "canary-token-x", "expires_in": 60}', {})
        names = [one.name for one in make(records=records).rights()]
        assert names == [
            "crm.objects.deals.read",
            "crm.schemas.deals.read (pipelines)",
            "crm.objects.companies.read",
            "crm.objects.custom.read of 2-77",
            "crm.objects.owners.read",
            "account details (scope oauth)",
        ]

    def test_what_hubspot_may_not_be_asked_for_is_named(self, make, crm):
        """Any one of the scopes it lists is enough."""
        source = make(records=spec("dealname", "owner.name"))
        for area, scope in (
            ("properties", "crm.schemas.deals.read"),
            ("owners", "crm.objects.owners.read"),
            ("objects", "crm.objects.deals.read"),
        ):
            crm.secret_scopes = {area}
            with pytest.raises(SourceError, match=scope):
                source.check()
        crm.secret_scopes = {"account-info"}
        source.check()

    @pytest.mark.parametrize(
        "body", [{"results": {}}, {"results": [1]}, {"results": [{}]}, {"results": [{"id": "1", "properties": 7}]}, {}, []]
    )
    def test_an_answer_of_another_shape_is_an_error(self, make, crm, body):
        source = make()
        source.check()
        crm.then(answer(200, body))
        with pytest.raises(SourceError):
            source.poll(None)
        crm.then(answer(200, body))
        with pytest.raises(SourceError):
            source.fetch_many("deals", ["1"])

    def test_a_part_that_failed_is_an_error(self, make, crm):
        """A 207 may hide a failure among results."""
        source = make()
        source.check()
        crm.then(
            answer(207, {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [{"category": "INTERNAL", "message": "oops"}]})
        )
        with pytest.raises(SourceError, match="oops"):
            source.fetch_many("deals", ["1"])


class TestDeleting(HubspotParts):
    def test_the_recycle_bin_is_walked_from_time_to_time(self, world, crm):
        """Page by page, with its place kept in the cursor; what is in it since long is not told again."""
        ids = [crm.create() for _ in range(250)]
        self.begun(crm, world)
        asked = len(crm.requests)
        world.poll()
        assert not [one for one in crm.requests[asked:] if "archived=true" in one.path and "/objects/" in one.path]
        for id in ids:
            crm.delete(id)
        crm.tick(200)
        told = world.poll()
        assert sorted(one.record_id for one in told) == sorted(ids)
        assert {one.kind for one in told} == {ChangeKind.DELETED}
        crm.tick(86_400 * 3)
        assert world.poll() == []
        crm.tick(200)
        page, pages = None, 0
        cursor = world.run(world.store.position("crm")).cursor
        while page is None or page.has_more:
            page = world.call(world.source.poll, cursor)
            cursor, pages = page.cursor, pages + 1
            assert not [one for one in page.observations if one.deleted]
        assert pages == 4  # one search, three pages of the bin

    def test_a_walk_that_was_cut_off_goes_on(self, make, worlds, crm):
        """In another process too."""
        world = worlds(make())
        ids = [crm.create() for _ in range(150)]
        self.begun(crm, world)
        for id in ids:
            crm.delete(id)
        crm.tick(300)
        real = crm._list

        def once(asked):
            if "after" in asked:
                crm._list = real
                raise hubspot_stand_in.Refusal(500, "oops")
            return real(asked)

        crm._list = once
        with pytest.raises(SourceError, match="oops"):
            world.poll()
        world.source.close()
        told = world.news() + world.poll()
        assert sorted(one.record_id for one in told) == sorted(ids)


class TestLoggingIn(HubspotParts):
    def test_a_dated_version_everywhere(self, make, worlds, crm, records):
        """All of it speaks one version."""
        world = worlds(
            make(
                {"api_version": "2026-09"}, records={"deals": {**records["deals"], "owner.name": FieldSpec(), "company.name": FieldSpec()}}
            )
        )
        world.call(world.source.check)
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        assert len(world.poll()) == 1
        assert all("2026-09" in one.path for one in crm.requests)

    def test_a_plain_token(self, make, worlds, crm, tmp_path, monkeypatch):
        """A service key: no login, no file; one that was exchanged is read again."""
        monkeypatch.setenv("HUBSPOT_TOKEN", crm.log_in())
        world = worlds(make({"oauth": None, "token": {"env": "HUBSPOT_TOKEN"}}))
        self.begun(crm, world)
        crm.revoke()
        with pytest.raises(SourceError, match="401"):
            world.poll()
        monkeypatch.setenv("HUBSPOT_TOKEN", crm.log_in())
        world.poll()
        assert not [one for one in tmp_path.iterdir() if "token" in one.name]
        assert not [one for one in crm.requests if "oauth" in one.path]

    def test_a_wrong_token_is_called_wrong(self, make, crm):
        """HubSpot calls it expired since 1970."""
        source = make({"oauth": None, "token": "canary-token-garbage"})
        with pytest.raises(SourceError, match="no token of HubSpot's"):
            source.check()
        assert len(crm.requests) == 1

    def test_a_missing_secret_is_named(self, make):
        with pytest.raises(SourceError, match="HUBSPOT_NOWHERE"):
            make({"oauth": None, "token": {"env": "HUBSPOT_NOWHERE"}}).check()

    def test_a_new_refresh_token_is_kept(self, make, crm):
        """Whoever starts next uses the latest one."""
        source = make()
        source.check()
        real = crm._login

        def login(form):
            found = real(form)
            crm.refresh = "canary-refresh-token-2"
            return {**found, "refresh_token": crm.refresh}

        crm._login = login
        crm.revoke()
        source.check()
        crm._login = real
        crm.revoke()
        make().check()
        assert crm.refresh != REFRESH

    @pytest.mark.parametrize(
        ("body", "seconds"),
        [
            ({"message": "You have reached your daily limit.", "policyName": "DAILY"}, 3600),
            ({"message": "You have reached your ten_secondly_rolling limit.", "category": "RATE_LIMITS"}, 10),
            ({"message": "You have reached your secondly limit.", "policyName": "SECONDLY"}, 2),
            ({"message": "Slow down"}, 60),
        ],
    )
    def test_how_long_a_limit_holds(self, make, crm, body, seconds):
        """The body says which limit it is; Retry-After is stronger."""
        source = make()
        source.check()
        for headers, until in (({}, seconds), ({"Retry-After": "77"}, 77)):
            crm.then(answer(429, body, headers))
            with pytest.raises(SourceError) as told:
                source.poll(None)
            assert told.value.retry_at == crm.now + timedelta(seconds=until)

    def test_no_secret_in_words_of_the_vendor(self, make, crm):
        source = make()
        crm.then(answer(400, {"message": f"bad {CLIENT_SECRET} {REFRESH}"}))
        with pytest.raises(SourceError) as told:
            source.check()
        self.shows_no_secret(str(told.value))
