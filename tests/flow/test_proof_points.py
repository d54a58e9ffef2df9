"""The store at every point where it touches the disk: killed there, and told by the disk that it will not."""

import time

import pytest
from flow.proofs.faults import CALLS, Bench
from flow.proofs.forms import forms


@pytest.fixture
def bench(tmp_path, strace):
    return Bench(tmp_path, strace)


@forms("every", 18, 1.0, timeout=1800)
def test_killed_at_every_call_that_changes_a_file(bench, figures, every):
    """Accept, record, lease, settle, requeue, drop, purge, the move of the log, a migration with its backup: `kill -9` at the
    i-th write, sync, cut or removal of a file leaves the content after the last acknowledged step or after the one under way,
    and the next process goes on from there."""
    began, points, wrong = time.monotonic(), 0, []
    for call, count in sorted(bench.calls().items()):
        for number in range(1, count + 1, int(every) if call == "pwrite64" else min(int(every), 2)):
            path, run = bench.inject(call, f"signal=SIGKILL:when={number}")
            assert run.code == -9 or run.acknowledged == len(bench.digests) - 1, (call, number, run)
            points += 1
            if problem := bench.found(path, run.acknowledged):
                wrong.append(f"{call} {number}: {problem}")
    figures("kill at every call", points=points, lost=len(wrong), seconds=round(time.monotonic() - began))

    assert wrong == []
    assert points >= 50


@forms("every", 140, 8.0, timeout=1800)
def test_a_disk_that_says_no_is_believed(bench, figures, every):
    """EIO, ENOSPC and EROFS at the i-th write or sync, once and for ever: nothing is acknowledged whose commit failed, the store
    says that it fails or refuses, and what was acknowledged is there after a restart."""
    began, runs, failed, wrong = time.monotonic(), 0, 0, []
    counts = bench.calls()
    for call in ("fdatasync", "pwrite64"):
        step = int(every) if call == "pwrite64" else max(1, int(every) // 8)
        for error in ("EIO", "ENOSPC", "EROFS"):
            for ever in ("", "+"):
                for number in range(1, counts[call] + 1, step):
                    path, run = bench.inject(call, f"error={error}:when={number}{ever}")
                    runs += 1
                    failed += run.failed
                    problem = bench.found(path, run.acknowledged)
                    if run.code not in (0, 3):
                        problem += f" ended with {run.code}: {run.errors[-800:]}"
                    if any("after a failure" in line for line in run.lines):
                        problem += " acknowledged after a failure"
                    if problem:
                        wrong.append(f"{call} {error} {number}{ever}: {problem}")
    figures("errors of the disk", runs=runs, said_failed=failed, wrong=len(wrong), seconds=round(time.monotonic() - began))

    assert wrong == []
    assert failed >= runs / 3
    assert set(counts) <= set(CALLS)
