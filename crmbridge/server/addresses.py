"""Where a server listens: addresses as people write them, and sockets in the file system."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import stat
from pathlib import Path

_UNREAD_MS = 30_000  # milliseconds that an answer may wait for a client that does not read it


def reachable(address: str) -> str:
    """Return the `http://host:port` of a server on `address` for a client on this machine; `http://localhost` for a unix socket."""
    if address.startswith("/"):
        return "http://localhost"
    host, _, port = address.rpartition(":")
    return f"http://{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"  # noqa: S104  # nosec B104  # it is read, not bound


def parse_listen(listen: str) -> tuple[str, int]:
    """Split `127.0.0.1:8080` or `[::1]:8080` into host and port. Raises OSError that says what is expected."""
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or not host.strip("[]") or (":" in host and not bracketed):
        raise OSError(errno.EINVAL, "expected HOST:PORT, [IPV6]:PORT or the absolute path of a unix socket")
    return (host[1:-1] if bracketed else host), int(port)


def written(listening: asyncio.Server) -> str:
    for bound in listening.sockets:
        # Linux only, like this daemon's service unit. An answer that nobody reads must not hold a connection for ever.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    host, port = listening.sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "something else listens there; stop it or give another address"
        case errno.EACCES | errno.EPERM:
            return "this user may not; give a port above 1023 or a folder this user can write"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
        case errno.ENOENT:
            return "the folder does not exist"
    return error.strerror or str(error)


def bind_unix(path: Path) -> socket.socket:
    """Bind a socket of mode 0600, in place of a stale file whose owner is gone. It does not listen yet. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "a file that is not a socket is in the way; remove it or give another path")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()  # nobody listens: the process of this socket ended without cleaning up
            except TimeoutError:
                raise OSError(errno.EADDRINUSE, "busy") from None
            else:
                raise OSError(errno.EADDRINUSE, "in use")
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(0o600)  # before listen(): until then nobody can connect
    except BaseException:
        bound.close()
        raise
    return bound


def remove_socket(path: Path, inode: int) -> None:
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()
