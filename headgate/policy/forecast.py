"""What a job will cost in the end and when it will be over, from what is done of it.

Cost: items that are alike cost alike, in proportion to their size and something beside it. The mean cost of an item
that is left is that of those that are done, moved along the regression line of cost on size by how much larger or
smaller the rest is (the regression estimator of survey sampling: Cochran, "Sampling Techniques", chapter 7). Groups of
unlike items, the documents of a tree and its summaries, are forecast by themselves and added up.

Time: at the pace of the last items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headgate.job_types import Group, Sampled
from headgate.types import Frozen

Z_95 = 1.96
FEWEST_FOR_A_LINE = 8  # done items before sizes are believed to say anything
FEWEST_FOR_A_PACE = 2


class CostForecast(Frozen, frozen=True, gc=False):
    """Of the whole, with the interval that it is in with 95 % probability if the rest is like what is done."""

    cost_picousd: int
    low_picousd: int
    high_picousd: int


class Eta(Frozen, frozen=True, gc=False):
    """When it will be over, as Unix seconds, and between which times with 95 % probability at a steady pace."""

    at: float
    low_at: float
    high_at: float


class _Line(Frozen, frozen=True, gc=False):
    """What an item of a size costs: `mean + slope * (size - mean_size)`."""

    mean_size: float
    slope: float
    variance: float  # around the line
    spread: float  # sum of squared distances from the mean size
    count: int


def cost_forecast(spent_picousd: int, groups: Sequence[Group]) -> CostForecast | None:
    """Of everything; None while some group has nothing done that could say what the rest of it costs."""
    total, variance = float(spent_picousd), 0.0
    for group in groups:
        if not group.rest:
            continue
        if not group.done or not group.sample:
            return None
        rest, its_variance = _rest(group)
        total += rest - group.unsettled_picousd
        variance += its_variance
    margin = Z_95 * math.sqrt(variance)
    low = max(float(spent_picousd), total - margin)
    return CostForecast(round(total), round(low), round(total + margin))


def eta(now: float, ended_at: Sequence[float], rest: int) -> Eta | None:
    """When the rest is done. `ended_at` are the times at which the last items ended, in any order; None without a pace.

    Whether the pace slackens shows in the time since the last one, which counts. Gaps between ends are taken as
    exponential, so that the interval of k gaps is about k(1 -+ 1.96/sqrt(k)).
    """
    if len(ended_at) < FEWEST_FOR_A_PACE or not rest:
        return None
    first = min(ended_at)
    gaps = len(ended_at) - 1
    seconds = max(now - first, 1e-3)
    each = seconds / gaps
    margin = Z_95 * math.sqrt(1 / gaps + 1 / rest)
    whole = rest * each
    return Eta(now + whole, now + whole * max(0.0, 1 - margin), now + whole * (1 + margin))


def _rest(group: Group) -> tuple[float, float]:
    """What the rest of a group costs, and the variance of that."""
    mean = group.cost_picousd / group.done
    line = _line(group.sample)
    rest_size = group.rest_bytes / group.rest
    each = max(0.0, mean + line.slope * (rest_size - line.mean_size))
    if line.count < FEWEST_FOR_A_LINE and line.mean_size > 0:
        each = mean * rest_size / line.mean_size  # so few say only that what is larger costs more
    leverage = (rest_size - line.mean_size) ** 2 / line.spread if line.spread else 0.0
    of_mean = line.variance * (1 / group.done + leverage)
    return group.rest * each, _widened(line.count) * (group.rest**2 * of_mean + group.rest * line.variance)


def _line(sample: Sequence[Sampled]) -> _Line:
    count = len(sample)
    mean_size = sum(one.size_bytes for one in sample) / count
    mean_cost = sum(one.cost_picousd for one in sample) / count
    spread = sum((one.size_bytes - mean_size) ** 2 for one in sample)
    together = sum((one.size_bytes - mean_size) * (one.cost_picousd - mean_cost) for one in sample)
    slope = together / spread if spread and count >= FEWEST_FOR_A_LINE else 0.0
    around = sum((one.cost_picousd - mean_cost - slope * (one.size_bytes - mean_size)) ** 2 for one in sample)
    if count < FEWEST_FOR_A_PACE:
        around, free = mean_cost**2, 1  # one item says nothing about how they differ
    else:
        free = count - (2 if slope else 1)
    return _Line(mean_size, slope, around / free, spread, count)


def _widened(count: int) -> float:
    """Few items know little of their own spread: the square of Student's quantile over the normal one, first terms.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5.
    """
    free = max(count - 2, 1)
    return (1 + (Z_95**2 + 1) / (4 * free)) ** 2
