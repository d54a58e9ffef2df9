"""From nothing to a configuration that works: every CRM with every network."""

import contextlib
import itertools
import json
import re
import sqlite3
import stat
import subprocess
import sys

import pytest
from flow.daemon import CRMBRIDGE, free_port, inside
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, Salesforce

from crmbridge import registry
from crmbridge.cli.init import starters
from crmbridge.config.load import load
from crmbridge.store import identity

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


# --- what it offers


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("PostgreSQL", "sql"),
        ("postgres", "sql"),
        ("MariaDB", "sql-mysql"),
        ("mysql", "sql-mysql"),
        ("sqlite", "sql-sqlite"),
        ("CSV", "files"),
        ("Microsoft Dynamics 365 (Dataverse)", "dynamics365"),
        ("Zoho CRM", "zoho"),
        ("sql", "sql"),
    ],
)
def test_a_crm_is_known_by_its_product(tmp_path, said, name):
    """However it is written; what it is called in the configuration goes on being understood."""
    asked = starters("sources")[name].ask
    given = [part for key, one in asked.items() for part in ("--set", f"{key}={one.get('default') or 'https://acme.example'}")]
    inside(["init", tmp_path / "new", "--crm", said, "--network", "console", "--defaults", *given])
    assert f"type: {starters('sources')[name].connector}" in (tmp_path / "new" / "crmbridge.yaml").read_text()


def test_all_there_is_is_offered(tmp_path, monkeypatch):
    """Every source has a beginning and a product's name, and no name means two; who asks for none is shown all."""
    found = starters("sources")
    assert {one.connector for one in found.values()} == set(registry.names("sources"))
    for kind in registry.KINDS:
        named = [word for one in starters(kind).values() for word in {one.name, one.product.casefold(), *one.also}]
        assert "" not in named
        assert sorted(named) == sorted(set(named))
    said = inside(["init", tmp_path, "--crm", "salesfroce", "--network", "console"])
    assert said.returncode == 2
    assert 'did you mean "salesforce"?' in said.stderr
    assert all(one.product in said.stderr for one in found.values())
    by_hand(monkeypatch, "salesfroce", "csv", "Console")
    asked = inside(["init", tmp_path])
    assert 'did you mean "salesforce"?' in asked.stdout + asked.stderr
    assert "MariaDB or MySQL" in asked.stdout


def test_an_editor_and_a_shell_are_told(tmp_path, monkeypatch):
    """The file names a schema that lies beside it and accepts it."""
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    said = inside(["init", tmp_path, "--crm", "webhook", "--network", "console", "--defaults"])
    assert "# yaml-language-server: $schema=schema.json" in (tmp_path / "crmbridge.yaml").read_text().splitlines()[:3]
    assert json.loads((tmp_path / "schema.json").read_text()) == json.loads(inside(["schema"]).stdout)
    assert f"by {tmp_path / 'schema.json'}" in said.stdout
    assert said.stdout.endswith("_CRMBRIDGE_COMPLETE=fish_source crmbridge | source\n")


# --- who is in the way


def test_a_port_that_is_held(tmp_path, monkeypatch):
    """By a program, which is named: init takes the next port, run and doctor say so. By another crmbridge: its configuration too."""
    port = free_port()
    monkeypatch.setattr("crmbridge.cli.init._PORT", port)
    script = "import socket,sys; s=socket.create_server(('127.0.0.1',int(sys.argv[1]))); print('ready',flush=True); s.accept()"
    with subprocess.Popen([sys.executable, "-c", script, str(port), "--password=hunter2-hunter2"], stdout=subprocess.PIPE) as other:
        try:
            other.stdout.readline()
            said = inside(["init", tmp_path / "new", "--crm", "webhook", "--network", "chirp", "--set", "hook=" + "x" * 32])
            assert f"127.0.0.1:{port} is held by python" in said.stdout
            path = tmp_path / "new" / "crmbridge.yaml"
            text = path.read_text()
            assert f"listen: 127.0.0.1:{port}}}" not in text
            path.write_text(re.sub(r"(listen: 127\.0\.0\.1):\d+", rf"\1:{port}", text))
            found = inside(["doctor", "-c", path])
            assert re.search(rf"FAILED  server 127.0.0.1:{port}: it is held by python\S* \(process {other.pid}\); stop that", found.stdout)
            assert "signature" not in found.stdout, "who is not ours is shown no proof"
            refused = subprocess.run([CRMBRIDGE, "run", "-c", path], capture_output=True, text=True, timeout=60, check=False)
            assert (refused.returncode, "is held by python" in refused.stderr) == (1, True)
            assert "hunter2" not in said.stdout + found.stdout + refused.stderr
        finally:
            other.kill()


def test_a_port_that_another_crmbridge_holds(tmp_path, daemon):
    """Its configuration and its instance are named; one's own daemon is in nobody's way."""
    daemon.keep("sink")
    daemon.start()
    assert "held" not in inside(["doctor", "-c", daemon.path]).stdout
    other = tmp_path / "other" / "crmbridge.yaml"
    other.parent.mkdir()
    port = re.search(r"127\.0\.0\.1:\d+", daemon.path.read_text())[0]
    inside(["init", other.parent, "--crm", "webhook", "--network", "console", "--set", "hook=" + "x" * 32])
    other.write_text(re.sub(r"127\.0\.0\.1:\d+", port, other.read_text()))
    instance = identity.read(daemon.folder / "data" / "crmbridge.db").instance
    said = f"it is held by another crmbridge (process {daemon.process.pid}), with {daemon.path}, instance {instance[:12]}; stop that"
    assert said in inside(["doctor", "-c", other]).stdout
    daemon.stop()
    assert "held" not in inside(["doctor", "-c", other]).stdout


@pytest.mark.parametrize(("option", "offered"), [("--crm", "PostgreSQL"), ("--network", "Slack")])
def test_a_question_mark_lists_what_there_is(tmp_path, option, offered):
    """It is an answer, not a mistake, and nothing is written."""
    said = inside(["init", tmp_path / "new", *(() if option == "--crm" else ("--crm", "csv")), option, "?"])
    assert (said.returncode, said.stderr) == (0, "")
    assert offered in said.stdout
    assert not (tmp_path / "new").exists()
