"""X (Twitter), through tweepy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.destinations.twitter.options import TwitterOptions
from crmbridge.contract import Ability, Connector, Setting, Spoken
from crmbridge.http import INSTALL, can_make
from crmbridge.model import Audience


def _build(options: TwitterOptions, setting: Setting) -> Any:
    from connectors.destinations.twitter.destination import TwitterDestination  # tweepy is slow to import

    return TwitterDestination(options, setting)


def _remarks(_: TwitterOptions, spoken: Spoken) -> Sequence[str]:
    from connectors.destinations.twitter.remarks import remarks  # the parser of addresses is slow to import

    return remarks(spoken)


CONNECTOR = Connector(
    name="twitter",
    summary="Posts and reply threads of an X (Twitter) account.",
    options=TwitterOptions,
    build=_build,
    audience=Audience.PUBLIC,
    can=lambda _: frozenset({Ability.THREAD, Ability.DELETE, Ability.FIND, Ability.MEDIA}),
    lacks=lambda _: {} if can_make() else {Ability.MEDIA: f"pictures need an extra: {INSTALL}"},
    remarks=_remarks,
    escape="Mentions, hashtags, cashtags and addresses in record text are taken apart by an invisible space.",
)

__all__ = ["CONNECTOR"]
