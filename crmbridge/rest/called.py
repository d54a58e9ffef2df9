"""A source of JSON records that is called, too: a webhook names records, and each is read whole as polls would read it.

So what a sender may say of a record is believed no further than its name, what a poll and a webhook tell of one change is one, and what
no webhook told is found by the next poll.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crmbridge.contract import Reply, Setting, WebhookRequest
from crmbridge.hooks import Hook
from crmbridge.model import Observation
from crmbridge.rest.options import RestOptions
from crmbridge.rest.source import RestSource
from crmbridge.rest.values import Shape


class CalledSource(RestSource):
    """Implements `crmbridge.contract.WebhookSource`, `Greeting` and `Discreet`, in front of a source that reads single records."""

    def __init__(self, options: RestOptions, setting: Setting, shape: Shape | None = None) -> None:
        super().__init__(options, setting, shape)
        assert options.webhook is not None
        self._words = options.webhook.types
        self._hook = Hook(options.webhook, setting, self._reading, rereads=True)

    def greet(self, request: WebhookRequest) -> Reply | None:
        return self._hook.greet(request)

    def verify(self, request: WebhookRequest) -> None:
        self._hook.verify(request)

    def storable(self, request: WebhookRequest) -> WebhookRequest:
        return self._hook.storable(request)

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        """What was deleted, and the names of what is to be read; of other types nobody wants to hear."""
        told = (replace(one, record_type=self._words.get(one.record_type, one.record_type)) for one in self._hook.parse(request))
        return [one for one in told if one.record_type in self._options.types]

    def reply(self, accepted: bool) -> Reply:
        return self._hook.reply(accepted)
