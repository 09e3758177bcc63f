"""What a router's choice of cheaper models loses, and when it has to stop choosing.

A judge has said of each shadow run whether the cheaper model's answer was worse, as good, or better. The loss is the
share of worse ones minus the share of better ones. Its interval is always valid: it may be looked at after every run,
and the chance that it is ever wrong is at most `ALPHA` (the shares have confidence sequences of half of that each).
"""

from __future__ import annotations

from headgate.policy.semantic.confidence import ConfidenceSequence
from headgate.types import Frozen

ALPHA = 0.05
_EXPECTED = 0.1  # where the sequences are sharpest


class Loss(Frozen, frozen=True, gc=False):
    """An estimate with its interval, of so many runs. In [-1, 1]; above 0 the cheaper models are worse."""

    judged: int
    mean: float
    low: float
    high: float


class Turn(Frozen, frozen=True, gc=False):
    """A gate is to be closed or opened, for a reason."""

    closed: bool
    reason: str


def loss(wins: int, ties: int, losses: int) -> Loss:
    """By how the cheaper models' answers compared."""
    judged = wins + ties + losses
    if not judged:
        return Loss(0, 0.0, -1.0, 1.0)
    worse = ConfidenceSequence(ALPHA / 2, _EXPECTED, judged, losses).interval()
    better = ConfidenceSequence(ALPHA / 2, _EXPECTED, judged, wins).interval()
    return Loss(judged, (losses - wins) / judged, worse.low - better.high, worse.high - better.low)


def turn(found: Loss, max_loss: float, *, closed: bool) -> Turn | None:
    """Whether a router's gate is to be turned: closed when it surely loses more than it may, opened again when, judged
    anew since then, it surely does not."""
    if not closed and found.low > max_loss:
        return Turn(
            True, f"it loses at least {found.low:.1%} by {found.judged} shadow runs, allowed are {max_loss:.1%}"
        )
    if closed and found.judged and found.high < max_loss:
        return Turn(False, f"it loses at most {found.high:.1%} by {found.judged} shadow runs since it was closed")
    return None
