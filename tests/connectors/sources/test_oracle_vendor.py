"""What is Oracle CRM On Demand's own: sessions, its pace, its zone, its answers, its tracking."""

import asyncio
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from threading import Thread
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError
from standins.oracle import PASSWORD, OracleParts

from connectors.sources.oracle_crm_on_demand import CONNECTOR, dialect
from connectors.sources.oracle_crm_on_demand.pace import Pace
from connectors.sources.oracle_crm_on_demand.trackings import last_words
from crmbridge.errors import SourceError
from crmbridge.model import ChangeKind, FieldSpec, FieldType
from crmbridge.telemetry import redact
from crmbridge.testing import answer


class TestSessions(OracleParts):
    """About ten for a company, and a user who is locked after some wrong passwords."""

    def test_a_refused_password_is_not_tried_again_soon(self, make, crm, monkeypatch):
        """Once in 15 minutes, or when it was changed."""
        monkeypatch.setenv("CRMOD", "canary-oracle-wr0ng")
        source = make({"password": {"env": "CRMOD"}})
        for _ in range(3):
            with pytest.raises(SourceError, match="Restful Services Integration") as told:
                source.check()
            assert told.value.retry_at == crm.now + timedelta(minutes=15)
        assert len(crm.requests) == 1
        crm.tick(15 * 60)
        with pytest.raises(SourceError):
            source.check()
        assert len(crm.requests) == 2
        monkeypatch.setenv("CRMOD", PASSWORD)
        source.check()

    def test_what_is_sent_for_a_password_is_hidden(self, make, crm):
        """The header is as good as the password."""
        make().check()
        sent = crm.requests[0].headers["authorization"].removeprefix("Basic ")
        assert redact(f"sent {sent}") == "sent ***"

    def test_a_missing_password_is_told(self, make):
        """Where it should have come from."""
        with pytest.raises(SourceError, match="NO_SUCH_VARIABLE"):
            make({"password": {"env": "NO_SUCH_VARIABLE"}}).check()

    def test_a_session_that_is_replaced_is_logged_off(self, make, crm):
        """By age too."""
        source = make()
        source.check()
        crm.tick(49 * 60)
        source.poll(None)
        assert (crm.logins, len(crm.closed), len(crm.tokens)) == (2, 1, 1)

    def test_a_session_that_nobody_keeps_is_logged_off(self, make, crm):
        """One that is kept for the next start is not."""
        for folder, left in (({}, 1), ({"state_folder": None}, 1)):
            source = make(**folder)
            source.check()
            asyncio.run(source.close())
            asyncio.run(source.close())
            assert len(crm.tokens) == left
        assert len(crm.closed) == 1

    def test_a_right_that_is_missing_is_no_lost_session(self, make, crm):
        """Told as what it is, and no session is left behind by looking."""
        source = make()
        source.check()
        crm.then(answer(403, {}), answer(200, {}))  # the read; then logging off
        real = crm.respond

        def respond(exchange):
            answer(403, {})(exchange) if "Opportunities" in exchange.seen.path else real(exchange)

        crm.respond = respond
        for _ in range(3):
            with pytest.raises(SourceError, match="role"):
                source.poll(None)
        assert len(crm.tokens) <= 2

    def test_the_words_of_a_lost_session_count_at_any_status(self, make, crm):
        """Its status is not documented."""
        source = make()
        source.check()
        crm.then(answer(400, {"Error": [{"detail": "The session is not valid. (SBL-X)", "errorCode": "SBL-X"}]}))
        source.poll(None)
        assert crm.logins == 2

    @pytest.mark.parametrize(
        ("headers", "cookies"),
        [
            ({"Set-Cookie": "JSESSIONID=a!1; Path=/; Secure"}, "JSESSIONID=a!1"),
            ({"Set-Cookie": "BIG=x; expires=Wed, 09 Jun 2027 10:00:00 GMT, JSESSIONID=a; Path=/"}, "BIG=x; JSESSIONID=a"),
            ({"JSESSION": "a"}, "JSESSIONID=a"),
            ({"JSESSIONID": "JSESSIONID=a; Path=/", "Set-Cookie": "BIG=x"}, "BIG=x; JSESSIONID=a"),
            ({"Set-Cookie": "BIG=x"}, ""),
        ],
    )
    def test_where_a_session_may_stand(self, headers, cookies):
        """Two pages of the vendor differ; a load balancer's cookie belongs to it."""
        assert dialect.session_cookies(headers) == cookies

    def test_a_login_without_a_session_is_told(self, make, crm):
        """A page that answers everything with 200 is no CRM."""
        crm.then(answer(200, {"Connection": {}}))
        with pytest.raises(SourceError, match="JSESSIONID"):
            make().check()


