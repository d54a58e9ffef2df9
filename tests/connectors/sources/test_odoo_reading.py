"""What is Odoo's own: seconds over microseconds, archived rows, its log of old values, what leaves no trace, empty things, webhooks."""

import json
import logging
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar

import pytest
from standins.odoo import DATABASE, HOOK_PATH, MODEL, PASSWORD, USER, WORDS, Fault, Odoo

from connectors.sources.odoo import CONNECTOR, known
from connectors.sources.odoo.changes import DELETED
from connectors.sources.odoo.known import Known
from crmbridge.contract import Setting
from crmbridge.errors import InvalidRequest, InvalidSignature, SourceError
from crmbridge.http import VendorRefused
from crmbridge.model import ChangeKind, Choice, FieldSpec, FieldType, cursors
from crmbridge.testing import Can, answer
from crmbridge.testing.source.parts import SourceParts


class Parts(SourceParts):
    """A world around an Odoo, without the tests of all sources."""

    connector = CONNECTOR
    record_type = MODEL
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL})
    api: ClassVar[str] = "jsonrpc"

    def stand_in(self, folder):
        return Odoo()

    def options(self, crm):
        return {
            "url": crm.url, "database": DATABASE, "user": USER, "password": PASSWORD, "api": self.api, "overlap": 60, "page": 10,
            "deletes_every": 0, "webhook": {"path": HOOK_PATH},
        }  # fmt: skip


def spec(*names, **types):
    return {MODEL: {name.replace("__", "."): FieldSpec(type=types.get(name, FieldType.ANY)) for name in [*names, *types]}}


def asked(crm, method, model=MODEL):
    """The arguments by name of each call of one method."""
    calls = [one.json()["params"]["args"] for one in crm.requests if one.json()["params"]["method"] == "execute_kw"]
    return [(args[5], args[6]) for args in calls if args[3:5] == [model, method]]


class TestFields(Parts):
    def test_each_as_its_type_says(self, make, worlds, crm):
        """Choices with id and label, ids of lists, aware instants, fields of records that are led to, two steps deep too."""
        names = ("stage_id", "x_stage", "partner_id", "partner_id.name", "partner_id.country_id.code", "tag_ids", "date_closed")
        records = spec(*names, "date_deadline", "active", "expected_revenue", "description")
        world = worlds(make(records=records), records)
        self.begun(crm, world)
        crm.create(
            stage="won",
            tag_ids=[4, 9],
            date_closed=datetime(2026, 11, 22, 5, 0, 7, 900_000, timezone.utc),
            date_deadline="2026-12-24",
            description="Tom & Co",
        )
        (event,) = world.poll()
        assert event.fields == {
            "stage_id": Choice("4", "Won"),
            "x_stage": Choice("won", "Won"),
            "partner_id": Choice("7", "Acme GmbH"),
            "partner_id.name": "Acme GmbH",
            "partner_id.country_id.code": "DE",
            "tag_ids": ("4", "9"),
            "date_closed": datetime(2026, 11, 22, 5, 0, 7, tzinfo=timezone.utc),
            "date_deadline": date(2026, 12, 24),
            "active": True,
            "expected_revenue": Decimal("100.5"),
            "description": "Tom & Co",
        }
        assert event.actor == "Omar Haddad"
        assert event.url == f"{crm.url}/web#id={event.record_id}&model=crm.lead&view_type=form"

    def test_false_is_empty_for_all_but_booleans(self, make, worlds, crm):
        """And a zero is a zero."""
        names = (
            "partner_id",
            "partner_id.name",
            "date_deadline",
            "date_closed",
            "description",
            "x_starred",
            "user_id",
            "color",
            "tag_ids",
            "probability",
        )
        records = spec(*names)
        world = worlds(make(records=records), records)
        self.begun(crm, world)
        crm.create(partner_id=False, owner="")
        (event,) = world.poll()
        empty = dict.fromkeys(("partner_id", "partner_id.name", "date_deadline", "date_closed", "description", "user_id"))
        assert event.fields == empty | {"x_starred": False, "color": Decimal(0), "probability": Decimal(0), "tag_ids": ()}

    def test_who_is_not_for_us_is_empty(self, make, worlds, crm):
        """Reading all customers at once would be refused for the sake of one."""
        records = spec("partner_id", "partner_id.name")
        world = worlds(make(records=records), records)
        self.begun(crm, world)
        crm.partners[8] = "Hidden"
        crm.hidden_partners.add(8)
        one, other = crm.create(partner_id=8), crm.create()
        told = {event.record_id: event.fields for event in world.poll()}
        assert (told[one]["partner_id"], told[one]["partner_id.name"]) == (Choice("8", "Hidden"), None)
        assert told[other]["partner_id.name"] == "Acme GmbH"

    @pytest.mark.parametrize("name", ["nonsense", "partner_id.nonsense", "name.first", "nonsense.name"])
    def test_a_field_that_is_not_there_is_named(self, make, worlds, name):
        world = worlds(make(records=spec("name", name)))
        with pytest.raises(SourceError, match=rf"crm\.lead has no field {name}"):
            world.call(world.source.check)

    def test_a_model_that_is_not_for_us_is_named(self, make, worlds, crm):
        world = worlds(make())
        crm.open_models.remove(MODEL)
        with pytest.raises(SourceError, match=r"crm\.lead: You are not allowed to access 'crm\.lead' records\. \(AccessError\)"):
            world.call(world.source.check)

    def test_labels_are_asked_for_in_one_language(self, make, worlds, crm):
        world = worlds(make({"language": "de_DE"}))
        world.poll()
        assert {named["context"]["lang"] for _, named in asked(crm, "search_read")} == {"de_DE"}

    def test_the_schema_has_types_and_choices(self, world):
        found = {one.name: one for one in world.call(world.source.schema, MODEL)}
        assert found["x_stage"].choices["won"] == "Won"
        assert (found["expected_revenue"].type, found["active"].type) == (FieldType.MONEY, FieldType.BOOLEAN)
        assert found["partner_id.name"].label == "Customer: name"

    @pytest.mark.parametrize("name", ["crm.lead/../res.users", "crm lead", "", "../x"])
    def test_a_name_is_nothing_but_a_name(self, make, name):
        """It stands in JSON-2's address."""
        with pytest.raises(ValueError, match="technical name"):
            make(records={name: {"name": FieldSpec()}})


