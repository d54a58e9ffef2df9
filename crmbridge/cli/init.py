"""init: from nothing to a configuration that is linted, tested, logged in and tried, in three steps.

The first steps of a connector stand in its own folder (`starter.yaml`, `starter-WAY.yaml`), so a new vendor brings them along.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from string import Template
from typing import Any, Final

import click
import yaml

from crmbridge import registry
from crmbridge.cli.common import Failure, table
from crmbridge.cli.holder import holder
from crmbridge.cli.terminal import say, say_problem
from crmbridge.config.config import Config
from crmbridge.config.load import load
from crmbridge.config.reference import json_schema
from crmbridge.config.secrets import configured_secrets
from crmbridge.errors import ConfigError
from crmbridge.model import did_you_mean
from crmbridge.rules.cases import run_case

_BEGUN: Final = "# Written by `crmbridge init`."
"""The first line of a configuration that `init` wrote."""
_SCHEMA: Final = "schema.json"
_PORT: Final = 8080
_COMPLETION: Final = {
    "bash": 'eval "$(_CRMBRIDGE_COMPLETE=bash_source crmbridge)"',
    "zsh": 'eval "$(_CRMBRIDGE_COMPLETE=zsh_source crmbridge)"',
    "fish": "_CRMBRIDGE_COMPLETE=fish_source crmbridge | source",
}
"""The line by which each shell learns the verbs."""


@dataclass(frozen=True, slots=True)
class Starter:
    """How one connector begins: what to ask, which secrets it needs, and text with `${...}` for the answers."""

    kind: str
    name: str
    connector: str
    product: str = ""
    """What people call the product."""
    also: Sequence[str] = ()
    """Other names that people give it, in small letters."""
    ask: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Where to find each secret, by the file that holds it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Words for the text of the other side: which field names the account, who reads what."""
    config: str = ""
    rule: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    next: str = ""


