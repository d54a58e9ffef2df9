"""The one way connectors speak HTTP: an absolute deadline, no hidden retries, and a mark when a request began.

A read timeout alone never ends against a server that dribbles one byte at a time, so a timer shuts the socket
at the deadline. Only the resolver's own wait for a name (resolv.conf) stands outside it for `Session`.
The mark tells "certainly not sent" from "sent, no answer": an exception that a connector does not map itself is
Transient before it and OutcomeUnknown after it (`classify`, `attempt`).
"""

from __future__ import annotations

import base64
import contextlib
import contextvars
import email.utils
import hashlib
import hmac
import http.cookiejar
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import aiohttp
import requests
import requests.adapters
import tenacity
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from crmbridge import __version__
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Network
from crmbridge.telemetry import redact

T = TypeVar("T")

USER_AGENT = f"crmbridge/{__version__}"
MAX_ANSWER = 4 * 1024 * 1024  # bytes; no vendor's honest answer comes near

# --- the mark -------------------------------------------------------------------------------


class Mark:
    """Whether a request began inside a `marked()` block: from then on the far side may have acted."""

    __slots__ = ("_outer", "began")

    def __init__(self, outer: Mark | None = None) -> None:
        self.began = False
        self._outer = outer

    def set(self) -> None:
        """A request begins: here, and in every block around this one."""
        mark: Mark | None = self
        while mark is not None:
            mark.began = True
            mark = mark._outer


_mark: contextvars.ContextVar[Mark | None] = contextvars.ContextVar("crmbridge_mark", default=None)


@contextlib.contextmanager
def marked() -> Iterator[Mark]:
    """Watch for the first byte of any request sent in this context, threads and tasks included."""
    mark = Mark(_mark.get())
    token = _mark.set(mark)
    try:
        yield mark
    finally:
        _mark.reset(token)


def begin() -> None:
    """Say that a request begins. Transports here call it themselves; a connector with its own must too."""
    if mark := _mark.get():
        mark.set()


def classify(error: BaseException, began: bool) -> DeliveryError:
    """Any exception as a DeliveryError; what no connector mapped is decided by the mark alone."""
    if isinstance(error, DeliveryError):
        return error
    text = describe(error)
    return OutcomeUnknown(text) if began else Transient(text)


@contextlib.contextmanager
def attempt() -> Iterator[Mark]:
    """A block that makes one attempt: whatever Exception it raises leaves it as a DeliveryError."""
    with marked() as mark:
        try:
            yield mark
        except Exception as error:
            raise classify(error, mark.began) from None


def credential(reveal: Callable[[], T]) -> T:
    """What `reveal` makes of a secret; one that cannot be read pauses the destination (AuthFailed) instead of being retried."""
    try:
        return reveal()
    except ValueError as error:
        raise AuthFailed(describe(error), code="secret") from None


def describe(error: BaseException) -> str:
    """An exception as one short redacted line: its kind and its words."""
    words = " ".join(str(error).split())
    return redact(f"{type(error).__name__}: {words}" if words else type(error).__name__)[:300]


# --- requests: for connectors that are not async ----------------------------------------------


class _Call(threading.local):
    """The socket of the call under way in this thread."""

    watch: _Watch | None = None


_call = _Call()


