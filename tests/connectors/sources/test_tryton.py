"""The tryton source: the contract, and what Tryton's history adds."""

import base64
import json
import random
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar

import pytest
from standins.tryton import KEY, MODEL, PLAIN, WORDS, Tryton

from connectors.sources.tryton import CONNECTOR, fields, history, source, told, words
from crmbridge.errors import SourceError
from crmbridge.model import ChangeKind, Choice, Cursor, FieldSpec, FieldType, Reading, cursors, from_us
from crmbridge.testing import Can, SourceContract, answer, cut


class Contract(SourceContract):
    connector = CONNECTOR
    record_type = MODEL
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.TEAMS, Can.SCHEMA, Can.LINKS, Can.RIGHTS})
    secrets = (KEY,)
    proven = "stand-in and a real Tryton 8.2"  # the latter in flow/test_tryton_real.py

    def stand_in(self, folder):
        return Tryton()

    def options(self, crm):
        return {
            "url": crm.url, "database": "crm", "key": KEY, "overlap": 60, "page": 10, "deletes_every": 0, "people": ["employee", "team"],
        }  # fmt: skip


class TestWithoutHistory(Contract):
    """A model that keeps none."""

    def stand_in(self, folder):
        return Tryton(history=False)

    def test_only_the_last_state_is_seen(self, world, crm):
        """And no deletion."""
        id = self.begun(crm, world)
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
            crm.tick()
        assert [self.says(one, "stage") for one in world.poll()] == ["won"]
        crm.delete(id)
        crm.tick(120)
        assert world.poll() == []


def stale(world):
    """What was journalled as older than what was known."""
    return [one.event for one in world.run(world.store.events_after(0, 100_000)) if one.stale]


