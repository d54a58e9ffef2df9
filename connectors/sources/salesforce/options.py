"""What a salesforce source is told: where the org is, how to log in, how to read."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from crmbridge.contract import Options, Secret, Secrets
from crmbridge.http import is_loopback

API_VERSION = "67.0"  # Summer '26
# https://developer.salesforce.com/docs/platform/connect-rest-api/guide/intro_api_eol (read 2026-11-30)
_LAST_TO_END = 40.0


class ClientCredentials(Options):
    """The app logs in as its Run-As user."""

    flow: Literal["client_credentials"] = Field(description="The app acts as the Run-As user of its policies.")
    client_id: Secret = Field(description="The app's consumer key.")
    client_secret: Secret = Field(description="The app's consumer secret.")


class JwtBearer(Options):
    """The app logs in as a user who was approved for it, with a signature; needs the extra `salesforce`."""

    flow: Literal["jwt"] = Field(description="The app acts as `user`, and signs that it is the app.")
    client_id: Secret = Field(description="The app's consumer key.")
    user: str = Field(description="The user's name, like bridge@acme.example.", min_length=1)
    private_key: Secret = Field(description="The RSA key in PEM whose certificate the app knows.")
    audience: str | None = Field(None, description="What the token is for; default: `url`.")


Login: TypeAlias = Annotated[ClientCredentials | JwtBearer, Field(discriminator="flow")]


class OutboundMessages(Options):
    """How Salesforce calls, which signs nothing."""

    organization_id: str = Field(description="The org's id, 15 or 18 characters, from Company Information.")
    path: Secrets = Field(description="The secret last part of the address: /hooks/NAME/SECRET; a list while one is exchanged for another.")

    @field_validator("organization_id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not re.fullmatch(r"00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?", value):
            raise ValueError("is no organization id: 00D and 12 or 15 letters and digits")
        return value


class SalesforceOptions(Options):
    """Options of the salesforce source."""

    url: str = Field(description="The org's My Domain address, like https://acme.my.salesforce.com.")
    login: Login = Field(description="How to log in.")
    outbound: OutboundMessages | None = Field(None, description="For Outbound Messages; without it only polls find changes.")
    api_version: str = Field(API_VERSION, description="Of the REST API.", pattern=r"^[0-9]{2,3}\.0$")
    overlap: int = Field(
        60, description="Seconds that each poll looks back, for transactions that began earlier and were committed late.", ge=0, le=86_400
    )
    page: int = Field(500, description="Records of one read.", ge=10, le=2_000)
    deletes_every: int = Field(
        300, description="Seconds between two looks for deletions; Salesforce asks for five minutes.", ge=0, le=86_400
    )
    quota_share: float = Field(
        0.8, description="Polls pause while more than this share of the org's daily API requests is used, by whomever.", gt=0, le=1
    )

    def notes(self) -> list[tuple[tuple[str | int, ...], str]]:
        """When an old version ends."""
        if float(self.api_version) > _LAST_TO_END:
            return []
        return [(("api_version",), f"Salesforce ends versions up to {_LAST_TO_END} in summer 2027: leave it out, for {API_VERSION}")]

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        value = value.rstrip("/")
        if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]+)?", value) and not is_loopback(value):
            raise ValueError("write it like https://acme.my.salesforce.com, without a path")
        return value
