"""What can be set for a Slack workspace."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from crmbridge.contract import Options, Secret
from crmbridge.http import is_loopback


class SlackOptions(Options):
    """One app in one workspace, or one incoming webhook."""

    token: Secret | None = Field(default=None, description="Bot token (`xoxb-...`) of the Slack app; this or `webhook_url`.")
    webhook_url: Secret | None = Field(
        default=None,
        description="Address of an incoming webhook (`https://hooks.slack.com/services/...`), instead of a token: messages to one channel.",
    )
    channel: str | None = Field(
        default=None, min_length=1, description="Channel for steps that name none: an id (`C0123456789`) or `#name`."
    )
    unfurl: bool = Field(default=False, description="Let Slack show previews of the links in a message.")
    api_url: str = Field(default="https://slack.com/api/", description="Address of the Web API, for a gateway or GovSlack.")

    @field_validator("api_url")
    @classmethod
    def _ends_with_slash(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("is not an http or https address")
        return value if value.endswith("/") else f"{value}/"

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        """Exactly one of the two ways to speak to Slack, and no channel where the webhook has its own."""
        if self.token is None and self.webhook_url is None:
            return [(("token",), "is missing: write token, or webhook_url for an incoming webhook")]
        if self.token is not None and self.webhook_url is not None:
            return [(("webhook_url",), "does not go with token: write one of the two")]
        if self.webhook_url is not None and self.channel is not None:
            return [(("channel",), "does not go with webhook_url: an incoming webhook posts to its own channel only")]
        return self.unusable() if self.webhook_url is not None and self.webhook_url.literal else []

    def unusable(self) -> list[tuple[tuple[str | int, ...], str]]:
        """A webhook whose address is not Slack's."""
        complaint = "" if self.webhook_url is None else hook_complaint(self.webhook_url.reveal())
        return [(("webhook_url",), complaint)] if complaint else []


# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and GovSlack (read 2026-11-30).
_HOOK_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})


def hook_complaint(url: str) -> str:
    """What is wrong with the address of an incoming webhook, without naming it; empty if nothing is. This machine may stand in."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        parts, host = urlsplit(""), ""
    here = bool(host) and is_loopback(url)
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        return "is not an https address"
    if host in _HOOK_HOSTS or here:
        return ""
    return (
        "is not an address of Slack's (https://hooks.slack.com/...): what is safe there need not be elsewhere. For Mattermost, Rocket.Chat "
        "and others write `type: webhook`, and let a small receiver pass its signed JSON on"
    )
