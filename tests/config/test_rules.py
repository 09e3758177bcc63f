"""From blocks of limits and budgets to rules, of which no two count the same thing."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

from headgate.config.rules import tier_rules
from headgate.config.tiers import BudgetsConfig, CapConfig, LoopGuardConfig, TierConfig
from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.types import PICO_PER_USD


def test_a_budget_that_is_named_twice_is_counted_once_and_the_stricter_one_holds() -> None:
    tier = TierConfig(
        models=["*"],
        budgets=BudgetsConfig(
            session=Decimal(3),
            user_day=Decimal(5),
            more=[
                CapConfig(per="user", window="day", usd=Decimal(2)),
                CapConfig(per="session", window="ever", usd=Decimal(4)),
            ],
        ),
        loop_guard=LoopGuardConfig(usd_per_session=Decimal(9)),
    )
    rules = tier_rules(tier, None)
    assert {rule.name: rule.limit // PICO_PER_USD for rule in rules} == {"budgets.session": 3, "budgets.more[0]": 2}
    meters = [*metered.meters(rules, Subject("key_1", "alice", "small", "s1"), ZoneInfo("UTC"), 0.0)]
    assert len({meter.name for meter in meters}) == len(meters)
