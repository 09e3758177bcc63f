"""Callers with limits, and what their meters read."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from headgate.metering import Reading
from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.types import Call, Caller, Measure, MeterKind, Rule, Scope
from tests.gateway.corridor import EVERYTHING, Corridor

ONE_ANSWER = 7 * 1_000 + 3 * 10_000  # what the scripted answer costs


def budget(picousd: int, scope: Scope = Scope.TENANT, window: str = "month", **rest: Any) -> Rule:
    return Rule(f"budgets.{scope}", MeterKind.BUDGET, Measure.USD, scope, picousd, window, **rest)


def per_minute(limit: int, measure: Measure = Measure.REQUESTS, scope: Scope = Scope.TENANT, **rest: Any) -> Rule:
    return Rule(f"{measure}_per_minute", MeterKind.RATE, measure, scope, limit, **rest)


def caller(*rules: Rule, key_id: str = "key_1", user: str | None = "alice", **tier: Any) -> Caller:
    limited = msgspec.structs.replace(EVERYTHING, rules=rules, **tier)
    return Caller(key_id, "acme", user, limited)


async def readings(corridor: Corridor, who: Caller, name: str = "small") -> list[Reading]:
    subject = Subject(who.key_id, who.user, name)
    meters = tuple(metered.meters(who.tier.rules, subject, ZoneInfo("UTC"), corridor.clock.now()))
    return await corridor.counters.read("acme", meters)


def plain(corridor: Corridor, **members: Any) -> Call:
    return corridor.call(stream=False, **members)
