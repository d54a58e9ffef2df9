"""What can be set for a mail server."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator

from connectors.destinations.email.addresses import MOST, mailbox, mailboxes
from crmbridge.contract import Options, Secret
from crmbridge.http import is_this_machine

PORTS: Final = {"starttls": 587, "implicit": 465, "none": 25}  # RFC 6409, RFC 8314, RFC 5321
"""Where a server listens, by how it is encrypted."""
_MICROSOFT: Final = ("smtp.office365.com", "smtp-legacy.office365.com")
# https://techcommunity.microsoft.com/blog/exchange/updated-exchange-online-smtp-auth-basic-authentication-deprecation-timeline/4489835
# of 2026-01-27, read 2026-11-30.
_ENDS: Final = (
    "Microsoft takes passwords here by default only until the end of December 2026, and says in the second half of 2027 when they end: "
    "see `crmbridge doc email`"
)


def _one_or_more(raw: Any) -> Any:
    return [raw] if isinstance(raw, str) else raw


class EmailOptions(Options):
    """One mail server, one sender."""

    host: str = Field(description="Name of the mail server that takes messages from you (submission), like smtp.example.com.", min_length=1)
    port: int | None = Field(
        default=None, description="Its port. Default: 587 for starttls, 465 for implicit, 25 for none.", ge=1, le=65535
    )
    tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls",
        description="How the connection is encrypted: by STARTTLS, from its first byte, or not at all (on this machine only).",
    )
    user: str | None = Field(default=None, min_length=1, description="Name to log in with; without one nobody logs in.")
    password: Secret | None = Field(default=None, description="Password of the user; where accounts have a second factor, an app password.")
    from_: str = Field(alias="from", description="Who sends: an address, or a name with it, like `CRM news <news@acme.example>`.")
    to: Annotated[list[str], BeforeValidator(_one_or_more)] = Field(
        default=[],
        max_length=MOST,
        description="Who receives what steps send without a `channel`: one address or a list; a step's `channel` names others instead.",
    )
    per_minute: int = Field(default=30, ge=1, le=6000, description="Messages that are sent in a minute, at most.")

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        if "/" in value or "@" in value or not value.isprintable() or " " in value:
            raise ValueError("write the name alone, like smtp.example.com")
        return value

    @field_validator("from_")
    @classmethod
    def _sender(cls, value: str) -> str:
        mailbox(value)
        return value

    @field_validator("to")
    @classmethod
    def _recipients(cls, value: list[str]) -> list[str]:
        mailboxes(value)
        return value

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        """A login is whole, and goes nowhere unencrypted."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        if (self.user is None) != (self.password is None):
            there, missing = ("user", "password") if self.password is None else ("password", "user")
            found.append(((missing,), f"is missing beside {there}"))
        if self.tls == "none" and not is_this_machine(self.host.lower()):
            found.append((("tls",), f"none is for a server on this machine; to {self.host} write starttls or implicit"))
        return found

    def notes(self) -> list[tuple[tuple[str | int, ...], str]]:
        """What will change."""
        return [(("password",), _ENDS)] if self.password is not None and self.host.lower() in _MICROSOFT else []