class TestTime(Parts):
    def test_a_second_is_asked_for_with_at_least(self, world, crm):
        """`>` would find the same record for ever, `=` none; and pages go by id."""
        self.begun(crm, world)
        world.poll()
        domains = [positional[0] for positional, _ in asked(crm, "search_read")]
        bounds = [condition for domain in domains for condition in domain if condition[0] == "write_date"]
        assert bounds
        assert {condition[1] for condition in bounds} == {">="}
        assert all(["id", ">", 0] in domain for domain in domains)
        assert {named["order"] for _, named in asked(crm, "search_read")} == {"id"}

    def test_changes_within_a_second_are_found(self, world, crm):
        """The second poll sees a stamp that it has read already."""
        id = self.begun(crm, world)
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
            crm.tick(0.3)
            assert [self.says(one, "stage") for one in world.poll()] == [stage]
            assert world.poll() == []

    def test_archived_records_are_records(self, make, worlds, crm):
        """A lost opportunity is archived; nothing of it is missed, and it is not deleted."""
        records = spec("name", "active", "expected_revenue")
        world = worlds(make(records=records), records)
        id = self.begun(crm, world)
        crm.archive(id)
        (lost,) = world.poll()
        assert (lost.kind, lost.fields["active"], lost.before["active"]) == (ChangeKind.UPDATED, False, True)
        crm.tick(5)
        crm.update(id, amount="7")
        assert [one.fields["expected_revenue"] for one in world.poll()] == [Decimal(7)]
        assert all(named["context"]["active_test"] is False for _, named in asked(crm, "search_read"))


