"""What all tests share: real parts that may be missing, and where outside test data lies."""

import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def need(there: object, what: str, command: str) -> None:
    """Skip with the command that brings a real part; with CRMBRIDGE_REQUIRE=all a missing part is a failure."""
    if there:
        return
    message = f"{what} is missing: {command}"
    if os.environ.get("CRMBRIDGE_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Test data that nobody of this project wrote; it is not part of the repository."""
    folder = Path(os.environ.get("CRMBRIDGE_VECTORS") or ROOT.parent / "shared" / "vectors")
    need(folder.is_dir(), f"the vectors folder {folder}", "set CRMBRIDGE_VECTORS to where it lies")
    return folder


@pytest.fixture(scope="session")
def strace() -> str:
    """The strace binary."""
    found = shutil.which("strace")
    need(found, "strace", "apt-get install strace")
    return str(found)
