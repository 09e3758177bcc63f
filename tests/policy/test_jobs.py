"""The states of jobs, and what follows from a failure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.job_types import Counts, ItemState, JobState, RetryRules
from headgate.policy import jobs
from headgate.policy.jobs import OPEN, TRANSITIONS, Event, ItemFailure
from scripts.jobs_diagram import diagram
from tests.source import ROOT

RULES = RetryRules(retries=3, lost_workers=2)
counts = st.builds(Counts, *[st.integers(0, 3)] * 8)
failures = st.builds(
    ItemFailure,
    permanent=st.booleans(),
    ours=st.booleans(),
    retry_after_seconds=st.none() | st.floats(0, 1e6),
    retries=st.integers(0, 100),
    deadline_at=st.none() | st.floats(0, 2e6),
)


def test_what_is_over_stays_over_unless_it_is_driven_again() -> None:
    for (state, event), target in TRANSITIONS.items():
        assert (state in OPEN) != (event in (Event.REDRIVE, Event.REOPEN, Event.DROP))
        assert event in (Event.REDRIVE, Event.REOPEN) or target is not ItemState.QUEUED


def test_every_open_state_can_be_cancelled_and_can_expire() -> None:
    assert set(jobs.sources(Event.CANCEL)) == OPEN == set(jobs.sources(Event.EXPIRE))


def test_only_a_worker_ends_an_item_well() -> None:
    assert [key for key, target in TRANSITIONS.items() if target is ItemState.SUCCEEDED] == [
        (ItemState.LEASED, Event.SUCCEED)
    ]


@given(counts)
def test_a_job_is_over_when_all_of_its_items_are(counts: Counts) -> None:
    state = jobs.job_state(counts)
    is_open = state in (JobState.QUEUED, JobState.RUNNING, JobState.RETRYING)
    assert is_open == (counts.open > 0)
    if state is JobState.SUCCEEDED:
        assert counts.done == counts.succeeded
    assert counts.open + counts.done == counts.total


@given(failures, st.floats(0, 0.999), st.floats(0, 1e6))
def test_a_failure_leads_to_what_it_may(failure: ItemFailure, chance: float, now: float) -> None:
    verdict = jobs.after_failure(failure, RULES, now=now, chance=chance)
    assert (ItemState.LEASED, verdict.event) in TRANSITIONS and verdict.reason
    if failure.permanent:
        assert verdict.event is Event.REJECT
    elif failure.ours:
        assert verdict.event in (Event.POSTPONE, Event.EXPIRE)  # never counted, never the end of it
    elif failure.retries >= RULES.retries:
        assert verdict.event is Event.GIVE_UP
    if verdict.event in (Event.RETRY, Event.POSTPONE):
        assert verdict.at >= now + (failure.retry_after_seconds or 0)
        assert failure.deadline_at is None or verdict.at < failure.deadline_at


@given(st.integers(0, 10_000), st.floats(0, 0.999))
def test_pauses_grow_and_have_a_longest(retries: int, chance: float) -> None:
    assert 0 <= jobs.backoff_seconds(retries, chance) <= jobs.LONGEST_BACKOFF_SECONDS
    assert jobs.backoff_seconds(retries, chance) <= jobs.backoff_seconds(retries + 1, chance)


def test_workers_that_are_lost_with_an_item() -> None:
    assert jobs.after_loss(1, RULES).event is Event.LOSE
    assert jobs.after_loss(2, RULES).event is Event.GIVE_UP


def test_the_diagram_is_the_table() -> None:
    assert f"```mermaid\n{diagram()}```" in (ROOT / "docs/jobs.md").read_text(), "run: python -m scripts.jobs_diagram"
