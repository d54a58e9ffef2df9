"""init: from nothing to a configuration that is linted, tested, logged in and tried, in three steps.

What a connector needs at first stands in its own folder (`starter.yaml`, `starter-WAY.yaml`): a new vendor brings its beginning along.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from string import Template
from typing import Any

import click
import yaml

from crmbridge import registry
from crmbridge.cli.common import Failure
from crmbridge.cli.terminal import say
from crmbridge.config.load import Config, load
from crmbridge.errors import ConfigError
from crmbridge.rules.cases import run_case


@dataclass(frozen=True, slots=True)
class Starter:
    """How one connector begins: what to ask, which secrets it needs, and text with `${...}` for the answers."""

    kind: str
    name: str
    connector: str
    ask: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Where to find each, by the file that holds it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Words for the other side's text: which field names the account, who reads what."""
    config: str = ""
    rule: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    next: str = ""


def starters(kind: str) -> dict[str, Starter]:
    """Every installed connector that says how to begin."""
    found = {}
    for name in registry.names(kind):
        try:
            registry.load(kind, name)
        except registry.UnknownConnector:  # one that is broken is no hindrance to the others
            continue
        for page in sorted(Path(sys.modules[registry.module(kind, name)].__file__ or "").parent.glob("starter*.yaml")):
            way = page.stem.removeprefix("starter")  # one connector may begin in several ways: `sql`, `sql-mysql`
            found[name + way] = Starter(kind, name + way, name, **yaml.safe_load(page.read_text(encoding="utf-8")))
    return found


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--crm", help="Which CRM: salesforce, hubspot, ...")
@click.option("--network", help="Which network: slack, chirp, twitter, ...")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="An answer, for scripts; with it nothing is asked.")
@click.option("--defaults", is_flag=True, help="Ask nothing: what is not said is as usual, secrets come later.")
def init(folder: Path, crm: str | None, network: str | None, given: tuple[str, ...], defaults: bool) -> None:
    """Write a configuration into FOLDER for your CRM and your network, with a rule and its test; then log in and try it.

    Secrets are asked for and kept in FOLDER/secrets, which only you may read; what you leave empty can be filled in later.
    """
    scripted = bool(given) or defaults
    answers = dict(one.partition("=")[::2] for one in given)
    target = folder / "crmbridge.yaml"
    source = _chosen("sources", crm, "Which CRM do changes come from?")
    destination = _chosen("destinations", network, "Where are they told?")
    manifest = registry.load("destinations", destination.connector).manifest
    _free(folder, ["crmbridge.yaml", *source.files, *destination.files, *([manifest.name] if manifest else [])])
    asked = {**source.ask, **destination.ask}
    if strange := sorted(answers.keys() - asked.keys()):
        raise Failure(f"nothing asks for {', '.join(strange)}; there are {', '.join(asked) or 'no questions'}", 2)
    words = {"folder": str(folder.absolute()), **destination.facts, **source.facts}
    words |= {name: _answer(name, one, answers, scripted=scripted) for name, one in asked.items()}
    written = _write(folder, source, destination, words)
    missing = [name for one in (source, destination) for name, where in one.secrets.items() if not _secret(folder, name, where, scripted)]
    say("\n".join(f"written: {path}" for path in written))
    try:
        config = load(target, secrets=False)
    except ConfigError:
        for path in written:
            path.unlink()  # so that the next try finds the folder as it was
        raise
    for name, to in config.destinations.items():
        if manifest and to.connector.manifest is manifest:
            (folder / manifest.name).write_text(manifest.text(to.options, config.uses(name)), encoding="utf-8")
            say(f"written: {folder / manifest.name}")
    _test(config)
    say(f"\n{Template(source.next + destination.next).safe_substitute(words)}")
    if missing:
        say(f"\nfill in {', '.join(str(folder / 'secrets' / name) for name in missing)}, then: crmbridge doctor -c {target}")
    else:
        _try(load(target), scripted)
    say(f"then: crmbridge run -c {target}")


