"""Where the test vectors are, and what to do without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of test vectors that nobody here wrote: CRMBRIDGE_VECTORS, or ../shared/vectors beside the repository."""
    beside = Path(__file__).parents[4] / "shared" / "vectors"
    folder = Path(os.environ.get("CRMBRIDGE_VECTORS") or beside)
    if folder.is_dir():
        return folder
    sentence = f"the test vectors are not at {folder}; set CRMBRIDGE_VECTORS to their folder"
    if os.environ.get("CRMBRIDGE_REQUIRE") == "all":
        pytest.fail(sentence)
    pytest.skip(sentence)
