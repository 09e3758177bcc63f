"""After a failed attempt, before the commit point: again, the next deployment, the next model, or give up."""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen

FIRST_BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF_SECONDS = 8.0
RETRYABLE_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


class Move(StrEnum):
    """The next step."""

    RETRY = "retry"  # the same deployment, after `delay_seconds`
    NEXT_DEPLOYMENT = "next_deployment"
    NEXT_MODEL = "next_model"
    GIVE_UP = "give_up"


class Failure(Frozen, frozen=True, gc=False):
    """What happened, and what is left."""

    retryable: bool  # the error may go away by itself
    callers_fault: bool  # the provider said the request is wrong
    retry_after_seconds: float | None
    retries_used: int  # on this model so far
    retries_allowed: int
    deployment_usable: bool  # its breaker would let another attempt through now
    other_deployments: int  # usable ones of this model that were not tried yet
    other_models: int  # fallbacks not tried yet
    seconds_left: float  # until the request's deadline


class Step(Frozen, frozen=True, gc=False):
    """The decision."""

    move: Move
    reason: str
    delay_seconds: float = 0.0


def is_retryable_status(status: int) -> bool:
    """408, 409, 429 and every 5xx but 501 and 505, which no repetition changes."""
    return status in RETRYABLE_STATUSES or (status > 505 and status <= 599)


def backoff_seconds(retries_used: int, chance: float) -> float:
    """Exponential backoff with full jitter: uniform in [0, min(cap, base * 2^n)).

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    return chance * min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0**retries_used)


def next_step(failure: Failure, *, chance: float) -> Step:
    """Decide. `chance` is uniform in [0, 1)."""
    if failure.callers_fault:
        return Step(Move.GIVE_UP, "the provider says the request is wrong; no other attempt can change that")
    elsewhere = _elsewhere(failure)
    if not failure.retryable or not failure.deployment_usable:
        return elsewhere
    if failure.retries_used >= failure.retries_allowed:
        return elsewhere
    if failure.retry_after_seconds is not None:
        if failure.other_deployments or failure.other_models:
            return elsewhere  # waiting is what others need not do
        delay = failure.retry_after_seconds + backoff_seconds(0, chance)
        if delay >= failure.seconds_left:
            return Step(
                Move.GIVE_UP, f"the provider asks for {failure.retry_after_seconds:g} s, the request has less left"
            )
        return Step(Move.RETRY, "as long as the provider asks for", delay)
    delay = backoff_seconds(failure.retries_used, chance)
    if delay >= failure.seconds_left:
        if elsewhere.move is not Move.GIVE_UP:
            return elsewhere
        return Step(Move.GIVE_UP, "the request's deadline comes before the next retry")
    return Step(Move.RETRY, f"retry {failure.retries_used + 1} of {failure.retries_allowed}", delay)


def _elsewhere(failure: Failure) -> Step:
    if failure.seconds_left <= 0:
        return Step(Move.GIVE_UP, "the request's deadline has passed")
    if failure.other_deployments:
        return Step(Move.NEXT_DEPLOYMENT, f"{failure.other_deployments} other deployments are usable")
    if failure.other_models:
        return Step(Move.NEXT_MODEL, f"{failure.other_models} fallback models are left")
    return Step(Move.GIVE_UP, "every deployment and fallback was tried")
