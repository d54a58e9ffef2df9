"""Slack, through the Web API or an incoming webhook."""

from __future__ import annotations

import re

from connectors.destinations.slack.destination import SlackDestination
from connectors.destinations.slack.hook import SlackWebhook
from connectors.destinations.slack.layout import laid_out
from connectors.destinations.slack.options import SlackOptions
from connectors.destinations.slack.scopes import manifest
from crmbridge.contract import Ability, Connector, Manifest, Setting


def _build(options: SlackOptions, setting: Setting) -> SlackDestination | SlackWebhook:
    for path, message in options.objections(public=False):
        raise ValueError(f"{path[-1]} {message}")
    return SlackDestination(options, setting) if options.webhook_url is None else SlackWebhook(options, setting)


def _can(options: SlackOptions) -> frozenset[Ability]:
    """A webhook gives no ts back, so nothing can be done with what it posted, and it has one channel."""
    return frozenset(Ability) - {Ability.MEDIA} if options.webhook_url is None else frozenset({Ability.BLOCKS})


# Within `<@...>` a record's words are broken on purpose: an id from a record could name anybody.
_MENTION = re.compile(r"<[@!#][^<>{]*\{\{[^{}]*\}\}[^<>{]*>?")


def _advise(options: SlackOptions, template: str) -> list[str]:
    """What a text comes to that its author may not expect."""
    return [
        f"`{found[0]}` names nobody, for no record chooses whom it names: write {{{{ record.Owner.Email | mention }}}}, by e-mail address"
        for found in _MENTION.finditer(template)
    ]


CONNECTOR = Connector(
    name="slack",
    needs_channel=lambda options: options.channel is None and options.webhook_url is None,
    summary="Messages in a Slack workspace's channels, with threads.",
    options=SlackOptions,
    build=_build,
    can=_can,
    lay_out=lambda _, layout: laid_out(layout),
    advise=_advise,
    manifest=Manifest(name="slack-app-manifest.yaml", text=manifest),
    escape="Record text has & < > encoded, and mentions, links, emoji codes and formatting are broken.",
)

__all__ = ["CONNECTOR"]
