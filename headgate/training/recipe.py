"""How a difficulty model is trained: what is fitted to what, in which order, and how much each source counts.

1. Losses are taken relative to their source's mean, so that nothing is learned about which source a prompt is from:
   sources differ in their pairs of models and their judges.
2. A source counts as the square root of its number of prompts, so that a large one does not drown the others; times
   a factor of its own, if it is given one.
3. Ridge regression on signals and embedding (`linear`), and for each kind of prompt with enough examples trees on
   signals (`boosting`); their standardised predictions are added.
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
PENALTY = 1.0  # of the ridge regression, for each unit of weight
FEWEST_FOR_TREES = 300  # examples of a kind
EMBEDDING_SCALE = 20.0  # coordinates of a vector of length one and 384 dimensions, to about one


class Fitted(msgspec.Struct, frozen=True):
    """Both parts of a score, fitted."""

    means: Array
    deviations: Array
    centre: Array  # mean vector
    coefficients: Array
    trees: dict[int, tuple[Tree, ...]]  # by kind
    scales: tuple[float, float]  # each part is divided by its own

    def sums(self, examples: Examples) -> Array:
        """Predicted losses, up to a scale."""
        straight, bent = self.parts(examples)
        result: Array = straight / self.scales[0] + bent / self.scales[1]
        return result

    def parts(self, examples: Examples) -> tuple[Array, Array]:
        """What the ridge regression predicts, and what the trees do."""
        straight = linear.predict(self.coefficients, self.columns(examples), examples.kinds)
        bent = np.zeros(len(examples))
        for kind, trees in self.trees.items():
            rows = examples.kinds == kind
            bent[rows] = boosting.predict(trees, examples.signals[rows])
        return straight, bent

    def columns(self, examples: Examples) -> Array:
        """Of the ridge regression."""
        standardised = np.clip((examples.signals - self.means) / self.deviations, -model.CLIP, model.CLIP)
        if examples.vectors is None:
            return standardised
        return np.hstack([standardised, (examples.vectors - self.centre) * EMBEDDING_SCALE])


def fit(examples: Examples) -> Fitted:
    """Fit both parts to the examples; with vectors if there are any."""
    weights = source_weights(examples)
    losses = centred(examples)
    means = np.average(examples.signals, axis=0, weights=weights)
    spread = np.sqrt(np.average((examples.signals - means) ** 2, axis=0, weights=weights))
    vectors = examples.vectors if examples.vectors is not None else np.zeros((len(examples), 0))
    blank = Fitted(means, np.where(spread > 0, spread, 1.0), vectors.mean(axis=0), np.zeros(0), {}, (1.0, 1.0))
    penalty = PENALTY * float(weights.sum())
    coefficients = linear.fit(blank.columns(examples), losses, weights, examples.kinds, penalty, len(Kind))
    whole = msgspec.structs.replace(blank, coefficients=coefficients, trees=_trees(examples, losses, weights))
    straight, bent = (float(part.std()) or 1.0 for part in whole.parts(examples))
    return msgspec.structs.replace(whole, scales=(straight, bent))


def _trees(examples: Examples, losses: Array, weights: Array) -> dict[int, tuple[Tree, ...]]:
    """Each kind's are fitted to what differs within it."""
    found = {}
    for kind in Kind:
        rows = examples.kinds == kind
        if rows.sum() >= FEWEST_FOR_TREES:
            own = weights[rows] / weights[rows].mean()
            level = np.average(losses[rows], weights=own)
            found[int(kind)] = boosting.fit(examples.signals[rows], losses[rows] - level, own, boosting.Settings())
    return found


def source_weights(examples: Examples) -> Array:
    """One weight for each example, 1 on average."""
    each = {source: examples.factors.get(source, 1.0) * count**-0.5 for source, count in examples.counts().items()}
    weights = np.array([each[source] for source in examples.sources])
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
