"""Amounts of the last so many seconds, in slices: a sliding window whose memory does not grow with the traffic.

An amount counts until its whole slice has left the window, so at most one slice longer than it should and never
shorter: in no moving window is more let through than the limit, and under steady load at least
`slices / (slices + 1)` of it (99.6 % with 240).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor

SLICES = 240


class SlidingWindow:
    """Times are Unix seconds and never go back: who calls sees to that."""

    __slots__ = ("_amounts", "period_seconds", "total", "width_seconds")

    def __init__(self, period_seconds: float, slices: int = SLICES) -> None:
        self.period_seconds = period_seconds
        self.width_seconds = period_seconds / slices
        self.total = 0
        self._amounts: dict[int, int] = {}  # by slice, in the order of time

    def slice_of(self, at: float) -> int:
        return floor(at / self.width_seconds)

    def used(self, now: float) -> int:
        """What counts now."""
        amounts = self._amounts
        if amounts:
            oldest = floor((now - self.period_seconds) / self.width_seconds)
            while amounts:
                first = next(iter(amounts))
                if first >= oldest:
                    break
                self.total -= amounts.pop(first)
        return self.total

    def add(self, amount: int, at: float) -> None:
        """Count an amount that came at `at`, which is not before anything that was added."""
        place = floor(at / self.width_seconds)
        self._amounts[place] = self._amounts.get(place, 0) + amount
        self.total += amount

    def amend(self, difference: int, at: float) -> None:
        """Change an amount that was added at `at`; nothing if it has left the window."""
        place = floor(at / self.width_seconds)
        if place in self._amounts:
            self._amounts[place] += difference
            self.total += difference

    def expires_at(self, place: int) -> float:
        """When a slice has left the window."""
        return (place + 1) * self.width_seconds + self.period_seconds

    def slices(self) -> Iterable[tuple[int, int]]:
        """Slices with their amounts, oldest first."""
        return self._amounts.items()


def fits_at(waiting: Iterable[tuple[float, int]], excess: int, now: float) -> float:
    """When so much has left a window: `waiting` are the times at which amounts leave it, in order."""
    at = now
    for leaves_at, amount in waiting:
        if excess <= 0:
            break
        excess -= amount
        at = leaves_at
    return max(at, now)
