"""Records by what people call them: what is looked through, and how much of it."""

from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from crmbridge.model import FieldSpec, Reading, RecordRef, Sensitivity
from crmbridge.operate import names
from crmbridge.operate.explain import _several
from crmbridge.store.interface import Snapshot

SPEC = {"Name": FieldSpec(), "Owner": FieldSpec(), "Pin": FieldSpec(sensitivity=Sensitivity.SECRET)}


class Many:
    """So many records as it is told, each with what `fields` says of its number."""

    def __init__(self, count, fields):
        self.count, self.fields, self.reads = count, fields, []

    async def snapshots_with(self, words, after, limit):
        begin = int(after.id) + 1 if after else 0
        end = min(begin + limit, self.count)
        self.reads.append(end - begin)
        page = {RecordRef("crm", "Deal", f"{n:07}"): Snapshot(1, None, n % 2 == 1, self.fields(n)) for n in range(begin, end)}
        held = {ref: one for ref, one in page.items() if words in str(one.fields).casefold()}
        return held, list(page)[-1] if end - begin == limit else None


def port(store):
    engine = SimpleNamespace(records={("crm", "Deal"): SPEC}, reading=lambda _: Reading(days=ZoneInfo("UTC")))
    return SimpleNamespace(store=store, engine=engine)


async def test_no_read_is_long_and_none_looks_for_ever():
    """A page at a time, so many pages at most; and it is said that there is more."""
    store = Many(10**9, lambda n: {"Name": "Parkers" if n == 5 else "x"})
    found = await names.find(port(store), "parkers")
    assert (len(found.hits), found.whole) == (1, False)
    assert (sum(store.reads), max(store.reads)) == (names._LOOKED, names._PAGE)
    assert "not all records" in _several("parkers", found)[1]


async def test_the_best_are_shown_of_many():
    """What is called exactly so, then what begins so; what is deleted stands last."""
    store = Many(900, lambda n: {"Name": "Parkers" if n == 600 else f"Parkers {n}" if n % 4 else f"Old Parkers {n}"})
    found = await names.find(port(store), "PARKERS")
    assert (len(found.hits), found.count, found.whole) == (names.SHOWN, 900, True)
    assert [int(one.record.id) for one in found.hits[:3]] == [600, 2, 6]
    assert "these are 20 of 900: write more of the name" in _several("PARKERS", found)[0]


@pytest.mark.parametrize(
    "fields",
    [{"Pin": "Parkers"}, {"Elsewhere": "Parkers"}, {"Name": None, "Owner": 7}, {"Name": "Parkers " + "x" * 200}],
    ids=["secret", "not configured", "no text", "too long for a name"],
)
async def test_what_is_no_name(fields):
    """It finds nobody, whatever it holds."""
    assert (await names.find(port(Many(3, lambda _: fields)), "parkers")).hits == []


async def test_a_single_letter_is_no_question():
    """It would be in everything."""
    store = Many(3, lambda _: {"Name": "a"})
    assert await names.find(port(store), "a") == names.Found([], 0, True)
    assert store.reads == []