def starters(kind: str) -> dict[str, Starter]:
    """Return every installed connector that says how to begin."""
    found = {}
    for name in registry.names(kind):
        try:
            registry.load(kind, name)
        except registry.UnknownConnector:  # a broken connector does not hinder the others
            continue
        for page in sorted(Path(sys.modules[registry.module(kind, name)].__file__ or "").parent.glob("starter*.yaml")):
            way = page.stem.removeprefix("starter")  # one connector may begin in several ways: `sql`, `sql-mysql`
            found[name + way] = Starter(kind, name + way, name, **yaml.safe_load(page.read_text(encoding="utf-8")))
    return found


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--crm", metavar="NAME", help="Which CRM or database, by its product's name: salesforce, postgresql, mariadb, csv, ...; `?` lists all."
)
@click.option("--network", metavar="NAME", help="Which network: slack, chirp, x, ...; `?` lists all.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="An answer or a secret, for scripts; with it nothing is asked.")
@click.option("--defaults", is_flag=True, help="Ask nothing: what is not said is as usual, secrets come later.")
def init(folder: Path, crm: str | None, network: str | None, given: tuple[str, ...], defaults: bool) -> None:
    """Write a configuration into FOLDER for your CRM and your network, with a rule and its test; then log in and try it.

    Secrets are asked for when all else is right, and kept in FOLDER/secrets, which only you may read; what you leave empty can be
    filled in later: the same command goes on where it ended.
    """
    scripted = bool(given) or defaults
    answers = dict(one.partition("=")[::2] for one in given)
    target = folder / "crmbridge.yaml"
    if _is_ours(target) and not (crm or network or given):
        _go_on(target, defaults)
        return
    source = _chosen("sources", crm, "Which CRM do changes come from?")
    destination = _chosen("destinations", network, "Where are they told?")
    manifest = registry.load("destinations", destination.connector).manifest
    _free(folder, ["crmbridge.yaml", _SCHEMA, *source.files, *destination.files, *([manifest.name] if manifest else [])])
    asked, secrets = {**source.ask, **destination.ask}, {**source.secrets, **destination.secrets}
    if strange := sorted(answers.keys() - asked.keys() - secrets.keys()):
        raise Failure(f"nothing asks for {', '.join(strange)}; there are {', '.join([*asked, *secrets]) or 'no questions'}", 2)
    words = {
        "folder": str(folder.absolute()),
        "listen": _listen(),
        **destination.facts,
        **source.facts,
    }  # paths for starters of other distributions; ours write relative paths
    config, written = _written(folder, source, destination, words, asked, answers, scripted=scripted)
    say("\n".join(f"written: {path}" for path in written))
    for name, to in config.destinations.items():
        if manifest and to.connector.manifest is manifest:
            (folder / manifest.name).write_text(manifest.text(to.options, config.uses(name)), encoding="utf-8")
            say(f"written: {folder / manifest.name}")
    _test(config)
    say(f"\n{Template(source.next + destination.next).safe_substitute(words)}")
    missing = [name for name, where in secrets.items() if not _secret(folder, name, where, answers.get(name), scripted=scripted)]
    _end(target, missing, scripted)


def _is_ours(target: Path) -> bool:
    """Say whether `init` began the configuration that is there."""
    return target.is_file() and target.read_text(encoding="utf-8", errors="replace").startswith(_BEGUN)


def _go_on(target: Path, scripted: bool) -> None:
    """Ask for the secrets that are still missing, and try the configuration."""
    config = load(target, secrets=False)
    say(f"going on with {target}")
    found = {name: where for kind in registry.KINDS for one in starters(kind).values() for name, where in one.secrets.items()}
    named = [secret.file for _, secret in configured_secrets(config.model, config.sources, config.destinations)]
    kept = [path.name for path in named if path is not None and path.parent.absolute() == (target.parent / "secrets").absolute()]
    missing = [name for name in kept if not _secret(target.parent, name, found.get(name, name), None, scripted=scripted)]
    _end(target, missing, scripted)


def _end(target: Path, missing: Sequence[str], scripted: bool) -> None:
    if missing:
        say(f"\nfill in {', '.join(str(target.parent / 'secrets' / name) for name in missing)}, then: crmbridge doctor -c {target}")
    else:
        _try(load(target), scripted)
    say(f"then: crmbridge run -c {target}")
    if target.with_name(_SCHEMA).exists():
        say(f"your editor completes and checks the file by {target.with_name(_SCHEMA)}; after an upgrade: crmbridge schema > {_SCHEMA}")
    shell = Path(os.environ.get("SHELL", "")).name
    say(f"your shell completes verbs, with this in its settings: {_COMPLETION.get(shell, _COMPLETION['bash'])}")


def _written(
    folder: Path,
    source: Starter,
    destination: Starter,
    words: dict[str, str],
    asked: Mapping[str, Mapping[str, str]],
    answers: dict[str, str],
    *,
    scripted: bool,
) -> tuple[Config, list[Path]]:
    """Write and load the configuration that the answers make. Return it with its files.

    A person is asked again as long as the answers make no valid configuration.

    Puts the answers into `words`. Raises ConfigError, Failure.
    """
    while True:
        words |= {name: _answer(name, one, answers, scripted=scripted) for name, one in asked.items()}
        written = _write(folder, source, destination, words)
        try:
            return load(folder / "crmbridge.yaml", secrets=False), written
        except ConfigError as error:
            for path in written:
                path.unlink()  # so that the next try finds the folder as it was
            if scripted or not asked:
                raise
            for problem in error.problems:
                say_problem(problem, None, err=True)
            say("so once more; what was right is between the brackets", err=True)
            asked = {name: {**one, "default": words[name]} for name, one in asked.items()}


def _free(folder: Path, names: Iterable[str]) -> None:
    """Check that nothing would be overwritten. Raises Failure."""
    if there := [str(folder / name) for name in names if (folder / name).exists()]:
        raise Failure(f"{', '.join(there)} is there already: say another folder", 2)


def _answer(name: str, asked: Mapping[str, str], answers: Mapping[str, str], *, scripted: bool) -> str:
    """Return the answer that was given, asked for, or the default. Raises Failure."""
    if name in answers:
        value = answers[name]
    elif not scripted:
        value = click.prompt(asked["question"], asked.get("default", ""), show_default="default" in asked, value_proc=_said)
    elif "default" in asked:
        value = asked["default"]
    else:
        raise Failure(f"say --set {name}=...: {asked['question']}", 2)
    if not value.strip() or not value.isprintable():
        raise Failure(f"{name}: {asked['question']}", 2)
    return str(value.strip())


def _said(value: str) -> str:
    """Return a person's answer. Raises BadParameter for an empty one, which makes click ask again."""
    if not value.strip() or not value.isprintable():
        raise click.BadParameter("there is no usual answer: write one line (Ctrl-C ends, and leaves nothing behind)")
    return value


def _chosen(kind: str, name: str | None, question: str) -> Starter:
    """Return the connector that was named, or that a person chooses from all there are."""
    found = starters(kind)

    def known(said: str) -> Starter:
        word = said.strip().casefold()
        for one in found.values():
            if word and word in (one.name, one.product.casefold(), *one.also):
                return one
        raise click.BadParameter(f"there is no starter for {said.strip() or 'nothing'}{did_you_mean(word, _words(found))}")

    if name is None or name.strip() == "?":
        for line in _offered(found):
            say(line)
        if name is not None:
            raise SystemExit(0)
        chosen: Starter = click.prompt(question, value_proc=known)
        return chosen
    try:
        return known(name)
    except click.BadParameter as error:
        raise Failure("\n".join([f"{error.message}; there are", *_offered(found)]), 2) from None


def _words(found: Mapping[str, Starter]) -> list[str]:
    return [word for one in found.values() for word in (one.name, *one.also)]


def _offered(found: Mapping[str, Starter]) -> list[str]:
    """List all starters by what people call them."""
    rows = [[one.name, one.product] for one in sorted(found.values(), key=lambda one: one.product.casefold())]
    return [f"  {line}" for line in table(rows, ["NAME", "WHAT IT IS"])]


def _listen() -> str:
    """Return the address for the server: port 8080, or the next free port if somebody holds that one."""
    other = holder(f"127.0.0.1:{_PORT}")
    if other is None:
        return f"127.0.0.1:{_PORT}"
    free = next((port for port in range(_PORT + 1, _PORT + 100) if holder(f"127.0.0.1:{port}") is None), _PORT)
    say(f"127.0.0.1:{_PORT} is held by {other}: this one is written to listen on {free}")
    return f"127.0.0.1:{free}"


def _write(folder: Path, source: Starter, destination: Starter, words: Mapping[str, str]) -> list[Path]:
    """Write the configuration and its further files. Return their paths.

    Answers stand between double quotes there, so they are escaped as in JSON.
    """
    words = {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in words.items()}
    step = Template(destination.rule).substitute(words).strip()
    step = f"{step} " if step else ""
    # Whether the message is published depends on the stage, which is internal. So a reader could infer the stage.
    disclose = f"\n  disclose: [{words['stage']}]" if words.get("reader") == "public" else ""
    text = (
        f"{_BEGUN} Every key: crmbridge config reference\n"
        f"# yaml-language-server: $schema={_SCHEMA}\n"
        "crmbridge: 1\n"
        "timezone: UTC\n"
        "store: {path: data/crmbridge.db}\n"
        f"server: {{listen: {words['listen']}}}\n\n"
        f"sources:\n{_indented(Template(source.config).substitute(words))}\n"
        f"destinations:\n{_indented(Template(destination.config).substitute(words))}\n"
        f"rules:\n{_indented(Template(source.rule).substitute({**words, 'step': step, 'disclose': disclose}))}"
    )
    files = {"crmbridge.yaml": text, _SCHEMA: json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"} | {
        name: Template(body).substitute(words) for name, body in (*source.files.items(), *destination.files.items())
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (folder / name).write_text(body, encoding="utf-8")
    return [folder / name for name in files]


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in text.strip().splitlines())


def _secret(folder: Path, name: str, where: str, given: str | None, *, scripted: bool) -> bool:
    """Take a given secret, or ask for it, and keep it (0600). Return False if there is none. A secret that is kept already stays."""
    path = folder / "secrets" / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.parent.chmod(0o700)
    if path.exists():
        return True
    value = given
    if value is None and not scripted:
        value = click.prompt(f"{where} (empty: later)", default="", hide_input=True, show_default=False)
    if not value:
        return False
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write(value + "\n")
    return True


def _test(config: Config) -> None:
    wrong = [line for rule in config.rules for case in rule.cases for line in run_case(rule, case, config.engine, config.faults)]
    if wrong:
        raise Failure(f"the written rule does not pass its own test: {'; '.join(wrong)}")
    say("linted, and its test passes")


def _try(config: Config, scripted: bool) -> None:
    """Log in everywhere, show what the rule would say of an existing record, and offer a test message."""
    from crmbridge.cli.doctor import examined

    bad = False
    for one in examined(config):
        say(f"{'FAILED' if one.problem else 'fine  '}  {one.what}" + (f": {one.problem or one.note}" if one.problem or one.note else ""))
        bad |= bool(one.problem) and not one.right
    if bad:
        raise Failure(f"put that right, in {config.path} or {config.folder / 'secrets'}, then: crmbridge doctor -c {config.path}")
    for line in _live(config):
        say(line)
    if not scripted:
        for name in config.destinations:
            if click.confirm(f"send a test message to {name}?", default=False):
                from crmbridge.cli.doctor import send_test

                send_test.callback(destination=name, channel=None, text="A test message from crmbridge.", yes=False, path=config.path)  # type: ignore[misc]


def _live(config: Config) -> Iterator[str]:
    """Show what the rules say of one record that is in the CRM now, as if it had just been created."""
    from crmbridge import assemble
    from crmbridge.app import utc_now
    from crmbridge.contract import Caller, Source
    from crmbridge.errors import SourceError
    from crmbridge.model import ChangeEvent, ChangeKind, plain

    async def first(name: str) -> Any:
        source = assemble.source(config, name, utc_now)
        if not isinstance(source, Source):
            return None
        call = Caller("init", 1)
        try:
            page = await call(source.poll, None)
            return next(iter(page.observations), None)
        finally:
            await call(source.close)
            call.close()

    for name in config.sources:
        try:
            seen = asyncio.run(first(name))
        except SourceError as error:
            yield f"no record of {name} could be read: {error}"
            continue
        if seen is None:
            continue
        event = ChangeEvent(
            id="init", source=name, record_type=seen.record_type, record_id=seen.record_id, revision=1, kind=ChangeKind.CREATED,
            occurred_at=datetime.now(timezone.utc), fields=seen.fields, before={}, url=seen.url,
        )  # fmt: skip
        decided = config.engine.run(event)
        yield f"a record that is there now, {seen.record_type} {seen.record_id}, would lead to:"
        yield from (f"  {one.message.destination}: {plain(one.message.text)}" for one in decided.rendered)
        yield from (f"  cannot be said: {one.error}" for one in decided.unrenderable)
        yield from (f"  nothing: {one.reason}" for one in decided.verdicts if not one.matched)
