"""Counts what the worker of this process does with items of jobs."""

from __future__ import annotations

from headgate.telemetry.totals import JobTotals


class JobCounts:
    """Told by the worker, once the database knows."""

    def __init__(self, totals: JobTotals) -> None:
        self._totals = totals

    def claimed(self, items: int) -> None:
        """Items were leased."""
        self._totals.claimed += items

    def ended(self, how: str, items: int = 1) -> None:
        """Leases ended: succeeded, failed, dead, expired, retried, postponed, waiting for children, or lost."""
        self._totals.ended[how] = self._totals.ended.get(how, 0) + items

    def asked(self, cost_picousd: int) -> None:
        """A request of an item was answered."""
        self._totals.calls += 1
        self._totals.cost_picousd += cost_picousd

    def duplicated(self, cost_picousd: int) -> None:
        """A lost call that was made again was booked as a duplicate."""
        self._totals.duplicates += 1
        self._totals.duplicate_picousd += cost_picousd
