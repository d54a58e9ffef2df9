"""E-mail, through a mail server that takes messages from us."""

from __future__ import annotations

from typing import Any

from connectors.destinations.email.options import EmailOptions
from crmbridge.contract import Ability, Connector, Setting


def _build(options: EmailOptions, setting: Setting) -> Any:
    from connectors.destinations.email.destination import EmailDestination  # the standard library's e-mail is slow to import

    return EmailDestination(options, setting)


def _channel_fault(_: EmailOptions, channel: str) -> str:
    from connectors.destinations.email.addresses import mailboxes

    try:
        mailboxes(channel)
    except ValueError as error:
        return str(error)
    return ""


CONNECTOR = Connector(
    name="email",
    summary="Messages to people's mailboxes, with threads, through your mail server (SMTP).",
    options=EmailOptions,
    build=_build,
    can=lambda _: frozenset({Ability.THREAD, Ability.CHANNEL, Ability.SUBJECT}),
    needs_channel=lambda options: not options.to,
    channel_example="ann@acme.example",
    channel_fault=_channel_fault,
    escape="Addresses in record text are broken by an invisible space, `< > &` are encoded in HTML; no header or recipient is a record's.",
)

__all__ = ["CONNECTOR"]
