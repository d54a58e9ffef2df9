"""What can be set for an X account."""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from crmbridge.contract import Options, Secret

KEYS: Final = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
"""The login by OAuth 1.0a: four secrets that do not expire."""
USER: Final = ("client_id", "refresh_token")
"""The login by OAuth 2.0: a token for two hours, and one to renew it."""


class TwitterOptions(Options):
    """One account, through one app: by OAuth 1.0a or by OAuth 2.0."""

    consumer_key: Secret | None = Field(default=None, description="OAuth 1.0a: API key of the app.")
    consumer_secret: Secret | None = Field(default=None, description="OAuth 1.0a: API key secret of the app.")
    access_token: Secret | None = Field(default=None, description="OAuth 1.0a: access token of the account, made with read and write.")
    access_token_secret: Secret | None = Field(default=None, description="OAuth 1.0a: access token secret of the account.")
    client_id: str | None = Field(default=None, min_length=1, description="OAuth 2.0, instead of the four: client ID of the app.")
    client_secret: Secret | None = Field(default=None, description="OAuth 2.0: client secret; none where the app is a public client.")
    refresh_token: Secret | None = Field(
        default=None, description="OAuth 2.0: the first refresh token of the account; its successors are kept beside the store."
    )
    long_posts: bool = Field(default=False, description="The account has X Premium: allow 25,000 units of text instead of 280.")
    media_from: list[str] = Field(
        default=[], max_length=50, description="Hosts in your own network that pictures may be fetched from; public ones always may."
    )
    api_url: str | None = Field(default=None, description="Address to use instead of https://api.x.com, for a gateway.")

    @field_validator("api_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("is not an http or https address")
        return value.rstrip("/") if value else value

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        """Exactly one of the two logins, and the whole of it."""
        keys = [name for name in KEYS if getattr(self, name) is not None]
        user = [name for name in (*USER, "client_secret") if getattr(self, name) is not None]
        if keys and user:
            return [((user[0],), f"does not go with {keys[0]}: write {_and(KEYS)}, or {_and(USER)}")]
        if not (keys or user):
            return [((KEYS[0],), f"is missing: write {_and(KEYS)} (OAuth 1.0a), or {_and(USER)} (OAuth 2.0)")]
        needed, there = (USER, user) if user else (KEYS, keys)
        return [((name,), f"is missing beside {there[0]}") for name in needed if name not in there]


def _and(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
