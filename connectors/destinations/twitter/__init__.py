"""X (Twitter), through tweepy."""

from __future__ import annotations

from typing import Any

from connectors.destinations.twitter.options import TwitterOptions
from crmbridge.contract import Ability, Connector, Setting
from crmbridge.model import Audience


def _build(options: TwitterOptions, setting: Setting) -> Any:
    from connectors.destinations.twitter.destination import TwitterDestination  # tweepy is slow to import

    return TwitterDestination(options, setting)


CONNECTOR = Connector(
    name="twitter",
    summary="Posts and reply threads of an X (Twitter) account.",
    options=TwitterOptions,
    build=_build,
    audience=Audience.PUBLIC,
    can=lambda _: frozenset({Ability.THREAD, Ability.DELETE, Ability.FIND}),
    escape="Mentions, hashtags, cashtags and addresses in record text are taken apart by an invisible space.",
)

__all__ = ["CONNECTOR"]
