"""Amounts of the last so many seconds, in slices: a sliding window whose memory does not grow with the traffic.

An amount counts until its whole slice has left the window, so at most one slice longer than it should and never
shorter: in no moving window is more let through than the limit, and under steady load at least
`slices / (slices + 1)` of it (99.6 % with 240).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor

SLICES = 240
_LOOK_SECONDS = 0.001  # so much before a slice leaves, it is looked at exactly


class SlidingWindow:
    """Times are Unix seconds and never go back: who calls sees to that.

    `total` is what counts as long as it is not `looks_at`; then ask `used`.
    """

    __slots__ = ("amounts", "looks_at", "period_seconds", "total", "width_seconds")

    def __init__(self, period_seconds: float, slices: int = SLICES) -> None:
        self.period_seconds = period_seconds
        self.width_seconds = period_seconds / slices
        self.total = 0
        self.looks_at = float("inf")  # when the oldest slice is about to leave
        self.amounts: dict[int, int] = {}  # by slice, in the order of time

    def slice_of(self, at: float) -> int:
        return floor(at / self.width_seconds)

    def used(self, now: float) -> int:
        """What counts now."""
        if now >= self.looks_at:
            self._expire(now)
        return self.total

    def add(self, amount: int, at: float) -> None:
        """Count an amount that came at `at`, which is not before anything that was added."""
        self.add_in(floor(at / self.width_seconds), amount)

    def add_in(self, place: int, amount: int) -> None:
        """As `add`, in a slice that is known."""
        amounts = self.amounts
        if place in amounts:
            amounts[place] += amount
        else:
            amounts[place] = amount
            if len(amounts) == 1:
                self.looks_at = self.expires_at(place) - _LOOK_SECONDS
        self.total += amount

    def amend(self, difference: int, at: float) -> None:
        """Change an amount that was added at `at`; nothing if it has left the window."""
        self.amend_in(floor(at / self.width_seconds), difference)

    def amend_in(self, place: int, difference: int) -> None:
        """As `amend`, in a slice that is known."""
        if place in self.amounts:
            self.amounts[place] += difference
            self.total += difference

    def insert(self, amount: int, at: float, now: float) -> None:
        """Count an amount that came at `at`, whatever has come since; nothing if that has left the window."""
        place = floor(at / self.width_seconds)
        if place < floor((now - self.period_seconds) / self.width_seconds):
            return
        self.used(now)
        self.amounts[place] = self.amounts.get(place, 0) + amount
        self.amounts = dict(sorted(self.amounts.items()))
        self.looks_at = self.expires_at(next(iter(self.amounts))) - _LOOK_SECONDS
        self.total += amount

    def expires_at(self, place: int) -> float:
        """When a slice has left the window."""
        return (place + 1) * self.width_seconds + self.period_seconds

    def slices(self) -> Iterable[tuple[int, int]]:
        """Slices with their amounts, oldest first."""
        return self.amounts.items()

    @property
    def newest(self) -> int | None:
        """The latest slice that anything was added in."""
        return next(reversed(self.amounts), None)

    def _expire(self, now: float) -> None:
        amounts, oldest = self.amounts, floor((now - self.period_seconds) / self.width_seconds)
        while amounts:
            first = next(iter(amounts))
            if first >= oldest:
                self.looks_at = self.expires_at(first) - _LOOK_SECONDS
                return
            self.total -= amounts.pop(first)
        self.looks_at = float("inf")


def fits_at(waiting: Iterable[tuple[float, int]], excess: int, now: float) -> float:
    """When so much has left a window: `waiting` are the times at which amounts leave it, in order."""
    at = now
    for leaves_at, amount in waiting:
        if excess <= 0:
            break
        excess -= amount
        at = leaves_at
    return max(at, now)
