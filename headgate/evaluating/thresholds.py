"""What everybody else does, for comparison: serve the nearest entry if its cosine reaches a fixed threshold.

The thresholds are tried on the very stream they are judged on, which nobody can do in earnest: an oracle's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from headgate.evaluating.replaying import Stream
from headgate.policy.semantic.guards import veto
from headgate.types import Frozen

LOWEST = 0.5
_MOST_NEIGHBOURS = 256  # of a question, among all before it
_BLOCK = 512
THRESHOLDS = (*(round(LOWEST + 0.005 * step, 3) for step in range(100)), 0.9975, 0.999)

Ranked = list[tuple[int, float]]  # questions before this one with their cosine, nearest first


class Point(Frozen, frozen=True, gc=False):
    """One threshold (or bound) and what it gives."""

    at: float
    hit_rate: float
    false_hit_rate: float
    hits: int
    false_hits: int


def rank(stream: Stream) -> list[Ranked]:
    """For each question, those before it that are nearest, as far as the lowest threshold."""
    ranked: list[Ranked] = []
    for start in range(0, len(stream), _BLOCK):
        block = stream.vectors[start : start + _BLOCK]
        similarities = block @ stream.vectors[: start + len(block)].T
        for row in range(len(block)):
            before = similarities[row, : start + row]
            near = np.flatnonzero(before >= LOWEST)
            near = near[np.argsort(-before[near], kind="stable")][:_MOST_NEIGHBOURS]
            ranked.append([(int(place), float(before[place])) for place in near])
    return ranked


def counted(stream: Stream, ranked: Sequence[Ranked], threshold: float) -> tuple[int, int]:
    """Hits and false hits of plain cosine at one threshold, which is not below LOWEST."""
    return _static(stream, ranked, threshold, lambda question, entry: True)


def sweep(stream: Stream, ranked: Sequence[Ranked], *, guarded: bool = False) -> dict[float, tuple[int, int]]:
    """Hits and false hits by threshold; `guarded` lets the guards veto."""
    if not guarded:
        return {threshold: counted(stream, ranked, threshold) for threshold in THRESHOLDS}
    known: dict[tuple[int, int], bool] = {}

    def agrees(question: int, entry: int) -> bool:
        if (question, entry) not in known:
            known[question, entry] = not veto(stream.sketches[question], stream.sketches[entry])
        return known[question, entry]

    return {threshold: _static(stream, ranked, threshold, agrees) for threshold in THRESHOLDS}


def best(points: Sequence[Point], bound: float) -> Point:
    """The threshold with the most hits whose false share is within the bound; no hits if there is none."""
    within = [point for point in points if point.hits and point.false_hit_rate <= bound]
    return max(within, key=lambda point: point.hit_rate, default=Point(1.0, 0.0, 0.0, 0, 0))


def _static(
    stream: Stream, ranked: Sequence[Ranked], threshold: float, agrees: Callable[[int, int], bool]
) -> tuple[int, int]:
    entered = [False] * len(stream)
    hits = false = 0
    for question, nearest in enumerate(ranked):
        for entry, similarity in nearest:
            if similarity < threshold:
                entered[question] = True
                break
            if entered[entry]:
                if agrees(question, entry):
                    hits += 1
                    false += not stream.right(question, entry)
                else:
                    entered[question] = True
                break
        else:
            entered[question] = True
    return hits, false
