"""status, tail, show, dead, unknown: what the person on call asks and orders."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from crmbridge.cli.common import Failure, ask_daemon, call, config_option, output_option, table
from crmbridge.cli.common import show as show_data

_STATES = ("queued", "sending", "held", "unknown", "dead")


@click.command()
@config_option
@output_option
def status(path: Path, output: str) -> None:
    """How it goes: sources, destinations, what waits and why."""
    show_data(ask_daemon(path, "status"), output, _status)


def _status(data: dict[str, Any]) -> Iterator[str]:
    yield f"crmbridge {data['version']}  {data['ready']}  {data['rules']} rules  http://{data['server']}  since {data['started'][:19]}"
    if data["last_reload"] != "ok":
        yield f"the last reload was refused: {data['last_reload']}"
    yield ""
    yield from table([[one["name"], one["type"], one.get("polled_at") or one.get("url"), one["state"]] for one in data["sources"]],
                     ["SOURCE", "TYPE", "READ AT", "STATE"])  # fmt: skip
    yield ""
    yield from table([[one["name"], one["type"], *(one[state] for state in _STATES), one["state"]] for one in data["destinations"]],
                     ["DESTINATION", "TYPE", *(state.upper() for state in _STATES), "STATE"])  # fmt: skip
    for one in data["inbox"]:
        what = "could not be interpreted (crmbridge dead list)" if one["failed"] else "wait to be interpreted"
        yield f"{one['count']} requests of {one['source']} {what}"


@click.command()
@config_option
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@output_option
def tail(path: Path, seconds: float | None, output: str) -> None:
    """Changes as they come in, until interrupted."""
    import json

    end = time.monotonic() + seconds if seconds is not None else None
    last = call(path, "tail")["last"]
    while end is None or time.monotonic() < end:
        answer = call(path, "tail", after=last)
        last = answer["last"]
        for event in answer["events"]:
            click.echo(json.dumps(event, ensure_ascii=False) if output == "json" else _event(event))
        if not answer["events"]:
            time.sleep(0.5)


def _event(event: dict[str, Any]) -> str:
    changes = ", ".join(f"{name}: {old} -> {event['fields'].get(name)}" for name, old in event["before"].items())
    kind = "stale" if event["stale"] else event["kind"]
    return f"{event['occurred_at'][:19]}  {kind:8} {event['record']}  {changes}"


@click.command()
@click.argument("name")
@config_option
@output_option
def show(name: str, path: Path, output: str) -> None:
    """One delivery, by its number or key: what it says, why, and every attempt that failed. `request:N`: a request from `dead list`."""
    show_data(call(path, "show", name=name), output, _delivery)


def _delivery(one: dict[str, Any]) -> Iterator[str]:
    if "request" in one:
        yield f"request {one['request']} of {one['source']}, {one['received_at'][:19]}: {one['reason']}"
        yield one["body"]
        return
    yield f"delivery {one['id']}  {one['state']}  {one['reason']}".rstrip()
    for label in ("key", "destination", "channel", "rule", "step", "record", "due", "link", "last_error"):
        if one[label]:
            yield f"  {label:12} {one[label]}"
    yield f"  text         {one['text']}"
    if one["receipt"]:
        yield f"  receipt      {one['receipt']['remote_id']} {one['receipt']['url'] or ''}".rstrip()
    for attempt in one["attempts_failed"]:
        yield f"  attempt {attempt['number']:<4} {attempt['ended_at'][:19]}  {attempt['outcome']}: {attempt['error']}"
    if event := one["event"]:
        yield f"  change       {event['kind']} {event['occurred_at'][:19]}, revision {event['revision']}"
        for name, value in event["fields"].items():
            old = f"  (was {event['before'][name]})" if name in event["before"] else ""
            yield f"    {name} = {value}{old}"


@click.group()
def dead() -> None:
    """Dead letters: what could not be said, and will not be tried again by itself."""


def _listed(data: dict[str, Any]) -> Iterator[str]:
    rows = [
        [one["id"], one["destination"], one["rule"], one["reason"], one["attempts"], one["last_error"][:90]] for one in data["deliveries"]
    ]
    if rows:
        yield from table(rows, ["NUMBER", "DESTINATION", "RULE", "REASON", "ATTEMPTS", "LAST ERROR"])
    for one in data.get("requests", ()):
        yield f"request:{one['id']}  {one['source']}  {one['received_at'][:19]}  {one['reason']}"
    if not rows and not data.get("requests"):
        yield "none"


@dead.command("list")
@config_option
@click.option("--rule", help="Only of this rule.")
@click.option("--destination", help="Only for this destination.")
@click.option("--limit", type=int, default=100, help="At most so many.")
@output_option
def dead_list(path: Path, rule: str | None, destination: str | None, limit: int, output: str) -> None:
    """Dead letters, newest first, and webhook requests that nobody could interpret."""
    show_data(call(path, "dead_list", rule=rule, destination=destination, limit=limit), output, _listed)


@dead.command("show")
@click.argument("name")
@config_option
@output_option
def dead_show(name: str, path: Path, output: str) -> None:
    """One dead letter: what it says, why it died, and every attempt that failed. `request:N`: a request that could not be interpreted."""
    show_data(call(path, "show", name=name), output, _delivery)


def _order(
    path: Path, verb: str, names: Sequence[str], rule: str | None, destination: str | None, all_: bool, yes: bool, word: str
) -> None:
    numbers = [name for name in names if not name.startswith("request:")]
    requests = [int(name.removeprefix("request:")) for name in names if name.startswith("request:")]
    if not names and not rule and not destination and not all_:
        raise click.UsageError("say which: their numbers, --rule, --destination or --all")
    if not names:
        found = call(path, "dead_list", rule=rule, destination=destination, limit=1000)
        count = len(found["deliveries"]) + (len(found["requests"]) if all_ else 0)
        click.echo(f"{count} dead letters")
        if count and not yes:
            click.confirm(f"{word} them?", abort=True)
    answer = call(path, verb, names=numbers, requests=requests, rule=rule, destination=destination, all=all_)
    for problem in answer["problems"]:
        click.echo(f"{problem['id']}: {problem['reason']}", err=True)
    click.echo(f"{answer['count']} done")
    if answer["problems"]:
        raise Failure(f"{len(answer['problems'])} could not be done")


def _scoped(function: Any) -> Any:
    for option in (
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--all", "all_", is_flag=True, help="All of them."),
        click.option("--destination", help="All for this destination."),
        click.option("--rule", help="All of this rule."),
        config_option,
        click.argument("names", nargs=-1),
    ):
        function = option(function)
    return function


@dead.command("retry")
@_scoped
def dead_retry(names: Sequence[str], path: Path, rule: str | None, destination: str | None, all_: bool, yes: bool) -> None:
    """Try again; what could not be rendered is rendered by the present rules."""
    _order(path, "dead_retry", names, rule, destination, all_, yes, "try")


@dead.command("drop")
@_scoped
def dead_drop(names: Sequence[str], path: Path, rule: str | None, destination: str | None, all_: bool, yes: bool) -> None:
    """Leave them unsaid for good."""
    _order(path, "dead_drop", names, rule, destination, all_, yes, "drop")


@click.group()
def unknown() -> None:
    """Messages whose answer was lost: published or not, only the network knows."""


@unknown.command("list")
@config_option
@click.option("--destination", help="Only for this destination.")
@output_option
def unknown_list(path: Path, destination: str | None, output: str) -> None:
    """Messages that may or may not be published, newest first."""
    show_data(call(path, "unknown_list", destination=destination), output, _listed)


@unknown.command("resolve")
@click.argument("name")
@click.option("--published", "outcome", flag_value="published", help="It is there.")
@click.option("--resend", "outcome", flag_value="resend", help="It is not there: publish it.")
@click.option("--drop", "outcome", flag_value="drop", help="It is not there, and need not be.")
@click.option("--url", help="Where it is, with --published.")
@config_option
def unknown_resolve(name: str, outcome: str | None, url: str | None, path: Path) -> None:
    """Say what became of a message, after looking at the network."""
    if outcome is None:
        raise click.UsageError("say --published, --resend or --drop")
    call(path, "unknown_resolve", name=name, outcome=outcome, url=url)
    click.echo("done")
