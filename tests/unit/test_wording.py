"""How sentences count, and what is proposed for a word that there is not."""

import pytest
from shared import ROOT

from crmbridge.model import counted, did_you_mean, nearest, times, verbs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1, "message"), "1 message"),
        ((0, "message"), "0 messages"),
        ((1, "delivery"), "1 delivery"),
        ((2, "delivery"), "2 deliveries"),
        ((2, "webhook request"), "2 webhook requests"),
        ((1, "queued message", "wait"), "1 queued message waits"),
        ((3, "record", "lead"), "3 records lead"),
    ],
)
def test_so_many(given, said):
    assert counted(*given) == said


def test_so_often():
    assert [times(n) for n in (0, 1, 2, 3)] == ["0 times", "once", "twice", "3 times"]
    assert "{are} {were}".format(**verbs(1)) == "is was"
    assert "{are} {were}".format(**verbs(2)) == "are were"


def test_what_may_be_meant():
    """The nearest, whatever its case; a part of a dotted name; nothing where nothing is near."""
    known = ["Name", "Account.Name", "Stage"]
    assert [nearest(word, known) for word in ("Nmae", "NAME", "Account", "xyzzy")] == ["Name", "Name", "Account.Name", ""]
    assert (did_you_mean("Stgae", known), did_you_mean("xyzzy", known)) == ('; did you mean "Stage"?', "")


def test_one_place_looks_for_what_may_be_meant():
    """What is near in one message is near in all."""
    files = [path for package in ("crmbridge", "connectors") for path in (ROOT / package).rglob("*.py")]
    found = [path.relative_to(ROOT).as_posix() for path in files if "difflib" in path.read_text("utf-8")]
    assert found == ["crmbridge/model/wording.py"]
