"""Walks: what lacks was deleted, what differs has changed, and nothing that is there is taken for gone."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import examples
from test_interpreter import Part, seen
from test_poller import Crm, make, page

from crmbridge.contract import Stretch, Walk
from crmbridge.errors import SourceError
from crmbridge.intake.doubts import DoubtKind as Odd
from crmbridge.store import SqliteStore

HOUR = timedelta(hours=1)


class Table(Crm):
    """A source that lists what it holds, some at a time."""

    def __init__(self, rows, *pages, size=2, **walk):
        super().__init__(page("1", *rows.items()), *pages)
        self.rows = dict(rows)
        self.size = size
        self.how = Walk(**{"ids_every": HOUR, "rows_every": None, "most_ids": 1000, "most_rows": 1000} | walk)
        self.walked = []
        self.fails = ""

    def walks(self):
        return {"Deal": self.how}

    def walk(self, record_type, place, rows):
        if self.fails:
            raise SourceError(self.fails)
        self.walked.append((place, rows))
        ids = sorted(id for id in self.rows if place is None or id > place)[: self.size]
        found = [seen(id, S=self.rows[id]) for id in ids] if rows else ()
        return Stretch(ids=ids, observations=found, bookmark=ids[-1] if len(ids) == self.size else None)


class Clock:
    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


@pytest.fixture
async def part(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    yield Part(store)
    store.close()


async def told(part):
    return [(one.event.record_id, one.event.kind.value, one.event.fields.get("S")) for one in await part.store.events_after(0, 1000)]


async def begun(part, table):
    """A poller that has learnt what there is, and has walked through it."""
    clock = Clock()
    poller = make(part, table, monotonic=clock)
    await poller.poll_once()
    await poller.walk()

    async def later():
        clock.at += 3600
        await poller.walk()

    later.clock = clock
    return poller, later


async def test_what_lacks_was_deleted(part):
    """Once, at the next walk, and not before."""
    table = Table({"a": "1", "b": "2", "c": "3"})
    poller, later = await begun(part, table)
    assert await told(part) == []
    del table.rows["b"]
    await poller.walk()
    assert await told(part) == [], "no walk was due"
    await later()
    assert await told(part) == [("b", "deleted", "2")]
    await later()
    assert len(await told(part)) == 1
    assert {rows for _, rows in table.walked} == {False}


async def test_what_differs_has_changed(part):
    """Where rows are compared; a row that nobody knows is new, however old its stamp."""
    table = Table({"a": "1", "b": "2"}, rows_every=HOUR)
    _, later = await begun(part, table)
    table.rows |= {"a": "new", "c": "imported"}
    await later()
    assert await told(part) == [("a", "updated", "new"), ("c", "created", "imported")]
    del table.rows["b"]
    await later()
    assert (await told(part))[2:] == [("b", "deleted", "2")]
    assert {rows for _, rows in table.walked} == {True}, "who reads rows has met their ids"


async def test_a_record_that_is_made_meanwhile_is_not_gone(part):
    """It was not known when the walk began; and what was deleted meanwhile, behind its back, is told by the next one."""
    table = Table({"b": "1", "c": "2", "d": "3"}, page("2", ("a", "made meanwhile")))
    poller, later = await begun(part, table)
    walk = table.walk

    def slow(*arguments):
        later.clock.at += 60  # longer than walks may take after one poll
        return walk(*arguments)

    table.walk = slow
    await later()
    table.rows["a"] = "made meanwhile"
    del table.rows["b"], table.rows["d"]
    await poller.poll_once()
    await poller.walk()
    assert await told(part) == [("a", "created", "made meanwhile"), ("d", "deleted", "3")]
    await later()
    await poller.walk()
    assert (await told(part))[2:] == [("b", "deleted", "1")]


async def never_walked(part):
    """As an earlier version left its store, or as it was before walks were switched on."""
    await part.store.database.write(lambda db: db.execute("DELETE FROM walks"))


async def test_what_happens_between_the_first_reading_and_the_first_walk_is_news(part):
    """All that existed had just been read: nothing that the first walk finds is older than that."""
    table = Table({"a": "1", "b": "2", "c": "3"}, rows_every=HOUR)
    poller = make(part, table, monotonic=Clock())
    await poller.poll_once()
    del table.rows["b"]
    table.rows |= {"c": "changed", "d": "made"}
    await poller.walk()
    assert sorted(await told(part)) == [("b", "deleted", "2"), ("c", "updated", "changed"), ("d", "created", "made")]


async def test_what_a_poll_would_find_is_not_learnt_silently_by_the_first_walk(part):
    """Where nobody ever walked: a record may have been made since the last poll. The next poll tells it, as it is by then."""
    table = Table({"a": "1", "b": "2"}, page("2", ("c", "made"), ("b", "changed since")), size=9, rows_every=HOUR)
    poller = make(part, table, monotonic=Clock())
    await poller.poll_once()
    await never_walked(part)
    table.rows |= {"a": "changed long ago", "b": "changed", "c": "made"}
    await poller.walk()
    assert sorted(await told(part)) == [("b", "updated", "changed since"), ("c", "created", "made")]
    assert await part.store.walked("crm") == {("Deal", True), ("Deal", False)}


async def test_a_poll_that_fails_in_the_first_walk_ends_it(part):
    """Nothing is learnt that the poll might have told; the next walk is the first one again."""
    table = Table({"a": "1"}, SourceError("the database is away"), page("3", ("b", "made")), rows_every=HOUR)
    _, later = await begun(part, table)
    await never_walked(part)
    table.rows["b"] = "made"
    await later()
    assert await told(part) == []
    assert await part.store.walked("crm") == set()
    await later()
    assert await told(part) == [("b", "created", "made")]


async def test_what_the_first_walk_finds_is_learnt_silently(part):
    """Where nobody ever looked, it may be years old: after an upgrade, or once walks are switched on. A restart makes no walk the first."""
    table = Table({"a": "1", "b": "2", "c": "3"}, page("2"), page("3"), rows_every=HOUR)
    clock = Clock()
    poller = make(part, table, monotonic=clock)
    await poller.poll_once()
    await never_walked(part)
    del table.rows["b"]
    table.rows["c"] = "changed long ago"
    await poller.walk()
    assert await told(part) == []
    del table.rows["a"]
    table.rows["c"] = "changed"
    again = make(part, Table(table.rows, rows_every=HOUR), monotonic=clock)
    await again.poll_once()
    await again.walk()
    assert sorted(await told(part)) == [("a", "deleted", "1"), ("c", "updated", "changed")]


async def test_more_records_than_are_cheap_are_not_walked_through(part):
    table = Table({str(n): "x" for n in range(9)}, most_ids=8, most_rows=8, rows_every=HOUR)
    _, later = await begun(part, table)
    await later()
    assert table.walked == []


async def test_a_walk_that_is_off(part):
    table = Table({"a": "1"}, ids_every=None)
    _, later = await begun(part, table)
    await later()
    assert table.walked == []


async def test_nothing_met_is_nothing_deleted(part):
    """Where many are known: they are out of sight. It is told, and over when they are back; of a few it may well be true."""
    table = Table({str(n): "x" for n in range(11)})
    _, later = await begun(part, table)
    rows, table.rows = table.rows, {}
    await later()
    (doubt,) = part.interpreter.doubts.found
    assert (doubt.kind, doubt.about, await told(part)) == (Odd.WALK, "crm/Deal", [])
    table.rows = rows
    await later()
    assert part.interpreter.doubts.found == []
    few = Table({"a": "1", "b": "2"})
    _, later = await begun(part, few)


async def test_a_few_may_all_be_gone(part):
    table = Table({"a": "1", "b": "2"})
    _, later = await begun(part, table)
    table.rows = {}
    await later()
    assert [id for id, *_ in await told(part)] == ["a", "b"]


async def test_a_walk_that_fails_is_told_and_begins_anew(part):
    """Polls go on; the next walk is the whole one."""
    table = Table({"a": "1", "b": "2", "c": "3"})
    poller, later = await begun(part, table)
    table.fails = "no such column"
    await later()
    (doubt,) = part.interpreter.doubts.found
    assert (doubt.kind, "no such column" in doubt.what) == (Odd.WALK, True)
    assert poller.state.failures == 0
    table.fails = ""
    del table.rows["a"]
    await later()
    assert [id for id, *_ in await told(part)] == ["a"]
    assert part.interpreter.doubts.found == []


async def test_a_walk_that_does_not_get_on_ends(part):
    table = Table({"a": "1", "b": "2", "c": "3"})
    _, later = await begun(part, table)
    table.walk = lambda *_: Stretch(ids=["a"], bookmark="a")
    await later()
    assert "does not get on" in part.interpreter.doubts.found[0].what
    assert await told(part) == []


async def test_where_one_walk_proves_nothing_two_do(part):
    """Pages of what changes meanwhile may pass a record over once."""
    table = Table({"a": "1", "b": "2", "c": "3"}, certain=False)
    _, later = await begun(part, table)
    del table.rows["a"]
    await later()
    table.rows["a"], b = "1", table.rows.pop("b")
    await later()
    table.rows["b"] = b
    await later()
    assert await told(part) == [], "each lacked once"
    del table.rows["c"]
    await later()
    await later()
    assert await told(part) == [("c", "deleted", "3")]


@settings(max_examples=examples(25))
@given(st.data())
async def test_whatever_happens_between_walks_is_told_in_the_end(data):
    """Rows that come, go and change between walks: what is known is what there is, and nothing that stayed was told as gone."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.db", synchronous="OFF")
        part = Part(store)
        ids = [f"{n:02}" for n in range(12)]
        table = Table(dict.fromkeys(data.draw(st.sets(st.sampled_from(ids), min_size=1)), "x"), size=3, rows_every=HOUR)
        _, later = await begun(part, table)
        gone = set()
        for _ in range(data.draw(st.integers(1, 4))):
            left = data.draw(st.sets(st.sampled_from(sorted(table.rows)), max_size=10)) if table.rows else set()
            gone |= left
            table.rows = {
                id: data.draw(st.sampled_from("xyz")) if id in data.draw(st.sets(st.sampled_from(ids), max_size=4)) else value
                for id, value in table.rows.items()
                if id not in left
            }
            await later()
        found = await told(part)
        assert {id for id, kind, _ in found if kind == "deleted"} == gone
        last = {id: (kind, value) for id, kind, value in found}
        assert all(last[id][1] == value for id, value in table.rows.items() if id in last)
        store.close()


async def test_a_table_that_is_filled_anew_is_not_gone(part):
    """Half of it lacks for a moment: the next walk must miss it too. What lacks twice was deleted."""
    rows = {f"{number:03}": "1" for number in range(40)}
    table = Table(rows, size=7)
    _, later = await begun(part, table)
    table.rows = {id: "1" for id in rows if id < "020"}
    await later()
    assert await told(part) == []
    table.rows = rows
    await later()
    table.rows = {id: "1" for id in rows if id < "025"}
    await later()
    assert await told(part) == []
    await later()
    assert await told(part) == [(id, "deleted", "1") for id in rows if id >= "025"]
    del table.rows["001"]
    await later()
    assert (await told(part))[15:] == [("001", "deleted", "1")], "a few are believed at once"
