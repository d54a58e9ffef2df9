"""The options of a source that is also called."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from crmbridge.contract import Options, Secrets
from crmbridge.hooks import Found, HookOptions


class _SenderWords(Options):
    types: dict[str, str] = Field(
        default_factory=dict, description="Record types that webhooks call otherwise, like {opportunity: opportunities}."
    )


class Called(_SenderWords, HookOptions):
    """The webhooks that call when something changed."""


class Calling(_SenderWords):
    """The webhooks of a vendor of which it is known how they prove themselves, and what stands where."""

    secret: Secrets = Field(description="The secret that proves its webhooks; a list while one is exchanged for another.")

    def called(self, sender: str, types: Mapping[str, str]) -> Called:
        """Return these options as options of the engine. `types` are the words that the vendor has for its own record types."""
        return Called.model_validate({"sender": sender, "signature": {"secret": self.secret}, "types": {**types, **self.types}})


class CalledOptions(Options):
    """The options of a source that may be called."""

    webhook: Called | None = Field(
        None, description="What calls /hooks/NAME when something changed. It only names records: they are read whole, as by a poll."
    )

    def objections(self, *, public: bool) -> Found:
        found = super().objections(public=public)
        return found + _within(self.webhook.objections(public=public) if self.webhook else [])

    def notes(self) -> Found:
        return super().notes() + _within(self.webhook.notes() if self.webhook else [])


def _within(found: Found) -> Found:
    return [(("webhook", *path), message) for path, message in found]
