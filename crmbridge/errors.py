"""Every error crmbridge raises, named by what happens next.

CrmbridgeError
  ConfigError          refuse to start; holds every problem
  InvalidRequest       answer 4xx, store nothing
    InvalidSignature   answer 401, store nothing
  SourceError          poll failed: the same cursor again after a backoff
    LoginRefused       the CRM does not know us: a person must act
  StoreError           the database cannot be used; says what to do
  RenderError          a rule cannot say this: dead letter `unrenderable`
  DeliveryError
    Transient          certainly not published: try again after a backoff
    RateLimited        certainly not published: nothing to this place before `until`
    AuthFailed         certainly not published: the destination pauses until someone acts
    Rejected           certainly not published, and never will be: dead letter
      Duplicate        the network says it already has it
      HeadGone         what it replies to or changes is gone: it is said as the first of its thread, which goes on there
    OutcomeUnknown     may or may not be published: resolve before any repeat
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


class CrmbridgeError(Exception):
    """Base of all errors a caller may want to catch."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a configuration: where it is, and what to do.

    `line` and `column` count from 1; 0 means that the place is not known (a missing file).
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(CrmbridgeError):
    """The configuration cannot be used. `problems` holds all of them, in file order; their files are in `folder`."""

    def __init__(self, problems: Sequence[Problem], folder: Path | None = None) -> None:
        self.problems = tuple(problems)
        self.folder = folder
        super().__init__("\n".join(map(str, self.problems)))


class InvalidRequest(CrmbridgeError):
    """A request that is refused before anything is stored. `status` is the HTTP answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class InvalidSignature(InvalidRequest):
    """The sender could not prove who it is."""

    def __init__(self, message: str = "invalid signature") -> None:
        super().__init__(message, status=401)


class SourceError(CrmbridgeError):
    """A source could not be read. `retry_at` is the vendor's own instant, where it named one."""

    def __init__(self, message: str, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class LoginRefused(SourceError):
    """The CRM does not know us, or not any more. It is tried again, and a person must act."""


class FieldsGone(SourceError):
    """Configured fields are not there. All else of the source can be read, and is."""


class StoreError(CrmbridgeError):
    """The database cannot be opened or written; the message says what to do."""


class RenderError(CrmbridgeError):
    """A template or expression failed on this record. `where` names the place in the rule."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)


class DeliveryError(CrmbridgeError):
    """An attempt to publish did not end with a receipt. `code` is the vendor's own word for it."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Transient(DeliveryError):
    """Certainly not published; worth another try after a backoff."""


class RateLimited(DeliveryError):
    """Certainly not published; the vendor asks for silence until `until` (aware).

    `scope` says how far the wait reaches: this message's `lane`, or the whole `destination`.
    """

    def __init__(self, message: str, until: datetime, *, code: str = "", scope: str = "destination") -> None:
        super().__init__(message, code=code)
        self.until = until
        self.scope = scope


class AuthFailed(DeliveryError):
    """Certainly not published; credentials, rights or credit are missing. The destination pauses."""


class Rejected(DeliveryError):
    """Certainly not published; the network will never take this message."""


class Duplicate(Rejected):
    """The network says that it already holds this text."""


class HeadGone(Rejected):
    """The message that this one replies to, or changes, was taken away: certainly nothing was published."""


class OutcomeUnknown(DeliveryError):
    """The request began and no clear answer came: the message may be published."""
