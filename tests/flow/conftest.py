"""What tests of one running daemon share; a proof that needs other parts makes its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flow.daemon import Daemon, Networks


@pytest.fixture
def networks() -> Iterator[Networks]:
    """Stand-ins of the networks, which count what they hear."""
    with Networks() as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, networks: Networks) -> Iterator[Daemon]:
    """A folder with a configuration, not started yet."""
    with Daemon(tmp_path, networks) as made:
        yield made
