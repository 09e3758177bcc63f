"""A sliding window is never below the truth, and forgets at most one slice late."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.policy.sliding import SLICES, SlidingWindow, fits_at
from tests.scale import scaled

START = 1_767_225_600.0
STEPS = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 50), st.booleans()), min_size=1, max_size=60)
HAIR = 1e-5  # seconds: what floating point makes of a slice's end


@settings(max_examples=scaled(5_000, 200))
@given(steps=STEPS, period_seconds=st.sampled_from([60.0, 77.0, 3_600.0]), slices=st.sampled_from([60, SLICES]))
def test_it_is_between_the_truth_and_the_truth_one_slice_longer(
    steps: list[tuple[float, int, bool]], period_seconds: float, slices: int
) -> None:
    window, now = SlidingWindow(period_seconds, slices), START
    came: list[tuple[float, int]] = []
    for seconds, amount, amends in steps:
        now += seconds
        window.used(now)
        if amends and came:
            at, before = came[-1]
            if at > now - period_seconds + HAIR:
                window.amend(amount - before, at)
                came[-1] = at, amount
        else:
            window.add(amount, now)
            came.append((now, amount))
        least, most = (
            sum(amount for at, amount in came if at > now - longer)
            for longer in (period_seconds - HAIR, period_seconds + period_seconds / slices + HAIR)
        )
        assert least <= window.used(now) <= most


@settings(max_examples=scaled(2_000, 100))
@given(st.lists(st.floats(0, 3), min_size=50, max_size=300), st.integers(1, 30))
def test_no_moving_period_has_more_than_what_is_let_in_by_it(gaps: list[float], limit: int) -> None:
    window, now, came = SlidingWindow(60.0), START, []
    for gap in gaps:
        now += gap
        if window.used(now) + 1 <= limit:
            window.add(1, now)
            came.append(now)
    assert all(later - earlier >= 60.0 - HAIR for earlier, later in zip(came, came[limit:], strict=False))


def test_under_steady_load_nearly_all_of_the_limit_is_let_in() -> None:
    window, let_in = SlidingWindow(60.0), 0
    for tenth in range(36_000):
        now = START + tenth / 10
        if window.used(now) + 1 <= 20:
            window.add(1, now)
            let_in += 1
    assert let_in >= SLICES / (SLICES + 1) * 20 * 60


def test_its_memory_does_not_grow_with_the_traffic() -> None:
    window = SlidingWindow(60.0)
    for step in range(100_000):
        now = START + step / 100
        window.used(now)
        window.add(1, now)
    assert len(list(window.slices())) <= SLICES + 2


def test_an_amount_that_has_left_is_not_amended() -> None:
    window = SlidingWindow(60.0)
    window.add(10, START)
    assert window.used(START + 61) == 0
    window.amend(-10, START)
    assert window.used(START + 61) == 0


@pytest.mark.parametrize(("excess", "expected"), [(0, 5.0), (1, 7.0), (3, 7.0), (4, 9.0), (99, 9.0)])
def test_an_excess_has_left_with_the_first_that_are_enough(excess: int, expected: float) -> None:
    assert fits_at([(7.0, 3), (9.0, 4)], excess, 5.0) == expected


def test_a_slice_has_left_at_the_time_that_is_told() -> None:
    window = SlidingWindow(60.0)
    window.add(3, START + 1.1)
    (place, _), = window.slices()  # fmt: skip
    at = window.expires_at(place)
    assert window.used(math.nextafter(at, 0)) == 3 and window.used(at) == 0
