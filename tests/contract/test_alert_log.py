"""What every `ports.AlertLog` must do."""

from __future__ import annotations

import asyncio

import msgspec

from headgate.alert_types import (
    Alert,
    AlertDelivery,
    AlertFacts,
    AlertRecord,
    BudgetFacts,
    DeliveryState,
    DriftFacts,
    StoreFacts,
    TrialFacts,
    VelocityFacts,
)
from headgate.ports import AlertLog
from tests.contract.stores import Open

FACTS: tuple[AlertFacts, ...] = (
    BudgetFacts("tenant_month", "acme", "2026-11", 80, limit_picousd=10**15, spent_picousd=8 * 10**14, resets_at=9.5),
    VelocityFacts("user", "alice", "block", 2 * 10**12, 10**12, 300.0, baseline_picousd=10**11),
    DriftFacts("openai", "org-1", "2026-11-27", 10**12, 10**12 + 1),
    StoreFacts("redis", "connection refused", "Requests are refused."),
    TrialFacts(),
)
PENDING = AlertDelivery("alerts[0]: webhook hooks.example")
DELIVERED = AlertDelivery(PENDING.channel, DeliveryState.DELIVERED, 2, "204", 7.5)


def alert(number: int = 1, facts: AlertFacts = FACTS[0]) -> Alert:
    return Alert(f"budget:acme:{number}", float(number), "Budget", "It is used up.", facts, tenant="acme")


def record(number: int = 1, *deliveries: AlertDelivery) -> AlertRecord:
    return AlertRecord(alert(number), deliveries)


def test_one_of_many_processes_gets_an_alert(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            claims = [opened.alerts.claim(record(number % 3, PENDING), 60.0) for number in range(30)]
            assert sorted(await asyncio.gather(*claims)) == [False] * 27 + [True] * 3

    asyncio.run(scenario())


def test_everything_about_an_alert_comes_back_the_newest_first(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            entered = [AlertRecord(alert(number, facts), (PENDING,)) for number, facts in enumerate(FACTS)]
            entered.append(AlertRecord(msgspec.structs.replace(alert(9), tenant=None)))
            for each in entered:
                assert await opened.alerts.claim(each, 60.0)
            assert await opened.alerts.recent(100) == entered[::-1]
            assert [each.alert.kind for each in await opened.alerts.recent(6)][::-1] == [
                "budget", "velocity", "drift", "store", "test", "budget"
            ]  # fmt: skip
            assert await opened.alerts.recent(2) == entered[:-3:-1]

    asyncio.run(scenario())


def test_what_became_of_it_is_kept(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.alerts.claim(record(1, PENDING), 60.0)
            await opened.alerts.claim(record(2, PENDING), 60.0)
            await opened.alerts.save(record(1, DELIVERED), 60.0)
            assert await opened.alerts.recent(9) == [record(2, PENDING), record(1, DELIVERED)]
            assert not await opened.alerts.claim(record(1, PENDING), 60.0)
            await opened.alerts.save(record(3, DELIVERED), 60.0)  # never entered: nothing to keep
            assert len(await opened.alerts.recent(9)) == 2

    asyncio.run(scenario())


def test_a_task_that_was_given_up_is_taken_over_by_one(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            log: AlertLog = opened.alerts
            await log.claim(record(1, PENDING), 60.0)
            await log.claim(record(2, PENDING), 100.0)
            await log.claim(record(3, DELIVERED), 10.0)  # nothing left to do
            assert await log.resume(60.0, 200.0) == []
            taken = await asyncio.gather(*(log.resume(61.0, 200.0) for _ in range(5)))
            assert sorted(map(len, taken)) == [0, 0, 0, 0, 1]
            assert [each for some in taken for each in some] == [record(1, PENDING)]
            await log.save(record(2, PENDING), 300.0)
            assert await log.resume(201.0, 500.0) == [record(1, PENDING)]
            await log.save(record(1, DELIVERED), 500.0)
            assert await log.resume(1000.0, 2000.0) == [record(2, PENDING)]

    asyncio.run(scenario())


def test_old_alerts_are_forgotten_and_may_come_again(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            for number in (1, 2, 3):
                await opened.alerts.claim(record(number, PENDING), 60.0)
            assert await opened.alerts.prune(3.0) == 2
            assert await opened.alerts.recent(9) == [record(3, PENDING)]
            assert await opened.alerts.resume(61.0, 90.0) == [record(3, PENDING)]
            assert await opened.alerts.claim(record(1), 60.0)

    asyncio.run(scenario())


def test_names_that_no_database_can_store_do_no_harm(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            odd = msgspec.structs.replace(alert(), key="budget:\0:\ud800", sentence="\ud800 \0 水", tenant="\0")
            assert await opened.alerts.claim(AlertRecord(odd, (PENDING,)), 60.0)
            assert not await opened.alerts.claim(AlertRecord(odd, (PENDING,)), 60.0)
            await opened.alerts.save(AlertRecord(odd, (DELIVERED,)), 60.0)
            (kept,) = await opened.alerts.recent(9)
            assert kept.deliveries == (DELIVERED,) and "水" in kept.alert.sentence

    asyncio.run(scenario())
