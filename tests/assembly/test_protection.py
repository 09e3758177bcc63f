"""Whom the limits and budgets of a process tell."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from unittest.mock import MagicMock

from headgate.alert_types import Alert, BudgetFacts
from headgate.assembly.protection import MAX_TOLD, TELL_AGAIN_SECONDS, Protection
from headgate.config.schema import Config
from headgate.metering import Ask, Meter, Refusal, Verdict
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.contract.counting import USD, HandClock
from tests.stores.records import under_way


class Stand:
    """Protection whose alerts are kept; nothing is admitted here, so that the rest of a process is not needed."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.told: list[Alert] = []
        unused: Any = MagicMock()

        async def made() -> Protection:
            return Protection(Config, self.clock, unused, unused, unused, self.told.append)

        self.protection = asyncio.run(made())

    def refuse(self, tenant: str = "acme", window: str = "2026-01", verdict: Verdict = Verdict.SPENT) -> None:
        rule = Rule("budgets.tenant_month", MeterKind.BUDGET, Measure.USD, Scope.TENANT, USD, "month")
        meter = Meter(f"budget {window}", rule, "", None, USD, window)
        self.protection.refused(tenant, Refusal(meter, verdict, USD, 0, USD))


def test_a_spent_budget_that_refuses_again_and_again_is_told_once_in_a_while() -> None:
    stand = Stand()
    for _ in range(1000):
        stand.refuse()
    assert len(stand.told) == 1
    facts = stand.told[0].facts
    assert isinstance(facts, BudgetFacts) and (facts.percent, facts.spent_picousd) == (100, USD)
    stand.clock.at += TELL_AGAIN_SECONDS
    stand.refuse()
    assert len(stand.told) == 2, "in case the first one found no room"
    assert stand.told[0].key == stand.told[1].key, "so people hear of it once"


def test_each_tenant_and_each_window_is_told_of() -> None:
    stand = Stand()
    for tenant in ("acme", "hobby"):
        for window in ("2026-01", "2026-02"):
            stand.refuse(tenant, window)
    assert set(Counter(alert.key for alert in stand.told).values()) == {1} and len(stand.told) == 4


def test_what_is_only_held_is_no_alert() -> None:
    stand = Stand()
    stand.refuse(verdict=Verdict.HELD)
    assert stand.told == []


def test_what_a_dead_process_had_between_two_attempts_is_free() -> None:
    """Though the store was told that a provider has it, and not that the provider failed."""
    stand = Stand()
    counters = stand.protection.counters
    rule = Rule("budgets.tenant_month", MeterKind.BUDGET, Measure.USD, Scope.TENANT, USD, "month")
    meter = Meter("budget 2026-01", rule, "", None, USD, "2026-01")

    async def scenario() -> None:
        await counters.rebuild("acme", ())
        note = under_way(1)
        await counters.admit(note.request_id, note.tenant, (meter,), Ask(100, 10, input_picousd=1000))
        counters.keep(note.request_id, note.tenant, dispatched=True)
        stand.protection.freed([note])
        stand.clock.at += 60.0
        (reading,) = await counters.read("acme", (meter,))
        assert reading.used == reading.held == 0

    asyncio.run(scenario())


def test_what_is_remembered_is_bounded() -> None:
    stand = Stand()
    for number in range(MAX_TOLD + 1):
        stand.refuse(f"tenant {number}")
    stand.refuse(f"tenant {MAX_TOLD}")
    assert len(stand.told) == MAX_TOLD + 1
    stand.refuse("tenant 0")
    assert len(stand.told) == MAX_TOLD + 2, "the oldest was forgotten"
