"""The disk is full or read only: nothing is acknowledged that is not kept, health says so, and it recovers by itself."""

import contextlib
import os
import subprocess
import time

import pytest
import requests
from flow.daemon import CRMBRIDGE, STILL, until
from flow.proofs.forms import forms
from flow.proofs.harness import Bridge, Sink, Source, judge, keyed, nothing_is_dead
from shared import need

MB = 1024 * 1024
SIZE = 24  # MB


@contextlib.contextmanager
def small_disk(folder):
    """A file system of its own in `folder`; gives a function that remounts it with other options."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m,mode=700", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    need(mounted, "the right to mount a tmpfs", "run the tests as root, with CAP_SYS_ADMIN")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def sink():
    with Sink("key") as running:
        yield running


def fill(folder):
    """A file that takes all that is left."""
    with (folder / "ballast").open("ab", buffering=0) as ballast:
        for size in (MB, 4096):
            with contextlib.suppress(OSError):
                while ballast.write(b"\0" * size) == size:
                    pass


def status(daemon, path="readyz"):
    return requests.get(f"{daemon.url}/{path}", timeout=STILL).status_code


@forms("cycles", 2, 20, timeout=1800)
def test_a_full_disk_refuses_and_recovers(tmp_path, sink, figures, cycles):
    """Under load the disk fills: hooks answer 503 and /readyz 503 within five seconds, and never 2xx for what is not kept; with
    space again, whether by removing something or by a larger disk, both are well within ten, without a hand; nothing is lost."""
    began, unready, ready = time.monotonic(), [], []
    with small_disk(tmp_path / "disk") as remount, Bridge(tmp_path, {"key": keyed(sink.port)}) as daemon:
        daemon.config["store"]["path"] = str(tmp_path / "disk" / "crmbridge.db")
        daemon.config["admin"] = {"listen": str(tmp_path / "data" / "crmbridge.sock")}
        (tmp_path / "data").mkdir()
        daemon.write()
        daemon.start()
        with Source(daemon, 60) as source:
            for cycle in range(cycles):
                time.sleep(1)
                fill(tmp_path / "disk")
                probe = iter(range(10**9, 10**10))
                until(lambda probe=probe: refused(daemon, next(probe)), "a hook is refused")
                at = time.monotonic()
                until(lambda: status(daemon) == 503, "/readyz says so")
                unready.append(time.monotonic() - at)
                assert status(daemon, "healthz") == 200
                assert daemon.process.poll() is None
                time.sleep(1)
                at = time.monotonic()
                if cycle % 2:
                    (tmp_path / "disk" / "ballast").unlink()
                else:
                    remount(f"size={SIZE * (cycle + 2)}m")
                until(lambda: status(daemon) == 200, "/readyz is well again")
                ready.append(time.monotonic() - at)
            facts = source.finish()
        daemon.quiet()
        nothing_is_dead(daemon)
        assert daemon.stop() == 0
        said = sink.counts()["said"]
    n = facts["acknowledged"]
    lost, doubled = judge("key", n, said)
    figures(
        "full disk",
        cycles=cycles,
        n=n,
        refused=facts["statuses"].get("503", 0),
        lost=lost,
        doubled=doubled,
        unready_s=round(max(unready), 1),
        ready_s=round(max(ready), 1),
        seconds=round(time.monotonic() - began),
    )

    assert (lost, doubled) == (0, 0)
    assert facts["statuses"].get("503", 0) > 0, "the source was never refused: nothing is proved"
    assert set(facts["statuses"]) <= {"202", "503"}
    assert max(unready) <= 5
    assert max(ready) <= 10


def refused(daemon, number):
    """Whether a hook for a record that no rule speaks of is refused."""
    return daemon.post(daemon.body(number, bucket="none")) == 503


def test_a_read_only_disk_is_said_and_nothing_is_lost(tmp_path, sink):
    """What was taken in before waits: the daemon does not start on a disk that it cannot write, says why, and goes on later."""
    with small_disk(tmp_path / "disk") as remount, Bridge(tmp_path, {"key": keyed(1)}) as daemon:
        daemon.config["store"]["path"] = str(tmp_path / "disk" / "crmbridge.db")
        daemon.config["admin"] = {"listen": str(tmp_path / "data" / "crmbridge.sock")}
        (tmp_path / "data").mkdir()
        daemon.write()
        daemon.start()
        body = daemon.body(1, name="ev-00000001", bucket="001")
        assert daemon.post(body) == 202
        daemon.kill()
        remount("ro")
        ended = daemon.cli("run")
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        assert "crmbridge.db" in ended.stderr

        remount("rw")
        daemon.config["destinations"]["key"] = keyed(sink.port)
        daemon.write()
        daemon.start()
        daemon.quiet()
        assert sink.counts()["said"] == {"ev-00000001": 1}
        assert daemon.stop() == 0


def test_a_failed_sync_ends_the_daemon_and_loses_nothing(tmp_path, sink, strace, figures):
    """From some sync on the disk fails for ever: the daemon acknowledges nothing more and ends with 1, for what is on disk cannot be
    trusted; on a disk that works again it goes on, and nothing that it had acknowledged is lost or said twice."""
    began = time.monotonic()
    with Bridge(tmp_path, {"key": keyed(sink.port)}) as daemon:
        log = (tmp_path / "output").open("ab")
        fault = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=60+", "-o", "/dev/null"]
        command = [strace, "-f", "-qq", *fault, CRMBRIDGE, "run", "-c", daemon.path]
        daemon.process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        until(lambda: answers(daemon), "it runs")
        with Source(daemon, 60) as source:
            until(lambda: daemon.process.poll() is not None, "the sync fails", moved=daemon.recorded)
            assert daemon.process.returncode == 1
            assert "the database cannot be written" in daemon.output
            daemon.start()
            facts = source.finish()
        daemon.quiet()
        nothing_is_dead(daemon)
        assert daemon.stop() == 0
        said = sink.counts()["said"]
    lost, doubled = judge("key", facts["acknowledged"], said)
    seconds = round(time.monotonic() - began)
    figures("failed sync", n=facts["acknowledged"], statuses=facts["statuses"], lost=lost, doubled=doubled, seconds=seconds)

    assert (lost, doubled) == (0, 0)


def answers(daemon):
    """Whether it answers at all."""
    with contextlib.suppress(requests.ConnectionError):
        return status(daemon, "healthz") == 200