class TestTryton(Contract):
    can = Contract.can | {Can.OLD_VALUES, Can.DELETES}

    def test_a_purge_is_looked_at_in_parts(self, world, crm, monkeypatch):
        """Each deletion of its own instant costs reads: a page makes only so many, and the look goes on behind it."""
        monkeypatch.setattr(history, "READS", 20)
        ids = [crm.create() for _ in range(80)]
        crm.tick(120)
        world.poll()
        crm.tick(120)
        for id in ids[5:70]:
            crm.tick()
            crm.delete(id)
        asked, poll = [], world.source.poll
        world.source.poll = lambda cursor: (asked.append(-len(crm.requests)), poll(cursor), asked.append(len(crm.requests)))[1]
        assert sorted(int(one.record_id) for one in world.poll()) == sorted(map(int, ids[5:70]))
        assert max(begin + end for begin, end in zip(asked[::2], asked[1::2], strict=True)) <= 2 * 20 + 10
        crm.tick(5)
        assert world.poll() == []

    def test_what_is_deleted_behind_a_long_look(self, world, crm, monkeypatch):
        """The first ids were looked at before it, and the deletions that the look itself found are later still."""
        monkeypatch.setattr(source, "_LISTED", 5)
        ids = [crm.create() for _ in range(23)]
        for _ in range(2):
            crm.tick(120)
            world.poll()
        crm.tick(120)
        look, looks = world.source._read_deleted, []

        def slow(*given):
            found = look(*given)
            looks.append(found)
            if len(looks) == 1:
                crm.delete(ids[1])
                crm.tick(90)
                crm.delete(ids[20])
                crm.tick()
            return found

        world.source._read_deleted = slow
        seen = world.poll()
        crm.tick(5)
        seen += world.poll()
        crm.tick(5)
        assert sorted(one.record_id for one in [*seen, *world.poll()]) == sorted([ids[1], ids[20]])

    def test_every_state_between_two_polls_is_told(self, world, crm):
        """In order, each once, with what it was before, by whom and when."""
        id = self.begun(crm, world)
        moments = []
        for stage, amount in (("moved", "1"), ("moved", "2"), ("won", "2"), ("open", "100.50")):
            crm.tick(0.000_007)
            crm.update(id, stage=stage, amount=amount)
            moments.append(crm.now)
        found = world.poll()
        assert [(self.says(one, "stage"), self.says(one, "amount")) for one in found] == [
            ("moved", Decimal(1)), ("moved", Decimal(2)), ("won", Decimal(2)), ("open", Decimal("100.50")),
        ]  # fmt: skip
        assert [self.says(one, "stage", before=True) for one in found] == ["open", "moved", "moved", "won"]
        assert [one.occurred_at for one in found] == moments, "to the microsecond"
        assert {one.actor for one in found} == {"Ann Admin"}
        for _ in range(3):
            crm.tick(10)
            assert world.poll() == [], "what the overlap brings again is not told again"
        assert stale(world) == []

    def test_a_life_between_two_polls(self, world, crm):
        """Created, changed and deleted before anybody looked; and one that was known."""
        known = self.begun(crm, world)
        id = crm.create()
        for stage in ("moved", "won"):
            crm.tick()
            crm.update(id, stage=stage)
            crm.update(known, stage=stage)
        crm.tick()
        crm.delete(id)
        crm.delete(known)
        crm.tick()
        found = world.poll()
        assert [(one.kind, self.says(one, "stage")) for one in found if one.record_id == id] == [
            (ChangeKind.CREATED, "open"), (ChangeKind.UPDATED, "moved"), (ChangeKind.UPDATED, "won"), (ChangeKind.DELETED, "won"),
        ]  # fmt: skip
        assert [one.kind for one in found if one.record_id == known] == [ChangeKind.UPDATED, ChangeKind.UPDATED, ChangeKind.DELETED]
        crm.tick(10)
        assert world.poll() == []

    def test_a_late_commit_behind_states_that_were_told(self, world, crm):
        """Its stamp is older than what was read; what was told of others is not told again, its own states are."""
        first, slow = self.begun(crm, world), crm.create()
        world.poll()
        crm.tick(100)
        began = crm.now
        for number in range(5):
            crm.tick(2)
            crm.update(first, amount=str(number))
        assert len(world.poll()) == 5
        crm.update(slow, at=began, stage="moved")
        crm.update(slow, stage="won")
        found = world.poll()
        assert [(one.record_id, self.says(one, "stage")) for one in found] == [(slow, "moved"), (slow, "won")]
        assert world.poll() == []
        assert stale(world) == []

    def test_a_record_is_read_by_its_creation_until_it_is_written(self, world, crm):
        """write_date is null until then."""
        self.begun(crm, world)
        ids = [crm.create(title=f"Deal {number}") for number in range(25)]
        assert sorted(one.record_id for one in world.poll()) == sorted(ids)
        crm.tick(0.000_001)
        crm.update(ids[3], stage="won")
        (event,) = world.poll()
        assert (event.record_id, event.kind, event.occurred_at) == (ids[3], ChangeKind.UPDATED, crm.now)

    def test_old_values_come_from_history(self, make, world, crm):
        """Of records of which nothing is remembered here: what Tryton says they were."""
        id = self.begun(crm, world)
        source = make()
        cursor, more = None, True
        while more:
            page = source.poll(cursor)
            cursor, more = page.cursor, page.has_more
        crm.tick(300)
        new = crm.create()
        page = source.poll(cursor)
        while page.has_more:
            page = source.poll(page.cursor)
        crm.tick(300)
        crm.update(id, stage="won")
        crm.update(new, amount="7")
        seen = []
        for _ in range(3):
            page = source.poll(page.cursor)
            seen += page.observations
        (one,) = [one for one in seen if one.record_id == id]
        assert {name: getattr(value, "value", value) for name, value in one.before.items()} == {"state": "open"}
        source.close()

    def test_more_changes_than_one_page_may_read(self, world, crm, monkeypatch):
        """A page ends early where its records had too many states; nothing is missed."""
        monkeypatch.setattr(history, "READS", 5)
        ids = [self.begun(crm, world), *(crm.create() for _ in range(8))]
        world.poll()
        crm.tick(100)
        for id in ids:
            for number in range(4):
                crm.tick(0.1)
                crm.update(id, amount=str(number))
        found = world.poll()
        assert len(found) == 36
        assert {id: [self.says(one, "amount") for one in found if one.record_id == id] for id in ids} == {
            id: [Decimal(number) for number in range(4)] for id in ids
        }

    def test_it_goes_on_where_another_process_stopped(self, make, worlds, crm):
        """What was told travels in the cursor, not in the process."""
        source = make()
        world = worlds(source)
        id = self.begun(crm, world)
        for number in range(3):
            crm.tick(1)
            crm.update(id, amount=str(number))
        assert len(world.poll()) == 3
        world.source.close()
        world._poller._source = make()
        crm.tick(1)
        crm.update(id, amount="9")
        crm.update(id, stage="won")
        assert len(world.poll()) == 1, "two writes of one transaction are one state"
        assert world.poll() == []
        assert stale(world) == []

    @pytest.mark.parametrize("seed", [*range(24), 1292])
    def test_generated_histories_are_told_whole(self, make, worlds, crm, seed):
        """Whatever happens between polls, restarts, pauses and late commits: each record's states once, in order, and its deletion."""
        chance = random.Random(seed)
        every = chance.choice([0, 0, 45, 200])
        world = worlds(make({"deletes_every": every}))
        learnt = [crm.create() for _ in range(chance.randrange(4))]
        alive, wanted = list(learnt), {id: [] for id in learnt}
        crm.tick(chance.choice([1, 500]))
        assert world.poll() == []
        for number in range(1, 81):
            crm.tick(chance.choice([0.000_001, 0.3, 20, 100] if chance.random() < 0.9 else [4000]))
            match chance.choice("cuuuuudllppr"):
                case "c":
                    alive.append(crm.create(amount=str(number)))
                    wanted[alive[-1]] = [(ChangeKind.CREATED, Decimal(number))]
                case "u" if alive:
                    id = chance.choice(alive)
                    crm.update(id, amount=str(number))
                    wanted[id].append((ChangeKind.UPDATED, Decimal(number)))
                case "l" if alive:  # a transaction that began before, and is seen only now
                    id, began = chance.choice(alive), crm.now - timedelta(seconds=chance.uniform(0, 55))
                    if crm.rows[id].modified < began:
                        crm.update(id, at=began, amount=str(number))
                        wanted[id].append((ChangeKind.UPDATED, Decimal(number)))
                case "d" if alive:
                    id = alive.pop(chance.randrange(len(alive)))
                    crm.delete(id)
                    wanted[id].append((ChangeKind.DELETED, None))
                case "p":
                    world.poll()
                case "r":
                    world.source.close()
                    world._poller._source = world.source = make({"deletes_every": every})
        for _ in range(2):
            crm.tick(250)
            world.poll()
        told, entries = {id: [] for id in wanted}, world.run(world.store.events_after(0, 100_000))
        for event in (one.event for one in entries):
            told[event.record_id].append((event.kind, None if event.kind is ChangeKind.DELETED else self.says(event, "amount")))
        assert told == wanted
        assert not any(one.stale for one in entries)

    def test_a_rewound_cursor_tells_present_states_only(self, make, crm):
        """States in between are older than what was told since."""
        id = crm.create()
        for number in range(3):
            crm.tick(10)
            crm.update(id, amount=str(number))
        source = make()
        page = source.poll(source.since(crm.now - timedelta(seconds=60)))
        seen = list(page.observations)
        while page.has_more:
            page = source.poll(page.cursor)
            seen += page.observations
        assert [one.fields["amount"] for one in seen] == [Decimal(2)]
        source.close()

    def test_troubles_change_nothing(self, world, crm):
        """Pages for people, errors and cut connections; a wrong key is told without it."""
        self.begun(crm, world)
        page = answer(200, b"<html>maintenance</html>", {"Content-Type": "text/html"})
        for trouble in (page, answer(500, b"<!doctype html>"), answer(200, b"[1, 2"), answer(200, {"a": 1}), answer(403, b""), cut):
            id = crm.create()
            crm.then(*[trouble] * 3)
            with pytest.raises(SourceError) as raised:
                world.poll()
            assert str(raised.value)
            crm.server.clear()
            assert [one.record_id for one in world.poll()] == [id]
            crm.tick()

    def test_a_wrong_key_is_told(self, make, worlds):
        world = worlds(make({"key": "canary-wrong"}))
        with pytest.raises(SourceError, match="the key is not one of a validated") as raised:
            world.call(world.source.check)
        assert "canary" not in str(raised.value)

    def test_a_field_that_tryton_leaves_out_is_named(self, world, crm):
        """Access rules of fields say nothing: the field is missing from what is read."""
        crm.create()
        shown = crm.shown
        crm.shown = lambda row, names: {name: value for name, value in shown(row, names).items() if name != "amount"}
        with pytest.raises(SourceError, match="may not read amount"):
            world.call(world.source.check)

    def test_a_related_field_that_is_not_there_is_named(self, make, worlds):
        records = {MODEL: {"employee.party.nonsense": FieldSpec()}}
        world = worlds(make(records=records), records)
        with pytest.raises(SourceError, match=r"employee\.party\.nonsense"):
            world.call(world.source.check)

    def test_choices_have_labels(self, world, crm):
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        (event,) = world.poll()
        assert event.fields["state"] == Choice("won", "Won")


