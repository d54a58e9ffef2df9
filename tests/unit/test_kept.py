"""What a vendor says of itself is asked once, believed for some minutes, and never lost by an answer that fails."""

import threading

import pytest

from crmbridge.errors import SourceError
from crmbridge.http import Kept


class Vendor:
    def __init__(self):
        self.asked, self.fails = [], False

    def __call__(self, name):
        if self.fails:
            raise SourceError("down")
        self.asked.append(name)
        return f"{name} {len(self.asked)}"


@pytest.fixture
def vendor():
    return Vendor()


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def kept(vendor, clock):
    return Kept(vendor, seconds=600, clock=lambda: clock[0])


def test_an_answer_is_believed_for_its_time(kept, vendor, clock):
    assert [kept.get("deal"), kept.get("deal")] == ["deal 1"] * 2
    clock[0] = 599.0
    assert kept.get("deal") == "deal 1"
    clock[0] = 600.0
    assert kept.get("deal") == "deal 2"
    clock[0] = 599.9
    assert kept.get("deal") == "deal 3", "by a clock that was set back it would be believed for longer"


def test_each_name_has_its_own(kept, vendor):
    assert [kept.get("deal"), kept.get("person"), kept.get("deal"), kept.get()] == ["deal 1", "person 2", "deal 1", " 3"]


def test_who_wants_it_afresh_asks(kept, vendor):
    kept.get("deal")
    assert [kept.get("deal", afresh=True), kept.get("deal")] == ["deal 2"] * 2


def test_an_answer_that_fails_takes_nothing_away(kept, vendor, clock):
    kept.get("deal")
    vendor.fails = True
    with pytest.raises(SourceError):
        kept.get("deal", afresh=True)
    assert [kept.get("deal"), kept.last("deal")] == ["deal 1"] * 2
    clock[0] = 601.0
    with pytest.raises(SourceError):
        kept.get("deal")
    assert kept.last("deal") == "deal 1"


def test_what_was_never_answered_is_not_known(kept):
    assert kept.last("deal") is None


def test_what_is_forgotten_is_asked_again(kept, vendor):
    kept.get("deal")
    kept.forget()
    assert (kept.last("deal"), kept.get("deal")) == (None, "deal 2")


def test_an_empty_answer_is_an_answer():
    asked = []
    kept = Kept(lambda name: asked.append(name) or {})
    assert [kept.get(), kept.get(), len(asked)] == [{}, {}, 1]


def test_threads_that_want_the_same_ask_once(vendor):
    together = threading.Barrier(8)
    kept = Kept(vendor)

    def want():
        together.wait(10)
        kept.get("deal")

    threads = [threading.Thread(target=want) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(10)
    assert vendor.asked == ["deal"]
