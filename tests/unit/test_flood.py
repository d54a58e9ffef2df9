"""The flood guard: the first go, one summary, the rest waits; a flood ends when fewer come."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from crmbridge.intake.flood import Admission, FloodGuard, Share
from crmbridge.rules.rule import Surge

LANE, SURGE = Share("won", "wins", "#wins"), Surge(3, timedelta(seconds=10))
GO, FIRST, HELD = Admission.GO, Admission.FIRST_HELD, Admission.HELD


def admitted(guard, now, count=1, lane=LANE, keep=True):
    trial = guard.trial(now)
    found = [trial.admit(lane, SURGE) for _ in range(count)]
    if keep:
        trial.keep()
    return found


def test_the_first_go_and_one_is_the_sign():
    """In one batch or in several; each lane counts for itself."""
    guard = FloodGuard()
    assert admitted(guard, 0.0, 5) == [GO, GO, GO, FIRST, HELD]
    assert admitted(guard, 1.0, 2) == [HELD, HELD]
    assert admitted(guard, 1.0, 1, Share("won", "wins", "#other")) == [GO]


def test_held_ones_count_too():
    """A flood that goes on for an hour lets nothing through every minute; it ends when fewer come."""
    guard = FloodGuard()
    admitted(guard, 0.0, 5)
    for second in range(1, 60):
        assert admitted(guard, float(second)) == [HELD]
    assert admitted(guard, 80.0) == [GO]


def test_a_new_flood_has_a_new_sign():
    """After it was quiet."""
    guard = FloodGuard()
    admitted(guard, 0.0, 5)
    assert admitted(guard, 100.0, 5) == [GO, GO, GO, FIRST, HELD]


def test_what_is_interpreted_again_counts_once():
    """A batch that conflicted leaves no trace."""
    guard = FloodGuard()
    admitted(guard, 0.0, 3, keep=False)
    assert admitted(guard, 0.0, 3) == [GO, GO, GO]


def test_a_restart_in_the_middle_of_a_flood_lets_nothing_through():
    """What was accepted before is remembered from the store."""
    guard = FloodGuard()
    guard.remember([(LANE, -3.0, False), (LANE, -2.0, False), (LANE, -1.0, False), (LANE, -0.5, True)])
    assert admitted(guard, 0.0, 2) == [HELD, HELD]


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 6)), max_size=30))
def test_never_more_than_allowed_in_any_window(arrivals):
    """Whatever arrives when: in no window of ten seconds more than three go."""
    guard, gone, now = FloodGuard(), [], 0.0
    for pause, count in arrivals:
        now += pause
        gone += [now] * admitted(guard, now, count).count(GO)
    for first, later in zip(gone, gone[3:], strict=False):
        assert later - first >= 10.0
