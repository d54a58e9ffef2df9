"""The command line: one file for each family of verbs, each thin.

Exit codes: 0 fine, 1 a failure at run time, 2 usage, 3 configuration problems, 4 tests failed.
"""

from __future__ import annotations

import sys

from crmbridge.cli.common import Failure
from crmbridge.cli.group import cli
from crmbridge.errors import ConfigError, CrmbridgeError
from crmbridge.telemetry import redact

__all__ = ["cli", "main"]


def main() -> None:
    """The console script."""
    try:
        cli(standalone_mode=True)
    except ConfigError as error:
        for problem in error.problems:
            print(redact(str(problem)), file=sys.stderr)
        count = len(error.problems)
        print(f"{count} problem{'s' if count != 1 else ''}; nothing was started", file=sys.stderr)
        sys.exit(3)
    except Failure as error:
        print(redact(f"crmbridge: {error}"), file=sys.stderr)
        sys.exit(error.code)
    except (CrmbridgeError, OSError, ValueError) as error:
        print(redact(f"crmbridge: {error}"), file=sys.stderr)
        sys.exit(1)