class TestOldValues(Parts):
    """Out of mail.tracking.value."""

    can = frozenset({Can.POLL})

    def stages(self, events, *, before=False):
        return [self.says(one, "stage", before=before) for one in events]

    @pytest.mark.parametrize("version", [14, 17])
    def test_states_between_two_polls_are_told(self, world, crm, version):
        """In order, each with what was before; once, though the same seconds are read again."""
        crm.version = version
        id = self.begun(crm, world)
        begun = crm.now
        for stage in ("moved", "proposition", "won"):
            crm.update(id, stage=stage)
            crm.tick(5)
        crm.update(id, amount="200")
        told = world.poll()
        assert self.stages(told) == ["moved", "proposition", "won", "won"]
        assert self.stages(told, before=True)[:3] == ["open", "moved", "proposition"]
        assert [(one.occurred_at - begun).seconds for one in told] == [0, 5, 10, 15]
        assert [self.says(one, "amount") for one in told] == [Decimal("100.5")] * 3 + [Decimal(200)]
        assert [one.actor for one in told] == ["Omar Haddad"] * 4
        for _ in range(3):
            assert world.poll() == []
            crm.tick(10)

    def test_a_b_a_within_one_second(self, world, crm):
        """What no stamp can tell apart."""
        id = self.begun(crm, world)
        for stage in ("won", "open"):
            crm.update(id, stage=stage)
        assert self.stages(world.poll()) == ["won", "open"]
        assert world.poll() == []
        crm.update(id, stage="moved")
        assert self.stages(world.poll()) == ["moved"]

    def test_changes_in_the_second_of_the_poll_before(self, make, worlds, crm):
        """Where there are no webhooks, nothing but the number of its message says that a state is newer than what was seen."""
        world = worlds(make({"webhook": None}))
        id = self.begun(crm, world)
        for stages in (("moved", "won"), ("open", "proposition", "open")):
            for stage in stages:
                crm.update(id, stage=stage)
            assert self.stages(world.poll()) == list(stages)
            assert world.poll() == []

    def test_each_page_of_a_pass_has_its_own_states(self, make, worlds, crm):
        """What one page found is not taken for told by the next."""
        ids = [crm.create() for _ in range(25)]
        world = worlds(make({"webhook": None}))
        crm.tick(120)
        world.poll()
        for id in reversed(ids):
            for stage in ("moved", "won"):
                crm.update(id, stage=stage)
        told = world.poll()
        assert sorted((int(one.record_id), self.says(one, "stage")) for one in told) == sorted(
            (int(id), stage) for id in ids for stage in ("moved", "won")
        )
        assert world.poll() == []

    def test_a_new_record_begins_as_it_was_made(self, world, crm):
        self.begun(crm, world)
        id = crm.create()
        crm.tick(5)
        crm.update(id, stage="won", amount="7")
        made, won = world.poll()
        assert (made.kind, self.says(made, "stage"), self.says(made, "amount")) == (ChangeKind.CREATED, "open", Decimal("100.5"))
        assert (won.kind, self.says(won, "stage"), self.says(won, "amount")) == (ChangeKind.UPDATED, "won", Decimal(7))
        assert (self.says(made, "title"), won.occurred_at - made.occurred_at) == ("Parkers", timedelta(seconds=5))
        assert world.poll() == []

    def test_what_a_webhook_told_already_is_not_told_again(self, world, crm):
        """Nor what was between: the record is further by now."""
        crm.version = 17
        id = self.begun(crm, world)
        crm.told()
        for stage in ("moved", "proposition", "won"):
            crm.update(id, stage=stage)
        for request in crm.told():
            world.hear(request)
        assert self.stages(world.news()) == ["won"]
        assert world.poll() == []
        crm.tick(20)
        crm.update(id, stage="open")
        assert self.stages(world.poll()) == ["open"]

    def test_a_log_with_a_gap_is_left_alone(self, world, crm):
        """A value that does not lead to the next one, or to what is there, proves nothing."""
        id = self.begun(crm, world)
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
            crm.tick(2)
        crm.trackings[0]["new_value_char"] = "Proposition"
        assert self.stages(world.poll()) == ["won"]

    def test_a_label_in_another_language_is_left_alone(self, world, crm):
        """A selection is logged by its label, as who changed it reads it."""
        id = self.begun(crm, world)
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
            crm.tick(2)
        for entry in crm.trackings:
            entry["new_value_char"] = {"Qualified": "Qualifiziert"}.get(entry["new_value_char"], entry["new_value_char"])
        assert self.stages(world.poll()) == ["won"]

    def test_a_log_that_is_refused_is_told_once(self, world, crm, caplog):
        """And all else goes on."""
        caplog.set_level(logging.WARNING)
        crm.log_is_open = False
        id = self.begun(crm, world)
        for stages in (("moved", "won"), ("proposition", "open")):
            for stage in stages:
                crm.update(id, stage=stage)
                crm.tick(2)
            assert self.stages(world.poll()) == [stages[-1]]
        assert sum("log of old values may not be read" in one.message for one in caplog.records) == 1
        assert len(asked(crm, "search_read", "mail.tracking.value")) == 1
        world.call(world.source.check)
        crm.log_is_open = True
        for stage in ("won", "moved"):
            crm.update(id, stage=stage)
        assert self.stages(world.poll()) == ["won", "moved"]

    def test_a_log_that_is_opened_tells_nothing_again(self, make, worlds, crm):
        """What was told while it was refused is not told once more with the states between."""
        world = worlds(make({"webhook": None}))
        crm.log_is_open = False
        id = self.begun(crm, world)
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
        assert self.stages(world.poll()) == ["won"]
        crm.log_is_open = True
        world.call(world.source.check)
        assert world.poll() == []
        for stage in ("open", "moved"):
            crm.update(id, stage=stage)
        assert self.stages(world.poll()) == ["open", "moved"]

    def test_without_the_option_it_is_not_read(self, make, worlds, crm):
        world = worlds(make({"old_values": False}))
        id = self.begun(crm, world)
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
        assert self.stages(world.poll()) == ["won"]
        assert asked(crm, "search_read", "mail.message") == []

    def test_backfill_sees_records_as_they_are(self, make, worlds, crm):
        """It would take a state in between for the record."""
        world = worlds(make())
        id = crm.create()
        moment = crm.now
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
        page = world.call(world.source.poll, world.call(world.source.since, moment))
        assert [one.fields["x_stage"].value for one in page.observations] == ["won"]
        assert asked(crm, "search_read", "mail.message") == []


