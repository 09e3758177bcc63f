"""Counts what becomes of questions that are looked for by their meaning, and of answers that were compared."""

from __future__ import annotations

from headgate.telemetry.totals import SemanticTotals


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
        key = model, "served" if served else "missed", "right" if correct else "wrong"
        self._totals.verified[key] = self._totals.verified.get(key, 0) + 1
