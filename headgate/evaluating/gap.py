"""How much of the gap between two models a router recovers: PGR and APGR (Ong et al., "RouteLLM", arXiv 2406.18665).

A router orders prompts; the first share of them goes to the strong model, the rest to the weak one. PGR at a share is
(quality with the router - quality of the weak model) / (quality of the strong model - quality of the weak model), and
APGR is the area below it over all shares: 0.5 for an order by chance. Where the weak model wins some prompts, PGR can
pass 1 on its way and APGR can, too.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RESAMPLES = 1_000
INTERVAL = (2.5, 97.5)  # percentiles
SHARES = tuple(number / 20 for number in range(21))  # at which a curve is told


class Order(msgspec.Struct, frozen=True):
    """The rows of one source in the order of a router: those for the strong model first, equal ones in one group."""

    rows: Array  # numbers of the rows, in order
    groups: Array  # for each of them the number of its group
    gains: Array  # for each of them what the strong model adds


def order_by(hardness: Array, gains: Array) -> Order:
    """Hardest first."""
    rows = np.argsort(-hardness, kind="stable")
    _, groups = np.unique(-hardness[rows], return_inverse=True)
    return Order(rows, groups, gains[rows].astype(float))


def curve(order: Order, weights: Array | None = None) -> tuple[Array, Array]:
    """Shares for the strong model, and PGR there: two arrays that begin with 0 and end with 1.

    `weights` counts each row so many times. Within a group of equal rows the order is by chance: a straight line.
    PGR is not a number (nan) if the two models are equally good.
    """
    counted = np.ones(len(order.rows)) if weights is None else weights[order.rows]
    sizes = np.bincount(order.groups, counted)
    gains = np.bincount(order.groups, counted * order.gains)
    shares = np.concatenate([[0.0], np.cumsum(sizes)]) / max(sizes.sum(), 1.0)
    total = gains.sum()
    return shares, np.concatenate([[0.0], np.cumsum(gains)]) / (total if total else np.nan)


def apgr(order: Order, weights: Array | None = None) -> float:
    """The area below the curve."""
    shares, recovered = curve(order, weights)
    return float(np.trapezoid(recovered, shares))


def share_for(order: Order, recovered: float) -> float:
    """The least share for the strong model that recovers so much of the gap."""
    shares, reached = curve(order)
    enough = np.flatnonzero(reached >= recovered)
    if not len(enough):
        return 1.0
    after = int(enough[0])
    if after == 0:
        return 0.0
    step = (recovered - reached[after - 1]) / (reached[after] - reached[after - 1])
    return float(shares[after - 1] + step * (shares[after] - shares[after - 1]))


def resampled(orders: list[Order], prompts: Array, seed: int = 0) -> Array:
    """APGR of each order on the same bootstrap samples: samples x orders.

    What is drawn are prompts, not rows: rows that judge the same prompt are no independent evidence. Samples on which
    the models are equally good have no APGR and are left out.
    """
    chance = np.random.default_rng(seed)
    _, owner = np.unique(prompts, return_inverse=True)
    count = int(owner.max()) + 1
    figures = []
    for _ in range(RESAMPLES):
        weights = np.bincount(chance.integers(0, count, count), minlength=count)[owner].astype(float)
        figures.append([apgr(order, weights) for order in orders])
    table = np.array(figures)
    kept: Array = table[np.isfinite(table).all(axis=1)]
    return kept