class TestDeletions(Parts):
    @pytest.mark.parametrize("refused", [False, True])
    def test_what_is_out_of_sight_is_told_from_what_is_gone(self, world, crm, refused):
        """Neither is found by a search; reading tells them apart, and in halves where Odoo refuses the whole."""
        crm.gone_is_an_error = refused
        ids = [self.begun(crm, world), *(crm.create() for _ in range(8))]
        world.poll()
        for id in ids[::2]:
            crm.hide(id)
        for id in ids[1::2]:
            crm.delete(id)
        crm.tick(120)
        told = world.poll()
        assert sorted((one.kind, one.record_id) for one in told) == sorted((ChangeKind.DELETED, id) for id in ids[1::2])
        assert world.poll() == []

    def test_losers_of_merges_are_deleted(self, world, crm):
        """Odoo keeps nothing that says into what."""
        winner, loser = self.begun(crm, world), crm.create()
        world.poll()
        crm.tick(5)
        crm.merge(loser, winner)
        assert [(one.kind, one.record_id) for one in world.poll()] == [(ChangeKind.DELETED, loser)]

    def test_ids_are_walked_no_more_often_than_wanted(self, make, worlds, crm):
        """A record that came and went between two walks is missed as well."""
        world = worlds(make({"deletes_every": 300}))
        id = self.begun(crm, world)
        world.poll()
        walks = len(asked(crm, "search"))
        brief = crm.create()
        world.poll()
        crm.delete(id)
        crm.delete(brief)
        crm.tick(10)
        assert world.poll() == []
        assert len(asked(crm, "search")) == walks
        crm.tick(300)
        assert sorted(one.record_id for one in world.poll()) == sorted([id, brief])

    def test_a_walk_of_many_pages(self, make, worlds, crm, monkeypatch):
        """Broken off and gone on with, by a process that was started anew."""
        monkeypatch.setattr("connectors.sources.odoo.changes.WALK", 3)
        ids = [crm.create() for _ in range(10)]
        world = worlds(make())
        crm.tick(120)
        assert world.poll() == []
        for id in (ids[0], ids[4], ids[9]):
            crm.delete(id)
        found, cursor, more = [], world.run(world.store.position("crm")).cursor, True
        while more:
            page = make().poll(cursor)
            found += [one.record_id for one in page.observations if one.deleted]
            cursor, more = page.cursor, page.has_more
        assert found == [ids[0], ids[4], ids[9]]

    @pytest.mark.parametrize("most", [0, 5])
    def test_more_ids_than_wanted_are_not_kept(self, make, worlds, crm, caplog, most):
        caplog.set_level(logging.WARNING)
        ids = [crm.create() for _ in range(8)]
        world = worlds(make({"most_ids": most}))
        crm.tick(120)
        world.poll()
        crm.delete(ids[0])
        assert world.poll() == []
        assert ("more records than most_ids" in caplog.text) is (most > 0)
        assert len(world.run(world.store.position("crm")).cursor) < 500

    def test_many_that_are_out_of_sight_are_looked_at_by_and_by(self, world, crm, caplog):
        """A walk asks a hundred times at most; what it could not tell, the next ones do."""
        caplog.set_level(logging.WARNING)
        ids = [self.begun(crm, world), *(crm.create() for _ in range(150))]
        world.poll()
        for id in ids:
            crm.hide(id)
        crm.delete(ids[3])
        crm.show(ids[3])
        told = []
        for walk in range(1, 5):
            crm.tick(120)
            told += world.poll()
            assert len(asked(crm, "read")) <= 100 * walk
        assert "many records are gone or out of sight" in caplog.text
        assert [(one.kind, one.record_id) for one in told] == [(ChangeKind.DELETED, ids[3])]
        asked_by_now = len(asked(crm, "read"))
        world.poll()
        assert len(asked(crm, "read")) == asked_by_now


