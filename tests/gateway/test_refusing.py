"""What a refusal says, to people and to programs."""

from __future__ import annotations

from headgate.gateway import refusing
from headgate.metering import Admission, Meter, Refusal, Verdict
from headgate.types import Measure, MeterKind, Rule, Scope

USD = 10**12


def test_a_session_has_the_name_that_its_caller_gave() -> None:
    rule = Rule("budgets.session", MeterKind.BUDGET, Measure.USD, Scope.SESSION, USD)
    spent = Refusal(Meter("m", rule, "key%20key_1 s1", None, USD), Verdict.SPENT, USD, 0, 5)
    error = refusing.error(Admission(spent))
    assert error.detail is not None and error.detail.subject == "s1"
    assert error.message.startswith("The budget budgets.session of the session 's1' is spent")


def test_a_key_that_names_nobody_is_called_a_key() -> None:
    rule = Rule("budgets.user_day", MeterKind.BUDGET, Measure.USD, Scope.USER, USD)
    error = refusing.error(Admission(Refusal(Meter("m", rule, "key key_1", None, USD), Verdict.SPENT, USD, 0, 5)))
    assert error.detail is not None and error.detail.subject == "key_1"
    assert "budgets.user_day of the key 'key_1' is spent" in error.message


def test_a_request_that_repeats_needs_one() -> None:
    rule = Rule("loop_guard.same_request_in_a_row", MeterKind.REPEAT, Measure.REQUESTS, Scope.SESSION, 3)
    repeated = Refusal(Meter("m", rule, "ann s1", None, 3), Verdict.LOOP, 3, 0, 3_074_545_260)
    error = refusing.error(Admission(repeated))
    assert error.detail is not None and (error.detail.limit, error.detail.used, error.detail.needed) == (3, 3, 1)


def test_a_velocity_that_trips_by_what_is_usual_says_how_much_that_is() -> None:
    rule = Rule("velocity", MeterKind.VELOCITY, Measure.USD, Scope.KEY, 0, period_seconds=300.0, factor=10.0)
    tripped = Refusal(Meter("m", rule, "key_1", None, 0), Verdict.TRIPPED, USD, 0, 5, 60.0, USD // 2)
    error = refusing.error(Admission(tripped, wait_seconds=60.0))
    assert error.detail is not None and error.detail.limit == "0.5"
    assert error.message.startswith(
        "Money was spent unusually fast by the key 'key_1': 1 USD in the last 300 seconds, where "
        "0.5 USD is allowed, 10 times what is usual. "
    )


def test_a_rolling_budget_says_when_enough_of_it_comes_free() -> None:
    rule = Rule("budgets.more[0]", MeterKind.ROLLING, Measure.USD, Scope.USER, USD, period_seconds=60.0)
    spent = Refusal(Meter("m", rule, "ann", None, USD), Verdict.SPENT, USD, 0, 5, 41.6)
    error = refusing.error(Admission(spent))
    assert (error.status, error.retry_after_seconds) == (402, None)
    assert error.detail is not None and error.detail.retry_after_seconds == 41.6
    assert "this request needs up to 0.000000000005 USD. Enough of it comes free in 42 s. Ask the" in error.message
