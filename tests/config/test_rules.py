"""From blocks of limits and budgets to rules, of which no two count the same thing."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

from headgate.config.rules import global_rules, tier_rules, tried_in_vain
from headgate.config.tiers import BudgetsConfig, CapConfig, LimitsConfig, LoopGuardConfig, TenantConfig, TierConfig
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


def test_a_single_limit_can_be_tried_beside_others() -> None:
    tier = TierConfig(
        models=["*"],
        requests_per_minute=5,
        per_key=LimitsConfig(requests_per_minute=4, enforce=False),
        budgets=BudgetsConfig(
            tenant_month=Decimal(9), more=[CapConfig(per="user", window="day", usd=Decimal(1), enforce=False)]
        ),
        loop_guard=LoopGuardConfig(requests_per_session=3, enforce=False),
    )
    assert {rule.name: rule.enforce for rule in tier_rules(tier, None)} == {
        "requests_per_minute": True, "per_key.requests_per_minute": False, "budgets.tenant_month": True,
        "budgets.more[0]": False, "loop_guard.requests_per_session": False,
    }  # fmt: skip
    (first, *_) = tier_rules(tier, TenantConfig(tier="pro", limits=LimitsConfig(enforce=False)))
    assert (first.name, first.enforce) == ("requests_per_minute", False)
    assert [rule.enforce for rule in global_rules(LimitsConfig(requests_per_minute=5, enforce=False))] == [False]
    assert [rule.enforce for rule in global_rules(LimitsConfig(requests_per_minute=5))] == [True]


def test_what_is_only_tried_never_takes_the_place_of_what_is_enforced() -> None:
    stricter = CapConfig(per="tenant", window="month", usd=Decimal(5), enforce=False)
    tier = TierConfig(models=["*"], budgets=BudgetsConfig(tenant_month=Decimal(9), more=[stricter]))
    (kept,) = tier_rules(tier, None)
    assert (kept.name, kept.enforce) == ("budgets.tenant_month", True)
    assert tried_in_vain(tier) == ("budgets.more[0]",)
