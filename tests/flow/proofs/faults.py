"""Faults for the store's driver, put in by strace, and what must be found afterwards."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flow.proofs import store_driver as driver

from crmbridge.store import SqliteStore

NAME = "store.db"
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "rename")


@dataclass(frozen=True)
class Run:
    """How a run of the driver ended."""

    code: int
    lines: list[str]
    errors: str

    @property
    def acknowledged(self) -> int:
        """The last step whose end was said; -1 if not even the opening was."""
        return max((int(line.split()[1]) for line in self.lines if line.startswith("ACK")), default=-1)

    @property
    def failed(self) -> bool:
        """It said that the database cannot be written any more."""
        return any(line.startswith("FAILED") for line in self.lines)


class Bench:
    """An old database, the digests of a run that nothing disturbs, and one folder for each disturbed run."""

    def __init__(self, folder: Path, strace: str) -> None:
        self.folder, self.strace = folder, strace
        self.migrations = driver.migrations(folder)
        self.old = folder / "old.db"
        store = SqliteStore(self.old)
        asyncio.run(store.accept("other", {}, "", b"from before", driver.NOW))
        store.close()
        self.before = driver.digest(self.old)
        reference = self.fresh("reference")
        self.digests = self._on(reference, lambda store: driver.go_on(store, reference, 0))
        assert len(set(self.digests)) == len(self.digests), "each step must leave its own content"
        self._count = 0

    def fresh(self, name: str) -> Path:
        """A folder of its own with the old database."""
        (self.folder / name).mkdir()
        return Path(shutil.copy(self.old, self.folder / name / NAME))

    def _on(self, path: Path, work) -> list[str]:
        async def whole() -> list[str]:
            store = driver.open_store(path, self.migrations)
            try:
                return await work(store)
            finally:
                store.close()

        return asyncio.run(whole())

    def run(self, path: Path, *options: str, synchronous: str = "FULL") -> Run:
        """The driver under strace."""
        command = [self.strace, "-f", "-qq", *options, sys.executable, driver.__file__, str(path), str(self.migrations), synchronous]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        return Run(ended.returncode, ended.stdout.splitlines(), ended.stderr)

    def calls(self) -> Counter[str]:
        """How often an undisturbed run makes each call."""
        path = self.fresh("calls")
        trace = self.folder / "calls.txt"
        assert self.run(path, "-e", f"trace={','.join(CALLS)}", "-o", str(trace)).code == 0
        return Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))

    def inject(self, call: str, what: str) -> tuple[Path, Run]:
        """A disturbed run; `what` is a signal or an error and when."""
        self._count += 1
        path = self.fresh(f"run{self._count}")
        return path, self.run(path, "-e", f"trace={call}", "-e", f"inject={call}:{what}", "-o", "/dev/null")

    def found(self, path: Path, acknowledged: int, *, further: bool = True) -> str:
        """What is wrong with the database that a disturbed run left; empty if nothing is. It is removed if so."""

        async def look(store: SqliteStore) -> list[str]:
            now = driver.digest(path)
            allowed = self.digests[max(acknowledged, 0) : acknowledged + 2]
            if now not in allowed:
                known = self.digests.index(now) if now in self.digests else "no step"
                return [f"content after {known}, acknowledged {acknowledged}"]
            at = self.digests.index(now)
            if further and await driver.go_on(store, path, at) != self.digests[at:]:
                return [f"cannot go on from {at}"]
            return []

        try:
            wrong = self._on(path, look)
            backup = path.with_name(f"{NAME}.schema{len(driver.sqlite.SCHEMA.steps())}.bak")
            if not wrong and driver.digest(backup) != self.before:
                wrong = ["the backup is not what was before the migration"]
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if not wrong:
            shutil.rmtree(path.parent)
        return "; ".join(wrong)
