"""What a hubspot source is told: how to log in, how its webhooks prove themselves, how to read."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Secret, Secrets

LEGACY: Final = "v3"
"""The undated version. What of it ends when (read 2026-11-30):
https://developers.hubspot.com/changelog/v1-oauth-api-deprecation
https://developers.hubspot.com/changelog/deprecating-support-for-hubspot-v4-apis
https://developers.hubspot.com/changelog/legacy-apis-and-legacy-apps-whats-going-unsupported-and-when"""
_FIRST_WHOLE: Final = "2026-03"  # 2025-09 has no login


class OAuth(Options):
    """An app that was installed by OAuth."""

    client_id: str = Field(description="The app's client id.", min_length=1, max_length=200)
    client_secret: Secret = Field(description="The app's client secret.")
    refresh_token: Secret = Field(description="The refresh token that the installation gave; a newer one is kept in the state folder.")


class Webhook(Options):
    """How webhooks of the app are known for real."""

    client_secret: Secrets = Field(description="The client secret of the app that sends; a list while one is exchanged for another.")
    url: str = Field(
        description="The target URL exactly as it stands at HubSpot, like https://bridge.example.com/hooks/crm: HubSpot signs it.",
        pattern=r"^https?://[!-~]+$",
        max_length=1000,
    )


class HubspotOptions(Options):
    """Options of the hubspot source."""

    token: Secret | None = Field(None, description="A service key, or the access token of a private app. Or write `oauth`.")
    oauth: OAuth | None = Field(None, description="An app that was installed by OAuth.")
    webhook: Webhook | None = Field(None, description="Take webhooks too: changes are heard within seconds, and none in between is lost.")
    portal_id: int | None = Field(None, description="The account's number: webhook events of any other account are left alone.", ge=1)
    api_url: str = Field("https://api.hubapi.com", description="Where the API is.", pattern=r"^https?://[^\s/?#@]+$")
    api_version: str = Field("2026-09", description="A dated version from 2026-03 on, or v3, which ends in 2027.")
    overlap: int = Field(
        120, description="Seconds that each poll looks back: HubSpot's search shows a change only some time after it.", ge=10, le=86_400
    )
    page: int = Field(200, description="Records of one search.", ge=10, le=200)
    deletes_every: int = Field(
        3600, description="Seconds between two readings of the recycle bin, for deletions; it is read whole each time.", ge=60, le=604_800
    )
    quota_share: float = Field(
        0.9, description="The share of the account's daily requests at which polling pauses, so that others can still work.", gt=0, le=1
    )
    searches_per_second: float = Field(
        4, description="At most so many searches a second; HubSpot allows an account 5 in all.", gt=0, le=1000
    )

    @field_validator("api_version")
    @classmethod
    def _whole(cls, value: str) -> str:
        if value == LEGACY or (re.fullmatch(r"20[0-9]{2}-(03|09)", value) and value >= _FIRST_WHOLE):
            return value
        raise PydanticCustomError("version", "`{value}` lacks paths that are needed here: leave it out, for 2026-09", {"value": value})

    def notes(self) -> list[tuple[tuple[str | int, ...], str]]:
        """When what is asked for ends at HubSpot."""
        if self.api_version != LEGACY:
            return []
        ends = "its associations on 2027-03-30, all of it in September 2027"
        login = "its OAuth login ends on 2027-02-16, " if self.oauth else ""
        return [(("api_version",), f"HubSpot ends v3: {login}{ends}. Leave `api_version` out, for 2026-09")]

    @model_validator(mode="before")
    @classmethod
    def _one(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and (raw.get("token") is None) == (raw.get("oauth") is None):
            raise PydanticCustomError("login", "write either `token` or `oauth`")
        return raw
