"""PGR and APGR: known orders have known figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from headgate.evaluating import gap

GAINS = np.array([1, 1, 0, 0])  # of four prompts two are lost by the weak model


def area(hardness: list[float], gains: np.ndarray = GAINS) -> float:
    return gap.apgr(gap.order_by(np.array(hardness), gains))


def test_known_orders() -> None:
    assert area([4, 3, 2, 1]) == pytest.approx(0.75)  # up to 1 over the first half, then flat
    assert area([1, 2, 3, 4]) == pytest.approx(0.25)
    assert area([0, 0, 0, 0]) == pytest.approx(0.5)  # equal rows are in an order by chance
    assert area([1, 0, 1, 0]) == pytest.approx(0.5)


def test_what_the_weak_model_wins_lifts_the_curve_above_one() -> None:
    gains = np.array([1, 1, -1])
    assert area([3, 2, 1], gains) == pytest.approx((0.5 * 1 + 1.5 + 1.5) / 3)


def test_the_curve_goes_from_nothing_to_all() -> None:
    shares, recovered = gap.curve(gap.order_by(np.array([3.0, 2.0, 1.0, 1.0]), GAINS))
    assert shares.tolist() == [0, 0.25, 0.5, 1]
    assert recovered.tolist() == [0, 0.5, 1, 1]


def test_share_for_a_quality() -> None:
    order = gap.order_by(np.array([4.0, 3.0, 2.0, 1.0]), GAINS)
    assert gap.share_for(order, 0.0) == 0
    assert gap.share_for(order, 0.5) == pytest.approx(0.25)
    assert gap.share_for(order, 0.75) == pytest.approx(0.375)
    assert gap.share_for(order, 2.0) == 1


@given(some.lists(some.tuples(some.floats(-5, 5), some.sampled_from([-1, 0, 1])), min_size=2, max_size=40))
def test_an_order_and_its_reverse_share_the_square(rows: list[tuple[float, int]]) -> None:
    hardness, gains = (np.array(column) for column in zip(*rows, strict=True))
    if gains.sum() != 0:
        assert area(list(hardness), gains) + area(list(-hardness), gains) == pytest.approx(1)


def test_weights_count_rows_several_times() -> None:
    hardness = np.array([3.0, 2.0, 1.0])
    gains = np.array([1, 0, 1])
    weighted = gap.apgr(gap.order_by(hardness, gains), np.array([2.0, 1.0, 1.0]))
    assert weighted == pytest.approx(area([3, 3, 2, 1], np.array([1, 1, 0, 1])))


def test_prompts_are_drawn_not_rows() -> None:
    chance = np.random.default_rng(0)
    hardness, gains = (np.repeat(column, 10) for column in (chance.uniform(size=40), chance.integers(0, 2, 40)))
    alone = gap.resampled([gap.order_by(hardness, gains)], np.arange(400))
    together = gap.resampled([gap.order_by(hardness, gains)], np.arange(400) // 10)
    assert np.std(together) > 1.5 * np.std(alone)
    assert gap.resampled([gap.order_by(hardness, gains)], np.arange(400)).tolist() == alone.tolist()
