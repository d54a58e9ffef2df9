"""The shape of crmbridge.yaml: every key with its type, default and one sentence. Nothing here works on it.

The reference file, the JSON Schema and `crmbridge config show` are made from these models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from crmbridge.config.backup import BackupModel
from crmbridge.contract import Duration, DurationOrOff, Options, Secret, ZoneName
from crmbridge.model import Audience, FieldType, Kind, Sensitivity
from crmbridge.peers import network
from crmbridge.publisher.decide import OnUnknown
from crmbridge.rules.rule import Mode
from crmbridge.server import parse_listen

# --- values ---------------------------------------------------------------------------------

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=64 * 1024)]


def _as_list(raw: Any) -> Any:
    return [raw] if isinstance(raw, str) else raw


Names = Annotated[list[Identifier], BeforeValidator(_as_list)]

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

    trusted_proxies: Annotated[list[str], BeforeValidator(_as_list)] = Field(
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
    """True for HOST:PORT, False for the path of a socket."""
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


class SurgeModel(Options):
    """What counts as a flood."""

    over: int = Field(description="More messages than this.", ge=1, le=100_000)
    per: Duration = Field(description="Within this time.")


def _surge(raw: Any, validate: Callable[[Any], Any]) -> Any:
    if raw == "off" or isinstance(raw, (Mapping, SurgeModel)):
        return raw if raw == "off" else validate(raw)
    raise PydanticCustomError("surge", "write {over: 20, per: 1m}, or off")


SurgeOption = Annotated[
    SurgeModel,
    WrapValidator(_surge),
    PlainSerializer(lambda value: value if value == "off" else value.model_dump()),
    WithJsonSchema(
        {
            "oneOf": [
                {"const": "off"},
                {
                    "type": "object",
                    "properties": {"over": {"type": "integer", "minimum": 1}, "per": {"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"}},
                    "required": ["over", "per"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


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


# --- rules ----------------------------------------------------------------------------------


class WhenModel(Options):
    """Which changes a rule looks at."""

    source: str = Field(description="The name of a source.")
    record: str = Field(description="The record type.")
    event: Annotated[list[Kind], BeforeValidator(_as_list)] = Field(
        [Kind.CREATED, Kind.UPDATED], description="What happened to the record.", min_length=1
    )


class RecordChannelModel(Options):
    """A channel about a record, made when it is first spoken to."""

    for_: str = Field(alias="for", description="An expression that names the record, like record.AccountId.")
    title: str = Field(description="An expression for the channel's title, like record.Account.Name.")


class MediaModel(Options):
    """A picture that goes out with a message. Where it cannot be had, the message goes out without it."""

    url: Words = Field(description="A template that gives the picture's web address: PNG or JPEG, over https.")
    alt: Words = Field(description="A template that says what the picture shows, for who cannot see it.")


class StepModel(Options):
    """One message."""

    id: Identifier | None = Field(None, description="Unique within the rule; part of the idempotency key. Default: the destination's name.")
    formerly: Names = Field([], description="Earlier ids, oldest first, so that a rename does not publish anything again.")
    to: str = Field(description="The name of a destination.")
    channel: str | RecordChannelModel | None = Field(None, description="Where inside the destination, if not its own default.")
    thread: Literal["record"] | None = Field(None, description="`record`: reply to the first message about this record in the channel.")
    on_update: Literal["new", "thread", "edit"] | None = Field(
        None, description="What the next message of this step about the record is: a new one, a reply, or an edit of the earlier one."
    )
    text: Words = Field(description="The template of the message.")
    shorten: Annotated[list[Words], BeforeValidator(_as_list)] = Field(
        [], description="Lookups of the text, like record.Name, whose words may be cut where the text would not fit."
    )
    blocks: list[Any] | None = Field(
        None,
        description="A layout as the destination's network has it, see its page (`doc`); each text is a template, and `text` the fallback.",
    )
    card: dict[str, Any] | None = Field(
        None,
        description="Where cards are shown: a whole Adaptive Card, see its page (`doc`); each text is a template, and `text` the fallback.",
    )
    media: MediaModel | None = Field(None, description="For networks that show pictures: one, with what it shows in words.")
    subject: Words | None = Field(
        None, description="Where messages have one: the template of the subject. Default: the first line of the text."
    )
    max_age: DurationOrOff | None = Field(None, description="Instead of the destination's.")
    link: Words | None = Field(None, description="A template that gives a web address to show with the message.")


class DefaultsModel(Options):
    """Said once for all steps that do not say otherwise."""

    thread: Literal["record"] | None = Field(None, description="See publish.")
    link: Words | None = Field(None, description="See publish.")


class GivenModel(Options):
    """A change, for a rule test."""

    record: dict[str, Any] = Field(description="The record's fields after the change.")
    before: dict[str, Any] = Field(default_factory=dict, description="The old values of the fields that changed.")
    event: Kind = Field(Kind.UPDATED, description="What happened to the record.")


class TextExpectation(Options):
    """What a text must be."""

    contains: str = Field(description="A part of the text.")


class ExpectModel(Options):
    """One message that must be published."""

    to: str = Field(description="The destination.")
    text: str | TextExpectation | None = Field(None, description="The whole text, or {contains: a part of it}.")
    channel: str | None = Field(None, description="The channel's name, or the title of a channel about a record.")


class CaseModel(Options):
    """A rule test: exactly these messages, in this order; an empty list means silence."""

    name: str | None = Field(None, description="For people.")
    given: GivenModel = Field(description="The change.")
    expect: list[ExpectModel] = Field(description="The messages.")


class RuleModel(Options):
    """One rule: when, match, publish."""

    id: Identifier = Field(description="Unique; part of the idempotency key.")
    formerly: Names = Field([], description="Earlier ids, oldest first, so that a rename does not publish anything again.")
    when: WhenModel = Field(description="Which changes to look at.")
    match: dict[str, Any] = Field(default_factory=dict, description="Conditions on fields; all must hold.")
    if_: Words | None = Field(None, alias="if", description="A condition as an expression, for what `match` cannot say.")
    publish: list[StepModel] = Field(description="The messages.", min_length=1)
    disclose: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        [], description="Fields that conditions may use though the message's readers may not see them: that it is said tells of them."
    )
    stop: bool = Field(False, description="No later rule sees the change.")
    mode: Mode = Field(Mode.LIVE, description="live, draft (messages wait for a person), or shadow (recorded, never published).")
    surge: SurgeOption | None = Field(None, description="Instead of the destination's.")
    tests: list[CaseModel] = Field([], description="Rule tests, run by `crmbridge test`.")


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
