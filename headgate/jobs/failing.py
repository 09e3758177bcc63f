"""What an error of the corridor means for an item."""

from __future__ import annotations

from headgate.errors import Forbidden, HeadgateError, InvalidRequest, Overloaded, Unauthenticated, UpstreamRejected
from headgate.job_types import ItemEnd, ItemState, Lease, Refusal, RetryRules
from headgate.jobs.calls import ROUTES
from headgate.limit_errors import BudgetSpent, LimitRefusal, LoopDetected, RequestTooLarge
from headgate.policy import jobs as policy
from headgate.policy.jobs import Event, ItemFailure
from headgate.policy.retrying import is_retryable_status
from headgate.types import Route
from headgate.wire.openai import error_status
from headgate.wire.speakers import speaker

SPENT_AGAIN_SECONDS = 300.0  # money may be raised at any time: so long until it is looked for again
_NEVER = (InvalidRequest, Forbidden, Unauthenticated, RequestTooLarge, LoopDetected)


def failure_of(error: HeadgateError, lease: Lease) -> ItemFailure:
    """Permanent, ours, or the provider's."""
    ours = isinstance(error, LimitRefusal | Overloaded)
    rejected = isinstance(error, UpstreamRejected) and not is_retryable_status(error.upstream_status)
    permanent = rejected or isinstance(error, _NEVER)
    wait = SPENT_AGAIN_SECONDS if isinstance(error, BudgetSpent) else error.retry_after_seconds
    return ItemFailure(
        permanent=permanent,
        ours=ours and not permanent,
        retry_after_seconds=wait,
        retries=lease.retries,
        deadline_at=lease.deadline_at,
    )


def end_of(lease: Lease, error: HeadgateError, rules: RetryRules, now: float, chance: float) -> ItemEnd:
    """What a worker says of an item whose attempt failed."""
    verdict = policy.after_failure(failure_of(error, lease), rules, now=now, chance=chance)
    return ItemEnd(
        lease.job_id,
        lease.number,
        lease.token,
        policy.TRANSITIONS[ItemState.LEASED, verdict.event],
        error_code=error.code,
        error=f"{error.message} ({verdict.reason})",
        next_at=verdict.at,
        counts_as_retry=verdict.event is Event.RETRY,
        refusal=_refusal(lease, error),
    )


def _refusal(lease: Lease, error: HeadgateError) -> Refusal:
    """In the dialect of those who send such requests."""
    body = speaker(ROUTES.get(lease.kind, Route.CHAT)).error_body(error, lease.request_id)
    return Refusal(error_status(error), body.decode(errors="replace"))
