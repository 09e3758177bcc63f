"""The usual case in a hurry: everything fits, nothing is lowered, nobody is refused.

A panel has the meters of one caller and model grouped by kind, so that a request that all of them let pass is admitted
and settled in a few short loops. It decides nothing of its own: whatever is not plain goes the way of `admission.py`,
and a property test holds that both ways come to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf

from headgate.metering import Ask, Charge, Crossing, Standing
from headgate.policy.admission import Entry, Post, crossing, next_mark
from headgate.policy.meters import Budget, Concurrency, Rate, Rolling
from headgate.policy.sliding import SlidingWindow
from headgate.policy.velocity import Velocity
from headgate.types import Measure, MeterKind

_MEASURES = (Measure.REQUESTS, Measure.TOKENS, Measure.USD)  # amounts of a request stand in this order
_TOKENS = 1

Amounts = tuple[int, int, int]
Metered = tuple[Rate, SlidingWindow, int, float, float]  # limit, seconds for each of what is limited, burst in seconds
Tightest = tuple[int, int, float]  # what is left, of which limit, and the debt in seconds


class _Rates:
    """The rates of one measure and one period."""

    __slots__ = ("of_tokens", "period_seconds", "rates", "width_seconds")

    def __init__(self, window: SlidingWindow, of_tokens: bool) -> None:
        self.of_tokens = of_tokens
        self.period_seconds = window.period_seconds
        self.width_seconds = window.width_seconds
        self.rates: list[Metered] = []

    def passes(self, amount: int, now: float) -> bool:
        for rate, window, limit, seconds_each, burst_seconds in self.rates:
            if now >= window.looks_at:
                window.used(now)
            tat = rate.tat
            if window.total + amount > limit or (tat > now and tat + amount * seconds_each - burst_seconds > now):
                return False
        return True

    def take(self, amount: int, now: float, tightest: Tightest | None) -> Tightest | None:
        """Count what passes; returns the tightest limit, this one's or another period's."""
        place, period_seconds = floor(now / self.width_seconds), self.period_seconds
        least = inf if tightest is None else tightest[0]
        for rate, window, limit, seconds_each, burst_seconds in self.rates:
            tat = rate.tat
            rate.tat = tat = (tat if tat > now else now) + amount * seconds_each
            amounts = window.amounts
            if place in amounts:
                amounts[place] += amount
                window.total += amount
            else:
                window.add_in(place, amount)
            in_bucket = (burst_seconds - (tat - now)) * limit / period_seconds
            in_window = limit - window.total
            if in_bucket < least or in_window < least:
                left = min(int(in_bucket), in_window)
                if left < least:
                    least = left
                    tightest = (left, limit, tat - now)
        return tightest

    def amend(self, difference: int, at: float) -> None:
        """What was taken at `at` came to so much more."""
        place = floor(at / self.width_seconds)
        for rate, window, _, seconds_each, _ in self.rates:
            rate.tat += difference * seconds_each
            amounts = window.amounts
            if place in amounts:
                amounts[place] += difference
                window.total += difference


class Panel:
    """Posts grouped by kind. `is_plain` is False if there is one that the short way cannot serve."""

    __slots__ = ("_budgets", "_concurrencies", "_marks", "_rates", "_rollings", "_velocities", "is_plain", "posts")

    def __init__(self, posts: Sequence[Post]) -> None:
        self.posts = tuple(posts)
        self._rates: list[_Rates] = []
        self._concurrencies: list[tuple[Concurrency, int]] = []
        self._budgets: list[tuple[Budget, int, int, Post]] = []
        self._marks: list[int] = []  # for each of these: no crossing is to be told of less, for its limit here
        # Each with its limit, its measure, and the least that is worth telling about.
        self._rollings: list[tuple[Rolling, int, int, int, Post]] = []
        self._velocities: list[tuple[Velocity, Post]] = []
        self.is_plain = all(meter.rule.enforce and meter.rule.kind is not MeterKind.REPEAT for meter, _ in posts)
        for post in posts:
            self._sort_in(post)

    def enter(self, amounts: Amounts, now: float) -> tuple[Standing | None, Standing | None] | None:
        """Take an ask that every meter lets pass as it is, and say how the limits stand.

        None, and nothing is taken, if some meter does not.
        """
        if not self._passes(amounts, now):
            return None
        for concurrency, _ in self._concurrencies:
            concurrency.held += 1
        for budget, _, measure, _ in self._budgets:
            budget.held += amounts[measure]
        for rolling, _, measure, _, post in self._rollings:
            rolling.take(post.meter, amounts[measure], now)
        requests, tokens = None, None
        for rates in self._rates:
            if rates.of_tokens:
                tokens = rates.take(amounts[_TOKENS], now, tokens)
            else:
                requests = rates.take(1, now, requests)
        return requests and _standing(requests, now), tokens and _standing(tokens, now)

    def settle(self, held: Amounts, tenant: str, charge: Charge, at: float, now: float) -> Sequence[Crossing]:
        """Replace what an ask has taken by what it came to."""
        told: list[Crossing] = []
        actual = (1, charge.tokens, charge.picousd)
        difference = charge.tokens - held[_TOKENS]
        if difference:
            for rates in self._rates:
                if rates.of_tokens:
                    rates.amend(difference, at)
        for concurrency, _ in self._concurrencies:
            concurrency.held -= 1
        for place, (budget, _, measure, post) in enumerate(self._budgets):
            budget.held -= held[measure]
            budget.spent = spent = budget.spent + actual[measure]
            if spent >= self._marks[place]:
                self._marks[place] = next_mark(post.meter.limit, spent)
                told += _crossings(tenant, post, actual[measure], spent)
        for rolling, _, measure, first_mark, post in self._rollings:
            rolling.settle(post.meter, held[measure], actual[measure], at, now)
            if rolling.window.used(now) >= first_mark:
                told += _crossings(tenant, post, actual[measure], rolling.window.total)
        for velocity, post in self._velocities:
            if velocity.retry_at:
                velocity.settle(post.meter, held[-1], charge.picousd, at, now)
            elif velocity.spend(post.meter, charge.picousd, now):
                told.append(Crossing(tenant, post.meter, 0, velocity.window.total))
        return told

    def entries(self, held: Amounts) -> list[Entry]:
        """What an ask has taken, meter by meter."""
        amounts = dict(zip(_MEASURES, held, strict=True))
        return [Entry(post, amounts[post.meter.rule.measure]) for post in self.posts]

    def touch(self, now: float) -> None:
        """Its meters were used until now."""
        for _, state in self.posts:
            state.touched = max(state.touched, now)

    def _passes(self, amounts: Amounts, now: float) -> bool:
        for rates in self._rates:
            if not rates.passes(amounts[_TOKENS] if rates.of_tokens else 1, now):
                return False
        for concurrency, limit in self._concurrencies:
            if concurrency.held >= limit:
                return False
        for budget, limit, measure, _ in self._budgets:
            if amounts[measure] > limit - budget.spent - budget.held:
                return False
        for rolling, limit, measure, _, _ in self._rollings:
            if amounts[measure] > limit - rolling.window.used(now) - rolling.held:
                return False
        return not [velocity for velocity, _ in self._velocities if velocity.retry_at]

    def _sort_in(self, post: Post) -> None:
        meter, state = post
        rule, limit = meter.rule, meter.limit
        measure = _MEASURES.index(rule.measure)
        match state:
            case Rate():
                rates = self._rates_like(state.window, of_tokens=measure == _TOKENS)
                rates.append((state, state.window, limit, rule.period_seconds / limit, rule.burst_seconds))
            case Concurrency():
                self._concurrencies.append((state, limit))
            case Budget():
                self._marks.append(0)
                self._budgets.append((state, limit, measure, post))
            case Rolling():
                self._rollings.append((state, limit, measure, next_mark(limit, -1), post))
            case Velocity():
                self._velocities.append((state, post))
            case _:
                self.is_plain = False

    def _rates_like(self, window: SlidingWindow, *, of_tokens: bool) -> list[Metered]:
        for known in self._rates:
            if known.of_tokens == of_tokens and known.period_seconds == window.period_seconds:
                return known.rates
        rates = _Rates(window, of_tokens)
        self._rates.append(rates)
        return rates.rates


def amounts_of(ask: Ask) -> Amounts:
    """What an ask takes of each measure."""
    output = ask.output_tokens * ask.choices
    return 1, ask.input_tokens + output, ask.input_picousd + output * ask.output_price


def _standing(tightest: Tightest, now: float) -> Standing:
    left, limit, debt_seconds = tightest
    return Standing(limit, left if left > 0 else 0, debt_seconds, now + debt_seconds)


def _crossings(tenant: str, post: Post, added: int, spent: int) -> list[Crossing]:
    told = crossing(tenant, post.meter, added, spent) if post.meter.rule.counts_budget else None
    return [] if told is None else [told]
