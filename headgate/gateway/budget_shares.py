"""How much is used of the budgets that background work would spend of, which leaves their last share to others."""

from __future__ import annotations

from collections.abc import Callable

from headgate.errors import DatabaseUnavailable, StoreUnavailable
from headgate.gateway.admission import Admissions
from headgate.gateway.applying import RuleBook
from headgate.gateway.fleet import Setup
from headgate.policy import background as policy
from headgate.policy.background import GateRules
from headgate.ports import Clock, Counters
from headgate.types import Call, Caller, Measure

BUDGET_LOOK_SECONDS = 1.0
_MOST_KEPT = 10_000


class BudgetShares:
    """Looks how much is used of the budgets that a background request would spend of, once a second for each caller."""

    def __init__(self, counters: Counters, admissions: Admissions, setup: Callable[[], Setup], clock: Clock):
        self._counters = counters
        self._admissions = admissions
        self._setup = setup
        self._clock = clock
        self._rules = RuleBook()
        self._known: dict[tuple[str, str, str | None], tuple[float, str]] = {}  # until when, and the reason

    async def reason(self, caller: Caller, call: Call, rules: GateRules) -> str:
        """Why a budget keeps the request out; empty: none does. If none can be read, the corridor says so."""
        global_rules = self._setup().global_rules
        if not caller.tier.rules and not global_rules:
            return ""
        key, now = (caller.tenant, caller.key_id, call.user), self._clock.monotonic()
        if (known := self._known.get(key)) is not None and now < known[0]:
            return known[1]
        applying = self._rules.applying(caller, call, call.model, global_rules, self._clock.now())
        meters = [meter for meter in applying.meters if meter.rule.counts_budget and meter.rule.enforce]
        reason = ""
        if meters:
            try:
                await self._admissions.ready(caller)
                for reading in await self._counters.read(caller.tenant, meters):
                    meter, used = reading.meter, reading.used + reading.held
                    reason = reason or policy.budget_reason(meter.rule.name, used, meter.limit, rules)
            except (StoreUnavailable, DatabaseUnavailable):
                return ""
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[key] = now + BUDGET_LOOK_SECONDS, reason
        return reason

    async def left_picousd(self, caller: Caller, call: Call, rules: GateRules) -> int | None:
        """How much money budgets leave to background work, the tightest of them; None: none limits it.

        Raises StoreUnavailable or DatabaseUnavailable.
        """
        global_rules = self._setup().global_rules
        applying = self._rules.applying(caller, call, call.model, global_rules, self._clock.now())
        money = [meter for meter in applying.meters if meter.rule.counts_budget and meter.rule.measure is Measure.USD]
        meters = [meter for meter in money if meter.rule.enforce]
        if not meters:
            return None
        await self._admissions.ready(caller)
        read = await self._counters.read(caller.tenant, meters)
        return min((int(rules.budget_share * one.meter.limit) - one.used - one.held for one in read), default=None)
