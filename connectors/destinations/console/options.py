"""What can be set for the console."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crmbridge.contract import Options


class ConsoleOptions(Options):
    """How messages are printed."""

    style: Literal["plain", "slack", "twitter", "json"] = Field(
        default="plain", description="`plain` for people, `slack` and `twitter` about as it would look there, `json` for one object a line."
    )
    channel: str | None = Field(default=None, description="The channel to show for steps that name none, like #wins.")
