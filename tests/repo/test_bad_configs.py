"""One file for each mistake, with the exact words that it must be answered with, and where."""

from pathlib import Path

import pytest

from crmbridge.config.document import MAX_BYTES, parse
from crmbridge.config.load import load
from crmbridge.errors import ConfigError

GALLERY = sorted((Path(__file__).parent / "bad_configs").glob("*.yaml"))


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_every_mistake_has_its_sentence(path):
    """All problems at once, each with line, column, path, what is wrong and what to do."""
    expected = [line.removeprefix("# expect: ") for line in path.read_text().splitlines() if line.startswith("# expect: ")]
    assert expected

    with pytest.raises(ConfigError) as error:
        load(path, secrets=False)

    assert expected == [str(problem).removeprefix(f"{path.name}:") for problem in error.value.problems]


def test_a_missing_file_is_a_problem_like_any_other(tmp_path):
    """No traceback for a typo in --config."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_a_missing_secret_is_found_at_start_and_its_value_never_shown(tmp_path, monkeypatch):
    """A linter on another machine does not need secrets; a daemon does."""
    path = tmp_path / "crmbridge.yaml"
    path.write_text(
        "crmbridge: 1\n"
        "sources: {crm: {type: webhook, signature: {scheme: bearer, secret: [{env: HOOK}, {file: no/such}]},"
        " map: {record_type: {value: T}, record_id: body.id, fields: body}}}\n"
        "destinations: {out: {type: console}}\n"
        "alerts: {heartbeat: {env: BEAT}}\n"
    )
    monkeypatch.delenv("HOOK", raising=False)
    monkeypatch.delenv("BEAT", raising=False)
    load(path, secrets=False)

    with pytest.raises(ConfigError) as error:
        load(path)

    file = tmp_path / "no" / "such"
    assert [str(problem) for problem in error.value.problems] == [
        "crmbridge.yaml:2:69: sources.crm.signature.secret[0]: the secret env HOOK is empty or not set",
        f"crmbridge.yaml:2:82: sources.crm.signature.secret[1]: the secret file {file} cannot be read: No such file or directory",
        "crmbridge.yaml:4:10: alerts.heartbeat: the secret env BEAT is empty or not set",
    ]


def test_no_secret_stands_in_the_file_itself(tmp_path):
    """Wherever the configuration takes one: a linter says so, and nothing of it."""
    path = tmp_path / "crmbridge.yaml"
    path.write_text(
        "crmbridge: 1\n"
        "sources: {crm: {type: webhook, signature: {scheme: bearer, secret: canary-hook},"
        " map: {record_type: {value: T}, record_id: body.id, fields: body}}}\n"
        "destinations: {wins: {type: slack, token: canary-token, channel: C1}}\n"
        "alerts: {heartbeat: https://beat.example/canary}\n"
    )
    warnings = load(path).warnings
    assert [one.path for one in warnings] == ["sources.crm.signature.secret[0]", "destinations.wins.token", "alerts.heartbeat"]
    assert "canary" not in "".join(map(str, warnings))


def test_a_relative_secret_lies_beside_the_configuration(tmp_path, monkeypatch):
    """From wherever crmbridge is started, as its database does."""
    (tmp_path / "hook").write_text("s3cret-of-the-hook")
    (tmp_path / "crmbridge.yaml").write_text(
        "crmbridge: 1\n"
        "sources: {crm: {type: webhook, signature: {scheme: bearer, secret: {file: hook}},"
        " map: {record_type: {value: T}, record_id: body.id, fields: body}}}\n"
        "destinations: {out: {type: console}}\n"
    )
    monkeypatch.chdir("/")
    config = load(tmp_path / "crmbridge.yaml")
    assert config.sources["crm"].options.signature.secret[0].reveal() == "s3cret-of-the-hook"
    assert load(tmp_path / "crmbridge.yaml").sources == config.sources, "a reload finds nothing changed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: on", {"a": "on"}),
        ("a: NO", {"a": "NO"}),
        ("a: yes", {"a": "yes"}),
        ("a: 12:30", {"a": "12:30"}),
        ("a: 012", {"a": "012"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 0x1F", {"a": "0x1F"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: true", {"a": True}),
        ("a: null", {"a": None}),
        ("a: ~", {"a": None}),
        ("a: '1'", {"a": "1"}),
        ("on: x", {"on": "x"}),
        ("? a\n: b", {"a": "b"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
    ],
)
def test_nothing_is_guessed(text, expected):
    """YAML 1.1's surprises stay out."""
    document = parse(text, "x")

    assert (expected, []) == (document.data, document.problems)


def test_a_number_keeps_how_it_was_written():
    """Version 1.10 is not version 1.1."""
    assert str(parse("a: 1.10", "x").data["a"]) == "1.10"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "[" * 5000,
        "{a: " * 500 + "b" + "}" * 500,
        "a: &a [x]\n" + "".join(f"k{n}: &k{n} [{','.join([f'*k{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9)),
    ],
    ids=["many brackets", "brackets", "mappings", "aliases"],
)
def test_bombs_are_problems(text):
    """Depth, size and aliases are bounded."""
    assert parse(text, "x").problems


def test_a_large_file_is_not_read(tmp_path):
    """A configuration is small."""
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="is larger than 1024 KiB"):
        load(path)
