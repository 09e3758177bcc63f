"""Each kind of meter by itself: a rate is a token bucket and a window, a budget counts what is spent and held."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headgate.metering import Meter, Verdict
from headgate.policy.meters import Budget, Rate, Repeat, Rolling
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.contract.counting import budget, rate, repeat, rolling
from tests.scale import scaled

START = 1_767_225_600.0


def admitted(state: Rate, meter: Meter, amount: int, now: float) -> bool:
    let_in = state.verdict(meter, amount, now) is None
    if let_in:
        state.take(meter, amount, now)
    return let_in


class Bucket:
    """A token bucket as it is told: it fills steadily up to its burst, and a full one lets more pass, into debt."""

    def __init__(self, burst: float, per_second: float) -> None:
        self.level = self.burst = burst
        self.per_second = per_second
        self.at = START

    def fill(self, now: float) -> None:
        self.level, self.at = min(self.burst, self.level + (now - self.at) * self.per_second), now

    def lets(self, amount: int) -> bool:
        return self.level >= self.burst or amount <= self.level


@settings(max_examples=scaled(5_000, 200))
@given(
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 40)), min_size=1, max_size=80),
    burst_seconds=st.sampled_from([0.5, 5.0, 30.0]),
)
def test_the_cell_rate_algorithm_is_a_token_bucket(steps: list[tuple[float, int]], burst_seconds: float) -> None:
    limit = 10**6  # of which the window never has its fill
    meter = rate(limit, Measure.TOKENS, burst_seconds=burst_seconds)
    scale, state, bucket, now = limit // 600, Rate(meter), Bucket(limit / 60 * burst_seconds, limit / 60), START
    for seconds, tenths in steps:
        now += seconds
        amount = tenths * scale
        bucket.fill(now)
        assume(state.window.used(now) + amount <= limit)
        is_close = abs(bucket.level - min(amount, bucket.burst)) < 1e-2 or abs(bucket.level - bucket.burst) < 1e-2
        let_in = admitted(state, meter, amount, now)
        assert is_close or let_in == bucket.lets(amount)
        if let_in:
            bucket.level -= amount


@settings(max_examples=scaled(3_000, 150))
@given(
    steps=st.lists(st.tuples(st.floats(0, 15), st.integers(1, 300), st.floats(0, 1)), min_size=1, max_size=80),
    burst_seconds=st.sampled_from([1.0, 20.0, 60.0]),
)
def test_no_moving_minute_has_more_than_the_limit_whatever_is_given_back(
    steps: list[tuple[float, int, float]], burst_seconds: float
) -> None:
    meter = rate(1_000, Measure.TOKENS, burst_seconds=burst_seconds)
    state, now, came = Rate(meter), START, list[tuple[float, int]]()
    for seconds, amount, share in steps:
        now += seconds
        if admitted(state, meter, amount, now):
            actual = int(amount * share)
            state.settle(meter, amount, actual, now, now)
            came.append((now, actual))
        assert sum(amount for at, amount in came if at > now - 60.0) <= 1_000


def test_a_request_that_no_minute_has_room_for_is_too_large() -> None:
    meter = rate(10, Measure.TOKENS)
    assert Rate(meter).verdict(meter, 11, START) is Verdict.TOO_LARGE


def test_a_promise_is_kept_free_for_whoever_was_told() -> None:
    meter = rate(60, burst_seconds=1.0)
    state = Rate(meter)
    assert admitted(state, meter, 1, START)
    told = []
    for _ in range(5):
        told.append(state.turn_at(meter, 1, START, START))
        state.promise(meter, 1, told[-1])
    assert told == pytest.approx([START + second for second in (1, 2, 3, 4, 5)], abs=0.01)
    assert all(admitted(state, meter, 1, at) for at in told)


def test_who_comes_late_by_another_limit_leaves_the_time_before_to_others_and_has_his_turn() -> None:
    meter = rate(60, burst_seconds=1.0)
    state = Rate(meter)
    assert admitted(state, meter, 1, START)
    state.promise(meter, 1, START + 4.5)
    told = []
    for _ in range(6):
        told.append(state.turn_at(meter, 1, START, START))
        state.promise(meter, 1, told[-1])
    assert told == pytest.approx([START + second for second in (1, 2, 3, 5.5, 6.5, 7.5)], abs=0.01)
    assert all(admitted(state, meter, 1, at) for at in sorted([*told, START + 4.5]))


@given(
    st.sampled_from([0.5, 2.0, 10.0, 60.0]),
    st.lists(st.integers(1, 200), max_size=20),
    st.lists(st.tuples(st.integers(1, 300), st.sampled_from([0.0, 0.0, 0.0, 7.5, 40.0, 130.0])), max_size=40),
)
def test_everybody_who_was_told_a_time_is_let_in(
    burst_seconds: float, before: list[int], asked: list[tuple[int, float]]
) -> None:
    """In whatever order they were told, though some are kept by another limit for a while. Nobody else comes."""
    meter = rate(1_000, Measure.TOKENS, burst_seconds=burst_seconds)
    state, now = Rate(meter), START
    for amount in before:
        admitted(state, meter, amount, now)
    told = []
    for amount, later_seconds in asked:
        at = state.turn_at(meter, amount, now, now + later_seconds)
        assert at >= now + later_seconds
        state.promise(meter, amount, at)
        told.append((at, amount))
    assert all(admitted(state, meter, amount, at) for at, amount in sorted(told))


@pytest.mark.parametrize(
    ("limit", "spent", "held", "amount", "expected"),
    [
        (100, 0, 0, 100, None),
        (100, 0, 0, 101, Verdict.TOO_LARGE),
        (100, 60, 0, 41, Verdict.SPENT),
        (100, 60, 10, 31, Verdict.HELD),
        (100, 60, 10, 30, None),
        (100, 200, 0, 0, None),  # what costs nothing is free
        (0, 0, 0, 1, Verdict.SPENT),
    ],
)
def test_a_budget_tells_spent_from_held(
    limit: int, spent: int, held: int, amount: int, expected: Verdict | None
) -> None:
    meter = budget(limit)
    state = Budget(meter)
    state.take(meter, spent, START)
    state.settle(meter, spent, spent, START, START)
    state.take(meter, held, START)
    assert state.verdict(meter, amount, START) is expected
    assert state.room(meter, START) == limit - spent


def test_a_rolling_budget_counts_from_the_admission() -> None:
    meter = rolling(100, 60.0)
    state = Rolling(meter)
    state.take(meter, 50, START)
    state.settle(meter, 50, 40, START, START + 50)
    assert state.reading(meter, START + 50).used == 40
    assert state.reading(meter, START + 61).used == 0


def test_the_same_in_a_row_is_counted_until_another_comes() -> None:
    meter = repeat(2)
    state = Repeat(meter)
    for fingerprint, expected in ((7, None), (7, None), (7, Verdict.LOOP), (8, None), (0, None)):
        assert state.verdict(meter, fingerprint, START) is expected
        if expected is None:
            state.take(meter, fingerprint, START)


def test_what_was_used_before_a_restart_leaves_a_bucket_empty_at_most() -> None:
    rule = Rule("rate", MeterKind.RATE, Measure.REQUESTS, Scope.KEY, 60, burst_seconds=5.0)
    meter = Meter("rate", rule, "key_1", None, 60)
    state = Rate(meter)
    state.restore(meter, 50, START)
    assert state.window.used(START) == 50 and state.turn_at(meter, 1, START, START) == pytest.approx(START + 1.0)