class _Watch:
    """Shuts a call's socket when its deadline passes, whatever that socket is doing."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> _Watch:
        _call.watch = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _call.watch = None
        with self._lock:
            self._release()

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._ends - time.monotonic()

    def hold(self, connected: socket.socket) -> None:
        """Watch `connected` through a descriptor of our own: TLS takes the original socket object's away."""
        with self._lock:
            self._release()
            self._socket = socket.socket(connected.family, connected.type, fileno=socket.dup(connected.fileno()))
            if self.expired:
                self._shut()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Marking:
    """Mixed into urllib3's connections: marks the first byte of a request, and shows the watch its socket."""

    sock: Any
    _connecting = False

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def _new_conn(self) -> socket.socket:
        """Connect under the call's deadline; urllib3 would grant the whole of it to each of a host's addresses."""
        this: Any = self
        watch = _call.watch
        if watch is None:
            raise RuntimeError("a connection outside Session.send")
        try:
            found = socket.getaddrinfo(this._dns_host, this.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(socket.EAI_NONAME, "not a host name")
            raise NameResolutionError(this.host, this, reason) from error
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in found:
            try:
                made = socket.socket(family, kind, protocol)
            except OSError as error:  # this machine does not speak that family
                failure = error
                continue
            try:
                for option in this.socket_options or ():
                    made.setsockopt(*option)
                made.settimeout(max(watch.left, 0.001))
                made.connect(address)
                watch.hold(made)
                return made
            except OSError as error:
                made.close()
                failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(this, f"no connection to {this.host} in time") from failure
        raise NewConnectionError(this, f"no connection to {this.host}: {failure.strerror or failure}") from failure

    def send(self, data: Any) -> None:
        if not self._connecting:  # a CONNECT to a proxy is not yet our request
            if self.sock is None:
                self.connect()
            begin()
        super().send(data)  # type: ignore[misc]

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None and _call.watch is not None and not self._connecting:
            _call.watch.hold(self.sock)  # a connection from the pool
        super().putrequest(*args, **kwargs)  # type: ignore[misc]


class _Plain(_Marking, HTTPConnection):
    pass


class _Secure(_Marking, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


_POOLS = {"http": _PlainPool, "https": _SecurePool}


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class Session(requests.Session):
    """A requests.Session with crmbridge's manners; also what vendor clients built on requests are given.

    Every call ends within `network.deadline` seconds (less, if the call's `timeout` is a smaller number) or raises
    requests.Timeout; redirects are answers, not orders; cookies are not kept; the environment is not trusted; an
    answer is read whole, and is at most MAX_ANSWER bytes.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.deadline = network.deadline
        self.trust_env = False
        self.headers["User-Agent"] = USER_AGENT
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        if network.proxy:
            self.proxies = {"http": network.proxy, "https": network.proxy}
        if network.ca_file:
            self.verify = network.ca_file
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        asked = kwargs.get("timeout")
        seconds = min(asked, self.deadline) if isinstance(asked, (int, float)) else self.deadline
        kwargs |= {"timeout": seconds, "allow_redirects": False, "stream": True}
        late = requests.Timeout(f"no complete answer within {seconds:g} s", request=request)
        with _Watch(seconds) as watch:
            try:
                response = super().send(request, **kwargs)
                response._content = _read_bounded(response)
            except (OSError, requests.RequestException) as error:
                if watch.expired and not isinstance(error, requests.Timeout):
                    raise late from error
                raise
            if watch.expired:  # the shut socket looked like the end of the headers, or of a body without a length
                raise late
        return response

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests would read a redirect's body unbounded and parse its Location just to offer the next request."""


def _read_bounded(response: requests.Response) -> bytes:
    if isinstance(response._content, bytes):
        return response._content
    pieces, size = [], 0
    try:
        for piece in response.iter_content(64 * 1024):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_ANSWER:
                raise requests.exceptions.ContentDecodingError(f"the answer is over {MAX_ANSWER} bytes")
    except BaseException:
        response.close()
        raise
    return b"".join(pieces)


_GATEWAY = frozenset({502, 503, 504})


def read(session: Session, url: str, **kwargs: Any) -> requests.Response:
    """GET `url`, with at most two quick retries on lost connections and gateway errors, all within the session's deadline.

    For reads only, never for posts. Raises what the last try raised, or returns its answer.
    """
    ends = time.monotonic() + session.deadline

    def once() -> requests.Response:
        return session.get(url, timeout=max(ends - time.monotonic(), 0.001), **kwargs)

    tries = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(session.deadline / 2),
        wait=tenacity.wait_random(0.05, 0.5),
        retry=tenacity.retry_if_exception_type(requests.ConnectionError)
        | tenacity.retry_if_result(lambda answer: answer.status_code in _GATEWAY),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    answer: requests.Response = tries(once)
    return answer


# --- aiohttp: for async connectors ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body)


class _Request(aiohttp.ClientRequest):
    """A request that marks its beginning: it is connected, and written from here on."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        begin()
        return await super().send(conn)


class Client:
    """The async counterpart of Session. Made anywhere, opened on first use inside the running loop."""

    def __init__(self, network: Network, *, connections: int = 64) -> None:
        self._network = network
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            authority = ssl.create_default_context(cafile=self._network.ca_file) if self._network.ca_file else True
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._network.deadline),
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=10, ssl=authority),
                headers={"User-Agent": USER_AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=_Request,
                trust_env=False,
            )
        return self._session

    async def send(self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request and its whole answer, within the deadline; a redirect is an answer.

        Raises TimeoutError, aiohttp.ClientError (ClientPayloadError also for an answer over MAX_ANSWER bytes), ValueError.
        """
        proxy = self._network.proxy
        try:
            async with self._open().request(method, url, data=body or None, headers=headers, allow_redirects=False, proxy=proxy) as answer:
                pieces, size = [], 0
                async for piece in answer.content.iter_any():
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER:
                        raise aiohttp.ClientPayloadError(f"the answer is over {MAX_ANSWER} bytes")
                return Answer(answer.status, answer.headers, b"".join(pieces))
        except TimeoutError:
            raise TimeoutError(f"no complete answer within {self._network.deadline:g} s") from None

    async def close(self) -> None:
        """Close connections; safe to call twice."""
        if self._session is not None:
            await self._session.close()


# --- addresses and signatures -------------------------------------------------------------------

_UNSAFE_IN_LINK = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")


def web_link(url: str) -> str:
    """`url` as plain ASCII that no mark-up can be broken out of; raises Rejected unless it is http or https with a host."""
    text = url.strip()
    try:
        parts = urllib.parse.urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        host = (parts.hostname or "").encode("idna").decode() if good and not (parts.hostname or "").isascii() else None
    except ValueError:  # UnicodeError is one
        good, host = False, None
    if not good:
        raise Rejected("the link is not an http or https address", code="link")
    if host:
        text = text.replace(parts.netloc, parts.netloc.lower().replace(parts.hostname or "", host), 1)
    return _UNSAFE_IN_LINK.sub(lambda odd: urllib.parse.quote(odd.group(), safe="", errors="replace"), text)


def is_loopback(url: str) -> bool:
    """True if `url` names this machine itself."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def signed(key: bytes, message_id: str, moment: datetime, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks 1.0.0 for one attempt at `moment`; `message_id` must hold no dot.

    `key` is what `signing_key` made of the secret.
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    stamp = str(int(moment.timestamp()))
    mac = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": f"v1,{base64.b64encode(mac).decode()}"}


def signing_key(secret: str) -> bytes:
    """The bytes behind a secret, which is base64 with or without `whsec_`; raises ValueError, never naming the secret."""
    text = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("the signing secret is not whsec_ followed by base64")
    return key


# --- answers ----------------------------------------------------------------------------------

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """The instant that Retry-After names, as seconds or as an HTTP date (RFC 9110, section 10.2.3)."""
    value = (headers.get("Retry-After") or headers.get("retry-after") or "").strip()
    if _SECONDS.fullmatch(value):
        return now + timedelta(seconds=float(value))
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def refusal(status: int, words: str, headers: Mapping[str, str], now: datetime) -> DeliveryError:
    """A non-2xx answer as a DeliveryError, for a network that adds no meaning of its own to a status.

    429 waits as told, or a minute; 401 and 403 pause; 408 and 5xx may have acted; the rest is refused for good.
    """
    text = redact(f"HTTP {status} {' '.join(words.split())}".strip())[:300]
    code = str(status)
    if status == 429:
        return RateLimited(text, retry_after(headers, now) or now + timedelta(minutes=1), code=code)
    if status in (401, 403):
        return AuthFailed(text, code=code)
    if status == 408 or status >= 500:
        return OutcomeUnknown(text, code=code)
    return Rejected(text, code=code)
