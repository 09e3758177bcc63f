"""The breaker: examples of each rule, and a state machine that checks what must hold whatever happens."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.policy import health
from headgate.policy.health import HEALTHY, Breaker, BreakerRules, Gate

RULES = BreakerRules(failures=3, error_rate=0.5, minimum_requests=6, window_seconds=10.0, open_seconds=5.0)


def after(outcomes: str, *, rules: BreakerRules = RULES, seconds_apart: float = 0.0) -> Breaker:
    """The breaker after attempts that ended well (.) or failed (x)."""
    breaker = HEALTHY
    for number, outcome in enumerate(outcomes):
        end = health.succeeded if outcome == "." else health.failed
        now = number * seconds_apart
        breaker = end(health.started(breaker, now), rules, began=now, now=now)
    return breaker


def test_failures_in_a_row_open_it() -> None:
    assert health.gate(after("xx"), RULES, 0.0) is Gate.CLOSED
    opened = after("xxx")
    assert health.gate(opened, RULES, 0.0) is Gate.OPEN
    assert opened.reason == "3 failures in a row"


def test_a_success_breaks_the_row() -> None:
    assert health.gate(after("xx.xx"), RULES, 0.0) is Gate.CLOSED


def test_failures_in_a_row_count_however_far_apart() -> None:
    assert health.gate(after("xxx", seconds_apart=100.0), RULES, 200.0) is Gate.OPEN


def test_the_error_rate_opens_it_once_there_are_enough_attempts() -> None:
    assert health.gate(after("x.x.x"), RULES, 0.0) is Gate.CLOSED
    opened = after("x.x.xx")
    assert health.gate(opened, RULES, 0.0) is Gate.OPEN
    assert opened.reason == "4 of 6 attempts failed"


def test_an_error_rate_below_the_bound_leaves_it_closed() -> None:
    assert health.gate(after("x..x..x..x..x..x.."), RULES, 0.0) is Gate.CLOSED


def test_failures_of_a_window_that_has_passed_do_not_count() -> None:
    assert health.gate(after("x.x.x.xx", seconds_apart=2.0), RULES, 16.0) is Gate.CLOSED
    assert health.gate(after("x.x.x.xx", seconds_apart=1.0), RULES, 8.0) is Gate.OPEN


def test_after_the_wait_one_probe_goes_through_and_closes_it() -> None:
    breaker = after("xxx")
    assert health.opens_again_in_seconds(breaker, RULES, 1.0) == 4.0
    assert health.gate(breaker, RULES, 4.999) is Gate.OPEN
    assert health.gate(breaker, RULES, 5.0) is Gate.HALF_OPEN
    breaker = health.started(breaker, 5.0)
    assert health.gate(breaker, RULES, 5.0) is Gate.OPEN
    breaker = health.succeeded(breaker, RULES, began=5.0, now=6.0)
    assert health.gate(breaker, RULES, 6.0) is Gate.CLOSED
    assert breaker.consecutive_failures == 0


def test_a_failed_probe_starts_the_wait_again() -> None:
    breaker = health.failed(health.started(after("xxx"), 5.0), RULES, began=5.0, now=7.0)
    assert health.gate(breaker, RULES, 11.9) is Gate.OPEN
    assert health.gate(breaker, RULES, 12.0) is Gate.HALF_OPEN
    assert breaker.reason == "the probe failed"


def test_a_probe_that_says_nothing_leaves_room_for_the_next_at_once() -> None:
    breaker = health.abandoned(health.started(after("xxx"), 5.0), began=5.0)
    assert health.gate(breaker, RULES, 5.0) is Gate.HALF_OPEN


def test_a_probe_that_never_ends_is_given_up_and_its_news_come_too_late() -> None:
    breaker = health.started(after("xxx"), 5.0)
    assert health.gate(breaker, RULES, 9.999) is Gate.OPEN
    assert health.opens_again_in_seconds(breaker, RULES, 6.0) == 4.0
    assert health.gate(breaker, RULES, 10.0) is Gate.HALF_OPEN
    second = health.started(breaker, 10.0)
    assert health.succeeded(second, RULES, began=5.0, now=11.0) is second
    assert health.failed(second, RULES, began=5.0, now=11.0) is second


def test_attempts_from_before_it_opened_neither_close_it_nor_prolong_it_nor_free_the_probe() -> None:
    for breaker in (after("xxx"), health.started(after("xxx"), 5.0)):
        assert health.succeeded(breaker, RULES, began=-1.0, now=5.5) is breaker
        assert health.failed(breaker, RULES, began=-1.0, now=5.5) is breaker
        assert health.abandoned(breaker, began=-1.0) is breaker


def test_a_healthy_one_never_asks_to_wait() -> None:
    assert health.opens_again_in_seconds(HEALTHY, RULES, 3.0) == 0.0


class BreakerMachine(RuleBasedStateMachine):
    """Attempts begin whenever the gate lets them and end in any way and order; time passes between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = HEALTHY
        self.under_way: list[float] = []  # when each began
        self.probes: list[float] = []
        self.row = 0  # failures in a row as an onlooker counts them while it is closed

    @property
    def gate(self) -> Gate:
        return health.gate(self.breaker, RULES, self.now)

    @rule(seconds=st.sampled_from([0.001, 0.5, 4.999, 5.0, 5.001, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.gate is not Gate.OPEN)
    @rule()
    def begin(self) -> None:
        if self.gate is Gate.HALF_OPEN:
            self.probes.append(self.now)
        self.breaker = health.started(self.breaker, self.now)
        self.under_way.append(self.now)
        self.now += 0.0001  # no two attempts begin at the same instant

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["well", "badly", "without a word"]))
    def end(self, data: st.DataObject, how: str) -> None:
        began = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before = self.breaker
        if how == "well":
            self.breaker = health.succeeded(before, RULES, began=began, now=self.now)
        elif how == "badly":
            self.breaker = health.failed(before, RULES, began=began, now=self.now)
        else:
            self.breaker = health.abandoned(before, began=began)
        self._follow(before, began, how)

    def _follow(self, before: Breaker, began: float, how: str) -> None:
        if before.opened_at is None:
            self.row = 0 if how == "well" else self.row + (how == "badly")
            if self.row >= RULES.failures:
                assert self.breaker.opened_at == self.now, "opens on so many failures in a row"
        elif before.probe_at != began:
            assert self.breaker is before, "only the probe counts while it is open"
        if self.breaker.opened_at is None and before.opened_at is not None:
            assert how == "well" and began in self.probes, "only a good probe closes it"
        if before.opened_at is not None or self.breaker.opened_at is not None:
            self.row = 0

    @invariant()
    def one_probe_at_a_time(self) -> None:
        young = [began for began in self.under_way if began in self.probes and self.now < began + RULES.open_seconds]
        if self.breaker.opened_at is not None and self.breaker.probe_at in young:
            assert self.gate is Gate.OPEN
        assert self.breaker.opened_at is None or len([began for began in young if began >= self.breaker.opened_at]) <= 1

    @invariant()
    def it_always_recovers(self) -> None:
        wait = health.opens_again_in_seconds(self.breaker, RULES, self.now)
        assert 0 <= wait <= RULES.open_seconds + 1e-9
        soon = self.now + wait + 0.001
        assert health.gate(self.breaker, RULES, soon) is not Gate.OPEN
        probe = health.started(self.breaker, soon)
        if self.breaker.opened_at is not None:
            assert health.gate(health.succeeded(probe, RULES, began=soon, now=soon), RULES, soon) is Gate.CLOSED

    @invariant()
    def what_is_open_says_why(self) -> None:
        assert (self.breaker.opened_at is None) == (self.breaker.reason == "")


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=40)
