"""The page about adding a source is right: its connector and its preset are built and pass the contract of all sources."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crmbridge.rest.preset import Preset

ROOT = Path(__file__).parents[2]
SOURCE = ["acme/options.py", "acme/source.py", "acme/__init__.py", "test_acme.py"]
PRESET = ["beacon/preset.yaml", "beacon/__init__.py", "test_beacon.py"]


def files_of_the_page():
    """By their names, in their order."""
    text = (ROOT / "connectors" / "ADDING.md").read_text("utf-8")
    return dict(re.findall(r"<!-- file: (\S+) -->\n```(?:python|yaml)\n(.*?)```", text, re.DOTALL))


def test_the_page_has_no_other_file():
    assert list(files_of_the_page()) == SOURCE + PRESET


def test_the_page_has_every_key_of_a_preset():
    """And no other."""
    text = (ROOT / "connectors" / "ADDING.md").read_text("utf-8").partition("At the top there are:")[2].partition("1. Read the")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(Preset.model_fields)


def test_the_stand_in_of_the_page_can_be_served(tmp_path):
    """As the page says, for a daemon to be tried with."""
    found = files_of_the_page()
    (tmp_path / "beacon").mkdir()
    for name in PRESET:
        (tmp_path / name).write_text(found[name], "utf-8")
    lines = ["from test_beacon import Beacon", "with Beacon() as crm:", "    then = crm.now; crm.create(title='Parkers'); crm.tick(60)"]
    lines += ["    print(crm.url, (crm.now - then).total_seconds())"]
    said = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ 60\.0\n", said.stdout), said.stderr


@pytest.mark.parametrize(("names", "least"), [(SOURCE, 16), (PRESET, 45)], ids=["a source", "a preset"])
def test_the_source_of_the_page_works(tmp_path, names, least):
    """A stranger follows the page word by word, outside this repository."""
    said = said_by_pytest(tmp_path, names, lambda _name, text: text)
    assert said.returncode == 0, said.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", said.stdout)[1]) >= least


def said_by_pytest(folder, names, change, *more):
    """What pytest says of files of the page, each as `change` leaves it."""
    found = files_of_the_page()
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(change(name, found[name]), "utf-8")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-o", "addopts=", names[-1], *more]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)


OF_A_QUOTA = ("-k", "spent_quota or header_times")


def without(start, end):
    """A change that takes out what stands between two texts."""

    def change(_name, text):
        return re.sub(f"{re.escape(start)}.*?(?={re.escape(end)})", "", text, flags=re.DOTALL)

    return change


def test_a_preset_whose_quota_nobody_proves_fails(tmp_path):
    """With what must be defined; it would pass as proved otherwise."""
    said = said_by_pytest(tmp_path, PRESET, without("    def quota", "    def options"), *OF_A_QUOTA)
    assert "2 failed" in said.stdout
    assert "preset.yaml has `quota`: define `quota(self, crm)` in TestBeacon" in said.stdout


def test_a_preset_without_a_quota_has_no_test_of_one(tmp_path):
    said = said_by_pytest(tmp_path, PRESET, without("quota: {", "most:"), "--collect-only")
    assert "test_an_empty_crm_is_no_trouble" in said.stdout
    assert "spent_quota" not in said.stdout
    assert "header_times" not in said.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '{"id": "string"',
            '{"id": "integer"',
            "/deals, by the fact of /deals: the answer.data[0].id is a string, '1001', and not integer",
        ),
        ('{"data": [{', '{"more": "object", "data": [{', "/deals, by the fact of /deals: the answer has no more"),
        ('"limit", "page"}', '"page"}', "/deals, by the fact of /deals: it knows no parameter limit, only changed_from, page, sort"),
        ('Fact("/deals"', 'Fact("/leads"', "nothing was asked of /leads"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, old, new, said):
    """Which key is of which kind, and what was wanted."""
    told = said_by_pytest(tmp_path, PRESET, lambda _name, text: text.replace(old, new), "-k", "vendor_describes")
    assert f"AssertionError: {said}" in told.stdout


@pytest.mark.parametrize(("said_in", "spent", "passes"), [("epoch", 30, True), ("epoch", 300, False), ("epoch_ms", 30, False)])
def test_a_quota_is_judged_by_the_clock_of_the_stand_in(tmp_path, said_in, spent, passes):
    """30 seconds are neither five minutes nor another unit."""

    def change(_name, text):
        return text.replace("reset_in: epoch}", f"reset_in: {said_in}}}").replace("+ 30)", f"+ {spent})")

    said = said_by_pytest(tmp_path, PRESET, change, *OF_A_QUOTA)
    assert ("2 passed" in said.stdout, "2 failed" in said.stdout) == (passes, not passes), said.stdout[-3000:]


def test_an_assertion_of_a_contract_says_what_it_saw():
    """Also where pytest rewrites only the tests that it collects: the contracts stand in a package that is installed."""
    for name in ("destination", "preset.suite", "source.reading", "source.hooks"):
        module = importlib.import_module(f"crmbridge.testing.{name}")
        assert type(module.__loader__).__name__ == "AssertionRewritingHook", name
