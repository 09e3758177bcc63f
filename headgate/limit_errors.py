"""The part of the error table in which a limit or a budget says no."""

from __future__ import annotations

from headgate.errors import HeadgateError
from headgate.metering import LimitDetail, Standing


class LimitRefusal(HeadgateError):
    """Base of what limits and budgets refuse: `detail` has the numbers, the standings are for rate-limit headers."""

    def __init__(
        self,
        message: str,
        *,
        detail: LimitDetail | None = None,
        requests: Standing | None = None,
        tokens: Standing | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.detail = detail
        self.requests = requests
        self.tokens = tokens


class RateLimited(LimitRefusal):
    """A limit on requests, tokens or concurrency is used up; `retry-after` says when this request would fit."""

    status, code, kind, should_retry = 429, "rate_limit_exceeded", "rate_limit_error", True


class SpendVelocity(RateLimited):
    """Money was spent unusually fast, so the breaker has tripped; it lets one request try again after a while."""

    code = "spend_velocity"


class BudgetHeld(RateLimited):
    """The budget would do if requests under way use less than they hold: wait for one of them to end."""

    code = "budget_held"


class BudgetSpent(LimitRefusal):
    """The money of a budget is spent. Waiting does not help before it resets."""

    status, code, kind = 402, "budget_exceeded", "insufficient_quota"


class JobBudgetHeld(LimitRefusal):
    """What is left of a job's `max_cost_usd` is held by its requests under way; only items of jobs see it."""

    status, code, kind, should_retry = 429, "job_budget_held", "rate_limit_error", True


class JobBudgetSpent(LimitRefusal):
    """A job's `max_cost_usd` is spent, and the job paused until it is raised; only items of jobs see it."""

    status, code, kind = 402, "job_budget_spent", "insufficient_quota"


class RequestTooLarge(LimitRefusal):
    """The request needs more than the whole of a limit or budget: no waiting will make it fit."""

    status, code, kind = 400, "request_too_large", "invalid_request_error"


class ContextTooLong(HeadgateError):
    """The prompt alone is longer than `context_tokens` of the model, prompt and answer together."""

    status, code, kind = 400, "context_length_exceeded", "invalid_request_error"


class LoopDetected(LimitRefusal):
    """An agent's session goes in circles: too many requests, or the same one again and again."""

    status, code, kind = 403, "loop_detected", "permission_error"


class BackgroundHeld(LimitRefusal):
    """A request of a job waits, as interactive requests need what is left. It is tried again by itself."""

    status, code, kind, should_retry = 429, "background_held", "rate_limit_error", True