class TestPace(OracleParts):
    """30 requests a minute."""

    def test_what_is_too_much_waits(self, monkeypatch):
        """Until the oldest is a window old."""
        monkeypatch.setattr(dialect, "RATE_WINDOW", timedelta(seconds=0.3))
        pace, begun = Pace(2), time.monotonic()
        for _ in range(5):
            pace.wait()
        assert 0.6 <= time.monotonic() - begun < 5

    def test_a_stop_is_not_held_up(self, make, crm):
        """A poll that waits for the pace ends with the source."""
        source, told = make({"requests_per_minute": 5}), []

        def poll():
            try:
                while True:
                    source.poll(None)
            except SourceError as error:
                told.append(str(error))

        polling = Thread(target=poll)
        polling.start()
        while len(crm.requests) < 5:
            time.sleep(0.01)
        begun = time.monotonic()
        asyncio.run(source.close())
        polling.join(5)
        assert time.monotonic() - begun < 2
        assert told == ["the source is closed"]
        assert len(crm.requests) == 5

    @pytest.mark.parametrize("status", [400, 403, 500, 503])
    def test_the_vendor_s_own_limit_is_waited_for(self, make, crm, status):
        """By its words, for no page tells its status; logging in again would be no cure."""
        source = make()
        source.poll(None)
        crm.rate, crm.rate_status = 5, status
        asked = len(crm.requests)
        for _ in range(4):
            source.poll(None)
        with pytest.raises(SourceError, match="maximum rate") as told:
            source.poll(None)
        assert told.value.retry_at == crm.now + timedelta(minutes=1)
        assert crm.logins == 1
        assert len(crm.requests) - asked <= 8
        crm.now = told.value.retry_at
        source.poll(None)


class TestZones(OracleParts):
    """Stamps are in the user's zone."""

    def stand_in(self, folder):
        crm = super().stand_in(folder)
        crm.zone = ZoneInfo("Europe/Berlin")
        return crm

    def options(self, crm):
        return super().options(crm) | {"time_zone": "Europe/Berlin"}

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
    def test_a_wrong_zone_is_told(self, make, crm, zone):
        """With both offsets; once it is put right, the next check passes."""
        with pytest.raises(SourceError, match=r"\+01:00 from our UTC.*time_zone"):
            make({"time_zone": zone}).check()
        make().check()

    def test_a_clock_that_is_some_minutes_off_is_no_wrong_zone(self, make, crm):
        """It would be refused only from a quarter of an hour on."""
        crm.ahead = timedelta(minutes=6)
        make().check()

    def test_a_corrected_clock_is_compared_anew(self, make, crm):
        """And not with what was seen at a login that is kept."""
        source, crm.ahead = make(), timedelta(hours=1)
        with pytest.raises(SourceError, match="time_zone"):
            source.check()
        crm.ahead = timedelta(0)
        source.check()
        assert len(crm.tokens) == 1

    @pytest.mark.parametrize("skew", [-3600, 0, 3600])
    @pytest.mark.parametrize("fold", [0, 1])
    def test_the_night_when_an_hour_comes_twice(self, make, worlds, crm, fold, skew):
        """Every change is told once, also of one record in both hours, whichever hour the vendor takes a stamp for, and ours shows."""
        world = worlds(make(now=lambda: crm.now + timedelta(seconds=skew)))
        crm.fold, crm.now = fold, datetime(2026, 10, 24, 22, 0, tzinfo=timezone.utc)
        id = self.begun(crm, world)
        while crm.now < datetime(2026, 10, 25, 4, 0, tzinfo=timezone.utc):
            stage = f"{crm.now:%H:%M}"
            crm.update(id, stage=stage)
            new = crm.create()
            crm.tick(20)
            assert sorted((one.kind, one.record_id) for one in world.poll()) == sorted(
                [(ChangeKind.UPDATED, id), (ChangeKind.CREATED, new)]
            )
            crm.tick(400)
        assert world.poll() == []

    @pytest.mark.parametrize("fold", [0, 1])
    def test_more_in_that_hour_than_a_page(self, world, crm, fold):
        """From both of its halves, found by one poll; and what is deleted in it."""
        crm.fold, crm.now = fold, datetime(2026, 10, 24, 22, 0, tzinfo=timezone.utc)
        gone = self.begun(crm, world)
        crm.now = datetime(2026, 10, 25, 0, 10, tzinfo=timezone.utc)
        ids = []
        for _ in range(45):
            ids.append(crm.create())
            crm.tick(120)
        crm.delete(gone)
        told = world.poll()
        assert sorted(one.record_id for one in told if one.kind is ChangeKind.CREATED) == sorted(ids)
        assert [one.record_id for one in told if one.kind is ChangeKind.DELETED] == [gone]
        assert world.poll() == []

    def test_an_instant_among_the_fields_leaves_the_zone(self, make, crm):
        """Where the configuration says that it is one."""
        crm.create()
        records = {"Opportunities": {"CreatedDate": FieldSpec(type=FieldType.DATETIME), "ModifiedDate": FieldSpec(type=FieldType.DATE)}}
        (one,) = make(records=records).poll(None).observations
        assert dict(one.fields) == {"CreatedDate": crm.now, "ModifiedDate": crm.now.date()}
        assert (one.occurred_at, one.version) == (crm.now, crm.now.isoformat())


