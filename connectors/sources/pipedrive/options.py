"""What a pipedrive source is told besides its preset: how Pipedrive calls, and how often the archive is read."""

from __future__ import annotations

from pydantic import Field

from crmbridge.contract import Options, Secrets


class Webhook(Options):
    """How Pipedrive proves itself when it calls: by a user and password that we gave it."""

    url: str = Field(
        description="Where Pipedrive calls, like https://bridge.example.com/hooks/crm; subscriptions for it are made and kept.",
        pattern=r"^https://[!-~]+$",
        max_length=1000,
    )
    user: str = Field("crmbridge", description="The user of HTTP Basic.", pattern=r"^[^:\s]+$", max_length=100)
    password: Secrets = Field(description="The password; a list while one is exchanged for another, the new one first.")


class PipedriveMore(Options):
    """Options of the pipedrive source besides those of its preset."""

    webhook: Webhook | None = Field(None, description="Be called too: changes are heard within seconds, and none in between is lost.")
    archived_every: int = Field(
        300,
        description="Seconds between two readings of the archive: deals in it cannot be edited, but may change just before they go there.",
        ge=0,
        le=86_400,
    )
