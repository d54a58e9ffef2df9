"""status, tail, show, explain, orders: the questions of the person on call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from crmbridge.cli.common import Failure, ask_daemon, call, config_option, output_option, picture_line, table
from crmbridge.cli.common import show as show_data
from crmbridge.cli.moments import moment
from crmbridge.cli.terminal import say_entry
from crmbridge.model import counted, verbs

_QUOTED = 160  # characters of a message that are shown beside its change; `show` has all of it
_INSTANTS = ("accepted_at", "due", "expires_at")
_STATES = ("queued", "sending", "held", "unknown", "dead")


@click.command()
@config_option
@click.option("--seen", is_flag=True, help="You know of what happened once and is over: do not tell of it any longer.")
@output_option
def status(path: Path, seen: bool, output: str) -> None:
    """How it goes: what is wrong and what to do, sources, destinations, what waits. Exit code 1 if something is wrong."""
    if seen:
        ask_daemon(path, "seen")
    answer = ask_daemon(path, "status")
    show_data(answer, output, _status)
    if not answer["ok"]:
        raise SystemExit(1)


def _status(data: dict[str, Any]) -> Iterator[str]:
    rules = counted(data["rules"], "rule")
    yield f"crmbridge {data['version']}  {data['ready']}  {rules}  http://{data['server']}  since {moment(data['started'])}"
    if data["ok"]:
        yield "nothing is wrong"
    for one in data["troubles"]:
        yield ""
        yield f"{one['severity'].upper()} {one['code']} since {moment(one['since'])}: {one['what']}"
        yield f"  to do: {one['do']}"
    yield ""
    yield from table([[one["name"], one["type"], moment(one.get("polled_at")) or one.get("url"), _state(one)] for one in data["sources"]],
                     ["SOURCE", "TYPE", "READ AT", "STATE"])  # fmt: skip
    yield ""
    yield from table([[one["name"], one["type"], *(one[state] for state in _STATES), _state(one)] for one in data["destinations"]],
                     ["DESTINATION", "TYPE", *(state.upper() for state in _STATES), "STATE"])  # fmt: skip
    for one in data["sources"]:
        if one["repeated"]:
            repeats = counted(one["repeated"], "repeat")
            yield f"{repeats} of {one['name']} since {moment(one['since'])}: `crmbridge explain SOURCE/TYPE/ID` tells of a record's"
    if kept := data["backup"]:
        yield f"backup: {moment(kept['made'])}, {kept['size']:,} bytes" if kept["made"] else f"backup: none yet in {kept['folder']}"
    for one in data["inbox"]:
        if not one["failed"]:
            what, wait = counted(one["count"], "record" if one["records"] else "request"), verbs(one["count"])["wait"]
            yield f"{what} of {one['source']} {wait} to be interpreted"


def _state(one: dict[str, Any]) -> str:
    return f"{one['state']}: {one['words']}" if one["words"] else one["state"]


@click.command()
@config_option
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@output_option
def tail(path: Path, seconds: float | None, output: str) -> None:
    """Show changes as they come in, until interrupted."""
    import json

    end = time.monotonic() + seconds if seconds is not None else None
    last = call(path, "tail")["last"]
    while end is None or time.monotonic() < end:
        answer = call(path, "tail", after=last)
        last = answer["last"]
        for event in answer["events"]:
            say_entry(json.dumps(event, ensure_ascii=False) if output == "json" else _event(event))
        if not answer["events"]:
            time.sleep(0.5)


def _event(event: dict[str, Any]) -> str:
    changes = ", ".join(f"{name}: {old} -> {event['fields'].get(name)}" for name, old in event["before"].items())
    kind = "stale" if event["stale"] else event["kind"]
    return f"{moment(event['occurred_at'])}  {kind:8} {event['record']}  {changes}"


@click.command()
@click.argument("name")
@config_option
@output_option
def show(name: str, path: Path, output: str) -> None:
    """One delivery, by its number or key: what it says, why, and every attempt that failed. `request:N`: a request from `dead list`."""
    show_data(call(path, "show", name=name), output, delivery_lines)


def delivery_lines(one: dict[str, Any]) -> Iterator[str]:
    """Show a delivery for people."""
    if "request" in one:
        what = f"record {one['record']}" if one["record"] else f"request {one['request']}"
        yield f"{what} of {one['source']}, {moment(one['received_at'])}: {one['reason']}"
        yield one["body"]
        return
    yield f"delivery {one['id']}  {one['state']}  {one['reason']}".rstrip()
    for label in ("key", "destination", "channel", "rule", "step", "record", "accepted_at", "due", "expires_at", "link", "last_error"):
        if one[label]:
            yield f"  {label:12} {moment(one[label]) if label in _INSTANTS else one[label]}"
    if one["subject"] is not None:
        yield f"  subject      {one['subject']}"
    yield f"  text         {one['text']}"
    if one["no_link"]:
        yield f"  without its link: {one['no_link']}"
    if one["media"]:
        yield f"  {picture_line(one['media'])}"
    if one["receipt"]:
        yield f"  receipt      {one['receipt']['remote_id']} {one['receipt']['url'] or ''}".rstrip()
        if one["receipt"]["note"]:
            yield f"  note         {one['receipt']['note']}"
    for attempt in one["attempts_failed"]:
        yield f"  attempt {attempt['number']:<4} {moment(attempt['ended_at'])}  {attempt['outcome']}: {attempt['error']}"
    if event := one["event"]:
        yield f"  change       {event['kind']} {moment(event['occurred_at'])}, revision {event['revision']}"
        for name, value in event["fields"].items():
            old = f"  (was {event['before'][name]})" if name in event["before"] else ""
            yield f"    {name} = {value}{old}"


@click.command()
@click.argument("name")
@click.option("--changes", type=click.IntRange(1, 100), default=20, help="At most so many changes of a record.")
@config_option
@output_option
def explain(name: str, changes: int, path: Path, output: str) -> None:
    """Why something was said, or not.

    NAME is what you have: an address in the CRM, a record (source/type/id, its id, or a part of its name), a change, a delivery, a
    Slack permalink, an X link, a post on Chirp.
    """
    show_data(call(path, "explain", name=name, changes=changes), output, _explained)


def _explained(data: dict[str, Any]) -> Iterator[str]:
    for one in data["records"]:
        revision = f"revision {one['revision']}{', deleted' if one['deleted'] else ''}" if one["now"] is not None else ""
        yield f"{one['record']}  {revision}"
        for change in one["changes"]:
            yield ""
            yield from _explained_change(change)
        for note in one["notes"]:
            yield f"  note: {note}"
    if data["found"]:
        rows = [[one["record"], f"{one['field']}: {one['value']}", "deleted" if one["deleted"] else ""] for one in data["found"]]
        yield from table(rows, ["RECORD", "IS CALLED", ""])
    yield from data["notes"]


def _explained_change(change: dict[str, Any]) -> Iterator[str]:
    kind = "stale" if change["stale"] else change["kind"]
    yield f"  {kind} {moment(change['occurred_at'])}, recorded {moment(change['recorded_at'])}  {change['id']}"
    for name, old in change["before"].items():
        yield f"    {name}: {old} -> {change['fields'].get(name)}"
    for rule in change["rules"]:
        yield f"    rule {rule['rule']}: " + ("runs" if rule["matched"] else f"does not run: {rule['reason']}")
    for told in change["deliveries"]:
        where = " ".join(filter(None, (told["destination"], told["channel"])))
        yield f"    -> {where}: {told['state']} {told['reason']}".rstrip() + f"  (delivery {told['id']})"
        if words := " ".join(told["text"].split()):
            yield f'       "{words if len(words) <= _QUOTED else words[: _QUOTED - 1] + "…"}"'
        if told["state"] == "dead" and told["last_error"]:
            yield f"       {told['last_error']}"
        if told["no_link"]:
            yield f"       without its link: {told['no_link']}"
        if told["receipt"]:
            if address := told["receipt"]["url"] or told["receipt"]["remote_id"]:
                yield f"       {address}"
            if told["receipt"]["note"]:
                yield f"       {told['receipt']['note']}"
        for attempt in told["attempts_failed"]:
            yield f"       attempt {attempt['number']} {moment(attempt['ended_at'])} {attempt['outcome']}: {attempt['error']}"


@click.command()
@click.argument("number", type=int, required=False)
@click.option("--since", help="Given since: 2h or 7d ago, or an instant.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@config_option
@output_option
def orders(number: int | None, since: str | None, limit: int, path: Path, output: str) -> None:
    """Who ordered what, the newest first, and what it came to; or the one with a NUMBER, as `explain` and `queue show` name it.

    Set CRMBRIDGE_ACTOR where many work as one user: it is the name that is written down. What the door proved of them stands beside it.
    """
    found = call(path, "orders", since=since, limit=limit, number=number)
    if number is not None and not found["orders"]:
        raise Failure(f"there is no order {number}; `retention.orders` says how long they are kept")
    show_data(found, output, _ordered)


def _ordered(data: dict[str, Any]) -> Iterator[str]:
    rows = [
        [one["id"], moment(one["began_at"]), one["actor"], one["door"], _in_words(one["verb"], one["arguments"]), _came_to(one)]
        for one in data["orders"]
    ]
    yield from table(rows, ["NUMBER", "AT", "WHO", "BY", "ORDER", "CAME TO"]) if rows else ["none"]


def _in_words(verb: str, arguments: Mapping[str, Any]) -> str:
    """Write an order about as it was typed."""
    return " ".join([verb.replace("_", " "), *(f"{name}={_value(value)}" for name, value in arguments.items())])


def _value(value: Any) -> str:
    match value:
        case dict():
            return ",".join(f"{name}:{_value(one)}" for name, one in value.items())
        case list():
            return ",".join(map(str, value))
        case bool():
            return "yes" if value else "no"
    return str(value)


def _came_to(one: dict[str, Any]) -> str:
    done = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in one["came_to"].items())
    state = "under way" if one["running"] else f"not ended, last at {moment(one['last_at'])}" if one["ended_at"] is None else one["error"]
    return ": ".join(part for part in (done, state) if part) or "done"
