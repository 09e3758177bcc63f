"""Who was told to come again, and when: whoever comes next is told the earliest time that takes nobody's turn.

At that time the bucket lets the amount pass, and still lets all pass who come later. The window has room for it beside
all who come as long as it counts. Who has to wait for another limit leaves the time before to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from math import inf
from typing import NamedTuple

from headgate.policy.sliding import SlidingWindow

TOLD_SECONDS = 0.001  # times are told in whole milliseconds, rounded up: so much later is it
_NEVER = (inf, 0)
MOST_TURNS = 64  # slices of the window in which somebody is expected: the next ones


class Turn(NamedTuple):
    """What was told to come in a slice of the window."""

    amount: int
    at: float  # of the last of it
    latest_tat: float  # the latest theoretical arrival time with which the bucket lets all of it pass


class Wanted(NamedTuple):
    """An amount, and what a limit says to it."""

    amount: int
    limit: int
    seconds_each: float  # in which the bucket gets one back
    burst_seconds: float

    @property
    def seconds(self) -> float:
        return self.amount * self.seconds_each

    @property
    def filling_seconds(self) -> float:
        """So long after the theoretical arrival time the bucket lets it pass, before if below 0. A full one lets more
        than its burst pass, into debt."""
        seconds = self.seconds
        return 0.0 if seconds > self.burst_seconds else seconds - self.burst_seconds


class Turns:
    """Of one rate."""

    __slots__ = ("_by_slice",)

    def __init__(self) -> None:
        self._by_slice: dict[int, Turn] = {}  # in the order of time

    def earliest(self, wanted: Wanted, tat: float, window: SlidingWindow, now: float, since: float) -> float:
        """The earliest time from `since` on, which is now or later."""
        self._forget(now, window.width_seconds)
        each, width_seconds = wanted.seconds_each, window.width_seconds
        filling_seconds = wanted.filling_seconds
        room: _Room | None = None
        at = since
        for place, turn in self._by_slice.items():
            passes_at = tat + filling_seconds
            if passes_at > at:
                at = passes_at
            if at < place * width_seconds:
                room = room or _Room(self._by_slice, window, window.used(now) + wanted.amount - wanted.limit)
                at = room.from_then_on(at)
                if at < place * width_seconds and max(tat, at) + wanted.seconds <= self._latest_tat(place, each):
                    return at
            comes_at = turn.at + TOLD_SECONDS
            if comes_at > now:  # else it has come
                tat = (comes_at if comes_at > tat else tat) + turn.amount * each
            at = turn.at if turn.at > since else since
        room = room or _Room(self._by_slice, window, window.used(now) + wanted.amount - wanted.limit)
        return room.from_then_on(max(at, tat + filling_seconds))

    def add(self, wanted: Wanted, at: float, window: SlidingWindow) -> None:
        """Somebody was told to come at a time."""
        place, amount, latest_tat = window.slice_of(at + TOLD_SECONDS), wanted.amount, at - wanted.filling_seconds
        there = self._by_slice.get(place)
        if there is None:
            self._insert(place, Turn(amount, at, latest_tat))
            return
        if at >= there.at:
            latest_tat = min(there.latest_tat, latest_tat - there.amount * wanted.seconds_each)
        else:
            at, latest_tat = there.at, min(latest_tat, there.latest_tat - wanted.seconds)
        self._by_slice[place] = Turn(there.amount + amount, at, latest_tat)

    def _insert(self, place: int, turn: Turn) -> None:
        turns = self._by_slice
        if place < next(reversed(turns), place):
            self._by_slice = dict(sorted([*turns.items(), (place, turn)])[:MOST_TURNS])
        elif len(turns) < MOST_TURNS:
            turns[place] = turn

    def _latest_tat(self, place: int, each: float) -> float:
        """Before a turn: the latest arrival time with which it and all later ones pass."""
        latest_tat = inf
        for later, turn in reversed(self._by_slice.items()):
            if later < place:
                break
            latest_tat = min(turn.latest_tat, latest_tat - turn.amount * each)
        return latest_tat

    def _forget(self, now: float, width_seconds: float) -> None:
        """Who was told that time has come by now, or never will."""
        turns = self._by_slice
        while turns and (first := next(iter(turns))) + 1 <= now / width_seconds:
            del turns[first]


class _Room:
    """When a window has room for all who come as long as an amount is in it. Ask for later times only."""

    def __init__(self, turns: Mapping[int, Turn], window: SlidingWindow, excess: int) -> None:
        """So much is beyond the limit if none of them comes."""
        coming = ((place, turn.amount) for place, turn in turns.items())
        leaving = chain(window.slices(), coming)
        self._leaving = ((window.expires_at(place), amount) for place, amount in leaving)
        self._coming = ((turn.at, turn.amount) for turn in turns.values())
        self._stays_seconds = window.period_seconds + window.width_seconds
        self._next = next(self._coming, _NEVER)
        self._excess = excess
        self._at = 0.0

    def from_then_on(self, at: float) -> float:
        at = max(at, self._at)
        while True:
            while self._next[0] < at + self._stays_seconds:
                self._excess += self._next[1]
                self._next = next(self._coming, _NEVER)
            while self._excess > 0 and (gone := next(self._leaving, None)) is not None:
                self._at, self._excess = gone[0], self._excess - gone[1]
            if self._at <= at:
                return at
            at = self._at
