"""The files of a folder that are whole, by when they were written, and what names the content of each."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO, Final

from crmbridge.errors import SourceError

_UNFINISHED: Final = (".tmp", ".part", ".partial", ".swp", "~")
_LAST: Final = 253_402_300_799  # seconds: the end of the year 9999
_PIECE: Final = 1024 * 1024  # bytes

Facts = tuple[int, int, int, int]
"""What changes when a file does: its number on the disk, its size, when it was written, when anything of it was changed."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was found."""

    folder: Path
    name: str
    facts: Facts

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def at(self) -> int:
        """When it was written, in nanoseconds since 1970, as it says itself."""
        return self.facts[2]

    @property
    def written(self) -> datetime:
        """The same as an instant, or the first or last one that there is: some disks hold any number."""
        return datetime.fromtimestamp(min(max(self.at / 1e9, 0), _LAST), timezone.utc)


class Folder:
    """Where the exports are put. Nothing in it is changed, moved or removed, and no symbolic link is followed."""

    def __init__(self, path: Path, settle: float, now: Callable[[], datetime]) -> None:
        self.path = path
        self._settle = timedelta(seconds=settle)
        self._now = now
        self._digests: dict[str, tuple[Facts, str]] = {}
        self._early: dict[str, tuple[Facts, datetime]] = {}

    def files(self, match: str) -> list[File]:
        """Those that are whole, the oldest first. Raises SourceError."""
        return self.looked(match)[0]

    def looked(self, match: str) -> tuple[list[File], list[str]]:
        """The same, and the names of those that may still be written, at one moment. Raises SourceError."""
        found, young = [], []
        fits = re.compile(fnmatch.translate(match)).match
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    name = entry.name
                    if not fits(name) or name.startswith(".") or name.endswith(_UNFINISHED):
                        continue
                    try:
                        facts = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # taken away since
                        continue
                    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode)):
                        continue
                    if self._settled(name, _facts(facts)):
                        found.append(File(self.path, name, _facts(facts)))
                    else:
                        young.append(name)
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror}") from None
        return sorted(found, key=lambda one: (one.at, one.name)), sorted(young)

    def _settled(self, name: str, facts: Facts) -> bool:
        """Nothing has changed it for a while: by its stamp, or as far as we have watched it where that lies ahead of the clock."""
        now, written = self._now(), facts[2] / 1e9
        if not self._settle or written <= (now - self._settle).timestamp():
            self._early.pop(name, None)
            return True
        if written <= now.timestamp():
            return False
        seen, since = self._early.get(name, (facts, now))
        self._early[name] = (facts, since if seen == facts and since <= now else now)
        return now - self._early[name][1] >= self._settle

    def digest(self, file: File) -> str:
        """What names its content; read again only when the file is another by its facts. Raises OSError."""
        known = self._digests.get(file.name)
        if known is None or known[0] != file.facts:
            with self.opened(file) as opened:
                found = hashlib.sha256()
                while piece := opened.read(_PIECE):
                    found.update(piece)
            known = self._digests[file.name] = (file.facts, found.hexdigest()[:16])
        return known[1]

    @contextmanager
    def opened(self, file: File) -> Iterator[BinaryIO]:
        """It, to be read. Raises OSError, and SourceError where it has become another one before all was read."""
        if file.path.is_symlink():
            raise OSError(0, "is a symbolic link, which is not followed")
        with os.fdopen(os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            yield opened
            if _facts(os.fstat(opened.fileno()))[1:] != file.facts[1:]:  # some file systems number an opened file otherwise
                raise SourceError(f"{file.path} was changed while it was read, and is read again")


def _facts(found: os.stat_result) -> Facts:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