def test_what_is_recorded_is_read(vectors):
    """Answers of a real Tryton 8.2: types, null write_date, microseconds, the old values of each revision."""
    folder = vectors / "tryton82-recorded"
    bodies = {path.stem: json.loads(path.read_text("utf-8"), parse_float=Decimal)["response"]["body"] for path in folder.glob("*.json")}
    (first,), (after,) = bodies["04-rest-poll-initial"], bodies["08-rest-poll-after"]
    assert words.instant(first["write_date"]) is None
    assert from_us(words.instant(first["create_date"])) == datetime(2026, 11, 22, 5, 4, 22, 380707, tzinfo=timezone.utc)
    spec = {name: FieldSpec() for name in ("amount", "state", "party.name", "employee.party.name", "party")}
    described = {"amount": {"type": "numeric"}, "state": {"type": "selection", "selection": [["lost", "Lost"]]}}
    assert fields.values(after, spec, described, Reading()) == {
        "amount": Decimal(120000), "state": Choice("lost", "Lost"), "party.name": "Acme GmbH", "employee.party.name": "Rita Rep",
        "party": Decimal(3),
    }  # fmt: skip
    revisions = [words.instant(one[0]) for one in bodies["09-rpc-history-revisions"]["result"]]
    assert revisions[0] == words.instant(after["write_date"])
    assert revisions[-1] == words.instant(first["create_date"])
    for number, at in enumerate(reversed(revisions)):
        (old,) = bodies[f"{number + 10}-rpc-read-at-revision-{number}"]["result"]
        assert (words.instant(old["write_date"]) or revisions[-1]) == at
        request = json.loads((folder / f"{number + 10}-rpc-read-at-revision-{number}.json").read_text("utf-8"))["request"]
        assert words.written(at) == request["body"]["params"][2]["_datetime"]
    domain = ["write_date", ">", words.written(revisions[0])]
    asked = json.loads((folder / "14-rest-poll-strictly-after-own-write-date.json").read_text("utf-8"))["request"]["path"]
    (given,) = [part for part in asked.split("&") if part.startswith("d=")]
    assert json.loads(base64.urlsafe_b64decode(given[2:])) == domain


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ({"__class__": "date", "year": 2026, "month": 1, "day": 31}, datetime(2026, 1, 31).date()),
        ({"__class__": "time", "hour": 9, "minute": 5, "second": 0, "microsecond": 0}, "09:05:00"),
        ({"__class__": "timedelta", "seconds": 90}, Decimal("90.0")),
        ({"__class__": "bytes", "base64": "AAAA"}, None),
        ({"__class__": "Decimal", "decimal": "NaN?"}, '{"__class__": "Decimal", "decimal": "NaN?"}'),
        ({"__class__": "datetime", "year": 99999}, '{"__class__": "datetime", "year": 99999}'),
        ("text", "text"),
    ],
)
def test_values_by_their_class(raw, value):
    assert words.read(raw) == value


