"""What is being worked on at this moment, in memory that outlives the process: when it ends, the next one knows on what.

A webhook, a record or a message that ends the process (it takes all memory, it hangs until a watchdog acts) is found again
by the next process, and would end that one too. So each is named in a small file mapped into memory before code works on
its content, and the name is taken back afterwards. That costs no system call and no fsync: pages of a mapped file survive
whatever ends the process. A power cut is nobody's fault, and what the file holds after one may be old: so it counts within one boot
of the machine only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crmbridge.model import RecordRef

MOST: Final = 3
"""What ended the process so often is put aside."""
_SLOT, _SLOTS = 4096, 64  # bytes; things under way at once (what finds no room is not noted)
_HEAD = 2  # bytes that hold the length of a name
_BOOT = 64  # bytes in front of the slots that name the boot of the machine
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier process was working on when it ended."""

    requests: tuple[int, ...] = ()
    """Rows of the inbox."""
    records: tuple[RecordRef, ...] = ()
    """Records of polled sources."""
    deliveries: tuple[int, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.requests or self.records or self.deliveries)


def requests(ids: Sequence[int]) -> bytes:
    """Name webhook requests."""
    return b'{"requests": [%b]}' % b", ".join(b"%d" % id for id in ids)


def record(ref: RecordRef) -> bytes:
    """Name a record that was read."""
    return json.dumps({"record": [ref.source, ref.type, ref.id]}, ensure_ascii=False).encode("utf-8", "replace")


def deliveries(ids: Sequence[int]) -> bytes:
    """Name messages."""
    return b'{"deliveries": [%b]}' % b", ".join(b"%d" % id for id in ids)


class Slot:
    """The place of one thing. `begin` and `end` may be called from any thread."""

    __slots__ = ("_memory", "_start")

    def __init__(self, memory: mmap.mmap | None, start: int) -> None:
        self._memory = memory
        self._start = start

    def begin(self, name: bytes) -> None:
        """Code works on `name` from now on."""
        if self._memory is None or len(name) > _SLOT - _HEAD:
            return
        start = self._start + _HEAD
        self._memory[start : start + len(name)] = name  # first: a name is there whole or not at all
        self._memory[self._start : start] = len(name).to_bytes(_HEAD, "big")

    def end(self) -> None:
        """Take the name back: the work is done, or waits for somebody else."""
        if self._memory is not None:
            self._memory[self._start : self._start + _HEAD] = bytes(_HEAD)


class UnderWay:
    """The file of one process."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: where the last process left its own; None keeps everything in this process."""
        self.alone = asyncio.Lock()
        """Held while something is worked on during which a process ended before: so only one is suspected of the next end."""
        self.left = Left()
        """What the last process was working on when it ended."""
        self._memory: mmap.mmap | None = None
        self._boot = b""
        self.unclean = False
        """Whether the last process ended without closing it, since this machine began."""
        self._free = list(range(_SLOTS))
        if path is not None:
            try:
                self._memory = _mapped(path)
            except OSError as error:  # nothing depends on it but the next process's knowledge
                _log.warning("what is under way cannot be noted", extra={"path": str(path), "reason": error.strerror})
                return
            self._boot = _boot()
            if self._memory[:_BOOT] == self._boot:
                self.unclean, self.left = True, _read(self._memory)
            if self.left.nothing:
                self.forget()

    def forget(self) -> None:
        """Take the file over: what the last process left in it is recorded."""
        if self._memory is not None:
            self._memory[:] = self._boot + bytes(_SLOT * _SLOTS)

    def close(self) -> None:
        """We end, and were asked to."""
        if self._memory is not None:
            self._memory[:_BOOT] = bytes(_BOOT)

    @contextlib.asynccontextmanager
    async def alone_until_out(self) -> AsyncIterator[Callable[[], object]]:
        """Hold `alone` until the block ends, or what is given is called, from whatever thread."""
        loop = asyncio.get_running_loop()
        await self.alone.acquire()
        with contextlib.ExitStack() as held:
            held.callback(self.alone.release)
            yield lambda: loop.call_soon_threadsafe(held.close)

    @contextlib.contextmanager
    def slot(self) -> Iterator[Slot]:
        """Give out a slot, and take it back."""
        index = self._free.pop() if self._free and self._memory is not None else None
        slot = Slot(self._memory if index is not None else None, _BOOT + (index or 0) * _SLOT)
        try:
            yield slot
        finally:
            slot.end()
            if index is not None:
                self._free.append(index)


def _mapped(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _BOOT + _SLOT * _SLOTS)  # a page that the disk has no room for would end us when it is written
        return mmap.mmap(descriptor, _BOOT + _SLOT * _SLOTS)
    finally:
        os.close(descriptor)


def _boot() -> bytes:
    """Name this boot. Where the machine names none, all boots have one name, so that nothing counts."""
    try:
        name = _BOOT_ID.read_bytes().strip()
    except OSError:
        name = os.urandom(16)
    return name[:_BOOT].ljust(_BOOT, b"\0")


def _read(memory: mmap.mmap) -> Left:
    requests: list[int] = []
    records: list[RecordRef] = []
    deliveries: list[int] = []
    for start in range(_BOOT, _BOOT + _SLOT * _SLOTS, _SLOT):
        length = int.from_bytes(memory[start : start + _HEAD], "big")
        if not 0 < length <= _SLOT - _HEAD:
            continue
        with contextlib.suppress(ValueError, TypeError, AttributeError):  # somebody else's bytes tell us nothing
            found: Any = json.loads(memory[start + _HEAD : start + _HEAD + length])
            requests += [int(id) for id in found.get("requests", ())]
            deliveries += [int(id) for id in found.get("deliveries", ())]
            if named := found.get("record"):
                records.append(RecordRef(*map(str, named)))
    return Left(tuple(requests), tuple(records), tuple(deliveries))
