"""How likely a cached answer is right: a logistic regression that learns online and knows how little it knows.

Gaussian beliefs about the weights, one step of Newton's method for each verified outcome (Laplace's approximation, the
extended Kalman filter of a logistic observation). The probability averages over what is not known about the weights
(MacKay 1992: `sigmoid(mean / sqrt(1 + pi * variance / 8))`); the lower bound is a quantile of the same belief.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from headgate.types import Frozen

_LEAST_INFORMATION = 1e-3  # of an outcome the boundary was sure of: a surprise must still be able to move it
_FAR_BELOW = 0.1  # what an outcome teaches whose answer was sooner wrong than right: far from where answers are served


class Belief(Frozen, frozen=True, gc=False):
    """What the boundary thinks of one candidate."""

    probability: float  # that the answer is right
    lower: float  # the same, with the benefit of the doubt against it (one-sided 95 %)
    score: float  # the logit of `probability`: what candidates are ordered by


class Boundary:
    """Weights of the features of a candidate, with their uncertainty."""

    def __init__(self, means: Sequence[float], deviations: Sequence[float]) -> None:
        self.means = list(means)
        self.covariance = [
            [deviation * deviation if row == column else 0.0 for column in range(len(deviations))]
            for row, deviation in enumerate(deviations)
        ]

    def belief(self, features: Sequence[float]) -> Belief:
        """What is thought of a candidate with these features."""
        mean = sum(map(mul, self.means, features))
        variance = sum(map(mul, features, self._spread(features)))
        score = mean / math.sqrt(1.0 + math.pi * variance / 8.0)
        return Belief(sigmoid(score), sigmoid(mean - 1.645 * math.sqrt(max(variance, 0.0))), score)

    def guess(self, features: Sequence[float]) -> float:
        """The logit at the likeliest weights: enough to choose between candidates, and quicker than a belief."""
        return math.fsum(map(mul, self.means, features))

    def learn(self, features: Sequence[float], correct: bool) -> None:
        """Take in one verified outcome.

        Most outcomes are of answers that nobody would serve. With their full weight they would bend the boundary to
        tell the hopeless from the improbable; it is needed where the probable is told from the certain.
        """
        spread = self._spread(features)
        variance = sum(map(mul, features, spread))
        mean = sum(map(mul, self.means, features))
        probability = sigmoid(mean / math.sqrt(1.0 + math.pi * variance / 8.0))
        weight = 1.0 if mean > 0.0 else _FAR_BELOW
        information = weight * max(probability * (1.0 - probability), _LEAST_INFORMATION)
        gain = 1.0 / (1.0 / information + variance)
        step = gain / information * weight * (correct - probability)
        self.means = [weight + step * moved for weight, moved in zip(self.means, spread, strict=True)]
        for row, moved in zip(self.covariance, spread, strict=True):
            factor = gain * moved
            row[:] = [value - factor * other for value, other in zip(row, spread, strict=True)]

    def _spread(self, features: Sequence[float]) -> list[float]:
        return [sum(map(mul, row, features)) for row in self.covariance]


def sigmoid(logit: float) -> float:
    """The probability of a logit, for any size of it."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    exponential = math.exp(max(logit, -700.0))
    return exponential / (1.0 + exponential)
