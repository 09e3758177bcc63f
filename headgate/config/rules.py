"""From the blocks of limits and budgets to the rules that the policies know.

A tenant's own limits and budgets stand in place of its tier's, one by one. Money becomes pico-dollars.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from headgate.config.tiers import BudgetsConfig, CapConfig, LimitsConfig, TenantConfig, TierConfig
from headgate.types import PICO_PER_USD, Measure, MeterKind, Rule, Scope

DEFAULT_BURST_SECONDS = 60.0
VELOCITY_SECONDS = 300.0
_CALENDAR_CAPS = {
    "user_day": (Scope.USER, "day"),
    "user_month": (Scope.USER, "month"),
    "key_day": (Scope.KEY, "day"),
    "key_month": (Scope.KEY, "month"),
    "tenant_day": (Scope.TENANT, "day"),
    "tenant_month": (Scope.TENANT, "month"),
}


def global_rules(limits: LimitsConfig) -> tuple[Rule, ...]:
    """What holds for everybody together."""
    return tuple(_limit_rules(limits, Scope.GLOBAL, "limits", DEFAULT_BURST_SECONDS, enforce=True))


def tier_rules(tier: TierConfig, tenant: TenantConfig | None) -> tuple[Rule, ...]:
    """What holds for a tenant's requests in a tier."""
    return _distinct(_all_rules(tier, tenant))


def tried_in_vain(tier: TierConfig) -> tuple[str, ...]:
    """The names of rules that are only tried, beside others that count the same thing and are enforced."""
    rules = _all_rules(tier, None)
    enforced = {_counted(rule) for rule in rules if rule.enforce}
    return tuple(dict.fromkeys(rule.name for rule in rules if not rule.enforce and _counted(rule) in enforced))


def _all_rules(tier: TierConfig, tenant: TenantConfig | None) -> tuple[Rule, ...]:
    burst_seconds = tier.burst_seconds or DEFAULT_BURST_SECONDS
    limits = _overlaid(tier, tenant.limits if tenant else LimitsConfig())
    budgets = _overlaid_budgets(tier.budgets, tenant.budgets if tenant else BudgetsConfig())
    return (
        *_limit_rules(limits, Scope.TENANT, "", burst_seconds, enforce=tier.enforce),
        *_limit_rules(tier.per_key, Scope.KEY, "per_key", burst_seconds, enforce=tier.enforce),
        *_limit_rules(tier.per_user, Scope.USER, "per_user", burst_seconds, enforce=tier.enforce),
        *_limit_rules(tier.per_model, Scope.MODEL, "per_model", burst_seconds, enforce=tier.enforce),
        *_budget_rules(budgets, enforce=tier.enforce),
        *_velocity_rules(tier),
        *_loop_rules(tier),
    )


def picousd(usd: Decimal) -> int:
    """Dollars as pico-dollars."""
    return int(usd * PICO_PER_USD)


