"""The usual case in a hurry: everything fits, nothing is lowered, nobody is refused.

A panel has the meters of one caller and model grouped by kind, so that a request that all of them let pass is admitted
and settled in a few short loops. It decides nothing of its own: whatever is not plain goes the way of `admission.py`,
and a property test holds that both ways come to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf
from typing import Protocol

from headgate.metering import Ask, Charge, Crossing, Standing
from headgate.policy.admission import Entry, Post, crossing, next_mark
from headgate.policy.meters import Budget, Concurrency, Rate, Rolling
from headgate.policy.sliding import SlidingWindow
from headgate.policy.velocity import Velocity
from headgate.types import Measure, MeterKind

_MEASURES = (Measure.REQUESTS, Measure.TOKENS, Measure.USD)  # amounts of a request stand in this order
_REQUESTS, _TOKENS, _USD = range(3)

Amounts = tuple[int, int, int]
_Metered = tuple[Rate, SlidingWindow, int, float, float]  # limit, seconds for each of what is limited, burst in seconds
_Tightest = tuple[float, int, float]  # what is left, of which limit, and the debt in seconds

_NOTHING: Sequence[Crossing] = ()
_UNLIMITED: _Tightest = (inf, 0, 0.0)


class _Group(Protocol):
    """Meters of one kind."""

    def take(self, amounts: Amounts, now: float) -> bool:
        """Take what is asked if every meter lets it pass as it is; False, and nothing is taken, else."""

    def give_back(self, amounts: Amounts) -> None:
        """Undo a `take` of this moment, after which nothing happened."""

    def settle(self, held: Amounts, actual: Amounts, at: float, now: float) -> Sequence[Crossing]:
        """What was taken at `at` came to something else."""


class _Rates:
    """The rates of one measure and one period, whose windows have the same slices."""

    def __init__(self, window: SlidingWindow, measure: int) -> None:
        self.measure = measure
        self.period_seconds = window.period_seconds
        self.rates: list[_Metered] = []
        self.tightest = _UNLIMITED  # the limit that has least left, after a take
        self._width_seconds = window.width_seconds
        self._looks_at = 0.0

    def take(self, amounts: Amounts, now: float) -> bool:
        if now >= self._looks_at:
            self._look(now)
        amount, period_seconds = amounts[self.measure], self.period_seconds
        least, tightest = inf, _UNLIMITED
        for rate, window, limit, seconds_each, burst_seconds in self.rates:
            in_window = limit - window.total - amount
            rate.tat_before = tat = rate.tat
            if tat > now:
                tat += amount * seconds_each
                fits = in_window >= 0 and tat - burst_seconds <= now
            else:  # a full bucket lets more than its burst pass, into debt
                tat = now + amount * seconds_each
                fits = in_window >= 0
            if not fits:
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

    def settle(self, held: Amounts, actual: Amounts, at: float, now: float) -> Sequence[Crossing]:
        difference = actual[self.measure] - held[self.measure]
        if difference:
            place = floor(at / self._width_seconds)
            for rate, window, _, seconds_each, _ in self.rates:
                rate.tat += difference * seconds_each
                if place == window.place:
                    window.total += difference
                else:
                    window.amend_in(place, difference)
        return _NOTHING

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


class _Concurrencies:
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

    def settle(self, held: Amounts, actual: Amounts, at: float, now: float) -> Sequence[Crossing]:
        for concurrency, _ in self.concurrencies:
            concurrency.held -= 1
        return _NOTHING

    def _give_back_before(self, refusing: Concurrency | None) -> None:
        for concurrency, _ in self.concurrencies:
            if concurrency is refusing:
                break
            concurrency.held -= 1


class _Purse:
    """A budget of one tier: its limit may be another one in the next."""

    __slots__ = ("budget", "limit", "mark", "post")

    def __init__(self, budget: Budget, post: Post) -> None:
        self.budget = budget
        self.limit = post.meter.limit
        self.mark = 0  # no crossing is to be told of less
        self.post = post


class _Budgets:
    """The budgets of one measure."""

    def __init__(self, measure: int, tenant: str) -> None:
        self.measure = measure
        self.tenant = tenant
        self.purses: list[_Purse] = []

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

    def settle(self, held: Amounts, actual: Amounts, at: float, now: float) -> Sequence[Crossing]:
        told = _NOTHING
        taken, used = held[self.measure], actual[self.measure]
        for purse in self.purses:
            budget = purse.budget
            budget.held -= taken
            budget.spent = spent = budget.spent + used
            if spent >= purse.mark:
                purse.mark = next_mark(purse.limit, spent)
                told = [*told, *_crossings(self.tenant, purse.post, used, spent)]
        return told

    def _give_back_before(self, refusing: _Purse | None, amount: int) -> None:
        for purse in self.purses:
            if purse is refusing:
                break
            purse.budget.held -= amount


class _Rollings:
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

    def settle(self, held: Amounts, actual: Amounts, at: float, now: float) -> Sequence[Crossing]:
        told = _NOTHING
        for rolling, _, measure, first_mark, post in self.rollings:
            rolling.settle(post.meter, held[measure], actual[measure], at, now)
            if rolling.window.used(now) >= first_mark:
                told = [*told, *_crossings(self.tenant, post, actual[measure], rolling.window.total)]
        return told

    def _give_back_before(self, refusing: Rolling | None, amounts: Amounts) -> None:
        for rolling, _, measure, _, _ in self.rollings:
            if rolling is refusing:
                break
            rolling.held -= amounts[measure]


class _Velocities:
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

    def settle(self, held: Amounts, actual: Amounts, at: float, now: float) -> Sequence[Crossing]:
        told = _NOTHING
        picousd = actual[_USD]
        for velocity, post in self.velocities:
            if velocity.retry_at:
                velocity.settle(post.meter, held[_USD], picousd, at, now)
            elif velocity.spend(post.meter, picousd, now):
                told = [*told, Crossing(self.tenant, post.meter, 0, velocity.window.total)]
        return told


class Panel:
    """Posts of one tenant, grouped by kind. `is_plain` is False if there is one that the short way cannot serve."""

    __slots__ = ("_groups", "_rates", "_settling", "is_plain", "posts")

    def __init__(self, posts: Sequence[Post], tenant: str) -> None:
        self.posts = tuple(posts)
        self.is_plain = all(meter.rule.enforce and meter.rule.kind is not MeterKind.REPEAT for meter, _ in posts)
        sorting = _Sorting(tenant)
        for post in posts:
            sorting.sort_in(post)
        self._rates = sorting.rates
        self._groups: list[_Group] = [*sorting.others, *self._rates]
        # A rate of requests keeps what it took: a request is one, whatever comes of it.
        self._settling = [*sorting.others, *(rates for rates in self._rates if rates.measure != _REQUESTS)]

    def enter(self, amounts: Amounts, now: float) -> tuple[Standing | None, Standing | None] | None:
        """Take an ask that every meter lets pass as it is, and say how the limits stand.

        None, and nothing is taken, if some meter does not.
        """
        for group in self._groups:
            if not group.take(amounts, now):
                for earlier in self._groups[: self._groups.index(group)]:
                    earlier.give_back(amounts)
                return None
        requests = tokens = _UNLIMITED
        for rates in self._rates:
            if rates.measure == _TOKENS:
                tokens = _tighter(tokens, rates.tightest)
            else:
                requests = _tighter(requests, rates.tightest)
        return _standing(requests, now), _standing(tokens, now)

    def settle(self, held: Amounts, charge: Charge, at: float, now: float) -> Sequence[Crossing]:
        """Replace what an ask has taken by what it came to."""
        actual = (1, charge.tokens, charge.picousd)
        told = _NOTHING
        for group in self._settling:
            if crossings := group.settle(held, actual, at, now):
                told = [*told, *crossings]
        return told

    def entries(self, held: Amounts) -> list[Entry]:
        """What an ask has taken, meter by meter."""
        amounts = dict(zip(_MEASURES, held, strict=True))
        return [Entry(post, amounts[post.meter.rule.measure]) for post in self.posts]

    def touch(self, now: float) -> None:
        """Its meters were used until now."""
        for _, state in self.posts:
            state.touched = max(state.touched, now)


class _Sorting:
    """Puts posts into groups."""

    def __init__(self, tenant: str) -> None:
        self._rates: dict[tuple[int, float], _Rates] = {}
        self._concurrencies = _Concurrencies()
        self._budgets = [_Budgets(measure, tenant) for measure in range(len(_MEASURES))]
        self._rollings = _Rollings(tenant)
        self._velocities = _Velocities(tenant)

    def sort_in(self, post: Post) -> None:
        meter, state = post
        rule, limit = meter.rule, meter.limit
        measure = _MEASURES.index(rule.measure)
        match state:
            case Rate():
                like = self._rates.setdefault((measure, rule.period_seconds), _Rates(state.window, measure))
                like.rates.append((state, state.window, limit, rule.period_seconds / limit, rule.burst_seconds))
            case Concurrency():
                self._concurrencies.concurrencies.append((state, limit))
            case Budget():
                self._budgets[measure].purses.append(_Purse(state, post))
            case Rolling():
                self._rollings.rollings.append((state, limit, measure, next_mark(limit, -1), post))
            case Velocity():
                self._velocities.velocities.append((state, post))

    @property
    def rates(self) -> list[_Rates]:
        return list(self._rates.values())

    @property
    def others(self) -> list[_Group]:
        """Those that have anybody in them."""
        budgets = [budgets for budgets in self._budgets if budgets.purses]
        return [
            *([self._velocities] if self._velocities.velocities else ()),
            *([self._concurrencies] if self._concurrencies.concurrencies else ()),
            *budgets,
            *([self._rollings] if self._rollings.rollings else ()),
        ]


def amounts_of(ask: Ask) -> Amounts:
    """What an ask takes of each measure."""
    output = ask.output_tokens * ask.choices
    return 1, ask.input_tokens + output, ask.input_picousd + output * ask.output_price


def _tighter(one: _Tightest, other: _Tightest) -> _Tightest:
    return other if other[0] < one[0] else one


def _standing(tightest: _Tightest, now: float) -> Standing | None:
    left, limit, debt_seconds = tightest
    return Standing(limit, max(int(left), 0), debt_seconds, now + debt_seconds) if limit else None


def _crossings(tenant: str, post: Post, added: int, spent: int) -> list[Crossing]:
    told = crossing(tenant, post.meter, added, spent) if post.meter.rule.counts_budget else None
    return [] if told is None else [told]
