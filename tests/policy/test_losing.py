"""What a router loses, how sure that is, and when it has to stop."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.losing import Loss, loss, turn

counts = st.integers(0, 400)


@given(counts, counts, counts)
def test_the_interval_is_around_the_estimate(wins: int, ties: int, losses: int) -> None:
    found = loss(wins, ties, losses)
    assert -1 <= found.low <= found.mean <= found.high <= 1
    mirrored = loss(losses, ties, wins)
    assert abs(found.low + mirrored.high) < 1e-9 and abs(found.mean + mirrored.mean) < 1e-9


def test_more_runs_say_more() -> None:
    few, many = loss(2, 14, 4), loss(50, 350, 100)
    assert few.mean == many.mean and many.high - many.low < 0.5 * (few.high - few.low)


def test_looking_after_every_run_is_seldom_wrong() -> None:
    """A router that loses exactly what it may, looked at a thousand times, is closed in at most 5 % of all cases."""
    chance, closed = random.Random(3), 0
    for _ in range(100):
        wins = ties = losses = 0
        for number in range(400):
            drawn = chance.random()
            wins, ties, losses = wins + (drawn < 0.1), ties + (drawn >= 0.3), losses + (0.1 <= drawn < 0.3)
            if number % 10 == 9 and turn(loss(wins, ties, losses), 0.1, closed=False) is not None:
                closed += 1
                break
    assert closed <= 5


def test_a_bad_router_is_closed_soon_and_has_a_way_back() -> None:
    bad = loss(2, 40, 58)
    verdict = turn(bad, 0.1, closed=False)
    assert verdict is not None and verdict.closed and "100 shadow runs, allowed are 10.0%" in verdict.reason
    assert turn(bad, 0.1, closed=True) is None
    assert turn(Loss(0, 0.0, -1.0, 1.0), 0.1, closed=True) is None
    good = loss(30, 340, 10)
    assert turn(good, 0.1, closed=False) is None
    back = turn(good, 0.1, closed=True)
    assert back is not None and not back.closed
