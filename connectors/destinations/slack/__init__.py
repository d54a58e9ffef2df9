"""Slack, through the Web API or an incoming webhook."""

from __future__ import annotations

import re
from typing import Final

from connectors.destinations.slack.destination import SlackDestination
from connectors.destinations.slack.escape import misnamed
from connectors.destinations.slack.hook import SlackWebhook
from connectors.destinations.slack.layout import laid_out
from connectors.destinations.slack.options import SlackOptions
from connectors.destinations.slack.scopes import manifest
from crmbridge.contract import Ability, Connector, Manifest, Setting


def _build(options: SlackOptions, setting: Setting) -> SlackDestination | SlackWebhook:
    for path, message in options.objections(public=False):
        raise ValueError(f"{path[-1]} {message}")
    return SlackDestination(options, setting) if options.webhook_url is None else SlackWebhook(options, setting)


_APP = frozenset({Ability.THREAD, Ability.EDIT, Ability.DELETE, Ability.FIND, Ability.BLOCKS, Ability.CHANNEL, Ability.MENTION})


def _can(options: SlackOptions) -> frozenset[Ability]:
    """A webhook gives no ts back, so nothing can be done with what it posted, and it has one channel."""
    return _APP if options.webhook_url is None else frozenset({Ability.BLOCKS})


_PERMALINK: Final = re.compile(r"https://[^/]+/archives/[A-Z0-9]+/p(\d{10})(\d{6})(?:$|[?#])")


def _named(address: str) -> list[str]:
    """The `ts` in a permalink. Source: https://docs.slack.dev/reference/methods/chat.getPermalink"""
    match = _PERMALINK.match(address)
    return [f"{match[1]}.{match[2]}"] if match else []


CONNECTOR = Connector(
    name="slack",
    needs_channel=lambda options: options.channel is None and options.webhook_url is None,
    summary="Messages in a Slack workspace's channels, with threads.",
    options=SlackOptions,
    build=_build,
    can=_can,
    lay_out=lambda _, layout: laid_out(layout),
    remarks=lambda _, spoken: misnamed(spoken.words),
    named=_named,
    manifest=Manifest(name="slack-app-manifest.yaml", text=manifest),
    escape="Record text has & < > encoded, and mentions, links, emoji codes and formatting are broken.",
)

__all__ = ["CONNECTOR"]
