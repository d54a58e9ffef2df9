"""What the tests wait with: it is patient with what moves, and ends where nothing does."""

import pytest
from flow.daemon import until


def test_what_moves_may_take_longer():
    """A second in all, though a fifth of one is the limit."""
    looks = []
    assert until(lambda: len(looks) > 20, "twenty looks", 0.2, moved=lambda: looks.append(1) or len(looks))


@pytest.mark.parametrize("moved", [None, lambda: "stuck"])
def test_what_stands_still_fails(moved):
    """It says what was waited for."""
    with pytest.raises(AssertionError, match=r"within 0\.2 s: what never comes"):
        until(lambda: False, "what never comes", 0.2, moved=moved)
