"""What can be set for a Slack workspace."""

from __future__ import annotations

from pydantic import Field, field_validator

from crmbridge.contract import Options, Secret


class SlackOptions(Options):
    """One app in one workspace."""

    token: Secret = Field(description="Bot token (`xoxb-...`) of the Slack app.")
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
