"""A file whose only use is to be removed: it gives a full disk the room to record what was already said.

A full database can neither take in changes nor settle attempts, and deleting rows needs room too. When writes are refused for want of
space the reserve goes; while it is gone nothing new is taken in; it comes back when there is room again.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

SIZE = 4 * 1024 * 1024  # more than a hundred attempts need to be settled
_log = logging.getLogger(__name__)


class Reserve:
    """The reserve beside one database."""

    def __init__(self, database: Path, size: int = SIZE) -> None:
        self.path = database.with_name(database.name + ".reserve")
        self._size = size
        self.given_up = False
        """True while it is gone for want of space: nothing new may be taken in."""

    def keep(self) -> bool:
        """Make it, if it is not there and the disk has room for two of it; returns whether it is there."""
        if self.path.exists():
            self.given_up = False
            return True
        draft = self.path.with_name(self.path.name + ".new")
        try:
            if shutil.disk_usage(self.path.parent).free < 2 * self._size:
                return False
            descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
            draft.replace(self.path)
        except OSError:
            draft.unlink(missing_ok=True)
            return False
        self.given_up = False
        return True

    def give_up(self) -> None:
        """Make room."""
        if not self.given_up:
            self.given_up = True
            try:
                self.path.unlink()
                _log.error("the disk is full: the reserve is given up, and nothing new is taken in", extra={"path": str(self.path)})
            except FileNotFoundError:
                _log.error("the disk is full, and there was no room for a reserve: nothing new is taken in", extra={"path": str(self.path)})
            except OSError as error:
                _log.error("the reserve cannot be given up", extra={"reason": error.strerror})
