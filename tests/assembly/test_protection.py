"""Whom the limits and budgets of a process tell."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from unittest.mock import MagicMock

import msgspec

from headgate.alert_types import Alert, BudgetFacts, VelocityFacts
from headgate.assembly.protection import MAX_TOLD, TELL_AGAIN_SECONDS, Protection
from headgate.config.schema import Config
from headgate.metering import Ask, Crossing, Meter, Refusal, Verdict
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


def test_a_rolling_budget_is_told_of_again_in_its_next_stretch() -> None:
    stand = Stand()
    rule = Rule("budgets.more[0]", MeterKind.ROLLING, Measure.USD, Scope.USER, USD, period_seconds=7200.0)
    minute = msgspec.structs.replace(rule, name="budgets.more[1]", period_seconds=60.0)

    def keys(*rules: Rule) -> list[str]:
        for one in rules:
            stand.protection.crossed(Crossing("acme", Meter("rolling", one, "ann", None, USD), 80, 8 * USD // 10))
        return [alert.key for alert in stand.told[-len(rules) :]]

    stand.clock.at = 7200.0 * 200_000
    first = keys(rule, minute)
    stand.clock.at += 3500.0
    assert keys(rule, minute) == first, "nobody is told every minute"
    stand.clock.at += 100.0
    assert keys(rule)[0] == first[0] and keys(minute)[0] != first[1]
    stand.clock.at += 3600.0
    assert keys(rule)[0] != first[0]
    assert stand.told[0].sentence == (
        "The more[0] budget of user ann of tenant acme has reached 80 %: 0.8 USD of 1 USD in the last 7,200 seconds."
    )


def test_a_session_is_told_by_its_name_and_two_of_that_name_apart() -> None:
    stand = Stand()
    rule = Rule("budgets.session", MeterKind.BUDGET, Measure.USD, Scope.SESSION, USD, enforce=False)
    for who in ("ann", "key%20key_1"):
        stand.protection.crossed(Crossing("acme", Meter(who, rule, f"{who} s1", None, USD), 100, USD))
    first, second = stand.told
    assert isinstance(first.facts, BudgetFacts) and (first.facts.of, first.facts.is_enforced) == ("s1", False)
    assert "of session s1 of user ann of tenant acme" in first.sentence and "requests go on" in first.sentence
    assert "of session s1 of key key_1 of tenant acme" in second.sentence and first.key != second.key


def test_a_trip_by_what_is_usual_names_that_and_not_the_limit() -> None:
    stand = Stand()
    rule = Rule("velocity", MeterKind.VELOCITY, Measure.USD, Scope.TENANT, USD, period_seconds=300.0, factor=10.0)
    for spent, above in ((USD // 2, USD // 5), (2 * USD, USD)):
        stand.protection.crossed(Crossing("acme", Meter("velocity", rule, "", None, USD), 0, spent, above))
    unusual, too_much = stand.told
    assert "0.5 USD within 300 s, more than 0.2 USD, 10 times what is usual." in unusual.sentence
    assert isinstance(unusual.facts, VelocityFacts) and unusual.facts.baseline_picousd == USD // 50
    assert "2 USD within 300 s, more than 1 USD." in too_much.sentence


def test_a_velocity_that_is_only_tried_stops_nothing() -> None:
    stand = Stand()
    rule = Rule("velocity", MeterKind.VELOCITY, Measure.USD, Scope.USER, USD, period_seconds=300.0, enforce=False)
    stand.protection.crossed(Crossing("acme", Meter("velocity", rule, "key key_1", None, USD), 0, 2 * USD))
    (told,) = stand.told
    assert isinstance(told.facts, VelocityFacts) and (told.facts.action, told.facts.of) == ("alert", "key_1")
    assert told.sentence.startswith("Key key_1 of tenant acme spent") and told.sentence.endswith("Its requests go on.")
