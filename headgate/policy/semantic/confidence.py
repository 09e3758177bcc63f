"""An always-valid confidence sequence for a share: it holds at every moment at once, so it may be watched all the time.

A repeated interval of the usual kind (Wilson's) is broken by chance sooner or later if one looks often enough. Here the
likelihood ratio of a beta mixture against any true share is a martingale that starts at 1, so by Ville's inequality it
ever passes 1/alpha with a probability of at most alpha (Robbins 1970; Waudby-Smith and Ramdas 2023 for the general
betting view).
"""

from __future__ import annotations

import math

from headgate.types import Frozen

_STEPS = 50  # bisections: far below what a float can tell


class Interval(Frozen, frozen=True, gc=False):
    """From `low` to `high`, both within [0, 1]."""

    low: float
    high: float


class ConfidenceSequence(Frozen, frozen=True, gc=False):
    """What is known of a share after `failures` in `trials`. `expected` is where it is sharpest, not what it
    assumes."""

    alpha: float = 0.05
    expected: float = 0.01
    trials: int = 0
    failures: int = 0

    def observe(self, failed: bool) -> ConfidenceSequence:
        """With one more outcome."""
        return ConfidenceSequence(self.alpha, self.expected, self.trials + 1, self.failures + failed)

    def log_evidence_against(self, share: float) -> float:
        """The logarithm of the martingale if the true share were `share`: log(1/alpha) and above refutes it."""
        successes = self.trials - self.failures
        if (share <= 0.0 and self.failures) or (share >= 1.0 and successes):
            return math.inf
        first, second = self._mixture()
        mixture = _log_beta(first + self.failures, second + successes) - _log_beta(first, second)
        likelihood = self.failures * math.log(share) if self.failures else 0.0
        return mixture - likelihood - (successes * math.log1p(-share) if successes else 0.0)

    def interval(self) -> Interval:
        """All shares that are not refuted, widened to the nearest float."""
        if not self.trials:
            return Interval(0.0, 1.0)
        mode = self.failures / self.trials
        return Interval(self._edge(mode, 0.0), self._edge(mode, 1.0))

    def above(self, share: float) -> bool:
        """Whether the whole interval is above `share`."""
        return self.failures > share * self.trials and self._refutes(share)

    def below(self, share: float) -> bool:
        """Whether the whole interval is below `share`."""
        return self.failures < share * self.trials and self._refutes(share)

    def _refutes(self, share: float) -> bool:
        return self.log_evidence_against(share) >= math.log(1.0 / self.alpha)

    def _edge(self, inside: float, outside: float) -> float:
        if not self._refutes(outside):
            return outside
        for _ in range(_STEPS):
            middle = (inside + outside) / 2.0
            if self._refutes(middle):
                outside = middle
            else:
                inside = middle
        return outside

    def _mixture(self) -> tuple[float, float]:
        return 1.0, 1.0 / min(max(self.expected, 1e-4), 0.5) - 1.0


def wilson(failures: int, trials: int, z: float = 1.96) -> Interval:
    """Wilson's score interval of a share: for one look at a finished run."""
    if not trials:
        return Interval(0.0, 1.0)
    share, weight = failures / trials, z * z / trials
    centre = (share + weight / 2.0) / (1.0 + weight)
    margin = z / (1.0 + weight) * math.sqrt(share * (1.0 - share) / trials + weight / (4.0 * trials))
    return Interval(max(0.0, centre - margin), min(1.0, centre + margin))


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)
