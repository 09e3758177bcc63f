"""What a router loses, how sure that is, and when it has to stop."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.losing import ALPHA, Loss, evidence, loss, turn

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
    """Of 1,000 routers that lose exactly what they may, looked at after each of 150 runs, at most 2.5 % are closed.

    The bound on what is looked at here is `ALPHA` / 2; three standard deviations of the drawing are allowed for.
    """
    chance = random.Random(3)
    closed = 0
    for stream in range(1_000):
        wins, ties, losses, is_closed = 0, 0, 0, False
        share_better = (0.0, 0.1, 0.3)[stream % 3]
        for _ in range(150):
            drawn = chance.random()
            better, worse = drawn < share_better, share_better <= drawn < 2 * share_better + 0.1
            wins, ties, losses = wins + better, ties + (not better and not worse), losses + worse
            if losses - wins > 0.1 * (wins + ties + losses):
                is_closed = is_closed or evidence(wins, ties, losses, 0.1) >= math.log(2 / ALPHA)
        closed += is_closed
    assert closed <= 25 + 3 * math.sqrt(25)


@given(counts, counts, counts, st.floats(0.01, 0.9))
def test_a_router_is_closed_by_the_evidence_against_what_it_may_lose(
    wins: int, ties: int, losses: int, max_loss: float
) -> None:
    found = loss(wins, ties, losses)
    if abs(found.low - max_loss) > 1e-6 and found.mean > max_loss:
        refuted = evidence(wins, ties, losses, max_loss) >= math.log(2 / ALPHA)
        assert refuted == (turn(found, max_loss, closed=False) is not None)


@pytest.mark.parametrize(("worse", "runs"), [((1, 1), 10), ((2, 3), 15), ((1, 2), 22)])
def test_how_many_bad_verdicts_it_takes(worse: tuple[int, int], runs: int) -> None:
    """Of a router that may lose a tenth, when so many of so many answers are worse and the others as good."""
    closed = next(
        judged
        for judged in range(1, 200)
        if turn(loss(0, judged - judged * worse[0] // worse[1], judged * worse[0] // worse[1]), 0.1, closed=False)
    )
    assert closed == runs


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