class TestAnswers(OracleParts):
    """What is asked, and what comes back in its several forms."""

    def test_the_questions_themselves(self, make, crm):
        """As they stand on the wire: what the vendor must understand, and nothing else."""
        source = make(records={"Opportunities": {"SalesStage": FieldSpec()}})
        crm.create()
        page = source.poll(source.poll(None).cursor)
        source.poll(source.poll(page.cursor).cursor)
        asked = [one.path.removeprefix("/OnDemand/user/Rest/latest/") for one in crm.requests[-2:]]
        order = "orderBy=ModifiedDate%3Aasc%2CId%3Aasc&limit=10&offset=0"
        events = "EventName%3D%27DeleteRecord%27%20OR%20%3D%27RestoreRecord%27%20OR%20%3D%27MergeRecords%27"
        since = "ModifiedDate%3E%3D%272026-11-22T11%3A59%3A00Z%27"
        tags = "fields=Id%2CModifiedDate%2CCreatedDate%2CModifiedById%2CSalesStage"
        assert asked[0] == f"Opportunities?{tags}&q={since}&{order}"
        assert asked[1].endswith(f"&q={events}&{order}")
        assert crm.requests[-1].headers["lovlanguagemode"] == "LIC"

    def test_money_is_a_number_with_its_currency_beside_it(self, make, crm):
        """{"type": "currency", "value": ..., "Modifier": ...}; an empty one is empty in both."""
        crm.create(amount="10000.50")
        crm.tick()
        crm.create(amount=None)
        money = FieldSpec(type=FieldType.MONEY, currency="Revenue.Modifier")
        source = make(records={"Opportunities": {"Revenue": money, "Revenue.Modifier": FieldSpec()}})
        source.check()
        assert [tuple(one.fields.values()) for one in source.poll(None).observations] == [(Decimal("10000.50"), "USD"), (None, None)]

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_field_is_one_however_it_is_written(self, make, crm, empty):
        """So that no change is made of it."""
        crm.empty = empty
        crm.create(stage=None)
        (one,) = make().poll(None).observations
        assert one.fields["SalesStage"] is None

    @pytest.mark.parametrize(
        ("body", "count"),
        [
            ({"Accounts": [{}, {}], "links": {}}, 2),
            ({"Account": [{}], "_contextInfo": {}}, 1),
            ({"Accounts": [{}], "Other": [1]}, 1),
            ({"Accounts": [], "links": []}, 0),
            ({"links": {}, "_contextInfo": {}}, 0),
        ],
    )
    def test_envelopes(self, body, count):
        """The vendor's samples differ."""
        assert len(dialect.rows(body, "Accounts")) == count

    @pytest.mark.parametrize(
        "body", [{}, [], None, {"a": [{}], "b": [{}]}, {"Accounts": [1]}, {"Error": [{"detail": "no"}]}, {"Accounts": {}}]
    )
    def test_what_is_no_collection_is_told(self, body):
        """Never taken for an empty one."""
        with pytest.raises(SourceError, match="Accounts"):
            dialect.rows(body, "Accounts")

    @pytest.mark.parametrize(
        ("context", "count", "last"),
        [
            ({"lastpage": True}, 100, True),
            ({"lastpage": "false"}, 3, False),
            ({}, 99, True),
            ({}, 100, False),
            ({"limit": 50}, 50, False),
            ({"limit": "?"}, 50, True),
            (None, 100, False),
        ],
    )
    def test_the_last_page(self, context, count, last):
        """Said, or told by what is missing from a full one; the vendor may make our limit smaller."""
        assert dialect.is_last({"_contextInfo": context}, count, 100) is last

    def test_a_record_without_a_stamp_is_told(self, make, crm):
        """It could never be read on from."""
        source = make()
        source.check()
        crm.then(answer(200, {"Opportunities": [{"Id": "1", "ModifiedDate": None}]}))
        with pytest.raises(SourceError, match="ModifiedDate"):
            source.poll(None)

    def test_what_cannot_be_searched_is_told(self, make, crm):
        """Without it nothing can be polled."""
        crm.queryable.discard("ModifiedDate")
        with pytest.raises(SourceError, match="ModifiedDate is not queryable"):
            make().check()

    def test_a_query_that_is_not_heeded_is_told(self, make, crm):
        """Reading on from a wrong answer would miss what changes."""
        crm.create()
        crm.tick(300)
        crm.create()
        source = make({"modification_trackings": False})
        cursor = source.poll(None).cursor
        crm.deaf = True
        with pytest.raises(SourceError, match="at or after 2026-11-22T12:04:00 UTC, the vendor answered with 2026-11-22T12:00:00"):
            source.poll(cursor)

    def test_a_check_looks_anew(self, make, crm):
        """Though descriptions are kept."""
        source = make()
        source.check()
        crm.hidden_fields.add("stage")
        with pytest.raises(SourceError, match="SalesStage"):
            source.check()

    def test_a_tie_of_which_records_leave_while_it_is_read(self, world, crm):
        """More than a page of one second, and each request moves some of it: none of the rest is skipped."""
        self.begun(crm, world)
        ids = [crm.create() for _ in range(45)]
        crm.tick()
        real, moving = crm.respond, iter(ids[::4])

        def respond(exchange):
            real(exchange)
            for id in (next(moving, None), next(moving, None)):
                if id:
                    crm.update(id, stage="moved")

        crm.respond = respond
        assert {one.record_id for one in world.poll()} == set(ids)

    def test_its_own_errors_are_told_with_their_code(self, make, crm):
        """The words are in the user's language."""
        source = make({"modification_trackings": False})
        crm.create()
        cursor = source.poll(None).cursor
        crm.queryable.clear()
        with pytest.raises(SourceError, match="REST_QUERY_PARSER_FLD_NOT_SEARCHABLE"):
            source.poll(cursor)


