"""What can be set for a Chirp server."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from crmbridge.contract import Options, Secret


class ChirpOptions(Options):
    """A Chirp server; with neither option, the one inside this daemon."""

    url: str | None = Field(default=None, description="Address of a Chirp server; without it, the one inside this daemon.")
    secret: Secret | None = Field(default=None, description="Signing secret shared with that server: `whsec_` and base64.")

    @field_validator("url")
    @classmethod
    def _no_slash(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("is not an http or https address")
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _together(self) -> ChirpOptions:
        if (self.url is None) != (self.secret is None):
            raise ValueError("url and secret belong together")
        return self
