"""What all tests share: real parts that may be missing, and where outside test data lies."""

import os
import shutil
from pathlib import Path

import pytest
from shared import ROOT, need


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
