"""What Slack's own table adds to the shapes of all layouts: how a record's words may stand in a text, and where something is shown."""

from __future__ import annotations

from enum import Enum
from typing import Final

from crmbridge.contract.layout.walk import a

REFERENCE: Final = "https://docs.slack.dev/reference/block-kit/"


class Takes(Enum):
    """How a record's words may stand in a text, where they may."""

    MRKDWN = "mrkdwn"  # shown with Slack's mark-up
    PLAIN = "plain"  # shown as it is, but for emoji codes
    BARE = "bare"  # read aloud, or sent back and never shown
    ADDRESS = "address"  # a web address


def shown(name: str, where: str) -> str:
    """The note of a kind that a message does not show."""
    return f"Slack shows {where} what {a(name)} says, and not in a message of ours"
