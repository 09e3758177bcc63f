"""Limits and budgets of one process, put together: the counters, the waiting room, the entrance, and whom they tell."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from headgate.alert_types import Alert, BudgetFacts, StoreFacts, VelocityFacts
from headgate.config import rules
from headgate.config.jobs_schema import BackgroundConfig
from headgate.config.schema import Config
from headgate.gateway.admission import Admissions
from headgate.gateway.background import BackgroundGate
from headgate.gateway.budget_shares import BudgetShares
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.rebuilding import Past
from headgate.gateway.waiting import WaitingRoom
from headgate.metering import Charge, Crossing, Meter, Refusal, UnderWay, Verdict
from headgate.policy import alerting, metered
from headgate.policy.background import GateRules
from headgate.ports import Clock, Counters, TokenCounter
from headgate.stores.memory_counters import MemoryCounters
from headgate.telemetry.metrics import Metrics
from headgate.types import Measure, MeterKind, RequestRecord, Rule

if TYPE_CHECKING:
    from headgate.stores.redis.counters import RedisCounters

TELL_AGAIN_SECONDS = 10.0  # a spent budget that goes on refusing; what was told already is dropped later anyway
MAX_TOLD = 10_000
SHORTEST_STRETCH_SECONDS = 3600.0  # a rolling budget of a minute would be told of every minute

log = logging.getLogger(__name__)


def counters(
    store: str, clock: Clock, told: Callable[[Crossing], None], on_trouble: Callable[[str], None]
) -> MemoryCounters | RedisCounters:
    """The counters that the setting `store` asks for. Make them inside the event loop. Raises MissingExtra."""
    if store == "memory":
        return MemoryCounters(clock, told)
    from headgate.stores.redis.counters import RedisCounters

    return RedisCounters(store, told, on_trouble)


class Protection:
    """Makes the entrance of a process and listens to it. `config` is the one in use."""

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Clock,
        ledger: Past,
        counter: TokenCounter,
        metrics: Metrics,
        alert: Callable[[Alert], None],
    ) -> None:
        """Raises MissingExtra if the configured store needs a package that is not there."""
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._alert = alert
        self._told: dict[tuple[str, str, str], float] = {}  # spent budgets and when they were told of, the oldest first
        self._store = counters(config().store, clock, self.crossed, _log_trouble)
        self.counters: Counters = self._store
        self.room = WaitingRoom(clock, lambda: config().server.max_waiting, metrics.waited)
        self.admissions = Admissions(self.counters, ledger, clock, self.room, counter, self)

    def background_gate(self, pipeline: Pipeline) -> BackgroundGate:
        """What the requests of jobs have to pass before the corridor."""
        shares = BudgetShares(self.counters, self.admissions, lambda: pipeline.setup, self._clock)
        return BackgroundGate(pipeline, shares, self._clock, lambda: gate_rules(self._config().jobs.background))

    def rules_of(self, tenant: str) -> tuple[Rule, ...]:
        """Every rule that some key of a tenant may have, whatever its tier."""
        config = self._config()
        own = config.tenants.get(tenant)
        return tuple(rule for tier in config.tiers.values() for rule in rules.tier_rules(tier, own))

    def reconfigured(self) -> None:
        """The rules may be others now: what they count is read from the ledger before they decide."""
        self._store.forget()

    def booked(self, records: Sequence[RequestRecord]) -> None:
        """What a process that died has left is in the ledger: its holds are settled, if it did not live to say so."""
        for record in records:
            tokens = record.usage.input + record.usage.output
            self.counters.settle(record.id, record.tenant, Charge(tokens, record.cost_picousd))

    def freed(self, notes: Sequence[UnderWay]) -> None:
        """Their provider failed and then their process died, which may not have said so: they hold nothing any more."""
        for note in notes:
            self.counters.settle(note.request_id, note.tenant, Charge(released=True))

    def booked_late(self, records: Sequence[RequestRecord]) -> None:
        """Rows of requests that held nothing are in the ledger: what is spent is read from there."""
        for record in records:
            self._metrics.settled(record, ())
        self._store.forget()

    async def aclose(self) -> None:
        """Send what the store does not have yet, if that is possible, and close the connection."""
        if not isinstance(self._store, MemoryCounters):
            await self._store.aclose()

    def store_state(self) -> tuple[bool, int]:
        """Whether the store of limits and budgets answers, and how many notes it does not have yet."""
        return (True, 0) if isinstance(self._store, MemoryCounters) else (self._store.healthy, self._store.queued)

    @property
    def store_failures(self) -> int:
        """How often the store was lost since the start."""
        return 0 if isinstance(self._store, MemoryCounters) else self._store.failures

    def trouble(self) -> StoreFacts | None:
        """What is wrong with the store of limits and budgets, and what follows for requests."""
        if isinstance(self._store, MemoryCounters) or not self._store.last_error:
            return None
        denies = self._config().on_store_failure == "deny"
        effect = "Requests are refused." if denies else "Requests are served without limits and budgets."
        return StoreFacts("redis", self._store.last_error, f"{effect} It is tried again every second.")

    def refused(self, tenant: str, refusal: Refusal) -> None:
        """A budget that refuses is used up, though what is left of it may be more than nothing."""
        meter = refusal.meter
        if refusal.verdict is not Verdict.SPENT or not meter.rule.counts_budget:
            return
        budget, now = (tenant, meter.name, meter.window), self._clock.monotonic()
        if now < self._told.get(budget, -math.inf) + TELL_AGAIN_SECONDS:
            return  # clients that try for ever cost a look-up each
        self._told.pop(budget, None)
        self._told[budget] = now
        if len(self._told) > MAX_TOLD:
            del self._told[next(iter(self._told))]
        self._alert(self._budget_alert(tenant, meter, 100, refusal.used, refusal.held))

    def unenforced(self, tenant: str, refusal: Refusal) -> None:
        self._metrics.unenforced(refusal.meter.rule.name)

    def crossed(self, crossing: Crossing) -> None:
        """A settlement took a budget past a threshold, or tripped a velocity."""
        if crossing.meter.rule.kind is MeterKind.VELOCITY:
            self._metrics.tripped(crossing.meter.rule.scope)
            self._alert(self._velocity_alert(crossing))
        else:
            self._alert(self._budget_alert(crossing.tenant, crossing.meter, crossing.percent, crossing.spent, 0))

    def _budget_alert(self, tenant: str, meter: Meter, percent: int, spent: int, held: int) -> Alert:
        rule, now = meter.rule, self._clock.now()
        money = rule.measure is Measure.USD
        facts = BudgetFacts(
            budget=rule.name.removeprefix("budgets."),
            of=metered.told(rule.scope, meter.subject) or tenant,
            window=meter.window or _without_calendar(rule),
            percent=percent,
            limit_picousd=meter.limit if money else 0,
            spent_picousd=spent if money else 0,
            held_picousd=held if money else 0,
            limit_tokens=0 if money else meter.limit,
            spent_tokens=0 if money else spent,
            held_tokens=0 if money else held,
            resets_at=meter.resets_at if meter.resets_at != float("inf") else None,
            is_enforced=rule.enforce,
        )
        once = meter.subject or tenant
        if rule.kind is MeterKind.ROLLING:  # its window has no end: once in each stretch of its length
            once = f"{once} {int(now // max(rule.period_seconds, SHORTEST_STRETCH_SECONDS))}"
        whose = metered.described(rule.scope, meter.subject) if meter.subject else ""
        return alerting.budget_alert(tenant, facts, now, whose=whose, once=once)

    def _velocity_alert(self, crossing: Crossing) -> Alert:
        meter, rule, tenant = crossing.meter, crossing.meter.rule, crossing.tenant
        factor = rule.factor if crossing.trips_above != meter.limit else 0.0
        facts = VelocityFacts(
            scope=rule.scope,
            of=metered.told(rule.scope, meter.subject) or tenant,
            action=rule.action if rule.enforce else "alert",
            spent_picousd=crossing.spent,
            limit_picousd=crossing.trips_above,
            window_seconds=rule.period_seconds,
            baseline_picousd=round(crossing.trips_above / factor) if factor else None,
            baseline_factor=factor,
        )
        whose = metered.described(rule.scope, meter.subject) if meter.subject else ""
        return alerting.velocity_alert(tenant, facts, self._clock.now(), whose=whose, once=meter.subject or tenant)


def _without_calendar(rule: Rule) -> str:
    """What the window of a budget is called that is no day, week or month."""
    return "its lifetime" if rule.kind is MeterKind.BUDGET else f"the last {rule.period_seconds:,g} seconds"


def _log_trouble(trouble: str) -> None:
    if trouble:
        log.error("%s", trouble)
    else:
        log.warning("the store of limits and budgets is back")


def gate_rules(config: BackgroundConfig) -> GateRules | None:
    """What background work leaves to others; None: there is no gate."""
    shares = config.quota_share, config.budget_share, config.in_flight_share
    return GateRules(*shares, config.ttft_factor, config.max_concurrency) if config.gate else None