def test_relations_and_lists():
    """A relation is its id; a reference says its model too; of several related records each value."""
    record = {
        "party": {"id": 3, "__name__": PLAIN, "rec_name": "Acme"},
        "origin": {"id": 4, "__name__": "sale.sale", "number": "7"},
        "lines": [{"id": 1, "__name__": "x", "quantity": 2}, {"id": 2, "__name__": "x", "quantity": 5}],
        "empty": None,
    }
    spec = dict.fromkeys(["party", "party.rec_name", "origin", "lines", "lines.quantity", "empty.name"], FieldSpec())
    assert fields.values(record, spec, {"origin": {"type": "reference"}}, Reading()) == {
        "party": Decimal(3), "party.rec_name": "Acme", "origin": "sale.sale,4", "lines": (Decimal(1), Decimal(2)),
        "lines.quantity": (Decimal(2), Decimal(5)), "empty.name": None,
    }  # fmt: skip
    assert fields.values({"n": 1}, {"n": FieldSpec(type=FieldType.TEXT)}, {}, Reading()) == {"n": "1"}


def test_gaps_of_ids():
    assert history.gaps([2, 3, 6], 0, 8) == [1, 4, 5, 7, 8]
    assert history.gaps([], 3, 3) == []
    assert history.gaps([1, 50_000], 0, 50_001) == [50_001], "numbers that were never used are not asked for"


def test_what_was_told_is_bounded(monkeypatch):
    """Too many records are forgotten from the oldest on; their states are not told twice."""
    monkeypatch.setattr(told, "_MOST", 3)
    one = told.Told()
    for id in range(10):
        one.tell(id, 1000 + id)
    one.forget(0)
    assert one.last == {8: 1008, 9: 1009}
    assert one.until(3) == 1007
    assert (one.until(9), one.top) == (1009, 9)
    cursor = told.dump(cursors.since({"x": 1}), {"x": one})
    assert told.load(cursor) == {"x": one}
    with pytest.raises(ValueError, match="cannot be read"):
        told.load(Cursor('{"told": {"x": 1}}'))
