"""The root of the command line. A family is imported only when one of its verbs is used."""

from __future__ import annotations

import importlib
from typing import Final

import click

from crmbridge import __version__

_VERBS: Final = {
    "demo": ("demo", "See the whole thing on this machine: a sample CRM, rules, the feed in the browser."),
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
    "retract": ("queue", "Take back what was published."),
    "replay": ("queue", "Run the rules over past changes, and say what was never said."),
    "backup": ("keep", "Copy the databases while the daemon runs."),
    "restore": ("keep", "Put a backup in place of the databases."),
    "adopt": ("keep", "Go on with a database that was restored, copied or moved."),
    "forget": ("keep", "Remove all that is stored of a record."),
    "lint": ("check", "Check a configuration; every problem at once."),
    "test": ("check", "Run the tests that stand beside the rules."),
    "render": ("check", "What would be said for a change, without saying it."),
    "config": ("check", "Show the configuration with all defaults, secrets masked."),
    "schema": ("check", "The JSON Schema of the configuration, for editors."),
    "connectors": ("check", "The sources and destinations that are installed."),
    "chirp": ("chirp", "The feed's people."),
}


class _Families(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        family, summary = _VERBS[name]
        command: click.Command = getattr(importlib.import_module(f"crmbridge.cli.{family}"), name)
        command.short_help = summary
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _VERBS.items()])


@click.group(cls=_Families, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="crmbridge")
def cli() -> None:
    """Changes in a CRM become posts on Chirp, Slack and X: none lost, none said twice.

    Begin with `crmbridge demo`. Exit codes: 0 fine, 1 a failure at run time, 2 usage, 3 configuration problems, 4 tests failed.
    """