def _free(folder: Path, names: Iterable[str]) -> None:
    """Nothing is overwritten. Raises Failure."""
    if there := [str(folder / name) for name in names if (folder / name).exists()]:
        raise Failure(f"{', '.join(there)} is there already: say another folder", 2)


def _answer(name: str, asked: Mapping[str, str], answers: Mapping[str, str], *, scripted: bool) -> str:
    """What was said, asked or usual. Raises Failure."""
    if name in answers:
        value = answers[name]
    elif not scripted:
        value = click.prompt(asked["question"], asked.get("default"))
    elif "default" in asked:
        value = asked["default"]
    else:
        raise Failure(f"say --set {name}=...: {asked['question']}", 2)
    if not value.strip() or not value.isprintable():
        raise Failure(f"{name}: {asked['question']}", 2)
    return str(value.strip())


def _chosen(kind: str, name: str | None, question: str) -> Starter:
    found = starters(kind)
    if name is None:
        name = click.prompt(question, type=click.Choice(list(found)))
    if name not in found:
        raise Failure(f"there is no starter for {name}; there are {', '.join(found)}", 2)
    return found[name]


def _write(folder: Path, source: Starter, destination: Starter, words: Mapping[str, str]) -> list[Path]:
    """The configuration, and what else helps, like an app's manifest. Answers stand between double quotes there, as in JSON."""
    words = {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in words.items()}
    step = Template(destination.rule).substitute(words).strip()
    step = f"{step} " if step else ""
    # Whether it is said at all depends on the stage, which is internal: whoever reads it can tell.
    disclose = f"\n  disclose: [{words['stage']}]" if words.get("reader") == "public" else ""
    text = (
        "# Written by `crmbridge init`. Every key: crmbridge config reference\n"
        "crmbridge: 1\n"
        "timezone: UTC\n"
        "store: {path: data/crmbridge.db}\n"
        "server: {listen: 127.0.0.1:8080}\n\n"
        f"sources:\n{_indented(Template(source.config).substitute(words))}\n"
        f"destinations:\n{_indented(Template(destination.config).substitute(words))}\n"
        f"rules:\n{_indented(Template(source.rule).substitute({**words, 'step': step, 'disclose': disclose}))}"
    )
    files = {"crmbridge.yaml": text} | {
        name: Template(body).substitute(words) for name, body in (*source.files.items(), *destination.files.items())
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (folder / name).write_text(body, encoding="utf-8")
    return [folder / name for name in files]


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in text.strip().splitlines())


def _secret(folder: Path, name: str, where: str, scripted: bool) -> bool:
    """Ask for a secret and keep it (0600); False if it is left empty. In a script it is there already, or not."""
    path = folder / "secrets" / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.parent.chmod(0o700)
    if scripted or path.exists():
        return path.exists()
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
    """Log in everywhere, show what the rule would say of a record that is there, and offer a test message."""
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
    """What the rules say of one record that is in the CRM now, as if it had just been made."""
    from crmbridge import assemble
    from crmbridge.app import utc_now
    from crmbridge.contract import Caller, Source
    from crmbridge.errors import SourceError
    from crmbridge.model import ChangeEvent, Kind, plain

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
            id="init", source=name, record_type=seen.record_type, record_id=seen.record_id, revision=1, kind=Kind.CREATED,
            occurred_at=datetime.now(timezone.utc), fields=seen.fields, before={}, url=seen.url,
        )  # fmt: skip
        outcome = config.engine.run(event)
        yield f"a record that is there now, {seen.record_type} {seen.record_id}, would lead to:"
        yield from (f"  {one.message.destination}: {plain(one.message.text)}" for one in outcome.rendered)
        yield from (f"  cannot be said: {one.error}" for one in outcome.unrenderable)
        yield from (f"  nothing: {one.reason}" for one in outcome.verdicts if not one.matched)
