"""What single jobs may cost, and what is reported of them: `job_ports.Purses` and `job_ports.Reports`."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import InvalidRequest
from headgate.job_types import Hold, ItemState, RetryRules
from headgate.report_types import FailureRow, PartRow
from headgate.stores.sql_purses import ROW_SECONDS, SqlPurses
from headgate.stores.sql_reports import SqlReports
from tests.contract.test_job_trees import row, with_child
from tests.contract.test_jobs import SECONDS, claim, end, job
from tests.contract.working import Open


def test_no_more_is_taken_than_there_is(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            purses = SqlPurses(opened.database, opened.clock)
            submitted, _ = await opened.jobs.submit(job(items=3, max_cost_picousd=100))
            assert submitted.max_cost_picousd == 100 and submitted.execution == "live"
            ids = [lease.request_id for lease in await claim(opened, most=3)]
            found = await asyncio.gather(*[purses.hold(submitted.id, each, 40) for each in ids])
            assert sorted(found) == [Hold.HELD, Hold.TAKEN, Hold.TAKEN]
            held = ids[found.index(Hold.TAKEN)]
            await purses.settle(held, 35)
            await purses.settle(held, 35)  # once is enough
            assert await purses.hold(submitted.id, held, 25) is Hold.TAKEN  # 35 are spent and 40 held
            assert await purses.hold(submitted.id, "more", 1) is Hold.HELD

    asyncio.run(scenario())


def test_processes_that_hold_at_once_take_no_more_than_there_is(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as one, desk() as two:
            await one.jobs.submit(job(items=30, max_cost_picousd=1000))
            leases = await claim(one, most=30)
            purses = [SqlPurses(each.database, each.clock) for each in (one, two)]
            asking = [purses[at % 2].hold("job_001", lease.request_id, 90) for at, lease in enumerate(leases)]
            taken = [
                lease for lease, held in zip(leases, await asyncio.gather(*asking), strict=True) if held is Hold.TAKEN
            ]
            assert len(taken) == 11  # 990
            await one.ledger.write([row(lease.request_id, 80) for lease in taken])
            await one.work.finish("w1", [end(lease, ItemState.RETRYING) for lease in leases])
            await one.work.sweep(RetryRules())
            leases = await one.work.claim("w2", [f"again_{number}" for number in range(6)], SECONDS)
            again = [purses[at % 2].hold("job_001", lease.request_id, 60) for at, lease in enumerate(leases)]
            assert sorted(await asyncio.gather(*again)) == [Hold.HELD] * 4 + [Hold.TAKEN] * 2  # 120 were left

    asyncio.run(scenario())


def test_what_the_lost_held_stays_held_until_the_ledger_says_what_came_of_it(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            purses = SqlPurses(opened.database, opened.clock)
            await opened.jobs.submit(job(max_cost_picousd=100))
            (lease,) = await claim(opened)
            assert await purses.hold(lease.job_id, lease.request_id, 90) is Hold.TAKEN
            await opened.work.finish("w1", [end(lease, ItemState.RETRYING)])
            assert await purses.hold(lease.job_id, "next", 50) is Hold.HELD  # its row may come yet
            await opened.pass_time(ROW_SECONDS + 1)
            assert await purses.hold(lease.job_id, "next", 50) is Hold.TAKEN

    asyncio.run(scenario())


def test_what_the_lost_held_becomes_what_the_ledger_says(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            purses = SqlPurses(opened.database, opened.clock)
            await opened.jobs.submit(job(max_cost_picousd=100))
            (lease,) = await claim(opened)
            assert await purses.hold(lease.job_id, lease.request_id, 90) is Hold.TAKEN
            assert await purses.hold(lease.job_id, "next", 50) is Hold.HELD
            await opened.ledger.write([row(lease.request_id, 30)])
            await opened.work.finish("w1", [end(lease, ItemState.RETRYING)])
            assert await purses.hold(lease.job_id, "next", 71) is Hold.SPENT
            assert await purses.hold(lease.job_id, "next", 70) is Hold.TAKEN

    asyncio.run(scenario())


def test_a_limit_can_be_raised_but_not_invented(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            purses = SqlPurses(opened.database, opened.clock)
            await opened.jobs.submit(job(1, max_cost_picousd=10))
            await opened.jobs.submit(job(2))
            assert (await purses.has("job_001"), await purses.has("job_002")) == (True, False)
            assert await purses.hold("job_001", "r", 11) is Hold.SPENT
            await purses.resize("job_001", 11)
            assert await purses.hold("job_001", "r", 11) is Hold.TAKEN
            with pytest.raises(InvalidRequest, match="max_cost_usd"):
                await purses.resize("job_002", 5)

    asyncio.run(scenario())


def test_a_report_adds_up(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            parent, below = await with_child(opened, 1, 2, 3)
            leases = await claim(opened)
            costs = {1: 10, 2: 20, 3: 40}
            rows = [row(lease.request_id, costs[lease.number]) for lease in leases]
            await opened.ledger.write([row(parent.request_id, 5), *rows])
            failed = end(leases[2], ItemState.DEAD, error_code="poison", error="It took workers with it.")
            await opened.work.finish("w1", [end(leases[0]), end(leases[1]), failed])
            report = await SqlReports(opened.database).report(parent.job_id, below.id, 2, 2)
            assert [(each.model, each.shard, each.requests, each.cost_picousd) for each in report.costs] == [
                ("small", 0, 1, 5), ("small", 1, 2, 30), ("small", 2, 1, 40),
            ]  # fmt: skip
            assert report.parts == (
                PartRow("", "chat", "running", 0, 0, 1), PartRow("map", "chat", "running", 3, 2, 3),
            )  # fmt: skip
            why = ("label 3", "dead", "poison", "It took workers with it.", 1)
            assert (report.failure_count, report.failures) == (1, (FailureRow(below.id, 3, *why),))
            assert len(report.slowest) == 2

    asyncio.run(scenario())
