"""Limits and budgets of one process, put together: the counters, the waiting room, the entrance, and whom they tell."""

from __future__ import annotations

from collections.abc import Callable

from headgate.alert_types import Alert, BudgetFacts, VelocityFacts
from headgate.config import rules
from headgate.config.schema import Config
from headgate.gateway.admission import Admissions
from headgate.gateway.waiting import WaitingRoom
from headgate.metering import Crossing, Meter, Refusal, Verdict
from headgate.policy import alerting
from headgate.ports import Clock, Counters, Ledger
from headgate.stores.memory_counters import MemoryCounters
from headgate.telemetry.metrics import Metrics
from headgate.types import Measure, MeterKind, Rule


class Protection:
    """Makes the entrance of a process and listens to it. `config` is the one in use."""

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Clock,
        ledger: Ledger,
        metrics: Metrics,
        alert: Callable[[Alert], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._alert = alert
        self.counters: Counters = MemoryCounters(clock, self.crossed)
        self.room = WaitingRoom(clock, lambda: config().server.max_waiting, metrics.waited)
        self.admissions = Admissions(self.counters, ledger, clock, self.room, self.rules_of, self)

    def rules_of(self, tenant: str) -> tuple[Rule, ...]:
        """Every rule that some key of a tenant may have, whatever its tier."""
        config = self._config()
        own = config.tenants.get(tenant)
        return tuple(rule for tier in config.tiers.values() for rule in rules.tier_rules(tier, own))

    def reconfigured(self) -> None:
        """The rules may be others now: what they count is read from the ledger before they decide."""
        if isinstance(self.counters, MemoryCounters):
            self.counters.forget()

    def refused(self, tenant: str, refusal: Refusal) -> None:
        """A budget that refuses is used up, though what is left of it may be more than nothing."""
        if refusal.verdict is Verdict.SPENT and refusal.meter.rule.counts_budget:
            self._alert(self._budget_alert(tenant, refusal.meter, 100, refusal.used, refusal.held))

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
        money = meter.rule.measure is Measure.USD
        facts = BudgetFacts(
            budget=meter.rule.name.removeprefix("budgets."),
            of=meter.subject or tenant,
            window=meter.window or ("its lifetime" if meter.rule.kind is MeterKind.BUDGET else "the last while"),
            percent=percent,
            limit_picousd=meter.limit if money else 0,
            spent_picousd=spent if money else 0,
            held_picousd=held if money else 0,
            limit_tokens=0 if money else meter.limit,
            spent_tokens=0 if money else spent,
            held_tokens=0 if money else held,
            resets_at=meter.resets_at if meter.resets_at != float("inf") else None,
        )
        return alerting.budget_alert(tenant, facts, self._clock.now())

    def _velocity_alert(self, crossing: Crossing) -> Alert:
        rule = crossing.meter.rule
        facts = VelocityFacts(
            scope=rule.scope,
            of=crossing.meter.subject or crossing.tenant,
            action=rule.action,
            spent_picousd=crossing.spent,
            limit_picousd=crossing.meter.limit,
            window_seconds=rule.period_seconds,
        )
        return alerting.velocity_alert(crossing.tenant, facts, self._clock.now())
