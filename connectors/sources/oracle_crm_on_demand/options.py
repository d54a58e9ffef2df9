"""What an Oracle CRM On Demand source is told."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options, Secret
from crmbridge.http import is_loopback


class OracleOptions(Options):
    """Options of the Oracle CRM On Demand source."""

    url: str = Field(description="The address of your pod, like https://secure-ausomxala.crmondemand.com.", max_length=500)
    user: str = Field(description="The sign-in id of the integration user, like ACME/BRIDGE.", min_length=1, max_length=200)
    password: Secret = Field(description="Its password.")
    time_zone: str = Field(
        "UTC", description="The time zone in the integration user's profile, by its IANA name; the vendor's stamps are in it. Best is UTC."
    )
    release: str = Field(
        "latest", description="The release of the API, like 028; `latest` follows the vendor.", pattern=r"^(latest|[0-9]{3})$"
    )
    language: Literal["LIC", "LDC"] = Field(
        "LIC", description="Picklist values as language-independent codes (LIC) or in the user's language (LDC)."
    )
    overlap: int = Field(60, description="Seconds that each poll looks back, for changes that were committed late.", ge=0, le=86_400)
    page: int = Field(100, description="Records of one read; the vendor allows 100.", ge=10, le=100)
    requests_per_minute: int = Field(
        30, description="Requests in any 60 seconds, logins and team reads included; the vendor allows 30 a session.", ge=5, le=10_000
    )
    modification_trackings: bool = Field(
        False, description="Learn of deletions and merges from Modification Tracking, which an administrator must switch on."
    )
    objects: dict[str, str] = Field(
        {}, description="Names that Modification Tracking uses for record types, where they are not the singular: {Deals: Opportunity}."
    )
    record_url: str | None = Field(
        None,
        description="A record's web address, with {id} in it and, if you like, {type}: its singular or its name under `objects`.",
        max_length=500,
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(url)):
            raise PydanticCustomError("url", "must begin with https://")
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise PydanticCustomError("url", "is the pod's address alone, without a path: https://secure-....crmondemand.com")
        return url.rstrip("/")

    @field_validator("user")
    @classmethod
    def _no_colon(cls, user: str) -> str:
        if ":" in user:
            raise PydanticCustomError("user", "may hold no colon: Basic authentication cannot say it")
        return user

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError):  # unknown; a folder of the zone database; no name at all
            raise PydanticCustomError("time_zone", "is no IANA time zone, like UTC or Europe/Berlin") from None
        return name

    @field_validator("record_url")
    @classmethod
    def _a_link(cls, template: str | None) -> str | None:
        if template is not None and (not template.startswith(("https://", "http://")) or "{id}" not in template):
            raise PydanticCustomError("record_url", "is a web address with {id} in it")
        return template
