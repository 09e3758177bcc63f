"""Simulated traffic with limits and budgets of every kind: nothing over, nothing stuck, no refusal without a reason."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from zoneinfo import ZoneInfo

from headgate.errors import HeadgateError
from headgate.limit_errors import BudgetHeld, BudgetSpent, LimitRefusal, RateLimited, RequestTooLarge
from headgate.metering import LimitDetail
from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.sim.traffic import Shape, Visit, visits
from headgate.types import Caller, Measure, MeterKind, Price, RequestRecord, Rule, Scope, Tier
from tests.scale import scaled
from tests.sim.invariants import Invariant, Referee
from tests.sim.world import FIRST_TOKEN_SECONDS, TOTAL_SECONDS, Models, Run, World, run_world

SEEDS = scaled(100, 5)
REQUESTS = 600
TENANTS = ("acme", "hobby")
CAP_PICOUSD = {"acme": 2 * 10**9, "hobby": 5 * 10**8}  # of a day: about a quarter of what the traffic would cost
CALLS, TOKENS, USD = Measure.REQUESTS, Measure.TOKENS, Measure.USD


def rules(tenant: str) -> tuple[Rule, ...]:
    cap = CAP_PICOUSD[tenant]
    tried = Rule("tried", MeterKind.BUDGET, TOKENS, Scope.TENANT, 1_000, "month", enforce=False)
    return (
        Rule("requests_per_minute", MeterKind.RATE, CALLS, Scope.TENANT, 450, burst_seconds=40.0),
        Rule("tokens_per_minute", MeterKind.RATE, TOKENS, Scope.USER, 900_000, burst_seconds=30.0),
        Rule("concurrent_requests", MeterKind.CONCURRENCY, CALLS, Scope.KEY, 60),
        Rule("tenant_day", MeterKind.BUDGET, USD, Scope.TENANT, cap, "day"),
        Rule("model_day", MeterKind.BUDGET, USD, Scope.MODEL, cap * 2 // 3, "day"),
        Rule("user_hour", MeterKind.ROLLING, USD, Scope.USER, cap * 3 // 4, period_seconds=3_600.0),
        Rule("request", MeterKind.BUDGET, USD, Scope.REQUEST, cap // 3),
        *([tried] if tenant == "hobby" else []),  # without it, what is plain goes the short way of the panel
    )


def callers() -> list[Caller]:
    """Two users of one tenant, and another tenant."""
    tiers = {tenant: Tier(tenant, frozenset({"*"}), max_output_tokens=12, rules=rules(tenant)) for tenant in TENANTS}
    pro = [Caller(f"key_{user}", "acme", user, tiers["acme"], "Europe/Berlin") for user in ("alice", "bob")]
    return [*pro, *pro, Caller("key_c", "hobby", None, tiers["hobby"])]


class Auditor(Referee):
    """Also keeps the tenants' books, and reads what refusals say."""

    def __init__(self, prices: Mapping[str, Price], may_be_simulated: frozenset[str], total_seconds: float) -> None:
        super().__init__(prices, may_be_simulated, total_seconds)
        self.spent = dict.fromkeys(TENANTS, 0)  # in pico-dollars

    def settled(self, record: RequestRecord) -> None:
        super().settled(record)
        spent = self.spent[record.tenant] = self.spent[record.tenant] + record.cost_picousd
        if spent > CAP_PICOUSD[record.tenant]:
            raise self._violation(Invariant.WITHIN_CAP, None, f"{record.tenant} has spent {spent} pico-dollars")

    def finished(self, visit: Visit, request_id: str, error: HeadgateError | None) -> None:
        super().finished(visit, request_id, error)
        if isinstance(error, LimitRefusal) and error.detail is not None and not _is_full(error, error.detail):
            raise self._violation(Invariant.REALLY_FULL, None, f"{type(error).__name__}: {error.detail}")


def _is_full(error: LimitRefusal, detail: LimitDetail) -> bool:
    """Whether the numbers of a refusal have no room for what it says was needed."""
    limit, used, held, needed = map(Decimal, (detail.limit, detail.used, detail.held, detail.needed))
    if isinstance(error, RequestTooLarge):
        return needed > limit
    if isinstance(error, BudgetSpent):
        return used + needed > limit
    if isinstance(error, BudgetHeld):
        return used + needed <= limit < used + held + needed
    assert isinstance(error, RateLimited)
    is_empty = detail.name != "concurrent_requests" and bool(error.retry_after_seconds)  # the bucket, or the window
    return is_empty or used + needed > limit


class LimitedWorld(World):
    """With an auditor in the place of the referee."""

    referee_type = Auditor
    referee: Auditor

    async def check_books(self) -> None:
        """Everybody is gone: nothing is held, and the counters say what the rows say."""
        for caller in callers():
            for model in Models.asked_for:
                subject = Subject(caller.key_id, caller.user, model)
                zone, now = ZoneInfo(caller.timezone), self.clock.now()
                meters = [*metered.meters([rule for rule in caller.tier.rules if rule.scope is not Scope.REQUEST],
                                          subject, zone, now)]  # fmt: skip
                for reading in await self.counters.read(caller.tenant, meters):
                    is_running = reading.meter.rule.kind is MeterKind.CONCURRENCY and reading.used
                    assert not reading.held and not is_running, f"{Invariant.NO_HOLD_LEFT}: {reading}"
                    if reading.meter.rule.name == "tenant_day":
                        assert reading.used == self.referee.spent[caller.tenant], Invariant.WITHIN_CAP
        assert self.counters.holds == 0, Invariant.NO_HOLD_LEFT
        produced = sum(
            tap.inner.tally.tokens_generated * Models.prices[tap.name].output
            for tap in self.models.taps
            if tap.name in Models.prices
        )
        assert produced <= sum(CAP_PICOUSD.values()), f"{Invariant.WITHIN_CAP}: {produced} pico-dollars were produced"


def play(seed: int) -> tuple[Run, dict[str, int]]:
    """One run, and what each tenant spent."""
    shape = Shape(
        REQUESTS, callers(), Models.asked_for, ("vectors",), leaving_share=0.12,
        leaving_moments_seconds=(FIRST_TOKEN_SECONDS, TOTAL_SECONDS),
    )  # fmt: skip
    seconds = REQUESTS / shape.requests_per_second
    spent: dict[str, int] = {}

    async def scenario(world: LimitedWorld) -> Run:
        async with asyncio.TaskGroup() as disturbances:
            disturbances.create_task(world.reload(seconds / 2))
            disturbances.create_task(world.interrupt(seconds * 3 / 4))
            run = await world.play(list(visits(shape, random.Random(f"budgets of {seed}"))))
        await world.check_books()
        spent.update(world.referee.spent)
        return run

    return run_world(seed, scenario, LimitedWorld), spent


def test_nothing_is_over_and_nothing_is_stuck() -> None:
    errors: Counter[str] = Counter()
    shares = []
    for seed in range(1, SEEDS + 1):
        run, spent = play(seed)
        errors.update(run.errors)
        shares += [spent[tenant] / CAP_PICOUSD[tenant] for tenant in TENANTS]
    print(f"\n{SEEDS} seeds; of the caps {min(shares):.1%} to {max(shares):.1%} were spent\n{dict(errors)}")
    assert max(shares) > 0.75 and errors["budget_held"] + errors["budget_exceeded"] > 100
