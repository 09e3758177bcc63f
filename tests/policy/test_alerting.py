"""Keys and words of alerts."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from headgate.alert_types import BudgetFacts, CacheFacts, DriftFacts, StoreFacts, VelocityFacts
from headgate.policy.alerting import (
    budget_alert,
    cache_alert,
    drift_alert,
    store_alert,
    trial_alert,
    velocity_alert,
)

USD = 10**12
BUDGET = BudgetFacts(
    "tenant_month", "acme", "2026-11", 80, limit_picousd=50 * USD, spent_picousd=40 * USD + 3_817_500_000_001
)
VELOCITY = VelocityFacts("user", "alice", "block", 6 * USD // 10, USD // 2, 300.0)
DRIFT = DriftFacts("openai", "org-1", "2026-11-27", 10 * USD, 12 * USD)
STORE = StoreFacts("database", "connection refused.", "Requests go on; rows wait on disk.")


def test_a_budget_is_told_in_words_that_stand_alone() -> None:
    alert = budget_alert("acme", BUDGET, 5.0)
    assert (alert.key, alert.kind, alert.tenant) == (
        "budget:acme:tenant_month:acme:2026-11:80:50 USD", "budget", "acme",
    )  # fmt: skip
    assert alert.title == "Budget tenant month of acme has reached 80 %"
    assert alert.sentence == (
        "The tenant month budget of tenant acme has reached 80 %: 43.8175 USD of 50 USD in 2026-11."
    )
    spent = budget_alert(
        "acme",
        BudgetFacts("user_day", "alice", "2026-11-28", 100, limit_tokens=10_000, spent_tokens=10_500),
        5.0,
        whose="user alice",
    )
    assert spent.title == "Budget user day of user alice of acme is used up"
    assert "of user alice of tenant acme is used up: 10,500 tokens of 10,000 tokens in 2026-11-28." in spent.sentence
    assert "are refused or sent to a cheaper model" in spent.sentence


def test_a_budget_that_is_only_tried_refuses_nothing() -> None:
    tried = msgspec.structs.replace(BUDGET, percent=100, is_enforced=False)
    assert budget_alert("acme", tried, 5.0).sentence.endswith("Its tier has enforce: false, so requests go on.")


def test_a_budget_that_was_raised_is_told_of_anew() -> None:
    raised = msgspec.structs.replace(BUDGET, limit_picousd=60 * USD)
    tokens = msgspec.structs.replace(BUDGET, limit_picousd=0, limit_tokens=50)
    assert len({budget_alert("acme", facts, 5.0).key for facts in (BUDGET, raised, tokens)}) == 3


def test_a_trip_says_what_happens_now() -> None:
    alert = velocity_alert("acme", VELOCITY, 1_790_000_000.75, whose="user alice")
    assert alert.key == "velocity:acme:user:alice:1790000000"
    assert alert.sentence == (
        "User alice of tenant acme spent 0.6 USD within 300 s, more than 0.5 USD. "
        "Its requests are refused until the breaker closes."
    )
    usual = msgspec.structs.replace(VELOCITY, scope="tenant", of="acme", action="alert", baseline_factor=10.0)
    assert velocity_alert("acme", usual, 0.0).sentence == (
        "Tenant acme spent 0.6 USD within 300 s, more than 0.5 USD, 10 times what is usual. Its requests go on."
    )


def test_a_drift_says_in_which_direction() -> None:
    assert drift_alert(DRIFT, 5.0).title == "openai billed 2 USD more than was booked"
    less = msgspec.structs.replace(DRIFT, billed_picousd=9 * USD)
    assert drift_alert(less, 5.0).title == "openai billed 1 USD less than was booked"
    assert drift_alert(less, 5.0).key != drift_alert(DRIFT, 5.0).key


def test_a_store_that_stays_away_is_told_once_an_hour() -> None:
    keys = [store_alert(STORE, seconds).key for seconds in (0.0, 3599.0, 3600.0)]
    assert keys == ["store:database:0", "store:database:0", "store:database:1"]
    assert store_alert(STORE, 0.0).sentence == (
        "The database does not answer: connection refused. Requests go on; rows wait on disk."
    )
    redis = StoreFacts("redis", "no answer within 0.25 seconds", "Requests are refused.")
    assert store_alert(redis, 0.0).title == "The store of limits and budgets does not answer"


def test_every_trial_is_another_one() -> None:
    assert trial_alert("a", 1.0).key != trial_alert("b", 1.0).key and trial_alert("a", 1.0).kind == "test"


NAMES = st.one_of(st.text(max_size=5), st.text(alphabet=":%23A", max_size=5), st.text(min_size=199, max_size=203))


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_different_budgets_never_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    keys = [budget_alert(tenant, msgspec.structs.replace(BUDGET, of=of), 1.0).key for tenant, of in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_a_cache_that_turned_itself_off_is_told_once_a_day() -> None:
    facts = CacheFacts("support", "v2", 0.01, "5 of 100 verified hits were false")
    day = 86_400
    keys = [cache_alert("acme", facts, seconds).key for seconds in (0.0, day - 1.0, float(day))]
    assert keys[0] == keys[1] != keys[2]
    told = cache_alert("acme", facts, 0.0)
    assert (told.kind, told.tenant) == ("cache", "acme")
    assert "the model support, prompt version v2, tenant acme has turned itself off: 5 of 100" in told.sentence
    shared = cache_alert(None, CacheFacts("support", "", 0.01, "x"), 0.0)
    assert "the model support, all tenants has" in shared.sentence and shared.tenant is None
