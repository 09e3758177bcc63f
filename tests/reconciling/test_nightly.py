"""Every night by itself: once, by one of many processes, and again where it failed. Time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headgate.bills import Reconciliation
from headgate.errors import BillUnavailable
from headgate.reconciling.nightly import BY, Nightly
from headgate.reconciling.plan import SECONDS_PER_DAY, Order, Settings
from headgate.sim.clock import SimClock
from headgate.sim.loop import run_virtual
from headgate.stores.memory_billing import MemoryLeases
from tests.reconciling.desks import TODAY, Desk, billed

HOUR = 3600.0
SETTINGS = Settings(at_hour=4)


async def nights(
    hours: float, processes: int, during: Callable[[Desk], Awaitable[None]] | None = None
) -> tuple[Desk, list[Reconciliation]]:
    """What is on record after so many hours from midnight, with so many processes."""
    clock = SimClock(asyncio.get_running_loop(), 7, epoch=TODAY * float(SECONDS_PER_DAY))
    desk = Desk(SETTINGS, clock=clock)
    leases = MemoryLeases(clock)
    for day in range(TODAY - 12, TODAY + 3):
        await desk.serve(day)
        desk.bill.lines.append(billed(day, 2))
    tasks = [asyncio.create_task(Nightly(desk.reconciler, leases, clock).run_forever()) for _ in range(processes)]
    if during is not None:
        await during(desk)
    await asyncio.sleep(hours * HOUR - asyncio.get_running_loop().time())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return desk, await desk.adjustments.reports(1000)


def test_before_the_hour_nothing_is_done() -> None:
    _, reports = run_virtual(nights(3.9, 3))
    assert reports == []


@pytest.mark.parametrize("processes", [1, 8])
def test_each_night_is_done_once_however_many_processes_there_are(processes: int) -> None:
    desk, reports = run_virtual(nights(3 * 24, processes))
    assert [report.by for report in reports] == [BY] * 3
    started = [(report.run_at / SECONDS_PER_DAY - TODAY) * 24 for report in reversed(reports)]
    for night, at in enumerate(started):
        assert 24 * night + 4 <= at < 24 * night + 4.2
    assert [report.last_day for report in reversed(reports)] == [TODAY - 3 + night for night in range(3)]
    assert len(desk.bill.asked) == 3


def test_a_night_that_fails_is_tried_again_an_hour_later() -> None:
    async def away_until_seven(desk: Desk) -> None:
        desk.bill.error = BillUnavailable("organization/costs answered 503.")
        await asyncio.sleep(7 * HOUR)
        desk.bill.error = None

    _, reports = run_virtual(nights(23, 4, away_until_seven))
    assert [bool(report.error) for report in reversed(reports)] == [True, True, True, False]


def test_runs_by_hand_do_not_stand_for_the_night() -> None:
    async def by_hand(desk: Desk) -> None:
        await asyncio.sleep(2 * HOUR)
        await desk.reconciler.run(Order(by="command line"))

    _, reports = run_virtual(nights(6, 2, by_hand))
    assert sorted(report.by for report in reports) == ["command line", BY]


def test_a_lease_that_another_holds_is_respected() -> None:
    async def scenario() -> None:
        clock = SimClock(asyncio.get_running_loop(), 7, epoch=TODAY * SECONDS_PER_DAY + 5 * HOUR)
        desk = Desk(SETTINGS, clock=clock)
        leases = MemoryLeases(clock)
        nightly = Nightly(desk.reconciler, leases, clock)
        await leases.take("reconcile", "another process", 600)
        assert await nightly.look() == []
        await asyncio.sleep(600)
        assert len(await nightly.look()) == 1
        assert await leases.take("reconcile", "another process", 600) is not None, "it was given back"

    run_virtual(scenario())


def test_whatever_goes_wrong_there_is_another_night(caplog: pytest.LogCaptureFixture) -> None:
    async def broken_on_the_first_night(desk: Desk) -> None:
        plan, desk.settings = desk.settings, None  # type: ignore[assignment] # nobody expected that
        await asyncio.sleep(10 * HOUR)
        desk.settings = plan

    _, reports = run_virtual(nights(30, 1, broken_on_the_first_night))
    assert "the bills were not compared" in caplog.text and "Traceback" in caplog.text
    assert len(reports) == 2 and not any(report.error for report in reports)