class TestTracking(OracleParts):
    """What Modification Tracking says."""

    def test_without_it_deletions_are_not_seen(self, make, worlds, crm):
        """And nothing is asked of it, for it needs a privilege."""
        world = worlds(make({"modification_trackings": False}))
        world.call(world.source.check)
        crm.delete(self.begun(crm, world))
        assert world.poll() == []
        assert not [one for one in crm.requests if "ModificationTrackings" in one.path]

    def test_what_was_deleted_and_came_back_between_two_polls_is_no_news(self, world, crm):
        """Its own stamp may not tell that it was away."""
        id = self.begun(crm, world)
        before = crm.rows[id].modified
        crm.delete(id)
        crm.tick(5)
        crm.restore(id)
        crm.rows[id].modified = before
        crm.tick(120)
        assert world.poll() == []

    def test_last_words(self):
        """Of deleted, come back, merged; of types that are not ours nothing."""

        def entry(event, id, child=None, kind="Account"):
            return {"EventName": event, "ObjectName": kind, "ObjectId": id, "ChildObjectId": child}

        told = [
            entry("DeleteRecord", "1"),
            entry("DeleteRecord", "2"),
            entry("RestoreRecord", "2"),
            entry("PreDeleteRecord", "3"),
            entry("DeleteRecord", "4", kind="Contact"),
            entry("DeleteRecord", "6"),
            entry("MergeRecords", "5", "6"),
            entry("MergeRecords", "5", "7"),
            entry("DeleteRecord", "7"),
            entry("MergeRecords", "8"),
            entry("DeleteRecord", None),
        ]
        found = {one.id: one.merged_into for one in last_words(told, {"Account": "Accounts"})}
        assert found == {"1": None, "6": "5", "7": "5"}

    @pytest.mark.parametrize(
        ("resource", "one"),
        [
            ("Opportunities", "Opportunity"),
            ("Accounts", "Account"),
            ("CustomObjects4", "CustomObject4"),
            ("ServiceRequests", "ServiceRequest"),
        ],
    )
    def test_singulars(self, resource, one):
        """As the vendor's own names go."""
        assert dialect.singular(resource) == one

    def test_two_types_of_one_name_are_refused(self, make, records):
        """Nobody could say which of them is gone."""
        both = {**records, "Deals": records["Opportunities"]}
        with pytest.raises(ValueError, match="objects"):
            make({"objects": {"Deals": "Opportunity"}}, records=both)
        with pytest.raises(ValueError, match="ModificationTrackings"):
            make(records={"ModificationTrackings": {}})

    def test_deletions_that_could_not_be_read_are_told_when_they_can(self, make, worlds, crm):
        """Nothing of them is lost meanwhile, and a poll without the right costs no login."""
        world = worlds(make())
        id = self.begun(crm, world)
        crm.withdraw("Manage Modification Tracking")
        crm.delete(id)
        crm.tick(120)
        assert world.poll() == []
        logins = crm.logins
        assert (world.poll(), crm.logins) == ([], logins)
        crm.give("Manage Modification Tracking")
        world.call(world.source.rights)  # as from time to time
        assert [(one.kind, one.record_id) for one in world.poll()] == [(ChangeKind.DELETED, id)]


