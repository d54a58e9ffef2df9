"""What can be set for an X account."""

from __future__ import annotations

from pydantic import Field, field_validator

from crmbridge.contract import Options, Secret


class TwitterOptions(Options):
    """One account, through one app (OAuth 1.0a user context)."""

    consumer_key: Secret = Field(description="API key of the app.")
    consumer_secret: Secret = Field(description="API key secret of the app.")
    access_token: Secret = Field(description="Access token of the account, made with read and write permission.")
    access_token_secret: Secret = Field(description="Access token secret of the account.")
    long_posts: bool = Field(default=False, description="The account has X Premium: allow 25,000 units of text instead of 280.")
    api_url: str | None = Field(default=None, description="Address to use instead of https://api.twitter.com, for a gateway.")

    @field_validator("api_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("is not an http or https address")
        return value.rstrip("/") if value else value
