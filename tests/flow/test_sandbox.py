"""The daemon under the restrictions of its unit and its image, as far as they can be had without systemd and a container engine:
a read-only root, a user without rights, no capabilities, no new ones, and no memory that is both written and executed."""

import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from shared import ROOT, need

CONFIG = """
crmbridge: 1
store: {path: state/crmbridge.db}
server: {listen: "127.0.0.1:PORT"}
sources:
  crm:
    type: webhook
    signature: {scheme: hmac-sha256, header: X-Signature, secret: {file: FOLDER/secret}}
    map: {record_type: {value: Deal}, record_id: body.id, fields: body}
destinations:
  feed: {type: chirp}
  log: {type: file, path: state/out.jsonl}
rules:
  - id: any
    when: {source: crm, record: Deal}
    publish:
      - {id: feed, to: feed, channel: {for: record.id, title: record.name}, text: "{{ record.name }}"}
      - {id: log, to: log, text: "{{ record.name }}"}
"""
# PR_SET_MDWE (Linux 6.3): what systemd's MemoryDenyWriteExecute= forbids, for this process and those that it becomes.
LAUNCH = "import ctypes, os, sys; print('mdwe', ctypes.CDLL(None).prctl(65, 1, 0, 0, 0), flush=True); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.fixture
def bwrap() -> str:
    """The bubblewrap binary."""
    found = shutil.which("bwrap")
    need(found, "bubblewrap", "apt-get install bubblewrap")
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answer(request) -> int:
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.status


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come to that in time")


@pytest.mark.real
def test_it_runs_with_nothing_but_its_state_folder(bwrap, tmp_path):
    """Ready, takes a webhook, publishes to the feed and to a file, and ends cleanly."""
    port = free_port()
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "secret").write_text("a-secret-of-the-sender\n")
    (tmp_path / "crmbridge.yaml").write_text(CONFIG.replace("PORT", str(port)).replace("FOLDER", str(tmp_path)))
    command = str(Path(sys.executable).with_name("crmbridge"))
    wrapped = [bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/var/tmp"]
    wrapped += ["--ro-bind", str(ROOT), str(ROOT)]  # a checkout may lie in /var/tmp
    wrapped += ["--bind", str(tmp_path / "state"), str(tmp_path / "state"), "--unshare-user", "--uid", "10001", "--gid", "10001"]
    wrapped += ["--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"]
    wrapped += ["--setenv", "PATH", "/usr/bin:/bin", "--chdir", "/"]
    wrapped += [sys.executable, "-c", LAUNCH, command, "run", "--config", str(tmp_path / "crmbridge.yaml")]
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(wrapped, stdout=log, stderr=subprocess.STDOUT)
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: answer(f"{base}/readyz") == 200)
        body = json.dumps({"id": "1", "name": "Parkers"}).encode()
        signature = hmac.new(b"a-secret-of-the-sender", body, hashlib.sha256).hexdigest()
        request = urllib.request.Request(f"{base}/hooks/crm", body, {"X-Signature": signature, "Content-Type": "application/json"})
        assert answer(request) == 202
        wait_for(lambda: "Parkers" in (tmp_path / "state" / "out.jsonl").read_text())
        metrics = tmp_path / "state" / "crmbridge.sock"
        delivered = 'crmbridge_deliveries_total{destination="feed",outcome="delivered"} 1.0'
        wait_for(lambda: delivered in _over_socket(metrics))
    finally:
        # bwrap stays as the parent and dies of a signal without passing it on: the daemon itself is told.
        for inner in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split():
            os.kill(int(inner), signal.SIGTERM)
        code = daemon.wait(60)
        said = (tmp_path / "log").read_text()
    assert "mdwe 0" in said, "the kernel does not know PR_SET_MDWE"
    assert "crmbridge has stopped" in said
    assert code == 0, said


def _over_socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(60)
        admin.connect(str(path))
        admin.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: admin.recv(65536), b"")).decode()
