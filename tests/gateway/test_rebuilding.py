"""What the ledger says when money of a rolling window was spent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC

from headgate.errors import DatabaseUnavailable
from headgate.gateway import rebuilding
from headgate.gateway.rebuilding import AGAIN_SECONDS, LOOK_SECONDS, Asked, Rebuilder
from headgate.policy import metered
from headgate.sim.clock import SimClock
from headgate.stores.memory import MemoryLedger
from headgate.stores.memory_counters import MemoryCounters
from headgate.types import Caller, Measure, MeterKind, Rule, Scope, Tier, UsageRow
from tests.gateway.corridor import run
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
        asked = Asked(ledger, "acme")
        dated = await rebuilding.dated(asked, [DAILY, MONTHLY], UTC, NOW)
        ann = [(amount, (NOW - at) / HOUR) for meter, amount, at in dated if meter.subject == "ann"]
        assert ann == [(5, 0.0), (23, 2.0), (36, 22.0)]
        assert [amount for meter, amount, _ in dated if meter.subject == "bob"] == [19]
        spent = dict(await rebuilding.spent(asked, [DAILY], UTC, NOW))
        assert {meter.subject: amount for meter, amount in spent.items()} == {"ann": 36, "bob": 19}

    asyncio.run(scenario())


class Forgetful(MemoryLedger):
    """A ledger whose database is away now and then."""

    is_away = False

    async def used(
        self, by: str, tenant: str, *, since: float, until: float | None = None, without: Sequence[str] = ()
    ) -> list[UsageRow]:
        if self.is_away:
            raise DatabaseUnavailable("The database did not answer.")
        return await super().used(by, tenant, since=since, until=until, without=without)


def test_what_was_not_written_yet_is_counted_a_little_later() -> None:
    async def scenario() -> None:
        clock = SimClock(asyncio.get_running_loop(), 1)
        ledger, counters = Forgetful(), MemoryCounters(clock)
        alice = Caller("key_1", "acme", "alice", Tier("pro", models=frozenset({"*"}), rules=(MONTHLY,)))
        rebuilder = Rebuilder(counters, ledger, clock, None)

        async def used() -> int:
            (reading,) = await counters.read("acme", [metered.meter(MONTHLY, "", UTC, clock.now())])
            return reading.used

        async def written(number: int, cost: int) -> None:
            await ledger.write(
                [record(id=request_id(number), tenant="acme", started_at=clock.now(), cost_picousd=cost)]
            )

        reading = asyncio.create_task(rebuilder.keep_reading())
        await rebuilder.rebuild(alice, were_known=False)
        await written(1, 5)  # by somebody who has it counted, as the counters are there from now on
        await asyncio.sleep(2 * AGAIN_SECONDS[1])
        assert await used() == 0
        counters.forget()
        await rebuilder.rebuild(alice, were_known=True)
        await written(2, 7)  # by another process, which had it in its journal
        assert await used() == 5
        await asyncio.sleep(AGAIN_SECONDS[0] + LOOK_SECONDS)
        assert await used() == 12
        await written(3, 11)  # by one that was slow
        await asyncio.sleep(AGAIN_SECONDS[0] + LOOK_SECONDS)
        assert await used() == 12
        ledger.is_away = True
        await asyncio.sleep(AGAIN_SECONDS[1])
        assert await used() == 12
        ledger.is_away = False
        await asyncio.sleep(AGAIN_SECONDS[1] + LOOK_SECONDS)
        assert await used() == 23
        await written(4, 13)  # from now on all is counted where it is settled
        await asyncio.sleep(10 * AGAIN_SECONDS[1])
        assert await used() == 23
        reading.cancel()

    run(scenario)


class Shared(MemoryCounters):
    """As if other processes counted there too, and had these under way."""

    under_way: tuple[str, ...] = ()

    async def doubtful(self, tenant: str) -> Sequence[str]:
        return self.under_way


def test_what_shared_counters_hear_from_others_is_not_taken_from_the_ledger_too() -> None:
    async def scenario() -> None:
        clock = SimClock(asyncio.get_running_loop(), 1)
        ledger, counters = MemoryLedger(), Shared(clock)
        alice = Caller("key_1", "acme", "alice", Tier("pro", models=frozenset({"*"}), rules=(MONTHLY, DAILY)))
        rebuilder = Rebuilder(counters, ledger, clock, None)
        rows = [
            record(id=request_id(number), tenant="acme", user="alice", started_at=clock.now(), cost_picousd=cost)
            for number, cost in ((1, 5), (2, 7), (3, 11))
        ]
        await ledger.write(rows)
        counters.under_way = request_id(2), request_id(9)
        await rebuilder.rebuild(alice, were_known=True)
        meters = [metered.meter(rule, name, UTC, clock.now()) for rule, name in ((MONTHLY, ""), (DAILY, "alice"))]
        assert [one.used for one in await counters.read("acme", meters)] == [16, 16]
        counters.under_way = ()
        reading = asyncio.create_task(rebuilder.keep_reading())
        await asyncio.sleep(AGAIN_SECONDS[0] + LOOK_SECONDS)
        assert [one.used for one in await counters.read("acme", meters)] == [23, 23], "nobody has it under way any more"
        reading.cancel()

    run(scenario)
