"""Forecasts against what it came to: mixed sizes, unlike groups, few items."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from headgate.job_types import Group, Sampled
from headgate.policy.forecast import cost_forecast, eta

Item = tuple[int, int]  # bytes and cost


def draw(seed: int, count: int, answer_cv: float = 0.8) -> list[Item]:
    """Requests of mixed sizes; answers are long or short by themselves and cost more than half."""
    chance = random.Random(seed)
    spread = math.sqrt(math.log(1 + answer_cv**2))
    made = []
    for _ in range(count):
        size = int(chance.lognormvariate(math.log(4000), 1.0)) + 200
        made.append((size, round(size * 40_000 + 300_000_000 * chance.lognormvariate(-(spread**2) / 2, spread))))
    return made


def group(items: Sequence[Item], done: int, most: int = 2000) -> Group:
    over, left = items[:done], items[done:]
    stride = max(1, -(-done // most))
    sample = tuple(Sampled(*item) for item in over[::stride])
    return Group(done, len(left), sum(cost for _, cost in over), sum(size for size, _ in left), sample)


def spent(items: Sequence[Item], done: int) -> int:
    return sum(cost for _, cost in items[:done])


def whole(items: Sequence[Item]) -> int:
    return spent(items, len(items))


def error(items: Sequence[Item], done: int) -> float:
    forecast = cost_forecast(spent(items, done), [group(items, done)])
    assert forecast is not None
    return forecast.cost_picousd / whole(items) - 1


@pytest.mark.parametrize("seed", range(5))
def test_after_a_tenth_it_is_within_five_percent(seed: int) -> None:
    items = draw(seed, 20_000)
    assert abs(error(items, 2000)) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_sizes_help_where_the_small_ones_come_first(seed: int) -> None:
    items = sorted(draw(seed, 20_000, 0.1), key=lambda item: item[0])
    without = spent(items, 2000) / 2000 * len(items) / whole(items) - 1
    assert without < -0.3 and abs(error(items, 2000)) < 0.1
    shuffled = draw(seed, 5000)
    assert abs(error(shuffled, 500)) < 0.08


def test_the_interval_has_the_end_nineteen_times_in_twenty() -> None:
    inside = 0
    for seed in range(200):
        items = draw(seed, 300)
        forecast = cost_forecast(spent(items, 60), [group(items, 60)])
        assert forecast is not None and forecast.low_picousd <= forecast.cost_picousd <= forecast.high_picousd
        inside += forecast.low_picousd <= whole(items) <= forecast.high_picousd
    assert inside >= 180


def test_near_the_end_it_is_what_it_costs() -> None:
    items = draw(1, 5000)
    assert abs(error(items, 4990)) < 0.002
    done = cost_forecast(whole(items), [group(items, 5000)])
    assert done is not None and done.cost_picousd == done.low_picousd == done.high_picousd == whole(items)


def test_groups_are_forecast_by_themselves() -> None:
    """A summary costs a hundred times what a document costs, and hardly any are done yet."""
    documents, chance = draw(2, 10_000), random.Random(2)
    summaries = [(50_000, round(40e9 * chance.uniform(0.8, 1.2))) for _ in range(100)]
    both = [group(documents, 5000), group(summaries, 10)]
    forecast = cost_forecast(spent(documents, 5000) + spent(summaries, 10), both)
    assert forecast is not None
    assert forecast.cost_picousd == pytest.approx(whole(documents) + whole(summaries), rel=0.05)
    unknown = [group(documents, 5000), Group(0, 100, 0, 5e6)]
    assert cost_forecast(spent(documents, 5000), unknown) is None


def test_few_items() -> None:
    one = cost_forecast(100, [Group(1, 1, 100, 2000, (Sampled(1000, 100),))])
    assert one is not None and one.cost_picousd == 300 and one.low_picousd == 100 and one.high_picousd > 500
    same = cost_forecast(200, [Group(2, 8, 200, 8000, (Sampled(1000, 100),) * 2)])
    assert same is not None and same.cost_picousd == same.high_picousd == 1000
    empty = cost_forecast(0, [Group(4, 4, 0, 0, (Sampled(0, 0),) * 4)])
    assert empty is not None and empty.cost_picousd == 0


def test_when_it_is_over() -> None:
    ends = [1000.0 + 2.0 * index for index in range(101)]
    steady = eta(1200.0, ends, 50)
    assert steady is not None and steady.at == pytest.approx(1300.0)
    assert 1200.0 < steady.low_at < 1300.0 < steady.high_at < 1350.0
    stalled = eta(1400.0, ends, 50)
    assert stalled is not None and stalled.at == pytest.approx(1600.0)
    assert eta(1200.0, ends[:1], 50) is None and eta(1200.0, ends, 0) is None


def test_the_interval_of_the_time() -> None:
    inside = 0
    for seed in range(200):
        chance = random.Random(seed)
        ends, at = [], 0.0
        for _ in range(400):
            at += chance.expovariate(1.0)
            ends.append(at)
        told = eta(ends[199], ends[:200], 200)
        assert told is not None
        inside += told.low_at <= ends[-1] <= told.high_at
    assert inside >= 180


def test_those_that_say_nothing_of_the_others_are_counted_once() -> None:
    """Two at 100 are known, one at 10 is done but was quick, and one is under way: all four are taken for 100."""
    known = Group(2, 2, 200, 2000.0, (Sampled(1000, 100),) * 2, unsettled=1, unsettled_picousd=10)
    forecast = cost_forecast(210, [known])
    assert forecast is not None and forecast.cost_picousd == 400
