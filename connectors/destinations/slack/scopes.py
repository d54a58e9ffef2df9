"""Which scopes the app needs for what rules ask of it, and the manifest that grants exactly these. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from connectors.destinations.slack.options import SlackOptions
from crmbridge.contract import Ability, Promise, Right, Uses

WRITE: Final = "chat:write"
_ID: Final = re.compile(r"[CDG][A-Z0-9]+", re.ASCII)  # names are lower case


@dataclass(frozen=True, slots=True)
class Scope:
    """One right of the app: https://docs.slack.dev/reference/scopes (read 2026-11-30)."""

    name: str
    why: str
    promise: Promise = Promise.MESSAGES
    lost: str = ""
    """What is lost without it."""
    private: str = ""
    """What it is called for private channels."""


_HISTORY: Final = Scope(
    "channels:history",
    "to find out whether a message whose answer was lost is there; groups:history for private channels",
    Promise.LOST_ANSWERS,
    "a message whose answer was lost is sent again or waits for a person, as `on_unknown` says",
    "groups:history",
)
_READ: Final = Scope(
    "channels:read",
    "to look there in a channel that is configured by its name; groups:read for private channels",
    Promise.LOST_ANSWERS,
    "a lost answer in a channel that is configured by its name is not looked up (write the channel's id instead)",
    "groups:read",
)
_USERS: Final = Scope("users:read", "Slack grants users:read.email together with it only", Promise.MENTIONS, "nobody is looked up")
_EMAIL: Final = Scope(
    "users:read.email",
    "to name people by their e-mail address: {{ ... | mention }}",
    Promise.MENTIONS,
    "`| mention` names nobody: it says the name before the @",
)


def needed(options: SlackOptions, uses: Uses) -> list[Scope]:
    """The scopes for what is asked of the app, the one that nothing goes without first."""
    found = [Scope(WRITE, "to post, and to edit and delete what it posted")]
    if any(not _ID.fullmatch(name) for name in {options.channel or "", *uses.channels} - {""}):
        found.append(_READ)
    found.append(_HISTORY)
    return found + ([_USERS, _EMAIL] if Ability.MENTION in uses.abilities else [])


def rights(options: SlackOptions, uses: Uses, granted: Collection[str]) -> list[Right]:
    """What messages arrive without, but less well: each scope with whether the token has it."""
    given = ", ".join(sorted(granted)) or "none"
    return [
        Right(
            name=one.name,
            promise=one.promise,
            lost=one.lost,
            refused="" if one.name in granted or (one.private and one.private in granted) else f"the token's scopes are {given}",
        )
        for one in needed(options, uses)
        if one.name != WRITE
    ]


def manifest(options: SlackOptions, uses: Uses) -> str:
    """The app's manifest, as https://docs.slack.dev/reference/app-manifest has it."""
    scopes = needed(options, uses)
    width = max(len(one.name) for one in scopes)
    lines = "\n".join(f"      - {one.name:<{width}}  # {one.why}" for one in scopes)
    return f"""\
# https://api.slack.com/apps, Create New App, From a manifest. Then invite the bot to its channels: /invite @crmbridge
# Written for the rules as they are now; `crmbridge manifest` writes it again. After adding a scope: Reinstall to Workspace.
display_information: {{name: crmbridge, description: News from the CRM}}
features: {{bot_user: {{display_name: crmbridge, always_online: true}}}}
oauth_config:
  scopes:
    bot:
{lines}
settings: {{org_deploy_enabled: false, socket_mode_enabled: false, token_rotation_enabled: false}}
"""
