"""requests with crmbridge's manners: an absolute deadline, no redirects, bounded answers. For connectors that are not async.

A read timeout alone never ends against a server that sends one byte at a time. So a timer shuts the socket at the deadline.
Only the resolver's own wait for a name (resolv.conf) is not covered by the deadline."""

from __future__ import annotations

import http.cookiejar
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import requests
import requests.adapters
import tenacity
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from crmbridge.http.mark import MAX_ANSWER, USER_AGENT, begin
from crmbridge.http.watch import SocketGuard
from crmbridge.model import Network


class _Call(threading.local):
    """A holder for the socket watch of the call under way in this thread."""

    watch: _Watch | None = None


_call = _Call()


class _Watch(SocketGuard):
    """The watch of the call under way in this thread, with the addresses that this call may connect to."""

    def __init__(self, seconds: float, reachable: Callable[[str], bool]) -> None:
        """Watch one call. `reachable` says of a resolved address whether it may be connected to."""
        super().__init__(seconds)
        self.reachable = reachable
        self.forbidden = False
        """True if none of the host's addresses may be connected to."""

    def __enter__(self) -> Self:
        _call.watch = self
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        _call.watch = None
        super().__exit__()


class _Marking:
    """A mix-in for urllib3's connections. It marks the first byte of a request, and hands the socket to the watch."""

    sock: Any
    _connecting = False

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def _new_conn(self) -> socket.socket:
        """Connect under the deadline of the call. urllib3 alone would allow the whole deadline to each address of a host."""
        this: Any = self
        watch = _call.watch
        if watch is None:
            raise RuntimeError("a connection outside Session.send")
        try:
            found = socket.getaddrinfo(this._dns_host, this.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(socket.EAI_NONAME, "not a host name")
            raise NameResolutionError(this.host, this, reason) from error
        allowed = [one for one in found if watch.reachable(str(one[4][0]))]
        watch.forbidden = bool(found) and not allowed
        try:
            return watch.connect(allowed, this.socket_options or ())
        except TimeoutError as error:
            raise ConnectTimeoutError(this, f"no connection to {this.host} in time") from error
        except OSError as error:
            raise NewConnectionError(this, f"no connection to {this.host}: {error.strerror or error}") from error

    def send(self, data: Any) -> None:
        if not self._connecting:  # a CONNECT to a proxy is not yet our request
            if self.sock is None:
                self.connect()
            begin()
        super().send(data)  # type: ignore[misc]

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None and _call.watch is not None and not self._connecting:
            _call.watch.hold(self.sock)  # a connection from the pool has no watch yet
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


class Forbidden(requests.ConnectionError):
    """All addresses of a host are ones that may not be connected to. Nothing was sent."""


class HttpSession(requests.Session):
    """A requests.Session with crmbridge's manners. Vendor clients that are built on requests get one too.

    Every call ends within `network.deadline` seconds (fewer, if the call's `timeout` is a smaller number) or raises
    requests.Timeout. Redirects are returned as answers and not followed. Cookies are not kept. The environment is not trusted.
    An answer is read whole; its limit is MAX_ANSWER bytes unless `most` sets another.
    """

    def __init__(self, network: Network, *, most: int | None = None, reachable: Callable[[str], bool] = lambda _: True) -> None:
        """Read at most `most` bytes of an answer, instead of MAX_ANSWER, and connect only to addresses that are `reachable`.

        With a proxy, addresses are not checked.
        """
        super().__init__()
        self.deadline = network.deadline
        self._most = most
        self._reachable: Callable[[str], bool] = (lambda _: True) if network.proxy else reachable
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
        with _Watch(seconds, self._reachable) as watch:
            try:
                response = super().send(request, **kwargs)
                response._content = _read_bounded(response, self._most or MAX_ANSWER)
            except (OSError, requests.RequestException) as error:
                if watch.forbidden:
                    raise Forbidden("the host's address may not be connected to", request=request) from error
                # a read may wait as long as the whole call and end before the watch; a ConnectTimeout is raised as it is: nothing was sent
                if isinstance(error, requests.ReadTimeout) or (watch.expired and not isinstance(error, requests.Timeout)):
                    raise late from error
                raise
            if watch.expired:  # the shut socket looked like the end of the headers, or of a body without a length
                raise late
        return response

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None. Otherwise requests would read a redirect's body without a limit, and parse its Location for a next request."""


def _read_bounded(response: requests.Response, most: int) -> bytes:
    if isinstance(response._content, bytes):
        return response._content
    pieces, size = [], 0
    try:
        for piece in response.iter_content(64 * 1024):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise requests.exceptions.ContentDecodingError(f"the answer is over {most} bytes")
    except BaseException:
        response.close()
        raise
    return b"".join(pieces)


_GATEWAY = frozenset({502, 503, 504})


def read(session: HttpSession, url: str, **kwargs: Any) -> requests.Response:
    """GET `url`, with at most two quick retries on lost connections and gateway errors, all within the session's deadline.

    This is for reads only, never for posts. Returns the answer of the last try, or raises its error.
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
