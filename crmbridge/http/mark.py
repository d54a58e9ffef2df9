"""The mark: did a request begin? It tells "certainly not sent" from "sent, no answer"."""

from __future__ import annotations

import contextvars
import re
import threading
from collections.abc import Callable
from typing import Self, TypeVar

from crmbridge import __version__
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, Transient
from crmbridge.telemetry import redact

T = TypeVar("T")

USER_AGENT = f"crmbridge/{__version__}"
MAX_ANSWER = 4 * 1024 * 1024  # bytes; no answer of an honest vendor comes near


class Mark:
    """A record of whether a request began inside a `with` block. Once one began, the far side may have acted."""

    __slots__ = ("_outer", "_over", "_tell", "_token", "began")

    def __init__(self, tell: Callable[[], None] | None = None) -> None:
        """Make a mark. `tell` is called when a request begins, in the thread that sends it."""
        self.began = False
        self._tell = tell
        self._over = False
        self._outer = _mark.get()

    def __enter__(self) -> Self:
        self._token = _mark.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        _mark.reset(self._token)

    def set(self) -> None:
        """Mark that a request begins in this block and in every block around it. Raises TimeoutError if one of these blocks is over."""
        with _lock:
            mark: Mark | None = self
            while mark is not None:
                if mark._over:
                    raise TimeoutError("the attempt is over: nothing may be sent any more")
                mark = mark._outer
            mark = self
            while mark is not None:
                mark.began = True
                if mark._tell:
                    mark._tell()
                mark = mark._outer

    def end(self) -> bool:
        """Let no request begin from now on, not even in a thread that was left behind. Return whether one began."""
        with _lock:
            self._over = True
            return self.began


_UNREACHED = (
    (re.compile(r"no connection to ([^\s:]+): ([A-Za-z ]+)"), "cannot connect to {0}: {1}"),
    (re.compile(r"Failed to establish a new connection: \[Errno \d+\] ([A-Za-z ]+)"), "cannot connect: {0}"),
    (re.compile(r"Failed to resolve '([^']+)'"), "cannot find {0}: is the name right, and does this machine resolve names?"),
    (
        re.compile(r"certificate verify failed: ([^()']+)"),
        "TLS fails, {0}: is it the right host? See `network.ca_file`",
    ),
    (re.compile(r"\[SSL: [A-Z_0-9]+\] ([a-z ]+)"), "TLS fails, {0}: is it the right address?"),
)
_lock = threading.Lock()
_mark: contextvars.ContextVar[Mark | None] = contextvars.ContextVar("crmbridge_mark", default=None)


def marked(tell: Callable[[], None] | None = None) -> Mark:
    """Watch for the first byte of any request sent in this context, including its threads and tasks.

    `tell` is called when a request begins, in the thread or task that sends it.
    """
    return Mark(tell)


def begin() -> None:
    """Mark that a request begins. The transports here call this themselves; a connector with its own transport must call it too."""
    if mark := _mark.get():
        mark.set()


def classify(error: BaseException, began: bool) -> DeliveryError:
    """Turn any exception into a DeliveryError. The mark alone decides for an exception that no connector mapped."""
    if isinstance(error, DeliveryError):
        return error
    text = describe(error)
    return OutcomeUnknown(text) if began else Transient(text)


class attempt(Mark):  # noqa: N801  used like a function
    """A block that makes one attempt. Any Exception that it raises leaves it as a DeliveryError."""

    __slots__ = ()

    def __exit__(self, kind: object = None, error: object = None, *_: object) -> None:
        began = self.end()
        super().__exit__()
        if isinstance(error, Exception):
            raise classify(error, began) from None


class looking(attempt):  # noqa: N801  used like a function
    """An `attempt` that only reads. A lost answer does no harm here: the question is asked again (Transient, never OutcomeUnknown)."""

    __slots__ = ()

    def __exit__(self, kind: object = None, error: object = None, *_: object) -> None:
        try:
            super().__exit__(kind, error)
        except OutcomeUnknown as lost:
            raise Transient(str(lost), code=lost.code) from None


class aside:  # noqa: N801  used like a function
    """A block that asks for something beside the attempt around it. Its requests publish nothing, and do not set that attempt's mark."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _mark.set(None)

    def __exit__(self, *_: object) -> None:
        _mark.reset(self._token)


def credential(reveal: Callable[[], T]) -> T:
    """Return what `reveal` makes of a secret. Raises AuthFailed if it cannot be read: that pauses the destination instead of retrying."""
    try:
        return reveal()
    except ValueError as error:
        raise AuthFailed(describe(error), code="secret") from None


def describe(error: BaseException) -> str:
    """Describe an exception in one short redacted line: its kind and its words."""
    words = " ".join(str(error).split())
    for pattern, told in _UNREACHED:  # leaves out the names of urllib3's own classes, which stand around the cause
        if found := pattern.search(words):
            return redact(told.format(*found.groups()))[:300]
    return redact(f"{type(error).__name__}: {words}" if words else type(error).__name__)[:300]
