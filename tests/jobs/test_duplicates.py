"""Whatever workers are lost: every call of a provider is in the ledger, and one for each item is charged."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from headgate.config.schema import SimFaults
from headgate.job_types import JobState, RetryRules
from headgate.policy import metered
from headgate.policy.calendar import zone_of
from headgate.providers.sim import SimProvider
from headgate.stores.sql import SqlLedger
from headgate.types import Measure, MeterKind, Operation, Outcome, RequestRecord, Rule, Scope
from tests.gateway.corridor import run
from tests.jobs.floor import EVERYTHING, KEY, Floor

ITEMS = 60
BUDGET = Rule("budgets.tenant_month", MeterKind.BUDGET, Measure.USD, Scope.TENANT, 10**15, window="month")
TOKENS = Rule("budgets.tenant_month", MeterKind.BUDGET, Measure.TOKENS, Scope.TENANT, 10**12, window="month")


async def drain(floor: Floor, ledger: SqlLedger) -> None:
    """For ever: what the corridor has booked comes into the database, a little later."""
    done = 0
    while True:
        await asyncio.sleep(0.7)
        rows, _ = await floor.corridor.ledger.page(10_000, str(done))
        await ledger.write(rows)
        done += len(rows)


async def rows_of(ledger: SqlLedger) -> Sequence[RequestRecord]:
    rows, _ = await ledger.page(1000)
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_one_call_of_each_item_is_charged(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    send = SimProvider.send

    async def counting(self: SimProvider, operation: Operation, body: bytes, **more: object) -> object:
        nonlocal calls
        calls += 1
        return await send(self, operation, body, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SimProvider, "send", counting)

    async def scenario() -> None:
        faults = SimFaults(server_error=0.1)
        floor = Floor(tmp_path, seed=seed, faults=faults, rules=RetryRules(retries=9, lost_workers=99))
        tier = msgspec.structs.replace(EVERYTHING, rules=(BUDGET, TOKENS))
        floor.accounts.configure([KEY], {"pro": tier}, None)
        ledger, chance = SqlLedger(floor.database), random.Random(seed)
        draining = asyncio.create_task(drain(floor, ledger))
        job = await floor.submit(ITEMS)
        for turn in range(6):
            floor.start(f"w{turn}")
            await asyncio.sleep(chance.uniform(0.2, 2.0))
            floor.kill(f"w{turn}")
        floor.start("last")
        assert (await floor.until_over(job)).state is JobState.SUCCEEDED
        await asyncio.sleep(10)
        draining.cancel()
        rows = await rows_of(ledger)
        outcomes = Counter(row.outcome for row in rows)
        asked = sum(len(row.attempts) for row in rows)
        assert outcomes[Outcome.DONE] == ITEMS and outcomes[Outcome.DUPLICATE] > 0
        assert calls == asked == ITEMS + outcomes[Outcome.DUPLICATE] + outcomes[Outcome.FAILED]
        assert set(outcomes) <= {Outcome.DONE, Outcome.DUPLICATE, Outcome.FAILED}
        charged = [row for row in rows if row.outcome is Outcome.DONE]
        told = await floor.jobs.get(job.id)
        assert told.cost_picousd == sum(row.cost_picousd for row in charged)
        assert told.duplicate_picousd == sum(row.cost_picousd for row in rows) - told.cost_picousd > 0
        zone, now = zone_of("UTC"), floor.clock.now()
        meters = [metered.meter(rule, "", zone, now) for rule in (BUDGET, TOKENS)]
        money, tokens = await floor.corridor.counters.read("acme", meters)
        assert (money.used, money.held) == (told.cost_picousd, 0)
        assert (tokens.used, tokens.held) == (sum(row.usage.input + row.usage.output for row in charged), 0)
        await floor.stop()

    run(scenario)