def _distinct(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Two rules that count the same thing share a meter: one is kept, an enforced one, and of two such the stricter."""
    kept: dict[tuple[object, ...], Rule] = {}
    for rule in rules:
        counted = _counted(rule)
        if counted not in kept or (not rule.enforce, rule.limit) < (not kept[counted].enforce, kept[counted].limit):
            kept[counted] = rule
    return tuple(kept.values())


def _counted(rule: Rule) -> tuple[object, ...]:
    period_seconds = 0.0 if rule.kind is MeterKind.BUDGET else rule.period_seconds  # no window has one
    return rule.scope, rule.kind, rule.measure, rule.window, period_seconds, rule.only


def _overlaid(tier: LimitsConfig, own: LimitsConfig) -> LimitsConfig:
    values = {name: getattr(own, name) for name in LimitsConfig.__struct_fields__}
    kept = {name: getattr(tier, name) if value is None else value for name, value in values.items()}
    return LimitsConfig(**kept)


def _overlaid_budgets(tier: BudgetsConfig, own: BudgetsConfig) -> BudgetsConfig:
    names = [name for name in BudgetsConfig.__struct_fields__ if name != "more"]
    kept = {name: getattr(tier, name) if getattr(own, name) is None else getattr(own, name) for name in names}
    return BudgetsConfig(**kept, more=[*tier.more, *own.more])


def _limit_rules(
    limits: LimitsConfig, scope: Scope, block: str, burst_seconds: float, *, enforce: bool
) -> Iterator[Rule]:
    burst = limits.burst_seconds or burst_seconds
    enforce = enforce if limits.enforce is None else limits.enforce
    prefix = f"{block}." if block else ""
    rates = (("requests_per_minute", Measure.REQUESTS), ("tokens_per_minute", Measure.TOKENS))
    for name, measure in rates:
        limit = getattr(limits, name)
        if limit is not None:
            yield Rule(prefix + name, MeterKind.RATE, measure, scope, limit, burst_seconds=burst, enforce=enforce)
    if limits.concurrent_requests is not None:
        name = f"{prefix}concurrent_requests"
        yield Rule(
            name, MeterKind.CONCURRENCY, Measure.REQUESTS, scope, limits.concurrent_requests, enforce=enforce
        )  # fmt: skip


def _budget_rules(budgets: BudgetsConfig, *, enforce: bool) -> Iterator[Rule]:
    simple = {"request": (Scope.REQUEST, ""), "session": (Scope.SESSION, ""), **_CALENDAR_CAPS}
    for name, (scope, window) in simple.items():
        usd = getattr(budgets, name)
        if usd is not None:
            kind = MeterKind.BUDGET
            yield Rule(f"budgets.{name}", kind, Measure.USD, scope, picousd(usd), window, enforce=enforce)
    for number, cap in enumerate(budgets.more):
        yield from _cap_rules(cap, f"budgets.more[{number}]", enforce=enforce)


def _cap_rules(cap: CapConfig, name: str, *, enforce: bool) -> Iterator[Rule]:
    rolling = cap.window == "rolling"
    enforce = enforce if cap.enforce is None else cap.enforce
    limits = ((Measure.USD, None if cap.usd is None else picousd(cap.usd)), (Measure.TOKENS, cap.tokens))
    for measure, limit in limits:
        if limit is not None:
            yield Rule(
                name,
                MeterKind.ROLLING if rolling else MeterKind.BUDGET,
                measure,
                Scope(cap.per),
                limit,
                "" if cap.window in ("rolling", "ever") else cap.window,
                period_seconds=cap.seconds or 0.0,
                only=frozenset(cap.only),
                enforce=enforce,
            )


def _velocity_rules(tier: TierConfig) -> Iterator[Rule]:
    velocity = tier.velocity
    if velocity.usd_per_5_minutes is None and velocity.baseline_factor is None:
        return
    for scope in (Scope.KEY, Scope.USER, Scope.TENANT):
        yield Rule(
            "velocity",
            MeterKind.VELOCITY,
            Measure.USD,
            scope,
            picousd(velocity.usd_per_5_minutes or Decimal(0)),
            period_seconds=VELOCITY_SECONDS,
            factor=velocity.baseline_factor or 0.0,
            action=velocity.action,
            enforce=tier.enforce,
        )


def _loop_rules(tier: TierConfig) -> Iterator[Rule]:
    guard, scope = tier.loop_guard, Scope.SESSION
    enforce = tier.enforce if guard.enforce is None else guard.enforce
    usd = None if guard.usd_per_session is None else picousd(guard.usd_per_session)
    caps = (
        ("requests_per_session", Measure.REQUESTS, guard.requests_per_session),
        ("tokens_per_session", Measure.TOKENS, guard.tokens_per_session),
        ("usd_per_session", Measure.USD, usd),
    )
    for name, measure, limit in caps:
        if limit is not None:
            yield Rule(
                f"loop_guard.{name}", MeterKind.BUDGET, measure, scope, limit, enforce=enforce
            )  # fmt: skip
    if guard.same_request_in_a_row is not None:
        name, limit = "loop_guard.same_request_in_a_row", guard.same_request_in_a_row
        yield Rule(name, MeterKind.REPEAT, Measure.REQUESTS, scope, limit, enforce=enforce)
