"""From nothing to a configuration that works: every CRM with every network."""

import contextlib
import itertools
import json
import sqlite3
import stat

import pytest
from flow.daemon import free_port, inside
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, Salesforce

from crmbridge.cli.init import starters
from crmbridge.config.load import load

ANSWERS = {"url": "https://acme.example", "site": "https://acme.example", "user": "ACME/BRIDGE"}
PAIRS = list(itertools.product(starters("sources"), starters("destinations")))


@pytest.mark.parametrize(("crm", "network"), PAIRS)
def test_every_beginning_is_a_good_one(tmp_path, monkeypatch, crm, network):
    """Linted, with a rule whose test passes; what is still to be filled in is named."""
    monkeypatch.setattr("crmbridge.server.reachable", lambda _: f"http://127.0.0.1:{free_port()}")  # whoever has 8080 here is not asked
    asked = {**starters("sources")[crm].ask, **starters("destinations")[network].ask}
    answers = {"exports": str(tmp_path), **ANSWERS}
    if crm == "sql-sqlite":
        answers["database"] = str(tmp_path / "crm.db")
        with contextlib.closing(sqlite3.connect(answers["database"])) as database:
            database.execute("CREATE TABLE deal (id, changed, stage, account)")
    given = [f"{name}={answers.get(name) or one['default']}" for name, one in asked.items()]
    options = [part for one in given for part in ("--set", one)]
    said = inside(["init", tmp_path / "new", "--crm", crm, "--network", network, "--defaults", *options])
    assert said.returncode == 0, said.stdout + said.stderr
    assert "linted, and its test passes" in said.stdout
    path = tmp_path / "new" / "crmbridge.yaml"
    lint = inside(["lint", "-c", path])
    assert (lint.returncode, lint.stdout) == (0, f"{path}: fine\n")
    assert inside(["test", "-c", path]).returncode == 0
    for name in [*starters("sources")[crm].secrets, *starters("destinations")[network].secrets]:
        assert name in said.stdout
    kept = tmp_path / "new" / "secrets"
    assert not kept.exists() or stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert inside(["init", tmp_path / "new", "--crm", crm, "--network", network, "--defaults"]).returncode == 2, "nothing is overwritten"


def test_answers_are_words_and_nothing_more(tmp_path):
    """Whatever stands in a folder's name or an answer; a question that nobody asks, or nobody answers, is told."""
    folder = tmp_path / 'a, "b" #c {d}: Ä'
    odd = '#w"ins, {x}: y'
    said = inside(["init", folder, "--crm", "webhook", "--network", "slack", "--set", f"channel={odd}", "--set", "record=De'al #1"])
    assert said.returncode == 0, said.stderr
    config = load(folder / "crmbridge.yaml", secrets=False)
    assert config.destinations["news"].options.channel == odd
    assert list(config.sources["crm"].records) == ["De'al #1"]
    base = ["init", tmp_path / "other", "--crm", "salesforce", "--network", "slack"]
    for wrong, words in (("ulr=https://x", "nothing asks for ulr"), ("channel=#x", "say --set url="), ("url=a\nb: c", "url")):
        said = inside([*base, "--set", wrong])
        assert (said.returncode, words in said.stderr) == (2, True), said.stderr
    assert not (tmp_path / "other").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "slack-app-manifest.yaml").write_text("mine")
    assert inside([*base, "--set", "url=https://acme.my.salesforce.com"]).returncode == 2
    assert (tmp_path / "other" / "slack-app-manifest.yaml").read_text() == "mine"


def test_questions_answered_by_hand(tmp_path, monkeypatch):
    """The CRM, the network, two secrets; then the login, a live record, and no test message."""
    with Salesforce() as crm:
        crm.create(title="Roll-out", stage="open")
        answers = ["salesforce", "console", crm.url, CLIENT_ID, CLIENT_SECRET, "n"]
        monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: answers.pop(0))
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answers.pop(0))
        said = inside(["init", tmp_path])
    assert said.returncode == 0, said.stdout + said.stderr
    assert answers == []
    assert "fine    source crm (salesforce)" in said.stdout
    assert f"a record that is there now, Opportunity {next(iter(crm.rows))}, would lead to:" in said.stdout
    assert "nothing: StageName becomes Closed Won" in said.stdout
    assert CLIENT_SECRET not in said.stdout + said.stderr + (tmp_path / "crmbridge.yaml").read_text()
    kept = tmp_path / "secrets" / "salesforce.secret"
    assert (stat.S_IMODE(kept.stat().st_mode), kept.read_text()) == (0o600, f"{CLIENT_SECRET}\n")


def test_a_login_that_fails_says_what_to_do(tmp_path):
    """And leaves the configuration for the next try."""
    with Salesforce() as crm:
        (tmp_path / "secrets").mkdir()
        for name in ("salesforce.key", "salesforce.secret"):
            (tmp_path / "secrets" / name).write_text("wrong\n")
            (tmp_path / "secrets" / name).chmod(0o600)
        said = inside(["init", tmp_path, "--crm", "salesforce", "--network", "console", "--set", f"url={crm.url}"])
        assert said.returncode == 1
        assert "the login is refused" in said.stdout
        assert "crmbridge doctor" in said.stderr
        found = inside(["doctor", "-c", tmp_path / "crmbridge.yaml", "-o", "json"])
    assert [one["ok"] for one in json.loads(found.stdout)] == [True, False, True]
