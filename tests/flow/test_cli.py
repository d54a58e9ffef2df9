"""The command line: every verb, its help, its exit codes, and what it says for programs."""

import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import subprocess

import pytest
from flow.daemon import CRMBRIDGE, Daemon, Networks, inside, until
from shared import ROOT

from crmbridge.cli.demo import FILES
from crmbridge.cli.group import _VERBS

PARKERS = ROOT / "examples" / "parkers" / "crmbridge.yaml"


def run(*arguments, stdin="", cwd=None, **environment):
    if cwd is None and arguments[0] != "demo":
        return inside(arguments, stdin)
    return subprocess.run(
        [CRMBRIDGE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        input=stdin,
        check=False,
        cwd=cwd,
        env={**{name: value for name, value in os.environ.items() if name != "CRMBRIDGE_CONFIG"}, **environment},
    )


def tree(group, path=()):
    """Every verb with its subverbs."""
    yield path
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from tree(command, (*path, name))
        else:
            yield (*path, name)


def test_every_verb_has_help():
    """With a sentence about it and about each of its options; -h works as --help does."""
    from click.testing import CliRunner

    from crmbridge.cli.group import cli

    paths = list(tree(cli))
    assert len(paths) >= 25
    for path in paths:
        said = CliRunner().invoke(cli, [*path, "--help"])
        assert said.exit_code == 0, path
        lines = said.output.splitlines()
        assert lines[0].startswith("Usage: "), path
        assert lines[2].strip(), path
        assert not [
            line
            for line in lines
            if line.strip().startswith("--") and "  " not in line.strip() and not line.strip().endswith(("]", "TEXT", "FILE", "PATH"))
        ], path
    said = run("-h")
    assert said.returncode == 0
    assert not [verb for verb in _VERBS if verb not in said.stdout]


def test_usage_errors():
    """Exit 2, without a traceback."""
    for arguments in (
        ["nonsense"],
        ["lint", "--nonsense"],
        ["dead", "retry", "-c", PARKERS],
        ["unknown", "resolve", "1", "-c", PARKERS],
        ["status", "-o", "xml"],
    ):
        said = run(*arguments)
        assert (said.returncode, said.stdout) == (2, ""), arguments
        assert "Traceback" not in said.stderr


def test_no_configuration(tmp_path):
    """Says where it looked; the environment and the folder are looked at."""
    said = run("lint", cwd=tmp_path)
    if not os.path.exists("/etc/crmbridge/crmbridge.yaml"):
        assert said.returncode == 2
        assert "give --config FILE, or make crmbridge.yaml here" in said.stderr
    assert run("lint", cwd=tmp_path, CRMBRIDGE_CONFIG=str(PARKERS)).returncode == 0
    assert run("lint", cwd=PARKERS.parent).returncode == 0
    said = run("lint", "-c", tmp_path / "gone.yaml")
    assert said.returncode == 3
    assert "gone.yaml" in said.stdout + said.stderr


@pytest.fixture
def parkers(tmp_path):
    """The example, to be changed."""
    for name in FILES:
        shutil.copy(PARKERS.with_name(name), tmp_path / name)
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.db")) as crm:
        crm.executescript((tmp_path / "crm.sql").read_text("utf-8"))
    return tmp_path / "crmbridge.yaml"


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_lint(parkers):
    """0 and a word where it is fine; 3 with every problem and its place where it is not, for people and programs."""
    said = run("lint", "-c", parkers)
    assert (0, f"{parkers}: fine\n") == (said.returncode, said.stdout)

    change(parkers, "becomes: live", "becoms: live")
    change(parkers, "to: brand", "to: brend")
    said = run("lint", "-c", parkers)
    assert said.returncode == 3
    assert 'did you mean "becomes"?' in said.stdout
    assert 'did you mean "brand"?' in said.stdout
    assert "2 problems" in said.stderr
    said = run("lint", "-o", "json", "-c", parkers)
    problems = json.loads(said.stdout)["problems"]
    assert (said.returncode, len(problems)) == (3, 2)
    assert all(one["file"] == "crmbridge.yaml" and one["line"] > 1 and one["column"] > 1 and one["path"] for one in problems)


def test_lint_tells_what_may_grow_too_long(tmp_path):
    """A post that long names would make longer than X takes would be a dead letter on the day it matters."""
    path = tmp_path / "crmbridge.yaml"
    shutil.copy(PARKERS.parent.parent / "webhook-to-x" / "crmbridge.yaml", path)
    assert run("lint", "-c", path).stdout == f"{path}: fine\n"

    change(path, 'text: "Welcome, {{ record.name }}!"', 'text: "Welcome, {{ record.name }}! {{ record.name }}!"')
    said = run("lint", "-c", path)
    assert said.returncode == 0
    assert "step brand: with record texts of 255 characters it is 522 long, and brand takes 280" in said.stdout
    change(path, "to: brand, text", "to: brand, shorten: record.name, text")
    assert run("lint", "-c", path).stdout == f"{path}: fine\n"


def test_test(parkers):
    """0 where the rules say what their tests expect, 4 where one does not, 3 where they cannot be read."""
    said = run("test", "-c", parkers)
    assert said.returncode == 0
    assert said.stdout.splitlines()[-1].endswith(" passed, 0 failed")

    change(parkers, "Welcome aboard!", "Welcome on board!")
    said = run("test", "-c", parkers)
    assert said.returncode == 4
    assert sum(line.startswith("FAILED  live: ") for line in said.stdout.splitlines()) == 1
    assert run("test", "--run", "promoted", "-c", parkers).returncode == 0
    change(parkers, "crmbridge: 1", "crmbridge: 2")
    assert run("test", "-c", parkers).returncode == 3


def test_render():
    """What would be said, and why the rest is silent; from a file or standard input."""
    deal = {
        "source": "crm",
        "record": "Opportunity",
        "id": "O-9",
        "fields": {
            "name": "Pilot",
            "stage": "Closed Won",
            "amount": "120000",
            "currency": "EUR",
            "owner": "Tom",
            "account": "A-1",
            "Account.name": "Parkers",
        },
        "before": {"stage": "Open"},
        "url": "https://crm.acme.example/opportunities/O-9",
    }
    said = run("render", "-", "-o", "json", "-c", PARKERS, stdin=json.dumps(deal))
    data = json.loads(said.stdout)
    assert (said.returncode, [one["to"] for one in data["messages"]]) == (0, ["feed", "wins"])
    assert data["messages"][1]["text"] == ":tada: *Parkers* signed Pilot: €120,000, by Tom"
    assert data["messages"][0]["channel"] == "Parkers"

    lost = {**deal, "fields": {**deal["fields"], "stage": "Closed Lost"}}
    said = run("render", "-", "-c", PARKERS, stdin=json.dumps(lost))
    assert (
        said.returncode,
        said.stdout.startswith("silent: rule won: stage becomes Closed Won: it was Open and is Closed Lost"),
    ) == (0, True)
    del deal["fields"]["owner"]
    assert run("render", "-", "-c", PARKERS, stdin=json.dumps(deal)).returncode == 1
    for wrong in ("[]", '{"source": "crm", "record": "Deal", "fields": 5}', '{"source": "x", "record": "y", "fields": {}}'):
        assert run("render", "-", "-c", PARKERS, stdin=wrong).returncode == 2
    for broken in ("{", '{"source": "crm", "record": "Deal", "fields": {}, "event": "x"}'):
        said = run("render", "-", "-c", PARKERS, stdin=broken)
        assert said.returncode in (1, 2)
        assert "Traceback" not in said.stderr


def test_render_names_what_a_change_by_hand_misspells():
    """The rule would else only be silent, as of an empty field."""
    change = {"source": "crm", "record": "Opportunity", "fields": {"stge": "Closed Won"}}
    said = run("render", "-", "-c", PARKERS, stdin=json.dumps(change))
    assert 'note: stge is not among the fields of Opportunity; did you mean "stage"?' in said.stdout


def test_the_folder_of_all_backups_is_none(tmp_path):
    """Who verifies what `backup.folder` names is shown the newest in it."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "backup.json").write_text("{}")
    said = run("backup", "--verify", str(tmp_path))
    assert (said.returncode, f"{tmp_path} is a folder of backups; the newest is {tmp_path / 'two'}" in said.stderr) == (1, True)


def test_configuration_verbs():
    """Show, reference, schema, connectors."""
    shown = json.loads(run("config", "show", "-c", PARKERS).stdout)
    assert {"crm"} == shown["sources"].keys()
    assert shown["sources"]["crm"]["every"] == "1s"
    assert shown["destinations"]["brand"]["audience"] == "public"
    assert "crmbridge: 1" in run("config", "reference").stdout
    assert "properties" in json.loads(run("schema").stdout)
    listed = run("connectors").stdout
    assert {"chirp", "salesforce", "slack", "sql", "webhook"} <= {line.split()[1] for line in listed.splitlines()}
    assert "api_url" in run("doc", "slack").stdout
    assert run("doc", "nonsense").returncode == 2


def test_demo():
    """The whole thing, in twelve seconds: exit 0 only because everything that the story led to was published."""
    said = run("demo", "--seconds", "12")

    assert said.returncode == 0, said.stdout + said.stderr
    (line,) = [line for line in said.stdout.splitlines() if "messages published" in line]
    assert line.split("messages published")[1].split(":")[0].strip() == "9"
    assert "NOT published" not in said.stdout
    assert "Traceback" not in said.stdout + said.stderr


def test_demo_keeps_an_editable_folder(tmp_path):
    """Which the other verbs accept; a folder that holds something is not touched."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    assert run("demo", "--seconds", "1", "--keep", tmp_path / "full").returncode == 2
    assert os.listdir(tmp_path / "full") == ["mine"]


READS = [("status",), ("dead", "list"), ("unknown", "list"), ("show", "1"), ("dead", "show", "1"), ("chirp", "user", "list")]


def test_read_verbs_with_and_without_a_daemon(tmp_path):
    """Every -o json can be parsed, people get lines, and what needs no daemon works on the database."""
    with Networks() as networks, Daemon(tmp_path, networks) as daemon:
        for verb in (("dead", "list"), ("unknown", "list"), ("show", "1"), ("tail", "--seconds", "0.1")):
            never = daemon.cli(*verb)
            assert (never.returncode, "crmbridge has not run yet" in never.stderr) == (1, True), verb
        daemon.config["rules"][0]["publish"][0]["text"] = "{{ record.name }} {{ record.note }}"
        daemon.write()
        daemon.start()
        daemon.post(daemon.body())
        daemon.quiet()

        for verb in READS:
            found = daemon.cli(*verb, "-o", "json")
            assert found.returncode == (1 if verb == ("status",) else 0), (verb, found.stderr)  # there is a dead letter
            json.loads(found.stdout)
        for verb in READS[1:4]:
            assert daemon.cli(*verb).stdout, verb
        (dead,) = daemon.ask("dead_list")["deliveries"]
        shown = json.loads(daemon.cli("show", str(dead["id"]), "-o", "json").stdout)
        assert (shown["state"], shown["reason"], shown["event"]["fields"]) == ("dead", "unrenderable", {"name": "Parkers", "stage": "won"})
        assert shown == json.loads(daemon.cli("show", shown["key"], "-o", "json").stdout)
        assert daemon.cli("show", "999").returncode == 1
        assert "DESTINATION" in daemon.cli("status").stdout
        with_daemon = daemon.cli("dead", "list", "-o", "json").stdout

        broken = daemon.path.read_text()
        daemon.path.write_text(broken.replace("to: sink", "to: snik"))
        said = daemon.cli("status")
        assert "config_changed" in said.stdout, "a configuration that is being edited must not hide the daemon"
        daemon.path.write_text(broken)

        daemon.kill()  # its socket is left behind
        assert with_daemon == daemon.cli("dead", "list", "-o", "json").stdout
        for verb in READS[1:]:
            assert daemon.cli(*verb, "-o", "json").returncode == 0, verb
        stopped = daemon.cli("status")
        assert (stopped.returncode, "no crmbridge runs with" in stopped.stderr) == (1, True)
        assert daemon.cli("reload").returncode == 1
        dropped = daemon.cli("dead", "drop", "--all", "--yes")
        assert (dropped.returncode, dropped.stdout) == (0, "1 delivery\n1 delivery dropped\n")
        assert json.loads(daemon.cli("dead", "list", "-o", "json").stdout)["deliveries"] == []


def test_orders_ask_first(tmp_path):
    """What touches many shows the count; without a yes nothing is done, and an order on what is not there says so."""
    with Networks() as networks, Daemon(tmp_path, networks) as daemon:
        daemon.keep("sink")
        daemon.config["rules"][0]["publish"][0]["text"] = "{{ record.note }}"
        daemon.write()
        daemon.start()
        for n in range(3):
            daemon.post(daemon.body(n))
        daemon.quiet()
        asked = daemon.cli("dead", "drop", "--rule", "won", stdin="n\n")
        assert (asked.returncode, asked.stdout.startswith("3 deliveries\n")) == (1, True)
        assert len(daemon.ask("dead_list")["deliveries"]) == 3
        assert "there is no delivery 99" in daemon.cli("dead", "retry", "99").stderr
        assert daemon.cli("dead", "drop", "--destination", "sink", "-y").returncode == 0
        gone = daemon.cli("dead", "retry", "1")
        assert (gone.returncode, "is unsaid, not dead" in gone.stderr or "not dead" in gone.stderr) == (1, True)


def test_tail_shows_changes(tmp_path):
    """As they come in, one line each, for people and for programs."""
    with Networks() as networks, Daemon(tmp_path, networks) as daemon, (tmp_path / "tail").open("w") as out:
        daemon.keep("sink").start()
        tail = subprocess.Popen([CRMBRIDGE, "tail", "-o", "json", "-c", daemon.path], stdout=out)

        def told(record):
            lines = (tmp_path / "tail").read_text().splitlines()
            return [one for one in map(json.loads, lines) if one["record"] == f"crm/Deal/{record}"]

        try:
            number = itertools.count(1)
            until(lambda: told(9) or not daemon.post(daemon.body(9, next(number), name=f"probe {number}")), "it listens")
            daemon.post(daemon.body(1, 1, stage="open"))
            daemon.post(daemon.body(1, 2))
            until(lambda: len(told(1)) == 2, "both are shown")
        finally:
            tail.kill()
            tail.wait()
        assert [one["before"] for one in told(1)] == [{}, {"stage": "open"}]
        assert told(1)[1]["fields"]["stage"] == "won"
        assert daemon.cli("tail", "--seconds", "0.1").returncode == 0
