"""From a meter's no to the error that the caller gets: a sentence, the numbers, and whether waiting helps."""

from __future__ import annotations

from datetime import UTC, datetime

from headgate.limit_errors import (
    BudgetHeld,
    BudgetSpent,
    LimitRefusal,
    LoopDetected,
    RateLimited,
    RequestTooLarge,
    SpendVelocity,
)
from headgate.metering import Admission, LimitDetail, Meter, Refusal, Verdict
from headgate.policy import metered
from headgate.policy.pricing import format_usd
from headgate.types import Measure, MeterKind, Scope

_ERRORS: dict[Verdict, type[LimitRefusal]] = {
    Verdict.TOO_LARGE: RequestTooLarge,
    Verdict.SPENT: BudgetSpent,
    Verdict.LOOP: LoopDetected,
    Verdict.TRIPPED: SpendVelocity,
    Verdict.RATE: RateLimited,
    Verdict.CONCURRENCY: RateLimited,
    Verdict.HELD: BudgetHeld,
}
_OPERATOR = "Ask the operator of this gateway to raise it"


def error(admission: Admission) -> LimitRefusal:
    """The error of an admission that was refused."""
    refusal = admission.refusal
    assert refusal is not None, "it was refused"
    kind = _ERRORS[refusal.verdict]
    if refusal.verdict in (Verdict.SPENT, Verdict.TOO_LARGE) and refusal.meter.rule.name.startswith("loop_guard."):
        kind = LoopDetected
    wait = admission.wait_seconds if kind.should_retry else None
    return kind(
        _sentence(refusal, wait),
        detail=detail(refusal, refusal.wait_seconds if refusal.verdict is Verdict.SPENT else wait),
        requests=admission.requests,
        tokens=admission.tokens,
        retry_after_seconds=wait,
    )


def detail(refusal: Refusal, wait_seconds: float | None) -> LimitDetail:
    """The numbers, for programs."""
    meter = refusal.meter
    is_money = meter.rule.measure is Measure.USD
    wanted = 1 if meter.rule.kind is MeterKind.REPEAT else refusal.needed  # it is asked with a fingerprint
    amounts = (refusal.trips_above or meter.limit, refusal.used, refusal.held, wanted)
    limit, used, held, needed = (format_usd(amount) if is_money else amount for amount in amounts)
    return LimitDetail(
        name=meter.rule.name,
        scope=meter.rule.scope,
        subject=metered.told(meter.rule.scope, meter.subject),
        unit=meter.rule.measure,
        limit=limit,
        used=used,
        held=held,
        needed=needed,
        resets_at=_moment(meter.resets_at),
        retry_after_seconds=wait_seconds,
    )


def _sentence(refusal: Refusal, wait: float | None) -> str:
    meter = refusal.meter
    whose, limit = _whose(meter), _amount(meter, meter.limit)
    used, held, needed = (_amount(meter, amount) for amount in (refusal.used, refusal.held, refusal.needed))
    name = meter.rule.name
    match refusal.verdict:
        case Verdict.TOO_LARGE:
            return f"This request needs up to {needed}, and {name}{whose} is {limit}. Make it smaller."
        case Verdict.SPENT if name.startswith("loop_guard."):
            return (
                f"The loop guard stopped this session: {name} allows {limit}, and {used} were used. Begin another one."
            )
        case Verdict.SPENT:
            until = _moment(meter.resets_at)
            resets = f" It resets at {until}." if until else ""
            if refusal.wait_seconds is not None:  # of the last so many seconds
                resets = f" Enough of it comes free in {refusal.wait_seconds:,.0f} s."
            return (
                f"The budget {name}{whose} is spent: {used} of {limit}, and this request needs up to {needed}."
                f"{resets} {_OPERATOR}."
            )
        case Verdict.LOOP:
            return (
                f"The same request came {refusal.used} times in a row in this session, and {name} allows "
                f"{meter.limit}. The agent may be going in circles."
            )
        case Verdict.TRIPPED:
            return (
                f"Money was spent unusually fast{whose.replace(' of', ' by', 1)}: {used} in the last "
                f"{meter.rule.period_seconds:g} seconds{_usual(refusal)}. Requests are let through again one by one in "
                f"{wait or 0:.0f} s. {_OPERATOR}, or to reset it."
            )
        case Verdict.HELD:
            return (
                f"The budget {name}{whose} has {used} of {limit} spent and {held} held by requests under way; "
                f"this one needs up to {needed}. Try again when they have ended."
            )
        case Verdict.CONCURRENCY:
            return f"{name}{whose} is {meter.limit}, and as many requests are under way. Try again when one has ended."
        case _:
            return (
                f"{name}{whose} is {limit}{_burst(meter)}: {used} used in the last {meter.rule.period_seconds:g} "
                f"seconds, and this request needs {needed}. It would fit in {wait or 0:.3f} s."
            )


def _burst(meter: Meter) -> str:
    """What else a rate says: 5 of 20 a minute may have been used, and for now no more be let in."""
    rule = meter.rule
    at_once = max(1, int(meter.limit * rule.burst_seconds / rule.period_seconds))
    return f", {_amount(meter, at_once)} at once" if rule.kind is MeterKind.RATE and at_once < meter.limit else ""


def _usual(refusal: Refusal) -> str:
    """What may be spent in a velocity's period."""
    meter, above = refusal.meter, refusal.trips_above
    usual = f", {meter.rule.factor:g} times what is usual" if above != meter.limit else ""
    return f", where {_amount(meter, above)} is allowed{usual}"


def _whose(meter: Meter) -> str:
    scope = meter.rule.scope
    if scope is Scope.TENANT:
        return " of your tenant"
    if scope is Scope.GLOBAL:
        return " of this gateway"
    if scope is Scope.USER and meter.subject.startswith(metered.KEY):
        scope = Scope.KEY  # a key that names nobody
    return f" of the {scope} '{metered.told(meter.rule.scope, meter.subject)}'" if meter.subject else ""


def _amount(meter: Meter, amount: int) -> str:
    measure = meter.rule.measure
    if measure is Measure.USD:
        return f"{format_usd(amount)} USD"
    if meter.rule.kind is MeterKind.REPEAT:
        return "once"
    return f"{amount:,} {measure.removesuffix('s') if amount == 1 else measure}"


def _moment(at: float | None) -> str | None:
    if at is None or at == float("inf"):
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
