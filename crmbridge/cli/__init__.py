"""The command line: one file for each family of verbs, each thin.

Exit codes: 0 fine, 1 a failure at run time, 2 usage, 3 configuration problems, 4 tests failed.
"""

from __future__ import annotations

import sys

from crmbridge.cli.common import Failure
from crmbridge.cli.group import cli
from crmbridge.cli.terminal import say, say_entry, say_problem
from crmbridge.errors import ConfigError, CrmbridgeError
from crmbridge.model import counted
from crmbridge.telemetry import redact

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command line. This is the console script."""
    try:
        cli(standalone_mode=True)
    except ConfigError as error:
        for problem in error.problems:
            say_problem(problem, error.folder, err=True)
        say(f"{counted(len(error.problems), 'problem')}; nothing was started", err=True)
        sys.exit(3)
    except Failure as error:
        say_entry(redact(f"crmbridge: {error}"), err=True)
        sys.exit(error.code)
    except (CrmbridgeError, OSError, ValueError) as error:
        say_entry(redact(f"crmbridge: {error}"), err=True)
        sys.exit(1)
