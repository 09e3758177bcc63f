"""The usual case in a hurry: everything fits, nothing is lowered, nobody is refused.

A panel has the meters of one caller and model grouped by kind, so that a request that all of them let pass is admitted
in a few short loops, and settled together with those that end in the same round. It decides nothing of its own:
whatever is not plain goes the way of `admission.py`, and a property test holds that both ways come to the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate.metering import Ask, Crossing, Standing
from headgate.policy.admission import Entry, Post, next_mark
from headgate.policy.groups import (
    NOTHING,
    REQUESTS,
    TOKENS,
    Amounts,
    Budgets,
    Concurrencies,
    Group,
    Over,
    Purse,
    Rates,
    Rollings,
    Use,
    Velocities,
)
from headgate.policy.meters import Budget, Concurrency, Rate, Rolling
from headgate.policy.velocity import Velocity
from headgate.types import Measure, MeterKind

Standings = tuple[Standing | None, Standing | None]  # of the tightest limits on requests and on tokens

_MEASURES = (Measure.REQUESTS, Measure.TOKENS, Measure.USD)  # amounts of a request stand in this order


class Panel:
    """Posts of one tenant, grouped by kind. `is_plain` is False if there is one that the short way cannot serve."""

    __slots__ = ("_groups", "_of_requests", "_of_tokens", "_settling", "is_plain", "posts")

    def __init__(self, posts: Sequence[Post], tenant: str) -> None:
        self.posts = tuple(posts)
        self.is_plain = all(meter.rule.enforce and meter.rule.kind is not MeterKind.REPEAT for meter, _ in posts)
        sorting = _Sorting(tenant)
        for post in posts:
            sorting.sort_in(post)
        self._of_requests, self._of_tokens = sorting.rates(REQUESTS), sorting.rates(TOKENS)
        self._groups: list[Group] = [*sorting.others, *self._of_requests, *self._of_tokens]
        self._settling = [*sorting.others, *self._of_tokens]  # a request is one, whatever comes of it

    def enter(self, amounts: Amounts, now: float) -> Standings | None:
        """Take an ask that every meter lets pass as it is, and say how the limits stand.

        None, and nothing is taken, if some meter does not.
        """
        for group in self._groups:
            if not group.take(amounts, now):
                for earlier in self._groups[: self._groups.index(group)]:
                    earlier.give_back(amounts)
                return None
        return _standing(self._of_requests, now), _standing(self._of_tokens, now)

    def settle(self, uses: Sequence[Use], now: float) -> Sequence[Crossing]:
        """Replace what asks have taken by what they came to."""
        over, told = Over(uses), NOTHING
        for group in self._settling:
            if crossings := group.settle(over, now):
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
        self._rates: dict[tuple[int, float], Rates] = {}
        self._concurrencies = Concurrencies()
        self._budgets = [Budgets(measure, tenant) for measure in range(len(_MEASURES))]
        self._rollings = Rollings(tenant)
        self._velocities = Velocities(tenant)

    def sort_in(self, post: Post) -> None:
        meter, state = post
        rule, limit = meter.rule, meter.limit
        measure = _MEASURES.index(rule.measure)
        match state:
            case Rate():
                like = self._rates.setdefault((measure, rule.period_seconds), Rates(state.window, measure))
                like.rates.append((state, state.window, limit, rule.period_seconds / limit, rule.burst_seconds))
            case Concurrency():
                self._concurrencies.concurrencies.append((state, limit))
            case Budget():
                self._budgets[measure].purses.append(Purse(state, post))
            case Rolling():
                self._rollings.rollings.append((state, limit, measure, next_mark(limit, -1), post))
            case Velocity():
                self._velocities.velocities.append((state, post))

    def rates(self, measure: int) -> list[Rates]:
        return [rates for rates in self._rates.values() if rates.measure == measure]

    @property
    def others(self) -> list[Group]:
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


def _standing(rates: Sequence[Rates], now: float) -> Standing | None:
    """How the tightest stands, after all have taken."""
    if not rates:
        return None
    left, limit, debt_seconds = rates[0].tightest
    if len(rates) > 1:  # of several periods
        left, limit, debt_seconds = min([one.tightest for one in rates], key=lambda tightest: tightest[0])
    return Standing(limit, left if left > 0 else 0, debt_seconds, now + debt_seconds)
