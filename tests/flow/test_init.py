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


def by_hand(monkeypatch, *answers):
    """What a person types, one after the other; what is left is given back."""
    left = list(answers)

    def typed(_):
        if not left:
            raise KeyboardInterrupt
        return left.pop(0)

    monkeypatch.setattr("click.termui.hidden_prompt_func", typed)
    monkeypatch.setattr("click.termui.visible_prompt_func", typed)
    return left


def test_what_cannot_be_is_asked_again_before_any_secret(tmp_path, monkeypatch):
    """With what was said before; nothing is kept until all else is right, and nothing of a try that was ended."""
    left = by_hand(monkeypatch, "", "  ", "not an address", "https://acme.my.salesforce.com", "", "")
    said = inside(["init", tmp_path / "new", "--crm", "salesforce", "--network", "console"])
    assert (said.returncode, left) == (0, []), said.stdout + said.stderr
    assert "there is no usual answer" in said.stdout + said.stderr
    assert "sources.crm.url: " in said.stderr
    assert "fill in" in said.stdout
    by_hand(monkeypatch, "not an address")
    assert inside(["init", tmp_path / "ended", "--crm", "salesforce", "--network", "console"]).returncode == 1
    assert not list((tmp_path / "ended").rglob("*.*"))


def test_it_goes_on_where_it_ended(tmp_path, monkeypatch):
    """The secrets that were left empty are asked for, and the login is tried."""
    with Salesforce() as crm:
        crm.create(title="Roll-out", stage="open")
        by_hand(monkeypatch, crm.url, "", "")
        assert inside(["init", tmp_path, "--crm", "salesforce", "--network", "console"]).returncode == 0
        left = by_hand(monkeypatch, CLIENT_ID, CLIENT_SECRET, "n")
        said = inside(["init", tmp_path])
    assert (said.returncode, left) == (0, []), said.stdout + said.stderr
    assert f"going on with {tmp_path / 'crmbridge.yaml'}" in said.stdout
    assert "fine    source crm (salesforce)" in said.stdout


def test_a_script_may_give_secrets_too(tmp_path):
    """They are kept like those that somebody types; the folder can be moved with them."""
    options = ["--set", "url=https://acme.my.salesforce.com", "--set", "salesforce.key=abc", "--set", "salesforce.secret=canary-secret"]
    said = inside(["init", tmp_path / "new", "--crm", "salesforce", "--network", "console", *options])
    kept = tmp_path / "new" / "secrets" / "salesforce.secret"
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == ("canary-secret\n", 0o600), said.stderr
    assert "canary-secret" not in said.stdout + said.stderr
    (tmp_path / "new").rename(tmp_path / "moved")
    assert str(tmp_path) not in (tmp_path / "moved" / "crmbridge.yaml").read_text()
    assert inside(["lint", "--secrets", "-c", tmp_path / "moved" / "crmbridge.yaml"]).returncode == 0