class TestPeople(OracleParts):
    """Owners and teams, in few requests."""

    def test_few_requests(self, make, crm):
        """Descriptions and users are not asked for again."""
        source, id = make(), crm.create()
        crm.rows[id].team = ["2"]
        found = source.members("Opportunities", id)
        assert [(one.email, one.role) for one in found] == [("susan@acme.example", None), ("omar@acme.example", "Seller")]
        asked = len(crm.requests)
        assert source.members("Opportunities", id) == found
        assert len(crm.requests) - asked == 2

    def test_users_that_may_not_be_read_leave_the_owners_own_words(self, make, crm):
        """Asked for once an hour, lest each look cost a login."""
        source, id, real = make(), crm.create(), crm.respond

        def respond(exchange):
            answer(403, {})(exchange) if "/Users" in exchange.seen.path else real(exchange)

        crm.respond = respond
        for _ in range(3):
            assert [one.name for one in source.members("Opportunities", id)] == ["Susan Vale"]  # who is of the team too
        assert crm.logins == 2

    def test_a_record_that_is_not_there_is_told(self, make):
        """By its name."""
        with pytest.raises(SourceError, match="1QA2-NONE"):
            make().members("Opportunities", "1QA2-NONE")

    @pytest.mark.parametrize(
        ("children", "team"),
        [
            (["Contacts", "OpportunityTeams"], "OpportunityTeams"),
            (["Contacts", "DealTeams"], "DealTeams"),
            (["Contacts"], None),
            ([], "OpportunityTeams"),
        ],
    )
    def test_the_team_s_name_comes_from_the_description(self, children, team):
        """By the one sample's pattern only where it lists no children."""
        assert dialect.team_child("Opportunities", children) == team


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("url", "http://secure-x.crmondemand.com"),
        ("url", "https://secure-x.crmondemand.com/OnDemand/user"),
        ("url", "https://"),
        ("user", "ACME/BRIDGE:x"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../etc/passwd"),
        ("time_zone", "Europe"),
        ("release", "newest"),
        ("page", 101),
        ("language", "EN"),
        ("record_url", "https://x.example/no-id"),
        ("record_url", "javascript:{id}"),
    ],
)
def test_options_that_cannot_be_are_refused(option, value):
    """When the configuration is read, not at the first poll."""
    good = {"url": "https://secure-x.crmondemand.com/", "user": "ACME/BRIDGE", "password": {"env": "X"}}
    assert CONNECTOR.options(**good).url == "https://secure-x.crmondemand.com"
    with pytest.raises(ValidationError):
        CONNECTOR.options(**{**good, option: value})
