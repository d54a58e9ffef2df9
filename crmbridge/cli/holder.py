"""The holder of an address that a daemon wants to listen on: a program, or another crmbridge with its configuration. Nobody is
spoken to.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crmbridge.cli.common import DEFAULTS
from crmbridge.config.config import Config
from crmbridge.config.document import read
from crmbridge.config.load import store_at
from crmbridge.schema import user_of
from crmbridge.server import parse_listen
from crmbridge.store import identity

_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it
_LONGEST: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Holder:
    """A program, as far as this user may see it. `config` is the file with which a crmbridge was started."""

    pid: int | None = None
    name: str = ""
    config: Path | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "a program that this user may not look at (as root: `ss -ltnp`)"
        if self.config is None:
            return f"{self.name} (process {self.pid})"
        store = _store_of(self.config)
        marker = identity.read(store) if store else None
        return f"another crmbridge (process {self.pid}), with {self.config}" + (f", instance {marker.instance[:12]}" if marker else "")


def holder(listen: str) -> Holder | None:
    """Find the program that listens on `HOST:PORT`. Return None if the address is free, or if a path is given."""
    if listen.startswith("/") or _free(listen):
        return None
    inodes = _listening(parse_listen(listen)[1])
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and _holds(folder, inodes):
            return _program(folder)
    return Holder()


def stranger(config: Config) -> Holder | None:
    """Find the program that listens where this configuration's server would, unless that is its own daemon."""
    found = holder(config.model.server.listen)
    if found is None:
        return None
    own = None
    with contextlib.suppress(OSError):
        own = user_of(config.store_path)
    return None if own is not None and own.isdigit() and found.pid in (int(own), None) else found


def _free(listen: str) -> bool:
    """Say whether a server could listen on this address."""
    host, port = parse_listen(listen)
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in places:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        return error.errno != errno.EADDRINUSE  # for any other error, nobody is in the way
    return True


def _listening(port: int) -> set[str]:
    """Return the sockets that listen on a port, by their inodes."""
    found = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / name).read_text("ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENS and int(columns[1].rpartition(":")[2], 16) == port:
                    found.add(columns[9])
    return found


def _holds(process: Path, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    with contextlib.suppress(OSError):  # it belongs to another user, or has ended
        for one in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if str(one.readlink()) in wanted:
                    return True
    return False


def _program(process: Path) -> Holder:
    """Describe a process by its name. Its arguments may hold secrets, so only the configuration of a crmbridge is taken from them."""
    try:
        name = (process / "comm").read_text("utf-8", "replace").strip()
        words = (process / "cmdline").read_bytes()[:_LONGEST].decode("utf-8", "replace").split("\0")
        folder = (process / "cwd").readlink()
    except OSError:
        return Holder()
    ours = any(Path(word).name == "crmbridge" for word in words[:3]) and "run" in words
    return Holder(int(process.name), name, _configuration(words, folder) if ours else None)


def _configuration(words: list[str], folder: Path) -> Path:
    """Find the configuration in the arguments of a crmbridge, else where it looks by default."""
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in ("-c", "--config"):
            return folder / after
        if word.startswith("--config="):
            return folder / word.partition("=")[2]
    return next((folder / name for name in DEFAULTS if (folder / name).exists()), folder / DEFAULTS[0])


def _store_of(config: Path) -> Path | None:
    """Find the database of a configuration. Return None if this user may not read the configuration."""
    try:
        return store_at(config.parent, read(config, config.name).data)
    except OSError:
        return None
