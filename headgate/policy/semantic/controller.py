"""From which score on to serve, so that the share of false answers among the hits stays below the bound.

A limit on each single answer would serve too little: answers that are certainly right make room for some that are not
so certain, as long as the hits together keep the bound. So the cut is the lowest score for which the upper estimate of
the false share above it is within the bound. Outcomes are weighted by one over the chance they had of being verified:
misses are all looked at, hits only by the shadow share (Horvitz and Thompson 1952).

Two things make such an estimate too kind. The lowest of many cuts that pass is chosen, and it is often the one whose
outcomes were lucky: hence the margin. And a boundary that has learned from few outcomes is surer than it may be, most
of all where answers are served, because hits are seldom verified: hence what is expected is raised while it is young.
"""

from __future__ import annotations

import math
from collections import deque

from headgate.policy.semantic.boundary import sigmoid
from headgate.types import Frozen

NEVER = math.inf  # a cut that no score reaches
_REMEMBERED = 1_500  # verified outcomes
_EVERY = 50  # outcomes between two choices of the cut
_TRUST = 2.0  # false answers that the boundary's own probability is worth
_YOUNG = (
    500.0  # outcomes after which twice the false answers are feared that are expected; half as much after twice as many
)


class Outcome(Frozen, frozen=True, gc=False):
    """A verified outcome: the score a candidate had, and what came out."""

    score: float
    correct: bool
    weight: float  # one over the chance it had of being verified


class Controller:
    """Chooses the cut anew every few outcomes. Serves nothing before it has seen that it may."""

    def __init__(self, bound: float, caution: float) -> None:
        self._bound = bound
        self._caution = caution  # standard errors between estimate and bound
        self._outcomes: deque[Outcome] = deque(maxlen=_REMEMBERED)
        self._seen = 0
        self.cut = NEVER

    def observe(self, outcome: Outcome) -> None:
        """Take in a verified outcome."""
        self._outcomes.append(outcome)
        self._seen += 1
        if self._seen % _EVERY == 0:
            self.cut = self._choose()

    def _choose(self) -> float:
        cut, young = NEVER, 1.0 + _YOUNG / self._seen
        weights = weighted = false = expected = 0.0
        for outcome in sorted(self._outcomes, key=lambda outcome: -outcome.score):
            doubt = 1.0 - sigmoid(outcome.score)
            weights += outcome.weight
            weighted += outcome.weight * doubt
            false += not outcome.correct
            expected += doubt
            excess = (false + _TRUST + self._caution * math.sqrt(false + _TRUST)) / (expected + _TRUST)
            if young * excess * weighted / weights <= self._bound:
                cut = outcome.score
        return cut
