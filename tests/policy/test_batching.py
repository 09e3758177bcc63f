"""Live or in the provider's batch API: each reason, and what must hold for any job."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.batching import BatchRules, Execution, JobFacts, choose, spills

AUTO = BatchRules(use="auto", min_items=20, min_hours=4.0, spill_hours=1.0)
NOW, HOUR = 1_000_000.0, 3600.0


def chosen(rules: BatchRules = AUTO, *, waiting: int = 100, hours: float | None = 24.0, **more: object) -> str:
    deadline_at = None if hours is None else NOW + hours * HOUR
    choice = choose(JobFacts(waiting, deadline_at, **more), rules, NOW)  # type: ignore[arg-type]
    return f"{choice.execution}: {choice.reason}"


def test_auto_needs_a_deadline_with_room_and_a_lower_price() -> None:
    assert chosen() == "batch: 24.0 hours are left to its deadline, and the provider's batches cost less"
    assert chosen(hours=None) == "live: it has no deadline, so it may be wanted at once"
    assert chosen(hours=3.0) == "live: 3.0 hours to its deadline are fewer than batch.min_hours"
    assert chosen(waiting=19) == "live: 19 items are fewer than batch.min_items"
    assert chosen(is_cheaper=False) == "live: its provider has no other price for batches"
    assert chosen(obstacle="it is a router") == "live: it is a router"
    assert chosen(hours=0.5) == "live: 0.5 hours are left to its deadline, too few for a batch"


def test_always_is_whenever_it_is_possible() -> None:
    always = BatchRules(use="always")
    assert chosen(always, waiting=1, hours=None) == "batch: batch.use of its model is always"
    assert chosen(always, obstacle="it is a router") == "live: it is a router"
    assert chosen(always, hours=0.9).startswith("live")


def test_never_is_never() -> None:
    assert chosen(BatchRules()) == "live: batch.use of its model is never"


def test_what_is_not_done_near_the_deadline_is_spilled() -> None:
    assert not spills(None, AUTO, NOW)
    assert not spills(NOW + 1.01 * HOUR, AUTO, NOW)
    assert spills(NOW + HOUR, AUTO, NOW)
    assert spills(NOW - HOUR, AUTO, NOW)


@given(
    st.integers(0, 10_000), st.none() | st.floats(-48, 96), st.booleans(), st.sampled_from(["never", "auto", "always"])
)
def test_nothing_goes_into_a_batch_that_would_be_spilled_at_once(
    waiting: int, hours: float | None, is_cheaper: bool, use: str
) -> None:
    rules = BatchRules(use=use)
    deadline_at = None if hours is None else NOW + hours * HOUR
    choice = choose(JobFacts(waiting, deadline_at, is_cheaper=is_cheaper), rules, NOW)
    assert choice.reason
    if choice.execution is Execution.BATCH:
        assert use != "never" and not spills(deadline_at, rules, NOW)
