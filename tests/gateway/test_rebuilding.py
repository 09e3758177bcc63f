"""What the ledger says when money of a rolling window was spent."""

from __future__ import annotations

import asyncio
from datetime import UTC

from headgate.gateway import rebuilding
from headgate.stores.memory import MemoryLedger
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.stores.records import record, request_id

HOUR = 3_600.0
NOW = 1_767_225_600.0
DAILY = Rule("user_day", MeterKind.ROLLING, Measure.USD, Scope.USER, 10**12, period_seconds=24 * HOUR)
MONTHLY = Rule("tenant_month", MeterKind.BUDGET, Measure.USD, Scope.TENANT, 10**12, "month")


def test_it_is_told_by_parts_the_latest_first_with_all_since() -> None:
    async def scenario() -> None:
        ledger = MemoryLedger()
        ages = ((1, "ann", 5), (3, "ann", 7), (3.5, "ann", 11), (23.9, "ann", 13), (25, "ann", 17), (6, "bob", 19))
        rows = [
            record(id=request_id(number), tenant="acme", user=user, started_at=NOW - age * HOUR, cost_picousd=cost)
            for number, (age, user, cost) in enumerate(ages, 1)
        ]
        await ledger.write(rows)
        dated = await rebuilding.dated(ledger, "acme", [DAILY, MONTHLY], UTC, NOW)
        ann = [(amount, (NOW - at) / HOUR) for meter, amount, at in dated if meter.subject == "ann"]
        assert ann == [(5, 0.0), (23, 2.0), (36, 22.0)]
        assert [amount for meter, amount, _ in dated if meter.subject == "bob"] == [19]
        spent = dict(await rebuilding.spent(ledger, "acme", [DAILY], UTC, NOW))
        assert {meter.subject: amount for meter, amount in spent.items()} == {"ann": 36, "bob": 19}

    asyncio.run(scenario())
