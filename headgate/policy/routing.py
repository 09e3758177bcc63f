"""Which deployment of a model answers: filter, rank, pick. The caller's model is never changed here."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from headgate.types import Frozen


class Balance(StrEnum):
    """How traffic is spread over the deployments of a model."""

    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LEAST_BUSY = "least_busy"


class Candidate(Frozen, frozen=True, gc=False):
    """What routing sees of a deployment."""

    index: int  # its place in the model's list
    weight: float
    tokens_in_flight: int
    usable: bool  # its breaker lets an attempt through and it has an endpoint


class Choice(Frozen, frozen=True, gc=False):
    """The decision: an index, or None when nothing is usable."""

    index: int | None
    reason: str


def choose(candidates: Sequence[Candidate], balance: Balance, *, turn: int, chance: float) -> Choice:
    """Pick one of the usable candidates.

    `turn` counts requests of the model (round robin), `chance` is uniform in [0, 1) (weighted). Least busy compares
    tokens in flight relative to weight, so that a deployment of weight 2 carries twice as much; ties go round.
    """
    usable = [candidate for candidate in candidates if candidate.usable]
    if not usable:
        return Choice(None, "no deployment is usable")
    if len(usable) == 1:
        return Choice(usable[0].index, "the only usable deployment")
    first = usable[turn % len(usable)]
    if balance is Balance.ROUND_ROBIN:
        return Choice(first.index, f"turn {turn}")
    weighted = [candidate for candidate in usable if candidate.weight > 0]
    if not weighted:
        return Choice(first.index, f"turn {turn}: every usable deployment has weight 0")
    if balance is Balance.WEIGHTED:
        return _weighted(weighted, chance)
    start = turn % len(weighted)
    least = min(
        weighted[start:] + weighted[:start], key=lambda candidate: candidate.tokens_in_flight / candidate.weight
    )
    return Choice(least.index, f"{least.tokens_in_flight} tokens in flight, the least")


def _weighted(weighted: Sequence[Candidate], chance: float) -> Choice:
    total = sum(candidate.weight for candidate in weighted)
    mark, chosen = chance * total, weighted[-1]  # the last one also when rounding leaves a rest of the mark
    for candidate in weighted:
        mark -= candidate.weight
        if mark < 0:
            chosen = candidate
            break
    return Choice(chosen.index, f"weight {chosen.weight:g} of {total:g}")
