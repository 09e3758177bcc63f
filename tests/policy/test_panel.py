"""The short way of a panel comes to the same as the policy, meter by meter, whatever is asked and settled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.metering import Ask, Charge, Crossing, Meter, Reading
from headgate.policy import admission
from headgate.policy.admission import Entry, Post
from headgate.policy.groups import Use
from headgate.policy.meters import Rate, new_state
from headgate.policy.panel import Panel, amounts_of
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.scale import scaled

START = 1_767_225_600.0
HAIR = 1e-5  # seconds: what floating point makes of sums in another order
KINDS = (
    (MeterKind.RATE, Measure.REQUESTS), (MeterKind.RATE, Measure.TOKENS), (MeterKind.CONCURRENCY, Measure.REQUESTS),
    (MeterKind.BUDGET, Measure.USD), (MeterKind.BUDGET, Measure.TOKENS), (MeterKind.ROLLING, Measure.USD),
    (MeterKind.ROLLING, Measure.TOKENS), (MeterKind.VELOCITY, Measure.USD),
)  # fmt: skip
METERS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 400), st.sampled_from([10.0, 60.0]), st.sampled_from([0.05, 1.0])),
    min_size=1,
    max_size=9,
)
ASKS = st.tuples(st.integers(0, 30), st.integers(0, 30))
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.2, 1.7, 30.0]), st.lists(ASKS, max_size=4), st.integers(0, 5), st.floats(0, 1.5)
    ),
    min_size=1,
    max_size=25,
)


@dataclass
class Both:
    """The same meters twice: for the panel, and for the policy."""

    meters: Sequence[Meter]
    held: list[tuple[Ask, float, list[Entry]]] = field(default_factory=list)
    told: tuple[set[tuple[str, int]], set[tuple[str, int]]] = field(default_factory=lambda: (set(), set()))

    def __post_init__(self) -> None:
        self.short = [Post(meter, new_state(meter)) for meter in self.meters]
        self.long = [Post(meter, new_state(meter)) for meter in self.meters]
        self.panel = Panel(self.short, "acme")

    def ask(self, ask: Ask, now: float) -> None:
        decision = admission.decide(self.long, ask, now)
        plain = decision.refusal is None and decision.output_tokens == ask.output_tokens
        tripped = any(post.state.reading(post.meter, now).tripped for post in self.long)
        before = self.readings(self.short, now)
        standing = self.panel.enter(amounts_of(ask), now)
        if standing is None:
            assert not plain or tripped or not ask.input_tokens + ask.output_tokens, "it would have passed"
            assert self.readings(self.short, now) == before, "what was taken before the refusal is given back"
            return
        assert plain, "the policy would not have let it pass as it is"
        self.held.append((ask, now, admission.take(self.long, ask, ask.output_tokens, now)))
        for short, long in zip(standing, admission.standings(self.long, now), strict=True):
            assert (short is None) == (long is None)
            if short is not None and long is not None:
                assert short.remaining == pytest.approx(long.remaining, rel=0, abs=1)
                assert any(  # of several that have as little left any may be told
                    isinstance(post.state, Rate)
                    and post.meter.limit == short.limit
                    and abs(max(post.state.tat - now, 0.0) - short.reset_seconds) < HAIR
                    for post in self.long
                )

    def settle(self, count: int, part: float, now: float) -> None:
        over, self.held = self.held[:count], self.held[count:]
        charges = [Charge(int(amounts_of(ask)[1] * part), int(amounts_of(ask)[2] * part)) for ask, _, _ in over]
        uses = [Use(amounts_of(ask), at, charge) for (ask, at, _), charge in zip(over, charges, strict=True)]
        if uses:
            self.hear(0, self.panel.settle(uses, now))
        for (_, at, entries), charge in zip(over, charges, strict=True):
            self.hear(1, [told for one in entries if (told := admission.settle(one, "acme", charge, at, now))])

    def hear(self, which: int, crossings: Sequence[Crossing]) -> None:
        for told in crossings:
            assert told.tenant == "acme"
            self.told[which].add((told.meter.name, told.percent))

    def readings(self, posts: Sequence[Post], now: float) -> list[Reading]:
        return [post.state.reading(post.meter, now) for post in posts]

    def agree(self, now: float) -> None:
        for short, long in zip(self.readings(self.short, now), self.readings(self.long, now), strict=True):
            assert (short.used, short.held, short.tripped) == (long.used, long.held, long.tripped), short.meter.name
            if short.meter.rule.kind is not MeterKind.VELOCITY:  # trips by the sum of what is settled together
                assert (short.frees_at or now) == pytest.approx(long.frees_at or now, rel=0, abs=HAIR)
        assert self.told[0] <= self.told[1], "nothing is told that did not happen"
        highest = [{name: max(p for n, p in told if n == name) for name, _ in told} for told in self.told]
        assert highest[0] == highest[1], "the last mark that was passed is told"


@settings(max_examples=scaled(4_000, 200))
@given(METERS, STEPS)
def test_a_panel_comes_to_the_same_as_the_policy(
    kinds: list[tuple[tuple[MeterKind, Measure], int, float, float]],
    steps: list[tuple[float, list[tuple[int, int]], int, float]],
) -> None:
    meters = []
    for number, ((kind, measure), limit, period_seconds, burst) in enumerate(kinds):
        rule = Rule(
            f"rule {number}", kind, measure, Scope.TENANT, limit,
            period_seconds=period_seconds, burst_seconds=burst * period_seconds,
        )  # fmt: skip
        meters.append(Meter(f"meter {number}", rule, "", None, limit))
    both, now = Both(meters), START
    for seconds, asks, ended, part in steps:
        now += seconds
        for input_tokens, output_tokens in asks:
            both.ask(Ask(input_tokens, output_tokens, 1, input_tokens, 1), now)
        both.agree(now)
        both.settle(ended, part, now)
        both.agree(now)
