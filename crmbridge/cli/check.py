"""lint, test, render, config, schema, connectors, doc: everything that needs no daemon and publishes nothing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import click

from crmbridge.cli import evidence
from crmbridge.cli.common import Failure, config_option, output_option, picture_line, table
from crmbridge.cli.common import show as show_data
from crmbridge.cli.terminal import say, say_problem
from crmbridge.config.config import Config
from crmbridge.config.load import load, measured
from crmbridge.config.secrets import secrets_in
from crmbridge.errors import ConfigError, Problem
from crmbridge.model import ChangeEvent, ChangeKind, FieldSpec, Text, did_you_mean, plain
from crmbridge.rules.cases import run_case
from crmbridge.rules.engine import NO_LINK
from crmbridge.rules.longest import ROOM, longest, longest_message


@click.command()
@config_option
@click.option("--examples", is_flag=True, help="Allow secrets that stand in the file itself, as in an example.")
@click.option("--secrets", is_flag=True, help="Also check that every secret can be read on this machine.")
@output_option
def lint(path: Path, examples: bool, secrets: bool, output: str) -> None:
    """Check a configuration; every problem at once, with its place and what to do. Exit code 3 if there is one."""
    try:
        config = load(path, secrets=secrets)
        problems = [] if examples else list(config.warnings)
        noted = list(config.notes)
        untested = sorted(rule.id for rule in config.rules if not rule.cases)
        too_long, overfull, empty = _too_long(config), _overfull(config), list(evidence.notes(config, path))
    except ConfigError as error:
        problems, noted, untested, too_long, overfull, empty = list(error.problems), [], [], [], [], []
    data = {
        "problems": [_placed(one) for one in problems],
        "notes": [_placed(one) for one in noted],
        "rules_without_tests": untested,
        "too_long": too_long,
        "empty": empty,
        "layouts_too_long": overfull,
    }
    notes = [f"note: {one}" for one in noted]
    notes += [f"note: the rule {name} has no tests" for name in untested]
    notes += [
        f"note: the rule {one['rule']}, step {one['step']}: with record texts of {ROOM} characters it is {one['is']} long, and "
        f"{one['to']} takes {one['of']}; such a message becomes a dead letter. Write `shorten: [...]` or `| truncate(...)`"
        for one in too_long
    ]
    notes += [f"note: {evidence.sentence(**one)}" for one in empty]
    notes += [
        f"note: the rule {one['rule']}, step {one['step']}: with record texts of {ROOM} characters {one['to']} would refuse its layout: "
        f"{one['fault']}. Write `| truncate(...)` there"
        for one in overfull
    ]
    if output == "text":
        for one in problems:
            say_problem(one, path.parent)
    show_data(data, output, lambda _: notes)
    if problems:
        raise Failure(f"{len(problems)} problem{'s' if len(problems) != 1 else ''}", 3)
    if output == "text":
        say(f"{path}: fine")


def _placed(one: Problem) -> dict[str, Any]:
    return {"file": one.file, "line": one.line, "column": one.column, "path": one.path, "message": one.message}


@click.command()
@config_option
@click.option("--run", "only", help="Only rules whose id contains this.")
def test(path: Path, only: str | None) -> None:
    """Run the tests that stand beside the rules. Exit code 4 if one fails."""
    config = load(path, secrets=False)
    if only and not any(only in rule.id for rule in config.rules):
        raise Failure(f'no rule\'s id contains "{only}"', 2)
    passed = failed = 0
    for rule in config.rules:
        if only and only not in rule.id:
            continue
        for case in rule.cases:
            wrong = run_case(rule, case, config.engine, config.faults)
            passed, failed = passed + (not wrong), failed + bool(wrong)
            say(f"{'FAILED' if wrong else 'passed'}  {rule.id}: {case.name}")
            for line in wrong:
                say(f"        {line}")
    say(f"{passed} passed, {failed} failed")
    if failed:
        raise Failure("a rule does not say what its tests expect", 4)


@click.command()
@click.argument("change", type=click.File("r", encoding="utf-8"))
@config_option
@output_option
def render(change: Any, path: Path, output: str) -> None:
    """Show what would be said for CHANGE, without saying it.

    CHANGE is a JSON file (- for standard input): {"source": "crm", "record": "Opportunity", "id": "006",
    "event": "updated", "fields": {...}, "before": {...}, "url": "https://..."}.
    """
    config = load(path, secrets=False)
    try:
        raw = json.load(change)
    except ValueError as error:
        raise Failure(f"the change is not JSON: {error}", 2) from None
    decided = config.engine.run(_change(raw, config))
    layouts = [config.laid_out(one.message) for one in decided.rendered]
    data: dict[str, Any] = {
        "messages": [
            {
                "to": one.message.destination,
                "channel": one.message.channel and (one.message.channel.title or one.message.channel.key),
                "rule": one.message.rule,
                "step": one.message.step,
                "subject": plain(one.message.subject) if one.message.subject is not None else None,
                "text": plain(one.message.text),
                "link": one.message.link,
                "no_link": one.message.extra.get(NO_LINK),
                "media": one.message.media.shown() if one.message.media else None,
                "length": (length := _length(config, one.message.destination, one.message.text)),
                "blocks": layout.sent if layout and not isinstance(one.message.blocks, Mapping) else None,
                "card": layout.sent if layout and isinstance(one.message.blocks, Mapping) else None,
                "faults": [*_overlong(one.message.destination, length), *(str(fault) for fault in (layout.faults if layout else ()))],
            }
            for one, layout in zip(decided.rendered, layouts, strict=True)
        ],
        "unrenderable": [{"rule": one.rule, "step": one.step, "reason": one.error} for one in decided.unrenderable],
        "silent": [{"rule": one.rule, "reason": one.reason} for one in decided.verdicts if not one.matched],
    }
    data["notes"] = _notes(raw, config, data)
    show_data(data, output, _rendered)
    if decided.unrenderable:
        raise Failure("a rule cannot say this")
    if refusing := sorted({one["to"] for one in data["messages"] if one["faults"]}):
        raise Failure(f"{' and '.join(refusing)} would refuse this")


def _rendered(data: dict[str, Any]) -> Iterator[str]:
    for one in data["messages"]:
        channel = f" / {one['channel']}" if one["channel"] else ""
        length = f", {one['length']['is']} of {one['length']['of']}" if one["length"] else ""
        yield f"{one['to']}{channel}  (rule {one['rule']}, step {one['step']}{length})"
        if one["subject"] is not None:
            yield f"    subject: {one['subject']}"
        yield from (f"    {line}" for line in one["text"].splitlines())
        if one["link"]:
            yield f"    {one['link']}"
        if one["no_link"]:
            yield f"    without its link: {one['no_link']}"
        if one["media"]:
            yield f"    {picture_line(one['media'])}"
        for key in ("blocks", "card"):
            if one[key] is not None:
                yield f"    {key}:"
                yield from (f"      {line}" for line in json.dumps(one[key], indent=2, ensure_ascii=False).splitlines())
        yield from (f"    refused: {fault}" for fault in one["faults"])
    for one in data["unrenderable"]:
        yield f"cannot be said: {one['reason']}"
    for one in data["silent"]:
        yield f"silent: rule {one['rule']}: {one['reason']}"
    yield from (f"note: {note}" for note in data["notes"])


def _notes(raw: Any, config: Config, data: dict[str, Any]) -> list[str]:
    """Say what a change that somebody wrote lacks or misspells, and one from the CRM does not."""
    spec = config.engine.records.get((raw["source"], raw["record"]), {})
    strange = dict.fromkeys(name for part in ("fields", "before") for name in raw.get(part, {}) if spec and name not in spec)
    notes = [f"{name} is not among the fields of {raw['record']}{did_you_mean(name, list(spec))}" for name in strange]
    if "url" not in raw and any("event.url" in (one["no_link"] or "") for one in data["messages"]):
        notes.append("this change has no `url`; one that comes from the CRM brings its own, where the source knows it")
    return notes


def _too_long(config: Config) -> list[dict[str, Any]]:
    """List the steps whose text is too long for their network when a record has long texts, even after what may be shortened was."""
    found: list[dict[str, Any]] = []
    for rule in config.rules:
        for step in rule.steps:
            text = longest(config.engine, rule, step)
            if text and (length := _length(config, step.destination, text)) and length["is"] > length["of"]:
                found.append({"rule": rule.id, "step": step.id, "to": step.destination, **length})
    return found


def _overfull(config: Config) -> list[dict[str, Any]]:
    """List what a destination would refuse in the layout of a step, for a record with long texts."""
    found: list[dict[str, Any]] = []
    for rule in config.rules:
        for step in rule.steps:
            message = longest_message(config.engine, rule, step) if step.blocks is not None else None
            faults = config.faults(message) if message else []
            found += [{"rule": rule.id, "step": step.id, "to": step.destination, "fault": fault} for fault in faults]
    return found


def _overlong(to: str, length: dict[str, int] | None) -> list[str]:
    if length is None or length["is"] <= length["of"]:
        return []
    return [f"the text is {length['is']} long, and {to} takes {length['of']}: write `shorten: [...]` or `| truncate(...)`"]


def _length(config: Config, name: str, text: Text) -> dict[str, int] | None:
    found = measured(config.destinations[name], text)
    return {"is": found[0], "of": found[1]} if found else None


def _change(raw: Any, config: Config) -> ChangeEvent:
    if not isinstance(raw, dict) or not {"source", "record", "fields"} <= raw.keys():
        raise Failure("the change needs source, record and fields", 2)
    if not all(isinstance(raw.get(name, {}), dict) for name in ("fields", "before")):
        raise Failure("fields and before are mappings of names to values", 2)
    if raw.get("event", "updated") not in set(ChangeKind):
        raise Failure(f"there is no event {raw['event']}; there are {', '.join(ChangeKind)}", 2)
    if raw["source"] not in config.sources:
        raise Failure(f"no source {raw['source']} is configured", 2)
    records = config.sources[raw["source"]].records
    if records and raw["record"] not in records:
        raise Failure(f"the source {raw['source']} has no record type {raw['record']}; it has {', '.join(records)}", 2)
    spec = config.engine.records.get((raw["source"], raw["record"]), {})

    reading = config.engine.reading(raw["source"])

    def fields(name: str) -> dict[str, Any]:
        return {key: reading.read(value, spec.get(key, FieldSpec())) for key, value in raw.get(name, {}).items()}

    return ChangeEvent(
        id="render",
        source=raw["source"],
        record_type=raw["record"],
        record_id=str(raw.get("id", "render")),
        revision=1,
        kind=ChangeKind(raw.get("event", "updated")),
        occurred_at=datetime.now(timezone.utc),
        fields=fields("fields"),
        before=fields("before"),
        actor=raw.get("actor"),
        url=raw.get("url"),
    )


_PASSWORD: Final = re.compile(r"(://[^/@:\s\"]*:)[^@/\s\"]+@")
"""The password in an address, like that of a proxy."""


@click.group()
def config() -> None:
    """Show the configuration itself."""


@config.command("show")
@config_option
def config_show(path: Path) -> None:
    """Show the configuration with all defaults, as JSON; secrets show only where they come from."""
    loaded = load(path, secrets=False)
    data = loaded.model.model_dump(mode="json", by_alias=True, exclude={"sources", "destinations", "rules"})
    data["sources"] = {name: _options(one.options) for name, one in loaded.sources.items()}
    data["destinations"] = {name: _options(one.options) | {"audience": one.audience.value} for name, one in loaded.destinations.items()}
    data["rules"] = [{"id": rule.id, "steps": [f"{step.id} -> {step.destination}" for step in rule.steps]} for rule in loaded.rules]
    say(_PASSWORD.sub(r"\1***@", json.dumps(data, indent=2, ensure_ascii=False)))


def _options(options: Any) -> dict[str, Any]:
    data: dict[str, Any] = options.model_dump(mode="json", by_alias=True)
    for key, secret in secrets_in(options):
        holder: Any = data
        for part in key[:-1]:
            holder = holder[part]
        holder[key[-1]] = secret.origin
    return data


@config.command("reference")
def config_reference() -> None:
    """Print every key with its sentence and default."""
    from crmbridge.config.reference import reference

    say(reference(), nl=False)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from crmbridge.config.reference import json_schema

    say(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@click.command()
@click.argument("destination", required=False)
@config_option
def manifest(destination: str | None, path: Path) -> None:
    """Print the manifest from which the vendor makes the app of DESTINATION, with exactly the rights that the rules need.

    Without DESTINATION: of the one destination whose vendor takes a manifest.
    """
    config = load(path, secrets=False)
    there = [name for name, one in config.destinations.items() if one.connector.manifest]
    if destination is None and len(there) == 1:
        (destination,) = there
    if destination not in there:
        raise Failure(f"say which destination: a manifest goes with {', '.join(there) or 'none that is configured'}", 2)
    to = config.destinations[destination]
    if to.connector.manifest:
        say(to.connector.manifest.text(to.options, config.uses(destination)), nl=False)


@click.command()
@output_option
def connectors(output: str) -> None:
    """List the sources and destinations that are installed; `crmbridge doc NAME` tells more of one."""
    from crmbridge import registry

    found = [
        {"kind": kind[:-1], "name": name, "summary": registry.load(kind, name).summary}
        for kind in registry.KINDS
        for name in registry.names(kind)
    ]
    show_data(found, output, lambda _: table([[one["kind"], one["name"], one["summary"]] for one in found], ["KIND", "NAME", "SUMMARY"]))


@click.command()
@click.argument("name", required=False)
def doc(name: str | None) -> None:
    """Print the page NAME: `rules` is how rules are written; a connector's is what it can do and cannot, its options, and its set-up
    at the vendor. Without NAME, list the pages."""
    import crmbridge
    from crmbridge import registry
    from crmbridge.config.reference import option_table

    if name is None:
        pages = [["rules", "how rules are written"], ["troubles", "what may be wrong, and what to do"]]
        pages += [[one, registry.load(kind, one).summary] for kind in registry.KINDS for one in registry.names(kind)]
        say("\n".join(table(pages, ["PAGE", "WHAT IT IS ABOUT"])))
        return
    if name in ("rules", "troubles"):
        _page(Path(crmbridge.__file__).with_name(name) / "README.md")
        return
    kinds = [kind for kind in registry.KINDS if name in registry.names(kind)]
    if not kinds:
        names = ["rules", "troubles", *(one for kind in registry.KINDS for one in registry.names(kind))]
        raise Failure(f"there is no page {name}{did_you_mean(name, names)}; see `crmbridge doc`", 2)
    for kind in kinds:
        connector = registry.load(kind, name)
        page = Path(sys.modules[registry.module(kind, name)].__file__ or "").with_name("README.md")
        if page.is_file():
            _page(page)
        else:  # a connector of another distribution, which need not bring a page
            say(f"{kind[:-1]} {name}: {connector.summary}\n\n{option_table(connector)}\n")


def _page(path: Path) -> None:
    """Print a page without the marks between which its tables are generated."""
    say(re.sub(r"<!--.*?-->\n?", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))
