"""Counts what becomes of requests that were looked for among the answers that are kept."""

from __future__ import annotations

from headgate.cache_types import NotKept
from headgate.telemetry.totals import CacheTotals


class CacheCounts:
    """Told by the gateway of everything that it finds, misses and keeps."""

    def __init__(self, totals: CacheTotals) -> None:
        self._totals = totals

    def found(self, kind: str, saved_picousd: int) -> None:
        """A request was answered without a provider; `kind` is a `cache_types.Hit`."""
        found = self._totals.found
        found[kind] = found.get(kind, 0) + 1
        self._totals.saved_picousd += saved_picousd

    def missed(self) -> None:
        self._totals.missed += 1

    def kept(self) -> None:
        self._totals.kept += 1

    def not_kept(self, reason: NotKept) -> None:
        """An answer is not kept, or none to a request will be."""
        counts = self._totals.not_kept
        counts[reason] = counts.get(reason, 0) + 1
