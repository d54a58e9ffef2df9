"""What a pipedrive source is told: how to log in, and how Pipedrive calls."""

from __future__ import annotations

from pydantic import Field

from crmbridge.contract import Options, Secret, Secrets


class Webhook(Options):
    """How Pipedrive proves itself when it calls: by a user and password that we gave it."""

    url: str = Field(
        description="Where Pipedrive calls, like https://bridge.example.com/hooks/crm; subscriptions for it are made and kept.",
        pattern=r"^https://[!-~]+$",
        max_length=1000,
    )
    user: str = Field("crmbridge", description="The user of HTTP Basic.", pattern=r"^[^:\s]+$", max_length=100)
    password: Secrets = Field(description="The password; a list while one is exchanged for another, the new one first.")


class PipedriveOptions(Options):
    """Options of the pipedrive source."""

    token: Secret = Field(description="The API token of a user who may see what your rules use; of a top admin for all of it.")
    webhook: Webhook | None = Field(None, description="Be called too: changes are heard within seconds, and none in between is lost.")
    api_url: str = Field("https://api.pipedrive.com", description="Where the API is.", pattern=r"^https?://[^\s?#@]+$")
    overlap: int = Field(60, description="Seconds that each poll looks back, for what was committed late.", ge=0, le=86_400)
    page: int = Field(500, description="Records of one read.", ge=10, le=500)
    archived_every: int = Field(
        300,
        description="Seconds between two readings of the archive: deals in it cannot be edited, but may change just before they go there.",
        ge=0,
        le=86_400,
    )
