"""From nothing to a configuration that works: every CRM with every network."""

import itertools
import json
import stat

import pytest
from flow.daemon import inside
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, Salesforce

from crmbridge.cli.init import starters

PAIRS = list(itertools.product(starters("sources"), starters("destinations")))


@pytest.mark.parametrize(("crm", "network"), PAIRS)
def test_every_beginning_is_a_good_one(tmp_path, crm, network):
    """Linted, with a rule whose test passes; what is still to be filled in is named."""
    said = inside(["init", tmp_path / "new", "--crm", crm, "--network", network, "--set", "nothing=asked"])
    assert said.returncode == 0, said.stderr
    assert "linted, and its test passes" in said.stdout
    path = tmp_path / "new" / "crmbridge.yaml"
    lint = inside(["lint", "-c", path])
    assert (lint.returncode, lint.stdout) == (0, f"{path}: fine\n")
    assert inside(["test", "-c", path]).returncode == 0
    for name in [*starters("sources")[crm].secrets, *starters("destinations")[network].secrets]:
        assert name in said.stdout
    kept = tmp_path / "new" / "secrets"
    assert not kept.exists() or stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert inside(["init", tmp_path / "new", "--crm", crm, "--network", network]).returncode == 2, "nothing is overwritten"


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
        said = inside(["init", tmp_path, "--crm", "salesforce", "--network", "console", "--set", f"url={crm.url}"])
        assert said.returncode == 1
        assert "the login is refused" in said.stdout
        assert "crmbridge doctor" in said.stderr
        found = inside(["doctor", "-c", tmp_path / "crmbridge.yaml", "-o", "json"])
    assert [one["ok"] for one in json.loads(found.stdout)] == [True, False, True]
