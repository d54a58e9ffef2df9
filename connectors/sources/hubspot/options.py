"""What a hubspot source is told: how to log in, how its webhooks prove themselves, how to read."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Secret, Secrets


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
    api_version: str = Field("v3", description="v3, or a dated version like 2026-09.", pattern=r"^(v3|20[0-9]{2}-(03|09))$")
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

    @model_validator(mode="before")
    @classmethod
    def _one(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and (raw.get("token") is None) == (raw.get("oauth") is None):
            raise PydanticCustomError("login", "write either `token` or `oauth`")
        return raw
