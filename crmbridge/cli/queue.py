"""queue, dead, unknown, pause, resume, replay, retract: orders of the person on call on what waits and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from crmbridge.cli.common import Failure, ask_daemon, call, config_option, going_on, output_option, progress, table
from crmbridge.cli.common import show as show_data
from crmbridge.cli.moments import moment
from crmbridge.cli.people import delivery_lines
from crmbridge.cli.terminal import say, say_entry
from crmbridge.model import counted

_BITE = 2000  # deliveries that one request may touch: about a second's work
_WHERE = ("destination", "channel", "rule", "record", "reason", "since", "until")
_HELP = {
    "destination": "Only for this destination.",
    "channel": "Only in this channel.",
    "rule": "Only of this rule.",
    "record": "Only about this record, as source/type/id.",
    "reason": "Only with a reason that begins so, like surge.",
    "since": "Accepted since: 2h or 7d ago, or an instant.",
    "until": "Accepted before.",
}


def _where(function: Any, but: str = "") -> Any:
    for name in reversed(_WHERE):
        if name != but:
            function = click.option(f"--{name}", help=_HELP[name], multiple=True, callback=_once)(function)
    return function


def _once(_: click.Context, option: click.Parameter, given: Sequence[str]) -> str | None:
    """Take one value. Of two, click would take the last and say nothing: an order would mean another thing than was typed."""
    if len(given) > 1:
        raise click.BadParameter(f"give it once: {' or '.join(given)}?", param=option)
    return given[0] if given else None


def _selecting_but(but: str) -> Callable[[Any], Any]:
    """Add the options that select deliveries: numbers, a selection, or all. Add `--yes` too, which asks nothing.

    `but` is a word of selections that has another meaning in this verb.
    """

    def selecting(function: Any) -> Any:
        function = click.option("--yes", "-y", is_flag=True, help="Do not ask.")(function)
        function = click.option("--all", "all_", is_flag=True, help="All of them.")(function)
        return click.argument("names", nargs=-1)(config_option(_where(function, but)))

    return selecting


_selecting = _selecting_but("")


def _read_where(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in _WHERE if given.get(name) is not None}


def _listed(data: dict[str, Any]) -> Iterator[str]:
    found = data["deliveries"]
    rows = [
        [one["id"], one["state"], one["destination"], one["channel"], one["rule"], one["record"], _why(one), _begin(one["text"])]
        for one in found
    ]
    if rows:
        yield from table(rows, ["NUMBER", "STATE", "DESTINATION", "CHANNEL", "RULE", "RECORD", "REASON", "TEXT"])
        if data["count"] > len(rows):
            yield f"... and {data['count'] - len(rows)} more"
    for one in data.get("requests", ()):
        what = f"{one['source']}/{one['record']}" if one["record"] else one["source"]
        yield f"request:{one['id']}  {what}  {moment(one['received_at'])}  {one['reason']}"
    if not rows and not data.get("requests"):
        yield "none"


def _why(one: dict[str, Any]) -> str:
    return ": ".join(part for part in (one["reason"], one["last_error"]) if part)[:90]


def _begin(text: str) -> str:
    return text[:60].replace("\n", " ")


def _agreed(path: Path, where: dict[str, Any], states: Sequence[str], word: str, yes: bool, more: int = 0) -> int:
    """Show how many deliveries an order would touch, and ask. Return how many; 0 for none.

    With names nothing is asked. A "no" raises click's Abort.
    """
    if where.get("names"):
        return len(where["names"])
    if not where.get("all") and not _read_where(where):
        raise click.UsageError("say which: their numbers, --rule, --destination, --channel, --record, --since, --until or --all")
    count = call(path, "count", where=where, states=states)["count"] + more
    say(counted(count, "delivery"))
    if count and not yes:
        click.confirm(f"{word} them?", abort=True)
    return int(count)


# --- queue --------------------------------------------------------------------------------------


@click.group()
def queue() -> None:
    """Look at what waits, hold it, let it go, or leave it."""


@queue.command("list")
@config_option
@_where
@click.option(
    "--state",
    type=click.Choice(["queued", "sending", "held", "unknown", "shadow"]),
    help="Only in this state; shadow: what was only recorded.",
)
@click.option("--limit", type=int, default=100, help="At most so many.")
@output_option
def queue_list(path: Path, state: str | None, limit: int, output: str, **given: Any) -> None:
    """List what waits, newest first."""
    show_data(call(path, "queue_list", where=_read_where(given), state=state, limit=limit), output, _listed)


@queue.command("show")
@click.argument("name")
@config_option
@output_option
def queue_show(name: str, path: Path, output: str) -> None:
    """One delivery, by its number or key."""
    show_data(call(path, "show", name=name), output, delivery_lines)


def _order(verb: str, states: Sequence[str], word: str) -> Callable[..., None]:
    def order(names: Sequence[str], path: Path, all_: bool, yes: bool, **given: Any) -> None:
        where = _read_where(given) | {"names": list(names), "all": all_}
        extra = {argument: given[name] for name, argument in (("why", "reason"), ("outdated", "outdated")) if name in given}
        if count := _agreed(path, where, states, word, yes):
            done = _carried_out(path, verb, count, names=bool(names), where=where, **extra)
            spared = f", {done['outdated']} dropped: no longer so, see `explain`" if done["outdated"] else ""
            say(f"{done['count']} done{spared}")

    return order


def _carried_out(path: Path, verb: str, count: int, *, names: bool, **arguments: Any) -> Counter[str]:
    """Carry out an order in portions, with its progress on a terminal. Return what it came to."""
    if names:
        return Counter(call(path, verb, **arguments))
    total: Counter[str] = Counter()
    answer: dict[str, Any] = {}
    with progress(count) as bar:
        while True:
            answer = call(path, verb, **arguments, most=_BITE, **going_on(answer))
            bite = Counter({name: number for name, number in answer.items() if name != "order"})
            total += bite
            bar.update(bite.total())
            if bite.total() < _BITE:
                return total


@queue.command("hold")
@_selecting_but("reason")
@click.option("--reason", "--why", "why", default="", help="For whoever looks next.")
def queue_hold(**given: Any) -> None:
    """Hold what is queued until it is released or dropped."""
    _order("queue_hold", ["queued"], "hold")(**given)


@queue.command("release")
@click.option("--outdated", is_flag=True, help="Also what its record no longer is.")
@_selecting
def queue_release(**given: Any) -> None:
    """Let what is held go out, but for what its record no longer is: what `becomes: Won` led to is not said of a deal lost since."""
    _order("queue_release", ["held"], "release")(**given)


@queue.command("drop")
@_selecting
def queue_drop(**given: Any) -> None:
    """Leave what is queued or held unsaid for good."""
    _order("queue_drop", ["queued", "held"], "drop")(**given)


# --- dead ---------------------------------------------------------------------------------------


@click.group()
def dead() -> None:
    """Dead letters: what could not be said, and will not be tried again by itself."""


@dead.command("list")
@config_option
@_where
@click.option("--limit", type=int, default=100, help="At most so many.")
@output_option
def dead_list(path: Path, limit: int, output: str, **given: Any) -> None:
    """Dead letters, newest first, and webhook requests that nobody could interpret."""
    show_data(call(path, "dead_list", where=_read_where(given), limit=limit), output, _listed)


@dead.command("show")
@click.argument("name")
@config_option
@output_option
def dead_show(name: str, path: Path, output: str) -> None:
    """One dead letter: what it says, why it died, and every attempt that failed. `request:N`: a request that could not be interpreted."""
    show_data(call(path, "show", name=name), output, delivery_lines)


def _say_problems(answer: dict[str, Any]) -> None:
    for problem in answer["problems"]:
        say_entry(f"{problem['id']}: {problem['reason']}", err=True)
    if more := answer["more_problems"]:
        say_entry(f"... and {more} more", err=True)


def _dead_order(verb: str, word: str, names: Sequence[str], path: Path, all_: bool, yes: bool, **given: Any) -> None:
    requests = [int(name.removeprefix("request:")) for name in names if name.startswith("request:")]
    where = _read_where(given) | {"names": [name for name in names if not name.startswith("request:")], "all": all_}
    if not requests:
        aside = call(path, "overview")["inbox"] if all_ and not _read_where(given) else []
        more = sum(one["count"] for one in aside if one["failed"])
        if not _agreed(path, where, ["dead"], word, yes, more):
            return
    answer = call(path, verb, where=where, requests=requests)
    _say_problems(answer)
    done = [counted(answer["count"], "delivery")] if answer["count"] or not answer["requests"] else []
    done += [counted(answer["requests"], "request")] if answer["requests"] else []
    say(f"{' and '.join(done)} {'queued again' if verb == 'dead_retry' else 'dropped'}")
    if answer["problems"]:
        raise Failure(f"{len(answer['problems']) + answer['more_problems']} could not be done")


@dead.command("retry")
@_selecting
def dead_retry(**given: Any) -> None:
    """Try again; what could not be rendered is rendered by the present rules."""
    _dead_order("dead_retry", "try", **given)


@dead.command("drop")
@_selecting
def dead_drop(**given: Any) -> None:
    """Leave them unsaid for good."""
    _dead_order("dead_drop", "drop", **given)


# --- unknown ------------------------------------------------------------------------------------


@click.group()
def unknown() -> None:
    """Messages whose answer was lost: published or not, only the network knows."""


@unknown.command("list")
@config_option
@_where
@output_option
def unknown_list(path: Path, output: str, **given: Any) -> None:
    """Messages that may or may not be published, newest first."""
    show_data(call(path, "unknown_list", where=_read_where(given)), output, _listed)


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
    say("done")


# --- silence ------------------------------------------------------------------------------------


@click.command()
@click.argument("name", metavar="all|DESTINATION|RULE")
@click.option("--reason", required=True, help="For whoever looks next.")
@config_option
def pause(name: str, reason: str, path: Path) -> None:
    """Say nothing until `resume`, restarts and reloads included. Changes are taken in all the same."""
    answer = call(path, "pause", name=name, reason=reason)
    say(f"paused: {answer['kind']} {name if answer['kind'] != 'all' else ''}".rstrip())


@click.command()
@click.argument("name", metavar="all|DESTINATION|RULE")
@click.option(
    "--say",
    "wanted",
    type=click.Choice(["all", "latest", "summary", "nothing"]),
    help="What is said of what waited; default: its `on_resume`.",
)
@config_option
def resume(name: str, wanted: str | None, path: Path) -> None:
    """Go on after `pause`, or after a destination was put right."""
    answer = call(path, "resume", name=name, say=wanted)
    say(f"resumed {name}" + (f"; {answer['dropped']} are not said one by one" if answer["dropped"] else ""))


# --- again, and back ------------------------------------------------------------------------------


@click.command()
@click.option("--since", required=True, help="Changes recorded since: 2h or 7d ago, or an instant.")
@click.option("--until", help="Changes recorded before.")
@click.option("--rule", help="Only what this rule says.")
@click.option("--record", help="Only about this record, as source/type/id.")
@click.option("--again", is_flag=True, help="Say again what was said already.")
@click.option("--dry-run", is_flag=True, help="Only show what would be said.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
@output_option
def replay(path: Path, output: str, yes: bool, dry_run: bool, **given: Any) -> None:
    """Run the present rules over the journal: what was never said is said now."""
    found = _in_pages(path, **given, dry_run=True)
    if dry_run or output == "json":
        show_data(found, output, _replayed)
        if dry_run:
            return
    else:
        for line in _replayed(found):
            say_entry(line)
    if found["messages"] and not yes:
        click.confirm("say them?", abort=True)
    if found["messages"]:
        say(f"{_in_pages(path, **given)['messages']} queued")


def _in_pages(path: Path, **given: Any) -> dict[str, Any]:
    """Carry out a replay page by page, with its progress on a terminal."""
    with progress(None, "changes") as bar:
        total = page = call(path, "replay", **given)
        bar.update(page["changes"])
        while page["next"] is not None:
            page = call(path, "replay", **given | {"until": page["until"], "after": page["next"]} | going_on(page))
            bar.update(page["changes"])
            total = total | {name: total[name] + page[name] for name in ("changes", "messages")}
            total["examples"] = (total["examples"] + page["examples"])[:20]
    return {name: value for name, value in total.items() if name not in ("next", "until")}


def _replayed(data: dict[str, Any]) -> Iterator[str]:
    yield f"{counted(data['changes'], 'change', 'lead')} to {counted(data['messages'], 'message')} not said yet"
    for one in data["examples"]:
        yield f"  {one['to']}  {one['rule']}: {one['text']}"


@click.command()
@click.argument("names", nargs=-1, metavar="[NUMBER|URL|ID]...")
@click.option("--rule", help="What this rule said, with --since.")
@click.option("--since", help="Said since: 2h ago, or an instant.")
@click.option("--until", help="Said before.")
@click.option("--destination", help="Only at this destination.")
@click.option("--replace", "replacement", metavar="TEXT", help="Let the messages say this instead of taking them back.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@config_option
def retract(names: Sequence[str], path: Path, replacement: str | None, yes: bool, **given: Any) -> None:
    """Take back what was published, where the network can; what still waits of it is dropped."""
    where = _read_where(given)
    if not names and not where:
        raise click.UsageError("say what: its number, address or id, or --rule with --since")
    arguments = {"names": list(names), "where": where or None, "replacement": replacement}
    found = ask_daemon(path, "retract", **arguments, dry_run=True)
    say(f"{found['count']} published, {found['waiting']} waiting")
    if not yes:
        click.confirm("change them?" if replacement else "take them back?", abort=True)
    answer = ask_daemon(path, "retract", **arguments)
    _say_problems(answer)
    say(f"{answer['count']} {'changed' if replacement else 'taken back'}, {answer['waiting']} dropped")
    if answer["doubtful"]:
        say(f"{answer['doubtful']} more may be published or not: `crmbridge unknown list`; take them back once that is known")
    if answer["problems"]:
        raise Failure(f"{len(answer['problems']) + answer['more_problems']} could not be done")
