"""The root of the command line. A family is imported only when one of its verbs is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Final

import click

from crmbridge import __version__
from crmbridge.cli.examples import EXAMPLES
from crmbridge.model import nearest

_VERBS: Final = {
    "demo": ("demo", "See the whole thing on this machine: a sample CRM, rules, the feed in the browser."),
    "init": ("init", "Write a configuration for your CRM and your network, and try it."),
    "run": ("daemon", "Run the daemon."),
    "reload": ("daemon", "Apply the changed configuration of a running daemon."),
    "status": ("people", "How it goes: sources, destinations, what waits and why."),
    "tail": ("people", "Changes as they come in."),
    "show": ("people", "One delivery: what it says, why, and every attempt that failed."),
    "explain": ("people", "Why something was said, or not: from an address, a record, a change, a message."),
    "queue": ("queue", "What waits: list, show, hold, release, drop."),
    "dead": ("queue", "Dead letters: list, show, retry, drop."),
    "unknown": ("queue", "Messages that may or may not be published: list, resolve."),
    "pause": ("queue", "Silence everything, a destination or a rule."),
    "resume": ("queue", "Go on."),
    "orders": ("people", "Who ordered what, and what it came to."),
    "retract": ("queue", "Take back what was published."),
    "replay": ("queue", "Run the rules over past changes, and say what was never said."),
    "backfill": ("sources", "Say what the rules say of records from before crmbridge."),
    "audit": ("sources", "Ask the CRM what changed, and name what was missed."),
    "fields": ("sources", "The fields of a source: names, labels, types, samples."),
    "team": ("sources", "Who works on a record, as the CRM has it."),
    "state": ("sources", "How far a source has been read: show, set."),
    "backup": ("keep", "Copy the databases while the daemon runs."),
    "restore": ("keep", "Put a backup in place of the databases."),
    "adopt": ("keep", "Go on with a database that was restored, copied or moved."),
    "forget": ("keep", "Remove all that is stored of a record."),
    "install-files": ("keep", "Write the systemd unit, compose file, alert rules, board and schema of this version."),
    "lint": ("check", "Check a configuration; every problem at once."),
    "test": ("check", "Run the tests that stand beside the rules."),
    "render": ("check", "What would be said for a change, without saying it."),
    "doctor": ("doctor", "Log in everywhere, and say what is missing."),
    "send-test": ("doctor", "Publish a test message at a destination."),
    "config": ("check", "Show the configuration with all defaults, secrets masked."),
    "manifest": ("check", "The app's manifest for the rules as they are: exactly the rights that they need."),
    "schema": ("check", "The JSON Schema of the configuration, for editors."),
    "connectors": ("check", "The sources and destinations that are installed."),
    "doc": ("check", "The pages: how rules are written; what a connector can do, its options, its set-up."),
    "chirp": ("chirp", "The feed's people."),
}


class _Families(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        family, summary = _VERBS[name]
        command: click.Command = getattr(importlib.import_module(f"crmbridge.cli.{family}"), name.replace("-", "_"))
        command.short_help = summary
        _illustrate(name, command)
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a verb as click does. For an unknown verb, say which one may be meant."""
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            meant = self._meant(context, args[0])
            context.fail(f'there is no verb "{args[0]}"; ' + (f"did you mean `crmbridge {meant}`?" if meant else "see `crmbridge --help`"))
        return super().resolve_command(context, args)

    def _meant(self, context: click.Context, name: str) -> str:
        """Find the verb, or the verb within a family, that is spelt most like `name`."""
        verbs = {path.rpartition(" ")[2]: path for path in self._inner(context)} | {verb: verb for verb in _VERBS}
        return verbs.get(nearest(name, verbs), "")

    def _inner(self, context: click.Context) -> Iterator[str]:
        for name in _VERBS:
            command = self.get_command(context, name)
            if isinstance(command, click.Group):
                yield from (f"{name} {inner}" for inner in command.list_commands(context))

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _VERBS.items()])


def _illustrate(name: str, command: click.Command) -> None:
    """Let `--help` end with examples, also for the verbs of a family."""
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            _illustrate(f"{name} {inner}", one)
    elif name in EXAMPLES:
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in EXAMPLES[name])


@click.group(cls=_Families, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="crmbridge")
def cli() -> None:
    """Turn changes in a CRM into posts on Chirp, Slack, Microsoft Teams and X: none lost, none said twice.

    Begin with `crmbridge demo`. Exit codes: 0 fine, 1 a failure at run time, 2 usage, 3 configuration problems, 4 tests failed.
    """
