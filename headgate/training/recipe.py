"""How a difficulty model is trained: what is fitted to what, in which order, and how much each source counts.

1. Losses are taken relative to their source's mean, so that nothing is learned about which source a prompt is from:
   sources differ in their pairs of models and their judges.
2. A source counts as the square root of its number of prompts, so that a large one does not drown the others.
3. Ridge regression on signals and embedding (`linear`), and trees on signals (`boosting`); their standardised
   predictions are added.
4. What a sum means, as a probability and as a loss, is fitted to predictions on folds that were left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.policy.difficulty import model
from headgate.policy.difficulty.model import Tree
from headgate.policy.difficulty.signals import Kind
from headgate.training import boosting, linear
from headgate.training.examples import Examples

Array = npt.NDArray[Any]

FOLDS = 5
PENALTY = 0.6  # of the ridge regression, for each unit of weight
EMBEDDING_SCALE = 20.0  # coordinates of a vector of length one and 384 dimensions, to about one


class Fitted(msgspec.Struct, frozen=True):
    """Both parts of a score, fitted."""

    means: Array
    deviations: Array
    centre: Array  # mean vector
    coefficients: Array
    trees: tuple[Tree, ...]
    scales: tuple[float, float]  # each part is divided by its own

    def sums(self, examples: Examples) -> Array:
        """Predicted losses, up to a scale."""
        straight = linear.predict(self.coefficients, _columns(self, examples), examples.kinds)
        result: Array = straight / self.scales[0] + boosting.predict(self.trees, examples.signals) / self.scales[1]
        return result


def fit(examples: Examples) -> Fitted:
    """Fit both parts to the examples; with vectors if there are any."""
    weights = source_weights(examples)
    losses = centred(examples)
    means = np.average(examples.signals, axis=0, weights=weights)
    spread = np.sqrt(np.average((examples.signals - means) ** 2, axis=0, weights=weights))
    vectors = examples.vectors if examples.vectors is not None else np.zeros((len(examples), 0))
    blank = Fitted(means, np.where(spread > 0, spread, 1.0), vectors.mean(axis=0), np.zeros(0), (), (1.0, 1.0))
    columns = _columns(blank, examples)
    coefficients = linear.fit(columns, losses, weights, examples.kinds, PENALTY * weights.sum(), len(Kind))
    trees = boosting.fit(examples.signals, losses, weights, boosting.Settings())
    straight = linear.predict(coefficients, columns, examples.kinds)
    bent = boosting.predict(trees, examples.signals)
    scales = (float(straight.std()) or 1.0, float(bent.std()) or 1.0)
    return msgspec.structs.replace(blank, coefficients=coefficients, trees=trees, scales=scales)


def source_weights(examples: Examples) -> Array:
    """One weight for each example, 1 on average."""
    counts = examples.counts()
    weights = np.array([counts[source] ** -0.5 for source in examples.sources])
    result: Array = weights / weights.mean()
    return result


def centred(examples: Examples) -> Array:
    """Losses less the mean of their source."""
    losses = examples.losses.astype(float)
    for source in set(examples.sources):
        losses[examples.sources == source] -= losses[examples.sources == source].mean()
    return losses


def folds_of(examples: Examples, count: int = FOLDS) -> Array:
    """The number of a fold for each example: the same for the same text, whatever its source."""
    return np.array(
        [int(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[2:10], 16) % count for text in examples.texts]
    )


def left_out(examples: Examples, groups: Array) -> Iterator[tuple[Array, Array]]:
    """For each group, a mask of the examples outside and one of those inside."""
    for group in sorted(set(groups.tolist())):
        yield groups != group, groups == group


def predictions_left_out(examples: Examples, groups: Array) -> Array:
    """What models say that were trained on the other groups."""
    sums = np.zeros(len(examples))
    for outside, inside in left_out(examples, groups):
        sums[inside] = fit(examples.only(outside)).sums(examples.only(inside))
    return sums


def _columns(fitted: Fitted, examples: Examples) -> Array:
    standardised = np.clip((examples.signals - fitted.means) / fitted.deviations, -model.CLIP, model.CLIP)
    if examples.vectors is None:
        return standardised
    return np.hstack([standardised, (examples.vectors - fitted.centre) * EMBEDDING_SCALE])
