"""Simulated power cuts: of what was written and not synced, none, all, some or torn parts survive.

A recording of every write of the store's driver, by strace, is replayed up to a random instant. What cannot be seen this way:
the creation and removal of a file count as durable at once, and SQLite's -shm, which it rebuilds, is left out.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from flow.proofs.faults import NAME, Bench

_CALL = re.compile(r"^(?:\d+\s+)?(\w+)\((.*)\)\s+= (-?\d+)")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SECTOR = 512
TRACED = "openat,pwrite64,write,fdatasync,fsync,ftruncate,unlink"


@dataclass(frozen=True)
class Op:
    """Something the driver did to a file, or an acknowledgement (`at` is its step)."""

    kind: str
    path: str = ""
    at: int = 0
    data: bytes = b""


def record(bench: Bench, name: str, synchronous: str) -> tuple[Path, list[Op]]:
    """An undisturbed run, and all that it wrote."""
    path = bench.fresh(name)
    trace = bench.folder / f"{name}.txt"
    run = bench.run(path, "-y", "-xx", "-s", "100000", "-e", f"trace={TRACED}", "-o", str(trace), synchronous=synchronous)
    assert run.code == 0, run
    with trace.open() as lines:
        ops = [op for line in lines if (op := _read(line, str(path.parent)))]
    assert sum(op.kind == "ack" for op in ops) > 10
    assert sum(op.kind == "sync" for op in ops) > 2, "the recording holds no sync: nothing is proved"
    return path, ops


def _read(line: str, root: str) -> Op | None:
    if not (match := _CALL.match(line)) or int(match[3]) < 0:
        return None
    call, given = match[1], match[2]
    if call in ("openat", "unlink"):
        path = _bytes(_HEX.search(given)[1]).decode()
        if not _ours(path, root) or (call == "openat" and "O_CREAT" not in given):
            return None
        return Op("create" if call == "openat" else "unlink", path)
    descriptor = re.match(r"(\d+)<([^>]*)>", given)
    path = _bytes(descriptor[2]).decode() if "\\x" in descriptor[2] else descriptor[2]
    if call == "write":
        data = _bytes(_HEX.search(given)[1]) if descriptor[1] == "1" else b""
        return Op("ack", at=int(data.split()[1])) if data.startswith(b"ACK") else None
    if not _ours(path, root):
        return None
    if call == "pwrite64":
        return Op("write", path, int(given.rsplit(",", 1)[1]), _bytes(_HEX.search(given)[1]))
    return Op("cut", path, int(given.rsplit(",", 1)[1])) if call == "ftruncate" else Op("sync", path)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _ours(path: str, root: str) -> bool:
    return path.startswith(root) and not path.endswith(("-shm", ".lock"))


def images(bench: Bench, ops: list[Op], count: int, seed: int, name: str):
    """`count` folders as a power cut at a random instant may leave them, each with the last step acknowledged before."""
    chance = random.Random(seed)
    before = bench.old.read_bytes()
    for number in range(count):
        folder = bench.folder / f"{name}{number}"
        folder.mkdir()
        files, acknowledged = _cut(ops[: chance.randrange(len(ops))], before, chance)
        for path, content in files.items():
            (folder / Path(path).name).write_bytes(content)
        yield folder / NAME, acknowledged


def _cut(ops: list[Op], before: bytes, chance: random.Random) -> tuple[dict[str, bytearray], int]:
    durable: dict[str, bytearray] = {}
    pending: dict[str, list[Op]] = {}
    acknowledged = -1

    def file(path: str) -> bytearray:
        return durable.setdefault(path, bytearray(before if path.endswith("/" + NAME) else b""))

    for op in ops:
        match op.kind:
            case "ack":
                acknowledged = max(acknowledged, op.at)
            case "create":
                file(op.path)
            case "unlink":
                durable.pop(op.path, None)
                pending.pop(op.path, None)
            case "sync":
                for one in pending.pop(op.path, []):
                    _apply(file(op.path), one)
            case _:
                file(op.path)
                pending.setdefault(op.path, []).append(op)
    fate = chance.choice(["none", "all", "some", "some", "torn"])
    for path, rest in pending.items():
        for op in rest:
            if fate == "none" or (fate in ("some", "torn") and chance.random() < 0.5):
                continue
            if fate == "torn" and len(op.data) > _SECTOR and chance.random() < 0.5:
                kept = _SECTOR * chance.randrange(1, (len(op.data) + _SECTOR - 1) // _SECTOR)
                op = Op(op.kind, op.path, op.at, op.data[:kept])
            _apply(file(path), op)
    if not any(path.endswith("/" + NAME) for path in durable):
        durable["/" + NAME] = bytearray(before)
    return durable, acknowledged


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "cut":
        del content[op.at :]
        content.extend(b"\0" * (op.at - len(content)))
        return
    content.extend(b"\0" * max(0, op.at - len(content)))
    content[op.at : op.at + len(op.data)] = op.data
