"""The states of items and jobs: which changes there are, and what follows from a failure.

`TRANSITIONS` is the whole state machine; `docs/jobs.md` draws it, and the stores change nothing that is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from headgate.job_types import Counts, ItemState, JobState, RetryRules
from headgate.types import Frozen

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 300.0


class Event(StrEnum):
    """What happens to an item."""

    CLAIM = "claim"  # a worker takes it
    SUCCEED = "succeed"
    REJECT = "reject"  # it failed in a way that no repetition changes
    RETRY = "retry"  # it failed and is tried again
    GIVE_UP = "give up"  # it failed and has been tried often enough
    POSTPONE = "postpone"  # a limit, a budget or a drain of ours came between: that is not its fault
    LOSE = "lose"  # its worker let the lease run out
    CANCEL = "cancel"
    EXPIRE = "expire"  # its deadline came
    REDRIVE = "redrive"  # an operator wants it tried anew
    DROP = "drop"  # an operator wants it to stay as it is
    REOPEN = "reopen"  # a job that it had waited for begins anew


_S, _E = ItemState, Event
TRANSITIONS: Mapping[tuple[ItemState, Event], ItemState] = {
    (_S.QUEUED, _E.CLAIM): _S.LEASED,
    (_S.RETRYING, _E.CLAIM): _S.LEASED,
    (_S.LEASED, _E.SUCCEED): _S.SUCCEEDED,
    (_S.LEASED, _E.REJECT): _S.FAILED,
    (_S.LEASED, _E.RETRY): _S.RETRYING,
    (_S.LEASED, _E.POSTPONE): _S.RETRYING,
    (_S.LEASED, _E.LOSE): _S.RETRYING,
    (_S.LEASED, _E.GIVE_UP): _S.DEAD,
    (_S.QUEUED, _E.CANCEL): _S.CANCELLED,
    (_S.RETRYING, _E.CANCEL): _S.CANCELLED,
    (_S.LEASED, _E.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _E.EXPIRE): _S.EXPIRED,
    (_S.RETRYING, _E.EXPIRE): _S.EXPIRED,
    (_S.LEASED, _E.EXPIRE): _S.EXPIRED,
    (_S.FAILED, _E.REDRIVE): _S.QUEUED,
    (_S.DEAD, _E.REDRIVE): _S.QUEUED,
    (_S.EXPIRED, _E.REDRIVE): _S.QUEUED,
    (_S.CANCELLED, _E.REDRIVE): _S.QUEUED,
    (_S.DEAD, _E.DROP): _S.FAILED,
    (_S.SUCCEEDED, _E.REOPEN): _S.QUEUED,
}
OPEN = frozenset({ItemState.QUEUED, ItemState.LEASED, ItemState.RETRYING})


def sources(event: Event) -> tuple[ItemState, ...]:
    """The states in which an event may happen."""
    return tuple(state for state, possible in TRANSITIONS if possible is event)


def is_over(state: JobState) -> bool:
    """Whether nothing more happens to a job by itself."""
    return state not in (JobState.QUEUED, JobState.RUNNING, JobState.RETRYING)


def job_state(counts: Counts, *, sealed: bool = True, is_cancelled: bool = False) -> JobState:
    """Of a job with such items. One that is over is what the worst of its items is, success only if all are one, and
    one that was cancelled before it had any is cancelled. One that is not sealed gets more items yet."""
    if counts.open or not sealed:
        if counts.leased or counts.done:
            return JobState.RUNNING
        return JobState.RETRYING if counts.retrying else JobState.QUEUED
    if counts.cancelled or (is_cancelled and not counts.total):
        return JobState.CANCELLED
    if counts.expired:
        return JobState.EXPIRED
    if counts.dead:
        return JobState.DEAD
    return JobState.FAILED if counts.failed else JobState.SUCCEEDED


class ItemFailure(Frozen, frozen=True, gc=False):
    """How an attempt at an item ended."""

    permanent: bool = False  # no repetition changes it
    ours: bool = False  # a limit, a budget or a drain came between
    retry_after_seconds: float | None = None
    retries: int = 0  # failures that counted before this one
    deadline_at: float | None = None


class Verdict(Frozen, frozen=True, gc=False):
    """The decision. `at` is when the item may be claimed again, in Unix seconds."""

    event: Event
    reason: str
    at: float = 0.0


def backoff_seconds(retries: int, chance: float) -> float:
    """Exponential backoff with full jitter, as `policy.retrying`, but slower: nobody waits at a connection."""
    return chance * min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(retries, 30))


def after_failure(failure: ItemFailure, rules: RetryRules, *, now: float, chance: float) -> Verdict:
    """What becomes of a leased item whose attempt failed. `chance` is uniform in [0, 1)."""
    if failure.permanent:
        return Verdict(Event.REJECT, "no repetition would change that")
    if not failure.ours and failure.retries >= rules.retries:
        return Verdict(Event.GIVE_UP, f"it failed {failure.retries + 1} times")
    delay = backoff_seconds(failure.retries, chance)
    at = now + (failure.retry_after_seconds or 0.0) + delay
    if failure.deadline_at is not None and at >= failure.deadline_at:
        return Verdict(Event.EXPIRE, "its deadline comes before the next attempt")
    if failure.ours:
        return Verdict(Event.POSTPONE, "it waits for a limit", at)
    return Verdict(Event.RETRY, f"attempt {failure.retries + 1} failed", at)


def after_loss(lost_workers: int, rules: RetryRules) -> Verdict:
    """What becomes of an item whose lease ran out; `lost_workers` are the different ones lost with it, this one too."""
    if lost_workers >= rules.lost_workers:
        return Verdict(Event.GIVE_UP, f"{lost_workers} workers were lost with it")
    return Verdict(Event.LOSE, "its worker was lost")
