"""The meters of a panel, those of a kind together: each group takes and settles amounts in one short loop.

Arithmetic as in `meters.py`, written out for speed where every request comes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf
from typing import NamedTuple, Protocol

from headgate.metering import Charge, Crossing
from headgate.policy.admission import Entry, Post, crossing, next_mark, settle
from headgate.policy.meters import Budget, Concurrency, Rate, Rolling
from headgate.policy.sliding import SlidingWindow
from headgate.policy.velocity import Velocity

REQUESTS, TOKENS, USD = range(3)

Amounts = tuple[int, int, int]  # of each measure, in this order
Tightest = tuple[int, int, float]  # what is left, of which limit, and the debt in seconds

NOTHING: Sequence[Crossing] = ()

_Metered = tuple[Rate, SlidingWindow, int, float, float]  # limit, seconds for each of what is limited, burst in seconds


class Use(NamedTuple):
    """What an ask has taken, when, and what it came to."""

    held: Amounts
    at: float
    charge: Charge


class Over:
    """Uses that are over, and their sums."""

    __slots__ = ("actual", "held", "uses")

    def __init__(self, uses: Sequence[Use]) -> None:
        self.uses = uses
        tokens = picousd = held_tokens = held_picousd = 0
        for (_, one_tokens, one_picousd), _, charge in uses:
            held_tokens += one_tokens
            held_picousd += one_picousd
            tokens += charge.tokens
            picousd += charge.picousd
        self.held = (len(uses), held_tokens, held_picousd)
        self.actual = (len(uses), tokens, picousd)


class Group(Protocol):
    """Meters of one kind."""

    def take(self, amounts: Amounts, now: float) -> bool:
        """Take what is asked if every meter lets it pass as it is; False, and nothing is taken, else."""

    def give_back(self, amounts: Amounts) -> None:
        """Undo a `take` of this moment, after which nothing happened."""

    def settle(self, over: Over, now: float) -> Sequence[Crossing]:
        """Replace what was taken by what it came to."""


class Rates:
    """The rates of one measure and one period, whose windows have the same slices."""

    def __init__(self, window: SlidingWindow, measure: int) -> None:
        self.measure = measure
        self.period_seconds = window.period_seconds
        self.rates: list[_Metered] = []
        self.tightest: Tightest = (0, 0, 0.0)  # after a take: the limit that has least left
        self._width_seconds = window.width_seconds
        self._looks_at = 0.0

    def take(self, amounts: Amounts, now: float) -> bool:
        if now >= self._looks_at:
            self._look(now)
        amount, period_seconds = amounts[self.measure], self.period_seconds
        least, tightest = inf, self.tightest
        for rate, window, limit, seconds_each, burst_seconds in self.rates:
            in_window = limit - window.total - amount
            rate.tat_before = tat = rate.tat
            if tat <= now:  # a full bucket lets more than its burst pass, into debt
                tat = now + amount * seconds_each
            elif (tat := tat + amount * seconds_each) - burst_seconds > now:
                in_window = -1
            if in_window < 0:
                self._give_back_before(rate, amount)
                return False
            rate.tat = tat
            window.total += amount
            in_bucket = (burst_seconds - (tat - now)) * limit / period_seconds
            if in_bucket < least or in_window < least:
                left = min(int(in_bucket), in_window)
                if left < least:
                    least = left
                    tightest = (left, limit, tat - now)
        self.tightest = tightest
        return True

    def give_back(self, amounts: Amounts) -> None:
        self._give_back_before(None, amounts[self.measure])

    def settle(self, over: Over, now: float) -> Sequence[Crossing]:
        """Of tokens: a rate of requests keeps what it took, as a request is one, whatever comes of it."""
        differences: dict[int, int] = {}
        for held, at, charge in over.uses:
            place = floor(at / self._width_seconds)
            differences[place] = differences.get(place, 0) + charge.tokens - held[TOKENS]
        for place, difference in differences.items():
            for rate, window, _, seconds_each, _ in self.rates:
                rate.tat += difference * seconds_each
                if place == window.place:
                    window.total += difference
                else:
                    window.amend_in(place, difference)
        return NOTHING

    def _look(self, now: float) -> None:
        for _, window, _, _, _ in self.rates:
            window.used(now)
            self._looks_at = window.looks_at

    def _give_back_before(self, refusing: Rate | None, amount: int) -> None:
        for rate, window, _, _, _ in self.rates:
            if rate is refusing:
                break
            rate.tat = rate.tat_before
            window.total -= amount


class Concurrencies:
    """What is under way."""

    def __init__(self) -> None:
        self.concurrencies: list[tuple[Concurrency, int]] = []  # with their limits

    def take(self, amounts: Amounts, now: float) -> bool:
        for concurrency, limit in self.concurrencies:
            held = concurrency.held
            if held >= limit:
                self._give_back_before(concurrency)
                return False
            concurrency.held = held + 1
        return True

    def give_back(self, amounts: Amounts) -> None:
        self._give_back_before(None)

    def settle(self, over: Over, now: float) -> Sequence[Crossing]:
        count = len(over.uses)
        for concurrency, _ in self.concurrencies:
            concurrency.held -= count
        return NOTHING

    def _give_back_before(self, refusing: Concurrency | None) -> None:
        for concurrency, _ in self.concurrencies:
            if concurrency is refusing:
                break
            concurrency.held -= 1


class Purse:
    """A budget of one tier: its limit may be another one in the next."""

    __slots__ = ("budget", "limit", "mark", "post")

    def __init__(self, budget: Budget, post: Post) -> None:
        self.budget = budget
        self.limit = post.meter.limit
        self.mark = 0  # no crossing is to be told of less
        self.post = post


class Budgets:
    """The budgets of one measure."""

    def __init__(self, measure: int, tenant: str) -> None:
        self.measure = measure
        self.tenant = tenant
        self.purses: list[Purse] = []

    def take(self, amounts: Amounts, now: float) -> bool:
        amount = amounts[self.measure]
        for purse in self.purses:
            budget = purse.budget
            held = budget.held + amount
            if held > purse.limit - budget.spent:
                self._give_back_before(purse, amount)
                return False
            budget.held = held
        return True

    def give_back(self, amounts: Amounts) -> None:
        self._give_back_before(None, amounts[self.measure])

    def settle(self, over: Over, now: float) -> Sequence[Crossing]:
        told = NOTHING
        taken, used = over.held[self.measure], over.actual[self.measure]
        for purse in self.purses:
            budget = purse.budget
            budget.held -= taken
            budget.spent = spent = budget.spent + used
            if spent >= purse.mark:
                purse.mark = next_mark(purse.limit, spent)
                told = [*told, *_crossings(self.tenant, purse.post, used, spent)]
        return told

    def _give_back_before(self, refusing: Purse | None, amount: int) -> None:
        for purse in self.purses:
            if purse is refusing:
                break
            purse.budget.held -= amount


class Rollings:
    """Budgets of the last so many seconds."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        # Each with its limit, its measure, and the least that is worth telling about.
        self.rollings: list[tuple[Rolling, int, int, int, Post]] = []

    def take(self, amounts: Amounts, now: float) -> bool:
        for rolling, limit, measure, _, _ in self.rollings:
            held = rolling.held + amounts[measure]
            if held > limit - rolling.window.used(now):
                self._give_back_before(rolling, amounts)
                return False
            rolling.held = held
        return True

    def give_back(self, amounts: Amounts) -> None:
        self._give_back_before(None, amounts)

    def settle(self, over: Over, now: float) -> Sequence[Crossing]:
        told = NOTHING
        for rolling, _, measure, first_mark, post in self.rollings:
            for held, at, charge in over.uses:
                rolling.settle(post.meter, held[measure], (1, charge.tokens, charge.picousd)[measure], at, now)
            if rolling.window.used(now) >= first_mark:
                told = [*told, *_crossings(self.tenant, post, over.actual[measure], rolling.window.total)]
        return told

    def _give_back_before(self, refusing: Rolling | None, amounts: Amounts) -> None:
        for rolling, _, measure, _, _ in self.rollings:
            if rolling is refusing:
                break
            rolling.held -= amounts[measure]


class Velocities:
    """Breakers on money, none of which may have tripped."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.velocities: list[tuple[Velocity, Post]] = []

    def take(self, amounts: Amounts, now: float) -> bool:
        for velocity, _ in self.velocities:  # noqa: SIM110  # a generator takes longer
            if velocity.retry_at:
                return False
        return True

    def give_back(self, amounts: Amounts) -> None:
        """They hold nothing."""

    def settle(self, over: Over, now: float) -> Sequence[Crossing]:
        told = NOTHING
        picousd = over.actual[USD]
        for velocity, post in self.velocities:
            if velocity.retry_at:
                for held, at, charge in over.uses:
                    entry = Entry(post, held[USD])
                    if (trip := settle(entry, self.tenant, charge, at, now)) is not None:
                        told = [*told, trip]
            elif velocity.spend(post.meter, picousd, now):
                told = [*told, velocity.trip(self.tenant, post.meter)]
        return told


def _crossings(tenant: str, post: Post, added: int, spent: int) -> list[Crossing]:
    told = crossing(tenant, post.meter, added, spent) if post.meter.rule.counts_budget else None
    return [] if told is None else [told]
