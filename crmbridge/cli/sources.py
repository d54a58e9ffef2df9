"""backfill, audit, fields, team, state: the CRM asked directly."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from crmbridge.cli.common import Failure, call, config_option, going_on, output_option, progress, table
from crmbridge.cli.common import show as show_data
from crmbridge.cli.moments import moment
from crmbridge.cli.terminal import say, say_entry
from crmbridge.config.config import Config
from crmbridge.config.load import load
from crmbridge.contract import Caller, Describing, FieldInfo, Member, Source, Teams
from crmbridge.errors import SourceError
from crmbridge.model import FieldSpec, FieldValue, Observation, as_written, counted, type_of, verbs

_ADDED = ("records", "left_to_the_poll", "left_to_nobody", "messages", "missing", "unseen")
_CHUNK = 40  # fields that are read at once for samples: the address of a query has a longest length
_SAMPLE = 40  # characters that are shown of a value


@click.command()
@click.argument("source")
@click.option("--since", required=True, help="Changed since: 2h or 7d ago, or an instant.")
@click.option("--until", help="Changed before; default: now.")
@click.option("--rate", type=click.IntRange(min=1), help="At most so many messages a minute.")
@click.option("--dry-run", is_flag=True, help="Only show what would be said.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
@output_option
def backfill(path: Path, output: str, yes: bool, rate: int | None, dry_run: bool, **given: Any) -> None:
    """Say what the rules say of records that changed in a time, each as if it had just been made as it is now.

    For rules and records from before crmbridge. What was said of the same state already is not said again, and the live cursor stays.
    """
    _configured(path, given["source"])
    found = _pages(path, "backfill", given | {"dry_run": True}, "records", None)
    if dry_run or output == "json":
        show_data(found, output, _backfilled)
    else:
        for line in _backfilled(found):
            say_entry(line)
    if dry_run or not found["messages"]:
        return
    if not yes:
        click.confirm("say them?", abort=True)
    done = _pages(path, "backfill", given | {"since": found["since"], "until": found["until"], "most": rate}, "records", rate)
    if output == "text":
        say(f"{done['messages']} queued")


def _configured(path: Path, source: str) -> Config:
    """Load the configuration and check that it has this source. Raises Failure, as for a mistake in the command."""
    config = load(path, secrets=False)
    if source not in config.sources:
        raise Failure(f"no source {source} is configured; there are {', '.join(config.sources)}", 2)
    return config


def _pages(path: Path, verb: str, arguments: dict[str, Any], what: str, rate: int | None) -> dict[str, Any]:
    """Get a long answer page by page, with its progress on a terminal, and at most `rate` messages a minute."""
    with progress(None, what) as bar:
        total = page = call(path, verb, **arguments)
        bar.update(page["records"])
        while page["next"] is not None:
            if rate and page.get("messages"):
                time.sleep(60.0 * page["messages"] / rate)
            meant = {name: page[name] for name in ("since", "until") if name in page} | going_on(page)
            page = call(path, verb, **arguments | meant, cursor=page["next"])
            bar.update(page["records"])
            total = total | {name: total[name] + page[name] for name in _ADDED if name in total}
            if "examples" in total:
                total["examples"] = (total["examples"] + page["examples"])[:20]
    return {name: value for name, value in total.items() if name != "next"}


def _backfilled(data: dict[str, Any]) -> Iterator[str]:
    yield f"{counted(data['records'], 'record', 'lead')} to {counted(data['messages'], 'message')} not said yet"
    if data["left_to_the_poll"]:
        yield f"{data['left_to_the_poll']} of them differ from what is known here, and are not said"
        yield "  (the poll that sees their change tells of them, with what they were; `crmbridge audit` names those that none has seen)"
    if data["left_to_nobody"]:
        yield f"{data['left_to_nobody']} of them changed without a newer stamp: no poll tells of those"
        yield "  (a source that can, like sql and rest, finds them where it says `compare`)"
    for one in data["examples"]:
        yield f"  {one['to']}  {one['rule']}: {one['text']}"


@click.command()
@click.argument("source")
@click.option("--since", default="7d", show_default=True, help="Changed since: 2h or 7d ago, or an instant.")
@config_option
@output_option
def audit(source: str, since: str, path: Path, output: str) -> None:
    """Ask the CRM what changed, and name what crmbridge has not seen. Exit code 1 if there is anything."""
    _configured(path, source)
    found = _pages(path, "audit", {"source": source, "since": since}, "records", None)
    found["missing"] = list({one["record"]: one for one in reversed(found["missing"])}.values())[::-1]  # once by its stamp, once by a walk
    show_data(found, output, _audited)
    if found["missing"]:
        raise Failure(
            f"{len(found['missing'])} were missed: `crmbridge state set {source} --since {since}` reads them again; "
            "what is older and was never seen is only learnt by it, and `crmbridge backfill` says it"
        )


def _audited(data: dict[str, Any]) -> Iterator[str]:
    changed, missing = counted(data["records"], "record"), len(data["missing"])
    yield f"{changed} changed by their stamps; {missing} {verbs(missing)['are']} known here otherwise, or not at all"
    yield "(what changed in the last 5 minutes, by its stamp, is left out: it may still be on its way)"
    yield from (f"  {one['record']}  {moment(one['changed_at'])}  {one['why']}" for one in data["missing"][:100])
    if data["unseen"]:
        yield "This cannot see:"
        yield from (f"  {one}" for one in data["unseen"])


# --- fields ---------------------------------------------------------------------------------------


@click.command()
@click.argument("source")
@click.argument("record_type", required=False)
@click.option("--samples/--no-samples", default=True, help="Read one record and show its values.")
@config_option
@output_option
def fields(source: str, record_type: str | None, samples: bool, path: Path, output: str) -> None:
    """List the fields that may be written under `fields:`, with labels, types and a sample value. Publishes nothing, moves no cursor."""
    _configured(path, source)
    config = load(path)
    types = [record_type] if record_type else list(config.sources[source].records)
    if not types:
        raise Failure("say of which record type: crmbridge fields SOURCE TYPE", 2)
    data = {name: _described(config, source, name, samples) for name in types}
    show_data(data, output, _fields)


def _described(config: Config, source: str, record_type: str, samples: bool) -> list[dict[str, Any]]:
    import asyncio

    from crmbridge import assemble
    from crmbridge.app import utc_now

    async def ask(records: dict[str, Any], method: str, *arguments: Any) -> Any:
        asked, call_ = assemble.source(config, source, utc_now, records), Caller("fields", 1)
        if not isinstance(asked, Source):
            raise Failure(f"{source} cannot be asked: its CRM calls us. `crmbridge tail` shows what it sends")
        try:
            if method == "schema" and not isinstance(asked, Describing):
                return []
            return await call_(getattr(asked, method), *arguments)
        except SourceError as error:
            raise Failure(f"{source} cannot be read: {error}") from None
        finally:
            await call_(asked.close)
            call_.close()

    infos: list[FieldInfo] = asyncio.run(ask({record_type: {}}, "schema", record_type))
    names = [one.name for one in infos]
    values: dict[str, Any] = {}
    for start in range(0, len(names) or 1, _CHUNK) if samples else ():
        spec = {record_type: {name: FieldSpec() for name in names[start : start + _CHUNK]}} if names else {}
        try:
            page = asyncio.run(ask(spec, "poll", None))
        except Failure as error:
            if not names:
                raise
            say(f"no samples of {len(spec[record_type])} fields: {error}", err=True)  # the names are the answer, even without samples
            continue
        seen: Observation | None = next((one for one in page.observations if one.record_type == record_type), None)
        values |= dict(seen.fields) if seen else {}
    named = {one.name: one for one in infos}
    return [
        {
            "name": name,
            "label": named[name].label if name in named else "",
            "type": named[name].type.value if name in named else type_of(values[name]).value,
            "choices": dict(named[name].choices) if name in named else {},
            "sample": None if values.get(name) is None else _sample(values[name]),
        }
        for name in (names or values)
    ]


def _sample(value: FieldValue) -> str:
    value = as_written(value)
    return ", ".join(map(_sample, value)) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else str(value)


def _fields(data: dict[str, Any]) -> Iterator[str]:
    for name, found in data.items():
        yield f"{name}:"
        rows = [[one["name"], one["type"], one["label"], _short(one)] for one in found]
        yield from table(rows, ["FIELD", "TYPE", "LABEL", "SAMPLE OR CHOICES"])


def _short(one: dict[str, Any]) -> str:
    said = one["sample"] if one["sample"] is not None else " | ".join(one["choices"])
    said = " ".join(said.split())
    return said if len(said) <= _SAMPLE else f"{said[: _SAMPLE - 1]}…"


# --- team -----------------------------------------------------------------------------------------


@click.command()
@click.argument("record", metavar="SOURCE/TYPE/ID")
@config_option
@output_option
def team(record: str, path: Path, output: str) -> None:
    """Who works on a record, as the CRM has it now: its owner first."""
    import asyncio

    from crmbridge import assemble
    from crmbridge.app import utc_now

    source, _, rest = record.partition("/")
    record_type, _, id = rest.partition("/")
    if not (record_type and id):
        raise Failure("name it source/type/id, like crm/Opportunity/006...", 2)
    _configured(path, source)

    async def ask() -> Sequence[Member]:
        asked, call_ = assemble.source(load(path), source, utc_now), Caller("team", 1)
        if not isinstance(asked, Teams):
            raise Failure(f"the connector of {source} knows no teams")
        close = asked.close  # type: ignore[attr-defined]
        try:
            found: Sequence[Member] = await call_(asked.members, record_type, id)
            return found
        except SourceError as error:
            raise Failure(f"{source} cannot be read: {error}") from None
        finally:
            await call_(close)
            call_.close()

    found = [{"name": one.name, "email": one.email, "role": one.role} for one in asyncio.run(ask())]
    show_data(found, output, lambda _: table([list(one.values()) for one in found], ["NAME", "E-MAIL", "ROLE"]) if found else ["nobody"])


# --- state ----------------------------------------------------------------------------------------


@click.group()
def state() -> None:
    """How far a source has been read."""


@state.command("show")
@click.argument("source")
@config_option
@output_option
def state_show(source: str, path: Path, output: str) -> None:
    """Show the cursor, and when it moved last."""
    _configured(path, source)
    show_data(call(path, "state_show", source=source), output, lambda data: [f"{name}: {value}" for name, value in data.items()])


@state.command("set")
@click.argument("source")
@click.option("--since", help="Read on from: 2h or 7d ago, or an instant.")
@click.option("--cursor", help="Read on from a cursor that `state show` gave.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
def state_set(source: str, since: str | None, cursor: str | None, yes: bool, path: Path) -> None:
    """Read on from elsewhere. What is read again and did not change says nothing; what is skipped is not read."""
    if (since is None) == (cursor is None):
        raise click.UsageError("say from where: --since or --cursor")
    _configured(path, source)
    if not yes:
        click.confirm(f"read {source} on from {since or cursor}?", abort=True)
    answer = call(path, "state_set", source=source, since=since, cursor=cursor)
    say(f"{source} is read on from {answer['cursor']}\nbefore: {answer['before']}")
