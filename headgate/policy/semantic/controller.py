"""From which score on to serve, so that the share of false answers among the hits stays below the bound.

A limit on each single answer would serve too little: answers that are certainly right make room for some that are not
so certain, as long as the hits together keep the bound. So the cut is the lowest score for which the upper estimate of
the false share above it is within the bound. Outcomes are weighted by one over the chance they had of being verified:
misses are all looked at, hits only by the shadow share (Horvitz and Thompson 1952).
"""

from __future__ import annotations

import math
from collections import deque

from headgate.policy.semantic.boundary import sigmoid
from headgate.types import Frozen

NEVER = math.inf  # a cut that no score reaches
_REMEMBERED = 3_000  # verified outcomes
_EVERY = 50  # outcomes between two choices of the cut
_TRUST = 10.0  # what the boundary's own probability is worth, in outcomes


class Outcome(Frozen, frozen=True, gc=False):
    """A verified outcome: the score a candidate had, and what came out."""

    score: float
    correct: bool
    weight: float  # one over the chance of being verified


class Controller:
    """Chooses the cut anew every few outcomes. Serves nothing before it has seen that it may."""

    def __init__(self, bound: float, caution: float) -> None:
        self._bound = bound
        self._caution = caution  # standard errors between estimate and bound
        self._outcomes: deque[Outcome] = deque(maxlen=_REMEMBERED)
        self._since = 0
        self.cut = NEVER

    def observe(self, outcome: Outcome) -> None:
        """Take in a verified outcome."""
        self._outcomes.append(outcome)
        self._since += 1
        if self._since >= _EVERY:
            self._since = 0
            self.cut = self._choose()

    def _choose(self) -> float:
        cut = NEVER
        weights = squares = false = expected = 0.0
        for outcome in sorted(self._outcomes, key=lambda outcome: -outcome.score):
            weights += outcome.weight
            squares += outcome.weight * outcome.weight
            false += outcome.weight * (not outcome.correct)
            expected += outcome.weight * (1.0 - sigmoid(outcome.score))
            seen = weights * weights / squares
            share = (seen * false + _TRUST * expected) / weights / (seen + _TRUST)
            least = max(share, 0.3 / (seen + _TRUST))
            error = math.sqrt(least * (1.0 - share) / (seen + _TRUST))
            if share + self._caution * error <= self._bound:
                cut = outcome.score
        return cut