@pytest.mark.parametrize("ids", [set(), {1}, {5}, {1, 2, 3, 7, 9, 10}, set(range(3, 90_000, 3)), {2**31 - 1}])
def test_ids_are_kept_small(ids):
    """About a byte for each where they are scattered evenly, nothing where they are consecutive."""
    assert set(known.unpack(known.pack(ids))) == ids
    assert known.load(Known(3, 17, frozenset(ids)).dump()) == Known(3, 17, frozenset(ids))
    assert len(known.pack(ids)) < 40 + len(ids) / 50


def test_later_walks_sort_behind():
    """The cursor keeps the highest."""
    assert Known(9, 99, None).dump() < Known(10, 1, frozenset({1})).dump()
    assert known.load("") is None
    for text in ("1 2 3", "1 2 0 - - !", "x", "0000000001 17 0 - - AAAA", "0000000001 17 0 - AAAA"):
        with pytest.raises(ValueError, match="cannot be read"):
            known.load(text)


class TestTroubles(Parts):
    def test_a_database_that_is_not_there_is_named(self, make, worlds):
        world = worlds(make({"database": "acne"}))
        with pytest.raises(SourceError, match='database "acne" does not exist'):
            world.call(world.source.check)

    def test_a_login_that_is_refused_says_so(self, make, worlds, crm):
        world = worlds(make({"user": "nobody"}))
        with pytest.raises(SourceError, match="the login is refused"):
            world.call(world.source.check)
        assert len(crm.requests) == 1

    def test_an_error_that_waiting_cures_holds_a_webhook_and_others_do_not(self, world, crm):
        """What Odoo answers with 200 has the status that its name says."""
        for name, status in (("odoo.exceptions.UserError", 422), ("odoo.exceptions.AccessError", 403), ("psycopg2.OperationalError", 500)):
            crm.method = lambda *_, name=name: (_ for _ in ()).throw(Fault(name, "oops"))
            with pytest.raises(VendorRefused, match="oops") as told:
                world.call(world.source.fetch_many, MODEL, ["1"])
            assert told.value.status == status
            assert PASSWORD not in str(told.value)

    def test_what_is_not_odoo_is_told(self, world, crm):
        for body in ({}, [], {"jsonrpc": "2.0"}, {"result": {}}, {"error": []}, {"error": {"data": None}}, {"result": [{"id": False}]}):
            crm.then(answer(200, body))
            with pytest.raises(SourceError):
                world.poll()

    def test_a_cursor_of_another_source_is_told(self, world):
        for cursor in ("{}", "[", '{"v":1}', cursors.since({MODEL: "2026-01-01 00:00:00", MODEL + DELETED: "1"})):
            with pytest.raises(SourceError):
                world.call(world.source.poll, cursor)

    def test_who_was_archived_is_in_no_team(self, world, crm):
        crm.own_teams = True
        id = self.begun(crm, world)
        crm.rows[id].team = ["2"]
        crm.gone_people.add(1)
        assert [(one.name, one.email) for one in world.call(world.source.members, MODEL, id)] == [("Omar Haddad", "omar@acme.example")]
        assert world.call(world.source.members, MODEL, "no id") == ()


