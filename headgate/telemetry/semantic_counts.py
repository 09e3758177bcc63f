"""Counts what becomes of questions that are looked for by their meaning, and of answers that were compared."""

from __future__ import annotations

from headgate.cache_types import SemanticActivity
from headgate.policy.semantic.confidence import ConfidenceSequence
from headgate.telemetry.totals import SemanticTotals

SERVED, MISSED = "served", "missed"
RIGHT, WRONG = "right", "wrong"


def activity(totals: SemanticTotals) -> dict[str, SemanticActivity]:
    """By model, with the live false-hit rate."""
    models = dict.fromkeys([model for model, _ in totals.decided] + [model for model, _, _ in totals.verified])
    return {model: _of_model(totals, model) for model in models}


def _of_model(totals: SemanticTotals, model: str) -> SemanticActivity:
    counts = {(of, outcome): count for (name, of, outcome), count in totals.verified.items() if name == model}
    right, wrong = counts.get((SERVED, RIGHT), 0), counts.get((SERVED, WRONG), 0)
    interval = ConfidenceSequence(trials=right + wrong, failures=wrong).interval()
    return SemanticActivity(
        decisions={reason: count for (name, reason), count in totals.decided.items() if name == model},
        verified=right + wrong,
        false_hits=wrong,
        false_hit_rate=round(wrong / (right + wrong), 6) if right + wrong else None,
        low=interval.low,
        high=interval.high,
        compared_misses=counts.get((MISSED, RIGHT), 0) + counts.get((MISSED, WRONG), 0),
    )


class SemanticCounts:
    """Told by the gateway of every decision and of every outcome that became known."""

    def __init__(self, totals: SemanticTotals) -> None:
        self._totals = totals

    def decided(self, model: str, reason: str) -> None:
        """`reason` is served, or why not."""
        decided = self._totals.decided
        decided[model, reason] = decided.get((model, reason), 0) + 1

    def verified(self, model: str, *, served: bool, correct: bool) -> None:
        """An answer was compared with a fresh one: one that was served, or the best one of a miss."""
        key = model, SERVED if served else MISSED, RIGHT if correct else WRONG
        self._totals.verified[key] = self._totals.verified.get(key, 0) + 1
