"""What connectors are configured with: options that describe themselves, and secrets that are never shown."""

from __future__ import annotations

import logging
import math
import os
import stat
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from crmbridge import telemetry
from crmbridge.errors import SourceError
from crmbridge.model import Reading

_log = logging.getLogger(__name__)


class Options(BaseModel):
    """Base of every connector's options: unknown keys are errors, and a built value never changes.

    Each field states its type, default and one sentence (`Field(description=...)`) once; the reference
    configuration, the JSON Schema and the connector's README table are generated from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        """List what is wrong with these options in the place where they are used, as (path, message).

        `public`: the daemon's webhooks can be reached from outside (`server.public_url` is set, or it listens on more than loopback).
        """
        return []

    def unusable(self) -> list[tuple[tuple[str | int, ...], str]]:
        """List what is wrong with the values of secrets, as (path, message), without naming a value.

        The core asks this only where all secrets can be read.
        """
        return []

    def notes(self) -> list[tuple[tuple[str | int, ...], str]]:
        """List what works but people should know of before they rely on it, as (path, message)."""
        return []

    def reading(self, days: tzinfo) -> Reading:
        """Return how values from this source are read. `days` is the configured time zone.

        Most sources give numbers and stamps as JSON has them; this default is for those.
        """
        return Reading(days=days)


def _zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("zone", "`{zone}` is not an IANA time zone, like Europe/Berlin", {"zone": name}) from None
    return name


def _unquoted(raw: Any) -> Any:
    """Return an example that YAML takes for a number as the text that was written."""
    return str(raw) if isinstance(raw, (Decimal, float)) else raw


ZoneName = Annotated[str, AfterValidator(_zone_name)]
"""The name of a time zone in the IANA database."""


class Written(Options):
    """How a source writes its values as text, for sources of which only their people can say it."""

    numbers: Annotated[
        Literal["1234.5", "1,234.5", "1234,5", "1.234,5", "1 234,5", "1 234.5", "1'234.5", "1,23,456.7"] | None, BeforeValidator(_unquoted)
    ] = Field(None, description="How it writes numbers as text, by example; without it, what can mean two numbers (1.250) is not read.")
    dates: Literal["31/12/2026", "12/31/2026"] | None = Field(
        None, description="Whether day or month comes first in its dates (1/12/2026, 1.12.2026); ISO 8601 is read always."
    )
    zone: ZoneName | None = Field(
        None, description="The time zone of its stamps that name no offset, like America/Los_Angeles; without it they are in UTC."
    )

    def reading(self, days: tzinfo) -> Reading:
        return Reading(self.numbers, self.dates, ZoneInfo(self.zone) if self.zone else None, days)


_LOOK_AGAIN: Final = 0.5  # seconds for which a secret's file is not checked again: a secret is read many times for one message


class Secret:
    """A credential given as `{env: NAME}`, `{file: PATH}` or `{credential: NAME}`. It prints as `***`.

    `credential` names a file in systemd's `$CREDENTIALS_DIRECTORY`. A file that changes is read again, within half a second.
    A bare string is taken too, so that examples run; `literal` tells the linter of it.
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
        """True if the value of the secret stands in the configuration itself."""
        return self._kind == "literal"

    @property
    def file(self) -> Path | None:
        """The file that holds the secret, if one does."""
        return Path(self._name) if self._kind == "file" else None

    def within(self, folder: Path) -> None:
        """Find a relative file beside the configuration, wherever crmbridge is started."""
        if self._kind == "file":
            self._name = str(folder / self._name)

    def open_to_all(self) -> str | None:
        """Return the name of the secret's file if every user of this machine can read it, else None."""
        if self._kind != "file":
            return None
        try:
            return self._name if os.stat(self._name).st_mode & 0o004 else None  # noqa: PTH116
        except OSError:
            return None

    def reveal(self) -> str:
        """Return the value, without a file's trailing newline.

        Raises ValueError if the value cannot be read or is empty. The error names what is missing, and never the value.
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
        """Make a secret of what YAML holds: a string, or a mapping with exactly one of env, file, credential."""
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


def _one_or_more(raw: Any) -> Any:
    return raw if isinstance(raw, list) else [raw]


Secrets = Annotated[list[Secret], BeforeValidator(_one_or_more), Field(min_length=1, max_length=5)]
"""One secret, or several while an old one is being replaced by a new one."""


def login_secret(secret: Secret) -> str:
    """Reveal the secret with which a source logs in.

    Raises SourceError if it cannot be read. The error names what is missing, and never the value.
    """
    try:
        return secret.reveal()
    except ValueError as error:
        raise SourceError(str(error)) from None


def revealed(secrets: Sequence[Secret]) -> list[str]:
    """Reveal the secrets that senders show us, as far as they can be read.

    A secret that cannot be read shuts out nobody who proves to know another one.
    """
    values = []
    for secret in secrets:
        try:
            values.append(secret.reveal())
        except ValueError as error:
            _log.error("a sender's secret cannot be read", extra={"reason": str(error)})  # for operators alone, never for the sender
    return values
