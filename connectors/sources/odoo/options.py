"""What an odoo source is told: where the database is, how to log in, how to read."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from crmbridge.contract import Options, Secret, Secrets
from crmbridge.http import is_loopback


class OdooWebhook(Options):
    """How Odoo calls, which proves nothing."""

    path: Secrets = Field(description="The secret last part of the address: /hooks/NAME/SECRET; several while one is being replaced.")


class OdooOptions(Options):
    """Options of the odoo source."""

    url: str = Field(description="Odoo's address, like https://acme.odoo.com.")
    database: str = Field(description="The database's name.", min_length=1, max_length=200)
    user: str = Field(description="The login of the user who reads.", min_length=1, max_length=200)
    password: Secret = Field(description="An API key of that user, or the password; for json2 only a key will do.")
    api: Literal["jsonrpc", "json2"] = Field("jsonrpc", description="`jsonrpc` for Odoo 14 to 18, `json2` for 19 and later.")
    language: str | None = Field(
        None,
        description="Language of labels, like de_DE; it must be installed. Default: English.",
        pattern=r"^[a-z]{2,3}(_[A-Za-z@]{2,10})?$",
    )
    webhook: OdooWebhook | None = Field(None, description="For webhooks of Odoo 17 and later; without it only polls find changes.")
    old_values: bool = Field(
        True,
        description="Read Odoo's own log of tracked fields too, so that states between two polls are not lost; the user must be let to.",
    )
    overlap: int = Field(
        60, description="Seconds that each poll looks back, for transactions that began earlier and were committed late.", ge=0, le=86_400
    )
    page: int = Field(500, description="Records of one read.", ge=10, le=2_000)
    deletes_every: int = Field(
        300, description="Seconds between two walks through all ids of a type, which find what was deleted.", ge=0, le=604_800
    )
    most_ids: int = Field(
        100_000, description="Deletions in a type with more records than this are not looked for; 0: never.", ge=0, le=1_000_000
    )

    def notes(self) -> list[tuple[tuple[str | int, ...], str]]:
        """When JSON-RPC ends (read 2026-11-30): https://www.odoo.com/documentation/19.0/developer/reference/external_rpc_api.html"""
        if self.api != "jsonrpc" or not (urlsplit(self.url).hostname or "").endswith(".odoo.com"):
            return []
        return [(("api",), "Odoo Online ends JSON-RPC with 21.1 (winter 2027): say `api: json2` once the database is a 19")]

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        value = value.rstrip("/")
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?", value) and not is_loopback(value):
            raise ValueError("write it like https://acme.odoo.com, without a path")
        return value
