"""What comes after a failed attempt."""

from __future__ import annotations

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from headgate.policy.retrying import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    Failure,
    Move,
    backoff_seconds,
    is_retryable_status,
    next_step,
)

BASE = Failure(
    retryable=True,
    callers_fault=False,
    retry_after_seconds=None,
    retries_used=0,
    retries_allowed=2,
    deployment_usable=True,
    other_deployments=0,
    other_models=0,
    seconds_left=60.0,
)
chances = st.floats(0, 1, exclude_max=True)
failures = st.builds(
    Failure,
    retryable=st.booleans(),
    callers_fault=st.booleans(),
    retry_after_seconds=st.none() | st.floats(0, 1e6),
    retries_used=st.integers(0, 50),
    retries_allowed=st.integers(0, 50),
    deployment_usable=st.booleans(),
    other_deployments=st.integers(0, 3),
    other_models=st.integers(0, 3),
    seconds_left=st.floats(-10, 1000),
)


def but(**changes: object) -> Failure:
    return msgspec.structs.replace(BASE, **changes)


@given(failures, chances)
def test_it_never_waits_beyond_the_deadline(failure: Failure, chance: float) -> None:
    step = next_step(failure, chance=chance)
    if step.move is Move.RETRY:
        assert 0 <= step.delay_seconds < failure.seconds_left
    else:
        assert step.delay_seconds == 0
    if failure.seconds_left <= 0:
        assert step.move is Move.GIVE_UP


@given(failures, chances)
def test_what_the_caller_did_wrong_is_never_tried_again(failure: Failure, chance: float) -> None:
    step = next_step(msgspec.structs.replace(failure, callers_fault=True), chance=chance)
    assert step.move is Move.GIVE_UP


@given(failures, chances)
def test_a_retry_waits_at_least_as_long_as_the_provider_asks(failure: Failure, chance: float) -> None:
    step = next_step(failure, chance=chance)
    if step.move is Move.RETRY and failure.retry_after_seconds is not None:
        assert step.delay_seconds >= failure.retry_after_seconds


@given(failures, chances)
def test_a_retry_needs_a_reason_to_hope(failure: Failure, chance: float) -> None:
    if next_step(failure, chance=chance).move is Move.RETRY:
        assert failure.retryable and failure.deployment_usable
        assert failure.retries_used < failure.retries_allowed


@given(failures, chances)
def test_it_goes_only_where_there_is_somewhere_to_go(failure: Failure, chance: float) -> None:
    step = next_step(failure, chance=chance)
    if step.move is Move.NEXT_DEPLOYMENT:
        assert failure.other_deployments > 0
    if step.move is Move.NEXT_MODEL:
        assert failure.other_models > 0 and failure.other_deployments == 0


@given(failures, chances)
def test_it_gives_up_only_when_nothing_else_is_left(failure: Failure, chance: float) -> None:
    assume(not failure.callers_fault and failure.seconds_left > 0)
    if failure.other_deployments or failure.other_models:
        assert next_step(failure, chance=chance).move is not Move.GIVE_UP


@given(failures, chances)
def test_every_step_says_why(failure: Failure, chance: float) -> None:
    assert next_step(failure, chance=chance).reason


def test_while_one_deployment_asks_for_patience_others_need_none() -> None:
    assert next_step(but(retry_after_seconds=3.0, other_deployments=1), chance=0.5).move is Move.NEXT_DEPLOYMENT
    assert next_step(but(retry_after_seconds=3.0, other_models=1), chance=0.5).move is Move.NEXT_MODEL
    alone = next_step(but(retry_after_seconds=3.0), chance=0.5)
    assert (alone.move, alone.delay_seconds) == (Move.RETRY, 3.0 + 0.5 * FIRST_BACKOFF_SECONDS)


def test_a_wait_longer_than_the_request_has_left_is_not_begun() -> None:
    step = next_step(but(retry_after_seconds=61.0), chance=0.0)
    assert step.move is Move.GIVE_UP and "61" in step.reason


def test_what_is_left_of_the_time_goes_to_another_deployment_if_it_is_too_short_to_wait() -> None:
    assert next_step(but(seconds_left=0.1, other_deployments=1), chance=0.9).move is Move.NEXT_DEPLOYMENT
    assert next_step(but(seconds_left=0.1), chance=0.9).move is Move.GIVE_UP


def test_retries_come_before_other_deployments() -> None:
    assert next_step(but(other_deployments=1), chance=0.5).move is Move.RETRY
    assert next_step(but(other_deployments=1, retries_used=2), chance=0.5).move is Move.NEXT_DEPLOYMENT


@given(st.integers(0, 1000), chances)
def test_jitter_is_full_and_bounded(retries_used: int, chance: float) -> None:
    delay = backoff_seconds(retries_used, chance)
    cap = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**retries_used)
    assert delay == chance * cap
    assert 0 <= delay < LONGEST_BACKOFF_SECONDS


def test_the_bound_of_the_jitter_doubles_until_the_cap() -> None:
    bounds = [backoff_seconds(used, 1.0) for used in range(8)]
    assert bounds == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_statuses() -> None:
    assert [status for status in range(100, 600) if is_retryable_status(status) and status < 510] == [
        408, 409, 429, 500, 502, 503, 504, 506, 507, 508, 509,
    ]  # fmt: skip
    assert is_retryable_status(529) and is_retryable_status(599)
    assert not is_retryable_status(600)
