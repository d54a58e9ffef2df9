"""What a webhook source is told: what every sender's options say, and where in the body the record itself stands."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from crmbridge.contract import Written
from crmbridge.hooks import Found, HookOptions, Map
from crmbridge.hooks.signatures import request_id_header

_ONLY_IDS: Final = "nothing but the id of a record is known: rules hear that one was created or deleted, and no field, nor a change of one"
_REPEATS: Final = (
    "nothing tells a late repeat from a change: what is sent once more after something else of its record is told as a change "
    "back. Where the sender has one, map `version`, a number or stamp that grows with every change, or `observation_id`, an id "
    "that a redelivery repeats, like headers.idempotency-key"
)


class WebhookOptions(Written, HookOptions):
    """Options of the webhook source."""

    map: Map = Field(description="Where in the body things stand.")
    repeats_within: int = Field(
        345_600,
        description="Seconds for which the same bytes are a repeat, where a request gives neither version nor id and nothing else of the "
        "record came between. Default: 4 days; senders try for up to 3 and some hours.",
        ge=0,
        le=2_592_000,
    )

    def notes(self) -> Found:
        found = super().notes()
        if self.map.fields is None:
            found.append((("map",), _ONLY_IDS))
        if not (self.map.version or self.map.observation_id or request_id_header(self.signature)):
            found.append((("map",), _REPEATS))
        return found
