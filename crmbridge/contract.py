"""What a connector is: the protocols it may fulfil, the options it takes, the facts it states.

A connector is a folder with a `CONNECTOR`. It implements only what its vendor can do; the core asks with
`isinstance` which abilities an object has. Any method may be `def` (run in that connector's own bounded
executor) or `async def` (run on the loop); a connector picks one for each method.

A destination makes exactly one attempt and never retries; a source makes one read and stores nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import os
import stat
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from crmbridge import telemetry
from crmbridge.errors import DeliveryError
from crmbridge.model import Audience, Cursor, Fields, FieldType, Message, Network, Observation, Page, Receipt, RecordSpec, Text

T = TypeVar("T")
Maybe: TypeAlias = T | Awaitable[T]

# --- options --------------------------------------------------------------------------------


class Options(BaseModel):
    """Base of every connector's options: unknown keys are errors, and a built value never changes.

    Each field states its type, default and one sentence (`Field(description=...)`) once; the reference
    configuration, the JSON Schema and the connector's README table are generated from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with these options where they are used, as (path, message).

        `public`: the daemon's webhooks can be reached from outside (`server.public_url` is set).
        """
        return []


_LOOK_AGAIN: Final = 0.5  # seconds for which a secret's file is not looked at again: many are read for every message


class Secret:
    """A credential given as `{env: NAME}`, `{file: PATH}` or `{credential: NAME}`; prints as `***`.

    `credential` names a file in systemd's `$CREDENTIALS_DIRECTORY`. A file that changes is read again, within half a second.
    A bare string is taken too, so that examples run, and `literal` says so for the linter.
    """

    __slots__ = ("_cached", "_kind", "_lock", "_looked_at", "_name", "_stamp")

    def __init__(self, kind: str, name: str) -> None:
        self._kind, self._name = kind, name
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._cached: str | None = None
        self._looked_at = -math.inf
        if kind == "literal":
            telemetry.hide(name)

    @property
    def literal(self) -> bool:
        """True if the secret's value stands in the configuration itself."""
        return self._kind == "literal"

    def reveal(self) -> str:
        """The value, without a file's trailing newline.

        Raises ValueError, with what is missing and never the value, if it cannot be read or is empty.
        """
        match self._kind:
            case "literal":
                value = self._name
            case "env":
                value = os.environ.get(self._name, "")
            case "credential":
                folder = os.environ.get("CREDENTIALS_DIRECTORY")
                if not folder:
                    raise ValueError(
                        f"credential {self._name!r}: $CREDENTIALS_DIRECTORY is not set; see LoadCredential= in systemd.exec(5)"
                    )
                value = self._from_file(os.path.join(folder, self._name))  # noqa: PTH118  read for every signature: strings are cheap
            case _:
                value = self._from_file(self._name)
        if not value:
            raise ValueError(f"the secret {self.origin} is empty or not set")
        telemetry.hide(value)
        return value

    @property
    def origin(self) -> str:
        """Where the value comes from, for messages: `env NAME`, `file PATH`, or `***`."""
        return "***" if self.literal else f"{self._kind} {self._name}"

    def _from_file(self, path: str) -> str:
        now = time.monotonic()
        cached = self._cached
        if cached is not None and now - self._looked_at < _LOOK_AGAIN:
            return cached
        try:
            facts = os.stat(path)  # noqa: PTH116
            if not stat.S_ISREG(facts.st_mode):
                raise ValueError(f"the secret {self.origin} is not a regular file")
            stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
            with self._lock:
                if self._cached is None or stamp != self._stamp:
                    self._cached = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
                    self._stamp = stamp
                self._looked_at = now
                return self._cached
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ValueError(f"the secret {self.origin} cannot be read: {reason}") from None

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._kind, self._name) == (other._kind, other._name)

    def __hash__(self) -> int:
        return hash((self._kind, self._name))

    @classmethod
    def parse(cls, raw: Any) -> Secret:
        """From YAML: a string, or a mapping with exactly one of env, file, credential."""
        if isinstance(raw, Secret):
            return raw
        if isinstance(raw, str):
            if not raw:
                raise PydanticCustomError("secret", "is empty; write {env: NAME}, {file: PATH} or {credential: NAME}")
            return cls("literal", raw)
        if isinstance(raw, Mapping) and len(raw) == 1:
            ((kind, name),) = raw.items()
            if kind in ("env", "file", "credential") and isinstance(name, str) and name:
                return cls(kind, name)
        raise PydanticCustomError("secret", "a secret is written {env: NAME}, {file: PATH} or {credential: NAME}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "***")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        def one(kind: str, text: str) -> dict[str, Any]:
            return {
                "type": "object",
                "properties": {kind: {"type": "string", "minLength": 1, "description": text}},
                "required": [kind],
                "additionalProperties": False,
            }

        return {
            "title": "Secret",
            "oneOf": [
                one("env", "name of an environment variable"),
                one("file", "path of a file that holds only the secret"),
                one("credential", "name of a systemd credential"),
                {"type": "string", "description": "the secret itself: for examples only"},
            ],
        }


# --- what a connector is given --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the core gives a connector besides its options."""

    name: str
    """As configured: the key under `sources:` or `destinations:`."""
    network: Network = field(default_factory=Network)
    records: Mapping[str, RecordSpec] = field(default_factory=dict)
    """For a source: the configured fields by record type; empty if none are configured."""
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    folder: Path = Path()
    """The folder of the configuration file, for relative paths."""
    state_folder: Path | None = None
    """A folder (0700) where refreshed tokens may be kept."""
    feed: tuple[str, Secret] | None = None
    """The embedded feed's address and signing secret, for a chirp destination without a url."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` publications in any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a network allows. Each figure stands under the vendor page that gives it."""

    length: int | None = None
    """The longest text, in the unit of `measure`."""
    per_lane: Rate | None = None
    per_destination: Rate | None = None
    concurrency: int = 4
    """Attempts under way at once."""
    batch: int = 1
    """Messages that one `publish_many` may take."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request as it arrived: raw bytes, header names in lower case, the first of repeated headers, the query still encoded."""

    headers: Mapping[str, str]
    body: bytes
    query: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """What a webhook's sender is answered."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


# --- abilities ------------------------------------------------------------------------------


@runtime_checkable
class Source(Protocol):
    """A CRM that can be read."""

    def check(self) -> Maybe[None]:
        """Log in and prove that every configured field can be read; raises SourceError saying what is missing."""

    def poll(self, cursor: Cursor | None) -> Maybe[Page]:
        """One page of records changed at or after `cursor`; None reads from the very beginning.

        Raises SourceError; the core then asks again with the same cursor after a backoff.
        """

    def close(self) -> Maybe[None]:
        """Release connections; safe to call twice."""


@runtime_checkable
class WebhookSource(Protocol):
    """A CRM that calls us."""

    def verify(self, request: WebhookRequest) -> None:
        """Prove the sender and the form, on raw bytes; raises InvalidRequest (InvalidSignature)."""

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        """The observations in a verified request; raises ValueError saying what could not be read."""

    def reply(self, accepted: bool) -> Reply:
        """The answer this sender wants: once stored, or when we cannot store now."""


@runtime_checkable
class Rereading(Protocol):
    """A source that can read single records whole: what its webhooks name, as it is now."""

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Maybe[Sequence[Observation]]:
        """These records, in any order, without those that are gone or out of sight. Raises SourceError."""


@runtime_checkable
class Acknowledging(Protocol):
    """A source that forgets what it was asked to: a queue at the vendor."""

    def ack(self, cursor: Cursor) -> Maybe[None]:
        """What was read up to `cursor` is recorded here for good, and may go. Raises SourceError; then it comes again."""


@runtime_checkable
class Streaming(Protocol):
    """A source that keeps a connection open and yields pages as they come, instead of being polled."""

    def pages(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        """Pages behind `cursor`, for ever. Raises SourceError; it is called again with the last recorded cursor after a backoff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person of a record's team."""

    name: str
    email: str | None = None
    role: str | None = None


@runtime_checkable
class Teams(Protocol):
    """A source that knows who works on a record: its owner and its team."""

    def members(self, record_type: str, id: str) -> Maybe[Sequence[Member]]:
        """The owner first. Raises SourceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """One field of a record type, as the vendor describes it."""

    name: str
    """As it is written under `fields:`."""
    label: str
    type: FieldType
    choices: Mapping[str, str] = field(default_factory=dict)
    """For a picklist: labels by value."""


@runtime_checkable
class Describing(Protocol):
    """A source that says which record types and fields there are."""

    def schema(self, record_type: str) -> Maybe[Sequence[FieldInfo]]:
        """The fields that this login may read. Raises SourceError, also for a type that is not there."""


@runtime_checkable
class Destination(Protocol):
    """A network that can be spoken to."""

    limits: Limits

    def measure(self, text: Text) -> int:
        """The length of `text` as the network counts it, mark-up and escapes included where it does."""

    def check(self) -> Maybe[None]:
        """Log in without publishing; raises AuthFailed or another DeliveryError saying what is missing."""

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Maybe[Receipt]:
        """One attempt, no retry; raises a DeliveryError. `parent` is what to reply to."""

    def close(self) -> Maybe[None]:
        """Release connections; safe to call twice."""


@runtime_checkable
class Batched(Protocol):
    """A destination that takes several messages in one request."""

    def publish_many(self, batch: Sequence[tuple[Message, str, Receipt | None]]) -> Maybe[Sequence[Receipt | DeliveryError]]:
        """One attempt for all; one outcome for each, in order. An exception is the outcome of all."""


@runtime_checkable
class Findable(Protocol):
    """A destination that can be asked whether a message is there."""

    def find(self, message: Message, key: str, parent: Receipt | None, since: datetime) -> Maybe[Receipt | None]:
        """The receipt of an attempt whose answer was lost and that began at `since` or later; None if it is not there (yet).

        One look. Raises a DeliveryError if it cannot be asked.
        """


@runtime_checkable
class Editable(Protocol):
    """A destination whose messages can be changed after they were published."""

    def edit(self, receipt: Receipt, message: Message, key: str) -> Maybe[Receipt]:
        """Let the published message say `message` from now on. A repeat changes nothing more. Raises a DeliveryError."""


@runtime_checkable
class Deletable(Protocol):
    """A destination whose messages can be taken back."""

    def delete(self, receipt: Receipt) -> Maybe[None]:
        """Take a published message back; one that is gone already is fine. Raises a DeliveryError."""


@runtime_checkable
class Baseline(Protocol):
    """A source that can enumerate what exists, so that a first start learns it silently."""

    def enumerates(self) -> bool:
        """True if `poll(None)` and its following pages yield every record there is."""


# --- the connector --------------------------------------------------------------------------


class Ability(StrEnum):
    """What a destination can do besides publishing, as far as rules depend on it."""

    THREAD = "thread"  # replies
    EDIT = "edit"  # Editable
    DELETE = "delete"  # Deletable
    FIND = "find"  # Findable
    BLOCKS = "blocks"  # a layout of its own
    CHANNEL = "channel"  # more than one place: a step may name it


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """A kind of source or destination, as its folder presents it."""

    name: str
    """As in YAML: `type: slack`."""
    summary: str
    """One line, for `crmbridge connectors`."""
    options: type[Options]
    build: Callable[[Any, Setting], Any]
    """`build(options, setting)`: opens nothing; raises ValueError on options that contradict each other."""
    idempotent: bool = False
    """For a destination: a repeat with the same key is not published again."""
    audience: Audience = Audience.COMPANY
    """For a destination: who reads it, unless the configuration says otherwise."""
    audiences: frozenset[Audience] = frozenset(Audience)
    """For a destination: what the configuration may say."""
    dynamic_channels: bool = False
    """For a destination: a channel may be made from a record (`channel: {for: ..., title: ...}`)."""
    max_age: timedelta = timedelta(hours=24)
    """For a destination that is not public: how long after a change it may still be told, unless the configuration says otherwise."""
    needs_channel: Callable[[Any], bool] = lambda _: False
    """For a destination: `needs_channel(options)` is true where every step must name a channel."""
    can: Callable[[Any], frozenset[Ability]] = lambda _: frozenset({Ability.THREAD, Ability.CHANNEL})
    """For a destination: `can(options)` is what rules may ask of it; the same as what the built destination can."""
    escape: str = ""
    """For a destination: one sentence on how record text is kept from being more than text."""


class Caller:
    """Calls one connector's methods: `async def` on the loop, `def` in threads that belong to this connector alone.

    So a connector that hangs holds up nobody else. Context variables travel into the thread.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._executor = ThreadPoolExecutor(max(1, threads), thread_name_prefix=name)
        self._is_async: dict[Callable[..., Any], bool] = {}

    async def __call__(self, method: Callable[..., Maybe[T]], *args: Any) -> T:
        function = getattr(method, "__func__", method)
        if (is_async := self._is_async.get(function)) is None:
            is_async = self._is_async[function] = inspect.iscoroutinefunction(method)
        if is_async:
            return await cast("Awaitable[T]", method(*args))
        context = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(self._executor, lambda: context.run(method, *args))
        return cast("T", result)

    def close(self) -> None:
        """Take no more calls; a call that hangs is left to its thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def wanted(records: Mapping[str, RecordSpec], record_type: str, fields: Fields) -> Fields:
    """`fields` narrowed to what is configured for the record type; everything if nothing is configured."""
    spec = records.get(record_type)
    return fields if spec is None else {name: fields[name] for name in spec if name in fields}
