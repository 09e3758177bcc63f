"""Whether a partition may serve at all: off when its bound is refuted, on trial while it earns its way back."""

from __future__ import annotations

from headgate.policy.semantic.confidence import ConfidenceSequence, Interval
from headgate.types import Frozen

_TOLERANCE = 2.0  # a partition comes back when its false share is shown to be below this many bounds


class Switch(Frozen, frozen=True, gc=False):
    """On: `served` watches verified hits. Off: `trial` watches answers that would have been served, and were not."""

    bound: float
    alpha: float = 0.05
    served: ConfidenceSequence = ConfidenceSequence()
    trial: ConfidenceSequence | None = None
    reason: str = ""  # why it is off

    @property
    def on(self) -> bool:
        """Whether answers may be served."""
        return self.trial is None

    @property
    def interval(self) -> Interval:
        """The live false-hit rate, always valid at 1 - alpha."""
        return self.served.interval()

    def hit(self, correct: bool) -> Switch:
        """A served answer was verified."""
        served = self.served.observe(not correct)
        if self.on and served.above(self.bound):
            counts, low = f"{served.failures} of {served.trials} verified hits were false", served.interval().low
            reason = f"{counts}: at least {low:.2%}, and the bound is {self.bound:.2%}"
            return Switch(self.bound, self.alpha, served, self._fresh(), reason)
        return Switch(self.bound, self.alpha, served, self.trial, self.reason)

    def would_have_hit(self, correct: bool) -> Switch:
        """An answer that would have been served if the partition were on was verified after the miss."""
        if self.trial is None:
            return self
        trial = self.trial.observe(not correct)
        if trial.below(self.bound * _TOLERANCE):
            return Switch(self.bound, self.alpha, self._fresh())
        return Switch(self.bound, self.alpha, self.served, trial, self.reason)

    def _fresh(self) -> ConfidenceSequence:
        return ConfidenceSequence(self.alpha, self.bound)


def switched_on(bound: float, alpha: float = 0.05) -> Switch:
    """A switch of a partition of which nothing is known yet."""
    return Switch(bound, alpha, ConfidenceSequence(alpha, bound))
