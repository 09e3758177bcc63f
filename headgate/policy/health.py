"""When a deployment is left alone: a circuit breaker as a state machine of frozen values.

closed --(failures in a row, or error rate)--> open --(open_seconds)--> half open --(probe ok)--> closed
                                                 ^------------------------(probe failed)---|

While it is open only the probe's end counts. An attempt is known by the time it `began`: those that were under way when
the breaker opened tell of the past.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from headgate.types import Frozen


class Gate(StrEnum):
    """Whether attempts may go through."""

    CLOSED = "closed"  # all
    HALF_OPEN = "half_open"  # one probe at a time
    OPEN = "open"  # none


class BreakerRules(Frozen, frozen=True, gc=False):
    """When to open, and for how long."""

    failures: int = 5
    error_rate: float = 0.5
    minimum_requests: int = 20
    window_seconds: float = 30.0
    open_seconds: float = 15.0


class Breaker(Frozen, frozen=True, gc=False):
    """What is known of one deployment. `window_*` count attempts since `window_began`; times are monotonic seconds."""

    opened_at: float | None = None
    probe_at: float | None = None  # when the probe under way was let through
    consecutive_failures: int = 0
    window_began: float = 0.0
    window_attempts: int = 0
    window_failures: int = 0
    reason: str = ""


HEALTHY = Breaker()


def gate(breaker: Breaker, rules: BreakerRules, now: float) -> Gate:
    """The state at a time. A probe that never reported back is given up after another `open_seconds`."""
    if breaker.opened_at is None:
        return Gate.CLOSED
    if now < breaker.opened_at + rules.open_seconds:
        return Gate.OPEN
    if breaker.probe_at is not None and now < breaker.probe_at + rules.open_seconds:
        return Gate.OPEN
    return Gate.HALF_OPEN


def opens_again_in_seconds(breaker: Breaker, rules: BreakerRules, now: float) -> float:
    """How long until an attempt is worth making."""
    if breaker.opened_at is None:
        return 0.0
    began = breaker.opened_at if breaker.probe_at is None else breaker.probe_at
    return max(0.0, began + rules.open_seconds - now)


def started(breaker: Breaker, now: float) -> Breaker:
    """An attempt was let through; while the breaker is open it is the probe."""
    return breaker if breaker.opened_at is None else msgspec.structs.replace(breaker, probe_at=now)


def abandoned(breaker: Breaker, *, began: float) -> Breaker:
    """An attempt ended and says nothing of the deployment's health: the client left, or the request was wrong."""
    return msgspec.structs.replace(breaker, probe_at=None) if breaker.probe_at == began else breaker


def succeeded(breaker: Breaker, rules: BreakerRules, *, began: float, now: float) -> Breaker:
    """An attempt went well; a good probe closes the breaker."""
    if breaker.opened_at is not None:
        return Breaker(window_began=now) if breaker.probe_at == began else breaker
    expired = now - breaker.window_began > rules.window_seconds
    return Breaker(
        window_began=now if expired else breaker.window_began,
        window_attempts=1 if expired else breaker.window_attempts + 1,
        window_failures=0 if expired else breaker.window_failures,
    )


def failed(breaker: Breaker, rules: BreakerRules, *, began: float, now: float) -> Breaker:
    """An attempt failed: open on the last straw; a failed probe starts the wait again."""
    if breaker.opened_at is not None:
        return Breaker(opened_at=now, reason="the probe failed") if breaker.probe_at == began else breaker
    expired = now - breaker.window_began > rules.window_seconds
    in_a_row = breaker.consecutive_failures + 1
    attempts = 1 if expired else breaker.window_attempts + 1
    failures = 1 if expired else breaker.window_failures + 1
    if in_a_row >= rules.failures:
        return Breaker(opened_at=now, reason=f"{in_a_row} failures in a row")
    if attempts >= rules.minimum_requests and failures / attempts >= rules.error_rate:
        return Breaker(opened_at=now, reason=f"{failures} of {attempts} attempts failed")
    return Breaker(
        consecutive_failures=in_a_row,
        window_began=now if expired else breaker.window_began,
        window_attempts=attempts,
        window_failures=failures,
    )
