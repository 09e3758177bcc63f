"""What each kind of meter remembers, and what it says to an amount. Arithmetic only: who decides is `admission.py`.

Every kind answers the same questions, so that the decision is one loop over all meters of a request:

    room      the most that an amount may ever be, for ceilings on output; None: any
    verdict   why an amount may not pass now; None: it may
    take      count it
    settle    it came to another amount in the end; `at` is when it was taken
    release   it was never used

The rate limiter is the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"): a token bucket in one number,
the theoretical arrival time of the next request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headgate.metering import Meter, Reading, Verdict
from headgate.policy.sliding import SlidingWindow
from headgate.policy.turns import Turns, Wanted
from headgate.policy.velocity import Velocity
from headgate.types import Measure, MeterKind


class State(Protocol):
    """What a meter remembers."""

    touched: float  # Unix seconds, of the last amount taken

    def room(self, meter: Meter, now: float) -> int | None: ...

    def verdict(self, meter: Meter, amount: int, now: float) -> Verdict | None: ...

    def take(self, meter: Meter, amount: int, now: float) -> None: ...

    def settle(self, meter: Meter, amount: int, actual: int, at: float, now: float) -> None: ...

    def release(self, meter: Meter, amount: int, at: float) -> None: ...

    def reading(self, meter: Meter, now: float) -> Reading: ...

    def restore(self, meter: Meter, spent: int, now: float) -> None:
        """The ledger says that so much was used in the window that is open now: at least that is counted from here on.

        What is known beyond that stays: it may not be in the ledger yet.
        """


class Rate:
    """A token bucket and a sliding window, and who was told to come when."""

    __slots__ = ("tat", "tat_before", "touched", "turns", "window")

    def __init__(self, meter: Meter) -> None:
        self.tat = 0.0
        self.tat_before = 0.0  # the last amount was taken
        self.window = SlidingWindow(meter.rule.period_seconds)
        self.turns = Turns()
        self.touched = 0.0

    def room(self, meter: Meter, now: float) -> int | None:
        return meter.limit

    def verdict(self, meter: Meter, amount: int, now: float) -> Verdict | None:
        limit = meter.limit
        if amount > limit:
            return Verdict.TOO_LARGE
        rule = meter.rule
        cost = amount * (rule.period_seconds / limit)
        tat = self.tat
        if (
            tat > now and tat + cost - rule.burst_seconds > now
        ):  # a full bucket lets more than its burst pass, into debt
            return Verdict.RATE
        return Verdict.RATE if self.window.used(now) + amount > limit else None

    def take(self, meter: Meter, amount: int, now: float) -> None:
        tat = self.tat
        self.tat = (tat if tat > now else now) + amount * (meter.rule.period_seconds / meter.limit)
        self.window.add(amount, now)
        self.touched = now

    def settle(self, meter: Meter, amount: int, actual: int, at: float, now: float) -> None:
        if actual != amount:
            self.tat += (actual - amount) * (meter.rule.period_seconds / meter.limit)
            self.window.amend(actual - amount, at)

    def release(self, meter: Meter, amount: int, at: float) -> None:
        self.settle(meter, amount, 0, at, at)

    def turn_at(self, meter: Meter, amount: int, now: float, since: float) -> float:
        """The earliest time from `since` on at which an amount fits if all come who were told a time."""
        return self.turns.earliest(_wanted(meter, amount), self.tat, self.window, now, since)

    def promise(self, meter: Meter, amount: int, at: float) -> None:
        """Somebody was told to come back at a time."""
        self.turns.add(_wanted(meter, amount), at, self.window)

    def reading(self, meter: Meter, now: float) -> Reading:
        used = self.window.used(now)
        newest = self.window.newest
        frees_at = max(self.tat, self.window.expires_at(newest) if newest is not None and used else 0.0)
        return Reading(meter, used, 0, frees_at if frees_at > now else None)

    def restore(self, meter: Meter, spent: int, now: float) -> None:
        missing = spent - self.window.used(now)
        if missing > 0:
            tat = self.tat if self.tat > now else now
            self.take(meter, missing, now)
            self.tat = min(self.tat, max(tat, now + meter.rule.burst_seconds))  # it may be empty: more nobody knows


def _wanted(meter: Meter, amount: int) -> Wanted:
    return Wanted(amount, meter.limit, meter.rule.period_seconds / meter.limit, meter.rule.burst_seconds)


class Concurrency:
    """What is under way."""

    __slots__ = ("held", "touched")

    def __init__(self, meter: Meter) -> None:
        self.held = 0
        self.touched = 0.0

    def room(self, meter: Meter, now: float) -> int | None:
        return None

    def verdict(self, meter: Meter, amount: int, now: float) -> Verdict | None:
        return Verdict.CONCURRENCY if self.held + amount > meter.limit else None

    def take(self, meter: Meter, amount: int, now: float) -> None:
        self.held += amount
        self.touched = now

    def settle(self, meter: Meter, amount: int, actual: int, at: float, now: float) -> None:
        self.held -= amount

    def release(self, meter: Meter, amount: int, at: float) -> None:
        self.held -= amount

    def reading(self, meter: Meter, now: float) -> Reading:
        return Reading(meter, self.held, 0)

    def restore(self, meter: Meter, spent: int, now: float) -> None:
        """What is under way is told by the holds."""


class Budget:
    """Spent and held, in one calendar window or for as long as the thing is remembered."""

    __slots__ = ("ends_at", "held", "spent", "touched")

    def __init__(self, meter: Meter) -> None:
        self.ends_at = meter.resets_at or 0.0  # until then it may not be forgotten
        self.spent = 0
        self.held = 0
        self.touched = 0.0

    def room(self, meter: Meter, now: float) -> int | None:
        return meter.limit - self.spent

    def verdict(self, meter: Meter, amount: int, now: float) -> Verdict | None:
        return _spending_verdict(meter.limit, self.spent, self.held, amount)

    def take(self, meter: Meter, amount: int, now: float) -> None:
        self.held += amount
        self.touched = now

    def settle(self, meter: Meter, amount: int, actual: int, at: float, now: float) -> None:
        self.held -= amount
        self.spent += actual

    def release(self, meter: Meter, amount: int, at: float) -> None:
        self.held -= amount

    def reading(self, meter: Meter, now: float) -> Reading:
        return Reading(meter, self.spent, self.held, meter.resets_at)

    def restore(self, meter: Meter, spent: int, now: float) -> None:
        self.spent = max(self.spent, spent)
        self.touched = now


class Rolling:
    """Spent and held in the last so many seconds."""

    __slots__ = ("held", "touched", "window")

    def __init__(self, meter: Meter) -> None:
        self.window = SlidingWindow(meter.rule.period_seconds)
        self.held = 0
        self.touched = 0.0

    def room(self, meter: Meter, now: float) -> int | None:
        return meter.limit - self.window.used(now)

    def verdict(self, meter: Meter, amount: int, now: float) -> Verdict | None:
        return _spending_verdict(meter.limit, self.window.used(now), self.held, amount)

    def take(self, meter: Meter, amount: int, now: float) -> None:
        self.held += amount
        self.window.add(0, now)  # where the settlement will go
        self.touched = now

    def settle(self, meter: Meter, amount: int, actual: int, at: float, now: float) -> None:
        self.held -= amount
        self.window.amend(actual, at)

    def release(self, meter: Meter, amount: int, at: float) -> None:
        self.held -= amount

    def reading(self, meter: Meter, now: float) -> Reading:
        used = self.window.used(now)
        oldest = next((place for place, amount in self.window.slices() if amount), None)
        return Reading(meter, used, self.held, None if oldest is None else self.window.expires_at(oldest))

    def restore(self, meter: Meter, spent: int, now: float) -> None:
        self.window.add(max(0, spent - self.window.used(now)), now)
        self.touched = now

    def restore_at(self, spent: int, at: float, now: float) -> None:
        """As `restore`; what is missing was used at `at`."""
        missing = spent - self.window.used(now)
        if missing > 0:
            self.window.insert(missing, min(at, now), now)
        self.touched = now


def _spending_verdict(limit: int, spent: int, held: int, amount: int) -> Verdict | None:
    if amount <= limit - spent - held or amount == 0:
        return None
    if amount > limit > 0:
        return Verdict.TOO_LARGE
    return Verdict.SPENT if amount > limit - spent else Verdict.HELD


class Repeat:
    """How often the same request came in a row. Amounts are fingerprints; 0: of nothing."""

    __slots__ = ("last", "times", "touched")

    def __init__(self, meter: Meter) -> None:
        self.last = 0
        self.times = 0
        self.touched = 0.0

    def room(self, meter: Meter, now: float) -> int | None:
        return None

    def verdict(self, meter: Meter, amount: int, now: float) -> Verdict | None:
        return Verdict.LOOP if amount and amount == self.last and self.times >= meter.limit else None

    def take(self, meter: Meter, amount: int, now: float) -> None:
        self.times = self.times + 1 if amount == self.last else 1
        self.last = amount
        self.touched = now

    def settle(self, meter: Meter, amount: int, actual: int, at: float, now: float) -> None:
        """It was sent, whatever came of it."""

    def release(self, meter: Meter, amount: int, at: float) -> None:
        if amount == self.last and self.times:
            self.times -= 1

    def reading(self, meter: Meter, now: float) -> Reading:
        return Reading(meter, self.times, 0)

    def restore(self, meter: Meter, spent: int, now: float) -> None:
        """The ledger knows no contents."""


def new_state(meter: Meter) -> State:
    """What a meter remembers before anything happened."""
    makers: dict[MeterKind, Callable[[Meter], State]] = {
        MeterKind.RATE: Rate,
        MeterKind.CONCURRENCY: Concurrency,
        MeterKind.BUDGET: Budget,
        MeterKind.ROLLING: Rolling,
        MeterKind.VELOCITY: Velocity,
        MeterKind.REPEAT: Repeat,
    }
    return makers[meter.rule.kind](meter)


def settled_amount(meter: Meter, *, tokens: int, picousd: int) -> int:
    """What an answer came to, in a meter's measure."""
    measure = meter.rule.measure
    return picousd if measure is Measure.USD else tokens if measure is Measure.TOKENS else 1
