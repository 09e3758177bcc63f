"""The second part of a score: small trees, each fitted to what the ones before leave over (Friedman, 2001)."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.policy.difficulty.model import Tree

Array = npt.NDArray[Any]

BINS = 32


class Settings(msgspec.Struct, frozen=True):
    """How much is learned."""

    trees: int = 100
    rate: float = 0.03  # of each tree's answer that is taken
    least_weight: float = 40.0  # of the examples in a leaf
    share: float = 0.5  # of the signals that a tree may ask for, chosen by chance
    seed: int = 0


class _Binned(msgspec.Struct, frozen=True):
    codes: Array  # examples x signals: number of the bin, plus BINS times the number of the signal
    edges: Array  # signals x (BINS - 1)


def fit(signals: Array, losses: Array, weights: Array, settings: Settings) -> tuple[Tree, ...]:
    """Trees whose answers add up to an estimate of `losses`."""
    binned = _bin(signals)
    chance = np.random.default_rng(settings.seed)
    left_over = losses.astype(float)
    trees = []
    allowed_count = max(1, round(settings.share * signals.shape[1]))
    for _ in range(settings.trees):
        allowed = chance.permutation(signals.shape[1])[:allowed_count]
        tree = _tree(binned, left_over, weights, allowed, settings)
        trees.append(tree)
        left_over = left_over - predict((tree,), signals)
    return tuple(trees)


def predict(trees: tuple[Tree, ...], signals: Array) -> Array:
    """The sum of all trees' answers, one for each row."""
    total = np.zeros(len(signals))
    for tree in trees:
        first, low, high = tree.signals
        above = signals[:, first] > tree.thresholds[0]
        second = np.where(above, signals[:, high] > tree.thresholds[2], signals[:, low] > tree.thresholds[1])
        total += np.array(tree.leaves)[2 * above + second]
    return total


def _bin(signals: Array) -> _Binned:
    edges = np.quantile(signals, np.linspace(0, 1, BINS + 1)[1:-1], axis=0).T
    codes = np.empty(signals.shape, dtype=np.int64)
    for column in range(signals.shape[1]):
        codes[:, column] = np.searchsorted(edges[column], signals[:, column], side="left") + BINS * column
    return _Binned(codes, edges)


def _tree(binned: _Binned, losses: Array, weights: Array, allowed: Array, settings: Settings) -> Tree:
    everywhere = np.ones(len(losses), dtype=bool)
    first, threshold = _split(binned, losses, weights, everywhere, allowed, settings.least_weight)
    above = _above(binned, first, threshold)
    signals, thresholds, leaves = [first], [threshold], []
    for side in (~above, above):
        signal, limit = _split(binned, losses, weights, side, allowed, settings.least_weight)
        second = _above(binned, signal, limit)
        signals.append(signal)
        thresholds.append(limit)
        leaves += [settings.rate * _mean(losses, weights, side & leaf, settings) for leaf in (~second, second)]
    a, b, c = signals
    e, f, g = (float(binned.edges[s][t]) for s, t in zip(signals, thresholds, strict=True))
    return Tree((a, b, c), (e, f, g), (leaves[0], leaves[1], leaves[2], leaves[3]))


def _split(
    binned: _Binned, losses: Array, weights: Array, rows: Array, allowed: Array, least: float
) -> tuple[int, int]:
    """The signal and the edge that leave the least squared error."""
    codes = binned.codes[np.ix_(rows, allowed)]
    size = binned.codes.shape[1] * BINS
    weight = np.repeat(weights[rows], len(allowed))
    loss = np.repeat(losses[rows] * weights[rows], len(allowed))
    counts = np.bincount(codes.ravel(), weight, minlength=size).reshape(-1, BINS)[allowed]
    sums = np.bincount(codes.ravel(), loss, minlength=size).reshape(-1, BINS)[allowed]
    below, all_below = np.cumsum(counts, axis=1)[:, :-1], np.cumsum(sums, axis=1)[:, :-1]
    whole, all_whole = weights[rows].sum(), (losses[rows] * weights[rows]).sum()
    beyond, all_beyond = whole - below, all_whole - all_below
    possible = (below >= least) & (beyond >= least)
    gain = np.where(
        possible, all_below**2 / np.maximum(below, 1e-9) + all_beyond**2 / np.maximum(beyond, 1e-9), -np.inf
    )
    place, edge = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return int(allowed[place]), int(edge)


def _above(binned: _Binned, signal: int, edge: int) -> Array:
    result: Array = binned.codes[:, signal] > edge + BINS * signal
    return result


def _mean(losses: Array, weights: Array, rows: Array, settings: Settings) -> float:
    """Drawn towards zero, the more the fewer examples."""
    return float((losses[rows] * weights[rows]).sum() / (weights[rows].sum() + settings.least_weight / 4))
