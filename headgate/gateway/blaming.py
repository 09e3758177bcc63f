"""Whose fault an attempt's error is, and what follows for the key, the deployment and the record."""

from __future__ import annotations

from headgate.errors import (
    ClientGone,
    Draining,
    HeadgateError,
    TotalTimeout,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamError,
    UpstreamRejected,
)
from headgate.policy.retrying import is_retryable_status
from headgate.types import Outcome

_ASKED_TOO_MUCH = (429, 503, 529)


def may_go_away(error: UpstreamError) -> bool:
    """Whether the same attempt could go well if made again."""
    if isinstance(error, UpstreamRejected):
        return is_retryable_status(error.upstream_status)
    return error.should_retry


def blames_key(error: HeadgateError) -> bool:
    """Whether another of the provider's keys could do better: this one is refused, or has used up its quota."""
    return isinstance(error, UpstreamAuth) or (isinstance(error, UpstreamRejected) and error.upstream_status == 429)


def is_saturated(error: UpstreamError) -> bool:
    """Whether the provider said that it is asked too much."""
    return isinstance(error, UpstreamRejected) and error.upstream_status in _ASKED_TOO_MUCH


def callers_fault(error: UpstreamError) -> bool:
    """Whether the provider said that the request itself is wrong."""
    return isinstance(error, UpstreamRejected) and error.upstream_status < 500 and not may_go_away(error)


def healthy(outcome: Outcome, error: HeadgateError | None, *, committed: bool) -> bool | None:
    """What an attempt's end says of its deployment's health; None: nothing."""
    if outcome is Outcome.DONE:
        return True
    if committed and isinstance(error, TotalTimeout):
        return None  # it was still coming: a long answer, or a client that took its time
    if error is None or isinstance(error, UpstreamBusy) or not isinstance(error, UpstreamError):
        return None
    if isinstance(error, UpstreamRejected) and error.upstream_status < 500:
        return None
    return False


def outcome_of(error: HeadgateError) -> Outcome:
    """How a request or an attempt that ended with an error is recorded."""
    if isinstance(error, UpstreamError):
        return Outcome.REJECTED if callers_fault(error) else Outcome.FAILED
    if isinstance(error, ClientGone):
        return Outcome.DISCONNECTED
    return Outcome.FAILED if isinstance(error, Draining) else Outcome.REFUSED
