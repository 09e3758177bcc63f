"""What a router's choice of cheaper models loses, and when it has to stop choosing.

A judge has said of each shadow run whether the cheaper model's answer was worse, as good, or better. The loss is the
share of worse ones minus the share of better ones. Its interval is always valid: it may be looked at after every run,
and the chance that it is ever wrong is at most `ALPHA`.

It is a betting confidence sequence (I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
betting", JRSS B 86(1), 2024). Each run counts 1, 0 or -1. Whoever claims that the loss is at most m pays a gambler who
bets a part f of what he may: his capital, times 1 + f (x - m) / (1 + m) with each run, does not grow on average if the
claim is true, so it ever passes 2 / ALPHA with a probability of at most ALPHA / 2 (Ville's inequality). Capital is put
on several parts at once, because the best one depends on the true loss. The bound from above is the same of -x.
"""

from __future__ import annotations

import math

from headgate.types import Frozen

ALPHA = 0.05
# Parts of the most that may be bet: large ones refute soon what is far off, small ones in the end what is near.
_PARTS = (0.98, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
_REFUTED = math.log(2.0 / ALPHA)
_STEPS = 30  # bisections, to a billionth


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
    low, high = _at_least(wins, ties, losses), -_at_least(losses, ties, wins)
    return Loss(judged, (losses - wins) / judged, low, high)


def evidence(wins: int, ties: int, losses: int, bound: float) -> float:
    """The logarithm of the gambler's capital if it is claimed that the loss is at most `bound`, in (-1, 1)."""
    most = 1.0 + bound
    gain, cost = (1.0 - bound) / most, bound / most
    logs = [
        losses * math.log1p(part * gain) + ties * math.log1p(-part * cost) + wins * math.log1p(-part) for part in _PARTS
    ]
    largest = max(logs)
    return largest + math.log(sum(math.exp(one - largest) for one in logs) / len(logs))


def _at_least(wins: int, ties: int, losses: int) -> float:
    """The largest loss that is refuted: the true one is above. -1 if none is."""
    refuted, possible = -1.0, (losses - wins) / (wins + ties + losses)
    for _ in range(_STEPS if possible > refuted else 0):
        middle = (refuted + possible) / 2.0
        if evidence(wins, ties, losses, middle) >= _REFUTED:
            refuted = middle
        else:
            possible = middle
    return refuted


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
