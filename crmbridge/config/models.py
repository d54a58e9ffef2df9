"""The shape of crmbridge.yaml: every key with its type, default and one sentence. Nothing here works on it.

The reference file, the JSON Schema and `crmbridge config show` are made from these models.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from crmbridge.config.backup import BackupModel
from crmbridge.config.rule_models import DefaultsModel
from crmbridge.config.values import Identifier, SurgeOption, as_list
from crmbridge.contract import Duration, DurationOrOff, Options, Secret, ZoneName
from crmbridge.model import Audience, FieldType, Sensitivity
from crmbridge.peers import network
from crmbridge.publisher.decide import OnUnknown
from crmbridge.server import parse_listen

# --- parts ----------------------------------------------------------------------------------


class StoreModel(Options):
    """crmbridge's own database."""

    path: str = Field("crmbridge.db", description="The database file; relative to this file. Its folder must be writable.")


class ServerModel(Options):
    """The server that the outside may reach: webhooks and the feed."""

    listen: str = Field("127.0.0.1:8080", description="HOST:PORT or the absolute path of a unix socket. Put a TLS proxy in front of it.")

    @field_validator("listen")
    @classmethod
    def _form(cls, value: str) -> str:
        try:
            if not value.startswith("/"):
                parse_listen(value)
        except OSError as error:
            raise PydanticCustomError("listen", "{why}", {"why": error.strerror}) from None
        return value

    public_url: str | None = Field(None, description="The address under which the proxy is reached, like https://bridge.example.com.")

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/?#@]+", value.rstrip("/")):
            raise PydanticCustomError("url", "write the address without a path, like https://bridge.example.com")
        return value.rstrip("/") if value else value

    trusted_proxies: Annotated[list[str], BeforeValidator(as_list)] = Field(
        ["127.0.0.1", "::1"],
        description=(
            "Proxies in front of it, as addresses or networks (10.0.0.0/8): from them, X-Forwarded-For says who asks. Without it all "
            "people behind a proxy are one address, to the limits on sign-in and on connections."
        ),
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        try:
            return [str(network(one)) for one in value]
        except ValueError as error:
            raise PydanticCustomError("network", "{why}", {"why": str(error)}) from None


def is_address(listen: str) -> bool:
    """Say whether a text is HOST:PORT; else it is the path of a socket."""
    return "/" not in listen and ":" in listen


class AdminModel(Options):
    """Everything that is not for the outside: the command line's way in, metrics, health."""

    listen: str | None = Field(
        None,
        description=(
            "A unix socket (mode 0600), relative to this file, or HOST:PORT, for which everyone needs the `token`. "
            "By itself it is crmbridge.sock beside the store."
        ),
    )
    token: Secret | None = Field(
        None,
        description=(
            "What orders and readers of metrics show at HOST:PORT (`Authorization: Bearer ...`; at least 20 characters). "
            "It travels as it is: listen on this machine, or put a TLS proxy in front."
        ),
    )

    @field_validator("listen")
    @classmethod
    def _form(cls, value: str | None) -> str | None:
        try:
            if value is not None and is_address(value):
                parse_listen(value)
        except OSError as error:
            raise PydanticCustomError("listen", "{why}", {"why": error.strerror}) from None
        return value

    @model_validator(mode="after")
    def _guarded(self) -> AdminModel:
        if self.listen is not None and is_address(self.listen) and self.token is None:
            raise PydanticCustomError("token", "an address needs a `token`: whoever reaches it could give orders")
        return self


class LogModel(Options):
    """What the daemon writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level that is written.")
    style: Literal["auto", "json", "text"] = Field(
        "auto", description="One JSON object a line, or lines for people; auto: lines for people on a terminal, else JSON."
    )


class NetworkModel(Options):
    """How connectors reach the outside."""

    proxy: str | None = Field(None, description="An HTTP proxy for all connectors, like http://proxy.example.com:3128.")
    ca_file: str | None = Field(
        None, description="A PEM file of the certificate authorities to trust instead of the public ones; relative to this file."
    )
    deadline: Duration = Field(
        timedelta(seconds=8), description="The longest one call to a vendor may take, from first byte to last; at most 25s."
    )

    @field_validator("proxy")
    @classmethod
    def _no_password(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/?#@]+/?", value):
            raise PydanticCustomError("proxy", "write it like http://proxy.example.com:3128, without a user or password")
        return value

    @field_validator("deadline")
    @classmethod
    def _in_time(cls, value: timedelta) -> timedelta:
        if value > timedelta(seconds=25):
            raise PydanticCustomError("deadline", "an attempt may take 25s at most")
        return value


class ChirpModel(Options):
    """The embedded feed, used by a destination of type chirp that names no url."""

    name: str = Field("Chirp", description="The feed's name, on every page.")
    path: str = Field("chirp.db", description="The feed's own database file; relative to the folder of the store.")


class AlertsModel(Options):
    """Who hears when crmbridge itself needs a person."""

    to: Identifier | None = Field(None, description="A destination that is told of paused destinations, silent sources, dead letters.")
    channel: str | None = Field(None, description="Where inside it, if not its own default.", min_length=1)
    after: Duration = Field(
        timedelta(minutes=1),
        description="What may end by itself, like a source that fails, is told after so long.",
    )
    late: Duration = Field(
        timedelta(minutes=5),
        description="Messages and requests that wait longer than this, unless a person wants it, are a trouble.",
    )
    heartbeat: Secret | None = Field(None, description="An address that is read once a minute while all is well; its silence is the alarm.")


class RetentionModel(Options):
    """How long things are kept. Receipts and snapshots are kept for ever, so that no replay says anything twice."""

    journal: Duration = Field(timedelta(days=30), description="Changes, with their old and new values.")
    delivered: Duration = Field(timedelta(days=90), description="Delivered messages; open and dead ones stay until someone acts.")
    observations: Duration = Field(
        timedelta(days=30), description="What repeats are known by, without a version; longer than any sender tries."
    )
    orders: Duration = Field(timedelta(days=365), description="What people ordered, and who: `crmbridge orders`.")


class FieldModel(Options):
    """One field of a record type. Short forms: `Name: public` gives the audience, `Amount: number` the type."""

    type: FieldType = Field(
        FieldType.ANY,
        description="How the raw value is read; `any` keeps the source's own type. A set is a list whose order means nothing.",
    )
    audience: Sensitivity = Field(Sensitivity.INTERNAL, description="Who may read it: public, internal, or secret (no message at all).")
    currency: str | None = Field(None, description="For money: the field that holds the ISO 4217 code.")
    separator: str = Field(
        ";", description="For sets and lists: what stands between their items where they come as one text.", min_length=1, max_length=10
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, raw: Any) -> Any:
        if isinstance(raw, str):
            if raw in set(Sensitivity):
                return {"audience": raw}
            if raw in set(FieldType):
                return {"type": raw}
            known = ", ".join([*Sensitivity, *FieldType])
            raise PydanticCustomError(
                "field", "`{word}` is neither an audience nor a type; there are {known}", {"word": raw, "known": known}
            )
        return raw


class RecordModel(Options):
    """One record type."""

    fields: dict[str, FieldModel] = Field(description="The fields to look at; a change of any other field is no change.", min_length=1)


class SourceModel(Options):
    """What every source has."""

    records: dict[str, RecordModel] = Field(default_factory=dict, description="The record types and their fields.")
    every: Duration = Field(timedelta(seconds=30), description="For a polled source: the interval, give or take a tenth.")
    expect: Duration | None = Field(
        None, description="How often something should come from it, by poll or webhook; nothing for so long is a trouble."
    )


class CapModel(Options):
    """How much a destination may be told; what is over it waits for a person."""

    per_day: int | None = Field(None, description="Messages in a calendar day of `timezone`.", ge=0)
    per_month: int | None = Field(None, description="Messages in a calendar month.", ge=0)


class DestinationModel(Options):
    """What every destination has."""

    audience: Audience | None = Field(None, description="Who can read it: public, company or team; the default is the connector's.")
    on_unknown: OnUnknown | None = Field(
        None,
        description="A message that may or may not be published, and is not found where it can be looked for: resend it, or hold it for a "
        "person. Default: hold if public.",
    )
    max_age: DurationOrOff | None = Field(
        None, description="How long after the change a message may still be said. Default: 6h if public, 7d for chirp, else 24h."
    )
    surge: SurgeOption | None = Field(
        None, description="More messages of one rule and channel are held for a person, or `off`. Default: {over: 20, per: 1m}."
    )
    cap: CapModel | None = Field(None, description="At most so many messages in a day and a month; the rest is held for a person.")
    on_resume: Literal["all", "latest", "summary"] = Field(
        "all", description="What `resume` says of what waited: all, the latest of each record, or one summary."
    )


# --- the file -------------------------------------------------------------------------------


class ConfigModel(Options):
    """crmbridge.yaml"""

    crmbridge: Literal[1] = Field(description="The version of this file's form.")
    timezone: ZoneName = Field("UTC", description="An IANA zone, like Europe/Berlin, in which dates are shown.")
    store: StoreModel = Field(StoreModel(), description=StoreModel.__doc__)
    server: ServerModel = Field(ServerModel(), description=ServerModel.__doc__)
    admin: AdminModel = Field(AdminModel(), description=AdminModel.__doc__)
    log: LogModel = Field(LogModel(), description=LogModel.__doc__)
    network: NetworkModel = Field(NetworkModel(), description=NetworkModel.__doc__)
    chirp: ChirpModel = Field(ChirpModel(), description=ChirpModel.__doc__)
    alerts: AlertsModel = Field(AlertsModel(), description=AlertsModel.__doc__)
    retention: RetentionModel = Field(RetentionModel(), description=RetentionModel.__doc__)
    backup: BackupModel | None = Field(None, description=f"{BackupModel.__doc__} Without it none is made.")
    include: list[str] = Field([], description="More files with `rules:`; patterns, relative to this file. They hold no secrets.")
    strict_conditions: bool = Field(
        True, description="Conditions too may use only fields that the message's audience may read, or that the rule discloses."
    )
    sources: dict[Identifier, Any] = Field(description="The CRMs, by a name of your choice.", min_length=1)
    destinations: dict[Identifier, Any] = Field(description="The accounts on networks, by a name of your choice.", min_length=1)
    defaults: DefaultsModel = Field(DefaultsModel(), description=DefaultsModel.__doc__)
    rules: list[Any] = Field([], description="What is said where.")

    @field_validator("crmbridge", mode="before")
    @classmethod
    def _version(cls, value: Any) -> Any:
        if value != 1:
            raise PydanticCustomError("version", "must be 1: this crmbridge knows no other form")
        return 1


class IncludeModel(Options):
    """An included file."""

    rules: list[Any] = Field(description="What is said where.")
