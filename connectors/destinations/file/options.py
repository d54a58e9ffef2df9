"""What can be set for a file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from crmbridge.contract import Options


class FileOptions(Options):
    """One file."""

    path: Path = Field(description="File to append to, relative to the configuration file; made with mode 0600 if it is not there.")
