"""A trained model as the numbers of its file, and what its sums mean on prompts that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.policy.difficulty.model import FORMAT, Head, Part, Tree, Weights
from headgate.policy.difficulty.signals import Kind
from headgate.training.examples import Examples
from headgate.training.marks import marks_of
from headgate.training.recipe import EMBEDDING_SCALE, Fitted, fit, folds_of, predictions_left_out, source_weights

Array = npt.NDArray[Any]

QUANTILES = 101
DIGITS = 5  # significant ones
NEWTON_STEPS = 25
RIDGE = 1e-3  # of both fits, so that they have a solution whatever the rows are


def train(examples: Examples, embedder: str, dimensions: int) -> Weights:
    """A whole model: with the embedding if the examples have vectors, and by signals alone.

    `embedder` is the name of what made the vectors.
    """
    plain = msgspec.structs.replace(examples, vectors=None)
    by_signals = fit(plain)
    return Weights(
        format=FORMAT,
        trained_on=examples.counts(),
        marks=marks_of(examples.texts),
        embedder=embedder if examples.vectors is not None else "",
        dimensions=dimensions if examples.vectors is not None else 0,
        means=_rounded(by_signals.means),
        deviations=_rounded(by_signals.deviations),
        embedded=None if examples.vectors is None else _part(fit(examples), examples),
        plain=_part(by_signals, plain),
    )


def encode(weights: Weights) -> bytes:
    """The content of the file."""
    return msgspec.json.encode(weights) + b"\n"


def _part(fitted: Fitted, examples: Examples) -> Part:
    sums = predictions_left_out(examples, folds_of(examples))
    weights = source_weights(examples)
    slope, level = _line(sums, examples.losses, weights, examples.sources)
    as_good = 1 - np.maximum(examples.losses, 0)  # exact for single rows; for means of several, their share that lost
    logit_slope, logit_level = _logistic(sums, as_good, weights, examples.sources)
    spread = np.quantile(sums, np.linspace(0, 1, QUANTILES), method="inverted_cdf", weights=weights)
    return Part(
        heads=tuple(_head(fitted, kind) for kind in Kind),
        loss_intercept=_number(level),
        loss_slope=_number(slope),
        logit_intercept=_number(logit_level),
        logit_slope=_number(logit_slope),
        quantiles=_rounded(spread),
    )


def _head(fitted: Fitted, kind: Kind) -> Head:
    count = len(fitted.means)
    row = fitted.coefficients[kind] / fitted.scales[0]
    embedding = row[count:-1] * EMBEDDING_SCALE
    return Head(
        intercept=_number(row[-1]),
        signals=_rounded(row[:count]),
        embedding=_rounded(embedding),
        usual=_number(float(embedding @ fitted.centre)),
        trees=tuple(_scaled(tree, fitted.scales[1]) for tree in fitted.trees.get(int(kind), ())),
    )


def _scaled(tree: Tree, scale: float) -> Tree:
    a, b, c, d = (_number(leaf / scale) for leaf in tree.leaves)
    return msgspec.structs.replace(tree, leaves=(a, b, c, d))


def _line(sums: Array, losses: Array, weights: Array, sources: Array) -> tuple[float, float]:
    """Slope and intercept of weighted least squares with a level for each source; the intercept is their mean."""
    wide = _with_levels(sums, sources)
    scaled = wide * weights[:, None]
    coefficients = np.linalg.solve(scaled.T @ wide + RIDGE * np.eye(wide.shape[1]), scaled.T @ losses)
    return max(float(coefficients[0]), 0.0), float(coefficients[1:].mean())


def _logistic(sums: Array, shares: Array, weights: Array, sources: Array) -> tuple[float, float]:
    """The same for the logarithm of the odds to be as good, by Newton's method; the slope is never above zero."""
    wide = _with_levels(sums, sources)
    coefficients = np.zeros(wide.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-wide @ coefficients))
        curvature = (wide * (weights * chance * (1 - chance))[:, None]).T @ wide + RIDGE * np.eye(wide.shape[1])
        coefficients += np.linalg.solve(curvature, wide.T @ (weights * (shares - chance)) - RIDGE * coefficients)
    return min(float(coefficients[0]), 0.0), float(coefficients[1:].mean())


def _with_levels(sums: Array, sources: Array) -> Array:
    """Sums, and a column for each source, so that a slope is that within sources."""
    return np.column_stack([sums, *(sources == source for source in sorted(set(sources.tolist())))])


def _number(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(_number(value) for value in values)
