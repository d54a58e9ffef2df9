"""A source of JSON records that is also called: a webhook names records, and each of them is read whole as a poll would read it.

So a sender is believed nothing about a record but its name. A poll and a webhook report one change in the same way. And a change
that no webhook told of is found by the next poll.
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
    """A source that reads single records, with an implementation of `crmbridge.contract.WebhookSource`, `Greeting` and `Discreet`."""

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
        """Return the deletions in a request, and the names of the records that are to be read. Leave out types that are not configured."""
        told = (replace(one, record_type=self._words.get(one.record_type, one.record_type)) for one in self._hook.parse(request))
        return [one for one in told if one.record_type in self._options.types]

    def reply(self, accepted: bool) -> Reply:
        return self._hook.reply(accepted)
