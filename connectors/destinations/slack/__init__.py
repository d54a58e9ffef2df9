"""Slack, through the Web API's chat.postMessage."""

from __future__ import annotations

from connectors.destinations.slack.destination import SlackDestination
from connectors.destinations.slack.options import SlackOptions
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="slack",
    needs_channel=lambda options: options.channel is None,
    summary="Messages in a Slack workspace's channels, with threads.",
    options=SlackOptions,
    build=SlackDestination,
    escape="Record text has & < > encoded, and mentions, links, emoji codes and formatting are broken.",
)

__all__ = ["CONNECTOR"]