class TestJson2(Parts):
    api = "json2"

    def test_calls_as_19_wants_them(self, world, crm):
        """POST /json/2/MODEL/METHOD, arguments by name, a key as bearer and the database beside it; no login is made."""
        crm.create()
        world.call(world.source.check)
        world.poll()
        (first, *_) = crm.requests
        assert first.path == "/json/2/crm.lead/fields_get"
        assert (first.headers["authorization"], first.headers["x-odoo-database"]) == (f"bearer {PASSWORD}", DATABASE)
        read = next(one for one in crm.requests if one.path.endswith("/search_read"))
        assert set(read.json()) == {"domain", "fields", "order", "limit", "context"}
        assert crm.logins == 0

    def test_a_wrong_key_is_told(self, make, worlds, crm):
        """Without it, and asked twice at most."""
        world = worlds(make({"password": "another"}))
        with pytest.raises(SourceError, match=r"Invalid apikey \(Unauthorized\)") as told:
            world.call(world.source.check)
        assert "another" not in str(told.value)
        assert len(crm.requests) == 2

    def test_troubles_change_nothing(self, world, crm):
        self.begun(crm, world)
        page = answer(200, b"<html>maintenance</html>", {"Content-Type": "text/html"})
        for trouble in (page, answer(503, b"down"), answer(500, {"name": "builtins.KeyError", "message": "x"}), answer(429, {})):
            id = crm.create()
            crm.then(trouble)
            with pytest.raises(SourceError):
                world.poll()
            assert [one.record_id for one in world.poll()] == [id]


NAMELESS = [
    *(b"", b"[]", b"null", b"{}", b"\xff", b'{"_model": "crm.lead"}', b'{"_id": 5}', b'{"_id": 5, "_model": "", "_model": "crm.lead"}'),
    *(json.dumps({"_model": MODEL, "_id": id}).encode() for id in ("5", True, 0, -1, 2**31, 1.5, None, [5])),
    *(json.dumps({"_model": model, "_id": 5}).encode() for model in ("", 5, None)),
]


class TestWebhooks(Parts):
    def test_a_stranger_is_refused(self, make, crm):
        """Whoever does not know the last part of the address; several are good while one is replaced."""
        source = make({"webhook": {"path": ["another-secret", HOOK_PATH]}})
        request = crm.webhook(crm.create())
        source.verify(request)
        source.verify(replace(request, path="another-secret"))
        for path in ("", "x", HOOK_PATH[:-1], HOOK_PATH + "/", HOOK_PATH.upper(), "\udcff", "ä" * 1000):
            with pytest.raises(InvalidSignature):
                source.verify(replace(request, path=path))

    def test_only_the_name_of_the_record_is_believed(self, make, crm):
        source = make()
        (one,) = source.parse(crm.webhook("1001", name="forged", x_stage="won", expected_revenue=1e9))
        assert (one.record_type, one.record_id, one.fields, one.partial) == (MODEL, "1001", {}, True)
        assert source.parse(crm.webhook("5", _model="res.users")) == ()

    @pytest.mark.parametrize("body", NAMELESS)
    def test_what_names_no_record_is_refused(self, make, crm, body):
        with pytest.raises(InvalidRequest) as told:
            make().verify(replace(crm.webhook("1"), body=body))
        assert told.value.status == 400

    def test_one_that_names_a_deleted_record_says_nothing(self, world, crm):
        """The next walk does."""
        id = self.begun(crm, world)
        crm.delete(id)
        assert world.hear(crm.webhook(id)) == 204
        assert (world.news(), world.failed()) == ([], [])
        assert [one.kind for one in world.poll()] == [ChangeKind.DELETED]

    def test_without_the_option_there_is_no_door(self, crm):
        options = CONNECTOR.options(url=crm.url, database=DATABASE, user=USER, password=PASSWORD)
        assert not hasattr(CONNECTOR.build(options, Setting(name="crm", records=spec("name"))), "verify")
