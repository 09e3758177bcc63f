"""Amounts of the last so many seconds, in slices: a sliding window whose memory does not grow with the traffic.

An amount counts until its whole slice has left the window, so at most one slice longer than it should and never
shorter: in no moving window is more let through than the limit, and under steady load at least
`slices / (slices + 1)` of it (99.6 % with 240).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import floor

SLICES = 240
_LOOK_SECONDS = 0.001  # so much before a slice leaves, it is looked at exactly


class SlidingWindow:
    """Times are Unix seconds and never go back: who calls sees to that.

    From `looks_at` on the window must `look` before anything else; until then nothing leaves it, `total` is what
    counts, and an amount is counted by adding it to `total`.
    """

    __slots__ = ("_closed", "_past", "looks_at", "period_seconds", "place", "total", "width_seconds")

    def __init__(self, period_seconds: float, slices: int = SLICES) -> None:
        self.period_seconds = period_seconds
        self.width_seconds = period_seconds / slices
        self.total = 0
        self.looks_at = 0.0  # when the open slice is about to end
        self.place = -1  # the open slice
        self._past: dict[int, int] = {}  # amounts by slice, in the order of time, without the open one
        self._closed = 0  # their sum

    def slice_of(self, at: float) -> int:
        return floor(at / self.width_seconds)

    def look(self, now: float) -> None:
        """Open the slice of this time, and forget those that have left."""
        place = floor(now / self.width_seconds)
        if place != self.place:
            if self.place >= 0:
                self._past[self.place] = self.total - self._closed
                self._closed = self.total
            self.place = place
        self.looks_at = (place + 1) * self.width_seconds - _LOOK_SECONDS
        past, oldest = self._past, floor((now - self.period_seconds) / self.width_seconds)
        while past and (first := next(iter(past))) < oldest:
            gone = past.pop(first)
            self.total -= gone
            self._closed -= gone

    def used(self, now: float) -> int:
        """What counts now."""
        if now >= self.looks_at:
            self.look(now)
        return self.total

    def add(self, amount: int, at: float) -> None:
        """Count an amount that came at `at`, which is not before anything that was added."""
        if at >= self.looks_at:
            self.look(at)
        self.total += amount

    def amend(self, difference: int, at: float) -> None:
        """Change an amount that was added at `at`; nothing if it has left the window."""
        self.amend_in(floor(at / self.width_seconds), difference)

    def amend_in(self, place: int, difference: int) -> None:
        """As `amend`, in a slice that is known."""
        if place == self.place:
            self.total += difference
        elif place in self._past:
            self._past[place] += difference
            self._closed += difference
            self.total += difference

    def insert(self, amount: int, at: float, now: float) -> None:
        """Count an amount that came at `at`, whatever has come since; nothing if that has left the window."""
        self.look(now)
        place = floor(at / self.width_seconds)
        if place < floor((now - self.period_seconds) / self.width_seconds):
            return
        if place != self.place and place not in self._past:
            self._past[place] = 0
            self._past = dict(sorted(self._past.items()))
        self.amend_in(place, amount)

    def expires_at(self, place: int) -> float:
        """When a slice has left the window."""
        return (place + 1) * self.width_seconds + self.period_seconds

    def slices(self) -> Iterator[tuple[int, int]]:
        """Slices with their amounts, oldest first."""
        yield from self._past.items()
        if self.place >= 0:
            yield self.place, self.total - self._closed

    @property
    def newest(self) -> int | None:
        """The latest slice that has an amount."""
        if self.total != self._closed:
            return self.place
        return next((place for place, amount in reversed(self._past.items()) if amount), None)


def fits_at(waiting: Iterable[tuple[float, int]], excess: int, now: float) -> float:
    """When so much has left a window: `waiting` are the times at which amounts leave it, in order."""
    at = now
    for leaves_at, amount in waiting:
        if excess <= 0:
            break
        excess -= amount
        at = leaves_at
    return max(at, now)
