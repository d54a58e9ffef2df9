"""The bench runs end to end, and every event that was acknowledged arrived exactly once. Speed never fails a test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvloop")

BENCH = Path(__file__).with_name("bench.py")


def run(*options: str) -> dict:
    """The one line of JSON. The bench itself counts what arrived, and ends with 1 if that is not what was sent, once each."""
    ended = subprocess.run([sys.executable, str(BENCH), "--quick", *options], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    return json.loads(line)


def test_it_measures_crmbridge_beside_the_floor():
    found = run()
    for system in ("crmbridge", "floor"):
        assert found[system]["events"] > 0
        assert {"per_s", "intake_per_s", "cpu_ms", "start_s", "idle_mb", "load_mb", "ack_p50_ms", "ack_p99_ms"} <= found[system].keys()
    assert found["chirp"]["per_s"] > 0
    assert found["ratio_to_floor"] > 0
    assert found["ceilings"]["driver_to_sink_per_s"] > 0
    assert found["versions"]["crmbridge"]
