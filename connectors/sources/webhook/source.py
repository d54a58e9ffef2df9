"""A source that any sender calls, by its configuration alone."""

from __future__ import annotations

from datetime import timedelta

from connectors.sources.webhook.options import WebhookOptions
from crmbridge.contract import Setting
from crmbridge.hooks import Hook


class WebhookSource(Hook):
    """Implements `crmbridge.contract.WebhookSource`, `Greeting` and `Discreet`."""

    def __init__(self, options: WebhookOptions, setting: Setting) -> None:
        super().__init__(options, setting, options.reading(setting.days), repeats_within=timedelta(seconds=options.repeats_within))
