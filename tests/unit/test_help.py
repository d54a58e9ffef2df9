"""What somebody sees who does not know a verb, or not how it is written."""

import re
import shlex
import sys

import click
import pytest
from click.testing import CliRunner

from crmbridge.cli.common import Failure
from crmbridge.cli.examples import EXAMPLES
from crmbridge.cli.group import cli
from crmbridge.cli.terminal import excerpt, say_problem
from crmbridge.errors import Problem


def verbs(command=cli, path=()):
    """Every verb with its command, those within families too."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        return {
            name: one
            for inner in command.list_commands(context)
            for name, one in verbs(command.get_command(context, inner), (*path, inner)).items()
        }
    return {" ".join(path): command}


VERBS = verbs()


def run(*words):
    return CliRunner().invoke(cli, words)


def test_every_verb_has_its_examples():
    """None is left out, and none is of a verb that there is no more."""
    assert sorted(EXAMPLES) == sorted(VERBS)


@pytest.mark.parametrize("verb", EXAMPLES)
def test_an_example_is_one(verb, tmp_path, monkeypatch):
    """It begins with its verb, it parses, and `--help` shows it as it stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backups/today").mkdir(parents=True)
    for name in ("change.json", "crmbridge.yaml"):
        (tmp_path / name).touch()
    for asks in ("hidden_prompt_func", "visible_prompt_func"):
        monkeypatch.setattr(click.termui, asks, lambda *_: "y")
    shown = run(*verb.split(), "--help").output
    for example in EXAMPLES[verb]:
        words = shlex.split(re.split(r" [<>] ", example)[0])
        assert words[: 1 + len(verb.split())] == ["crmbridge", *verb.split()]
        with VERBS[verb].make_context(verb, words[1 + len(verb.split()) :]):
            pass
        assert example in shown


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("statsu", "did you mean `crmbridge status`?"),
        ("retry", "did you mean `crmbridge dead retry`?"),
        ("release", "did you mean `crmbridge queue release`?"),
        ("lst", "did you mean"),
        ("xyzzy", "see `crmbridge --help`"),
    ],
)
def test_a_verb_that_there_is_not(typed, said):
    """The one that may be meant is named, wherever it stands."""
    found = run(typed)
    assert found.exit_code == 2
    assert f'there is no verb "{typed}"; ' in found.output
    assert said in found.output


def test_the_pages():
    """Each is listed, and shown without the marks that only a generator reads."""
    listed = run("doc")
    assert listed.exit_code == 0
    names = [line.split()[0] for line in listed.output.splitlines()[1:]]
    assert {"rules", "odoo", "slack"} <= set(names)
    for name in set(names):
        page = run("doc", name)
        assert (page.exit_code, "<!--" in page.output) == (0, False)
    wrong = run("doc", "odo")
    assert isinstance(wrong.exception, Failure)
    assert 'did you mean "odoo"?' in str(wrong.exception)


def test_a_shell_completes_verbs(monkeypatch):
    """As README says: the shell asks the program."""
    monkeypatch.setenv("_CRMBRIDGE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "crmbridge st")
    monkeypatch.setenv("COMP_CWORD", "1")
    found = CliRunner().invoke(cli, [], prog_name="crmbridge")
    assert {"plain,status", "plain,state"} <= set(found.output.split())


# --- where a problem stands ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "column", "shown"),
    [
        ("  type: consol", 9, ["    3 |   type: consol", "      |         ^"]),
        ("\ttype: consol", 2, ["    3 |  type: consol", "      |  ^"]),
        ("名前: {x: 1}", 5, ["    3 | 名前: {x: 1}", "      |       ^"]),
        ("a" * 300, 200, ["    3 | " + "a" * 100, "      | " + " " * 60 + "^"]),
        ("x: \x1b[31m", 4, ["    3 | x: \\u001b[31m", "      |    ^"]),
        ("short", 40, []),
    ],
)
def test_a_caret_stands_under_the_place(tmp_path, line, column, shown):
    """Whatever stands before it; of a long line what is about it; nothing of a line moves the cursor."""
    (tmp_path / "x.yaml").write_text(f"\n\n{line}\n", "utf-8")
    assert excerpt(Problem("x.yaml", 3, column, "a.b", "is wrong"), tmp_path) == shown


def test_where_there_is_no_such_line(tmp_path):
    """A file that is gone or unreadable, a place that is not known."""
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "y.yaml").write_text("a: 1\n")
    places = [("gone.yaml", 1), ("x.yaml", 1), ("y.yaml", 0), ("y.yaml", 9)]
    assert [excerpt(Problem(file, line, 1, "", "is wrong"), tmp_path) for file, line in places] == [[], [], [], []]


def test_only_a_terminal_shows_a_line(tmp_path, capsys, monkeypatch):
    """A log of a build may be read by many, and a line may hold a secret."""
    (tmp_path / "x.yaml").write_text("token: hunter2-hunter2\n")
    problem = Problem("x.yaml", 1, 8, "token", "is wrong")
    say_problem(problem, tmp_path)
    assert capsys.readouterr().out == "x.yaml:1:8: token: is wrong\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    say_problem(problem, tmp_path)
    assert "    1 | token: hunter2-hunter2\n" in capsys.readouterr().out
