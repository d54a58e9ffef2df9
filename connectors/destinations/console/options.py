"""What can be set for the console."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crmbridge.contract import Options


class ConsoleOptions(Options):
    """How messages are printed."""

    style: Literal["plain", "json"] = Field(default="plain", description="`plain` for people, `json` for one object a line.")
