"""What every store of jobs must do with off-peak windows."""

from __future__ import annotations

import asyncio

from sqlalchemy import update

from headgate.job_types import Command, Job, JobState, NewItem, OffPeak, Parent
from headgate.stores.jobs_tables import jobs
from tests.contract.test_jobs import RULES, claim, end, job
from tests.contract.working import Desk, Open, hours_from


async def turn(desk: Desk, window: OffPeak) -> int:
    """As if the time had come at which the window of every job is this one; how much a sweep does."""
    later = update(jobs).values(hours=window.window, edge_at=0.0)
    await desk.database.run(desk.database.jobs, lambda connection: connection.execute(later), writes=True)
    return await desk.work.sweep(RULES)


def test_items_begin_within_the_window_only(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            opens, closes = hours_from(opened, -1, 2), hours_from(opened, 2, 5)
            submitted, _ = await opened.jobs.submit(job(items=4, off_peak=closes))
            assert submitted.off_peak == closes and submitted.opens_at is not None
            await opened.work.sweep(RULES)
            assert await claim(opened) == []
            assert await turn(opened, opens)
            running = (await opened.jobs.get(submitted.id), await claim(opened, most=2))
            assert running[0].opens_at is None and len(running[1]) == 2
            await turn(opened, closes)
            assert await claim(opened) == [], "the rest waits"
            assert await opened.work.finish("w1", [end(lease) for lease in running[1]]) == [True, True]
            await turn(opened, opens)
            rest = await claim(opened)
            await opened.work.finish("w1", [end(lease) for lease in rest])
            assert (await opened.jobs.get(submitted.id)).state is JobState.SUCCEEDED

    asyncio.run(scenario())


def test_a_window_that_is_open_holds_nothing(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            submitted, _ = await opened.jobs.submit(job(off_peak=hours_from(opened, -1, 2)))
            assert submitted.opens_at is None
            assert len(await claim(opened)) == 1

    asyncio.run(scenario())


def test_a_pause_and_a_window_hold_each_by_itself(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            opens, closes = hours_from(opened, -1, 2), hours_from(opened, 2, 5)
            submitted, _ = await opened.jobs.submit(job(off_peak=closes))
            await opened.jobs.command(submitted.id, Command.PAUSE)
            await turn(opened, opens)
            assert await claim(opened) == [], "it is paused"
            await turn(opened, closes)
            await opened.jobs.command(submitted.id, Command.RESUME)
            assert await claim(opened) == [], "the window is closed"
            await turn(opened, opens)
            assert len(await claim(opened)) == 1

    asyncio.run(scenario())


def test_children_keep_the_hours_of_their_parent(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            closes = hours_from(opened, 2, 5)
            parent, _ = await opened.jobs.submit(job(off_peak=closes))
            child = job(2, items=0, parent=Parent(parent.id, 1, parent.id), sealed=False)
            made: Job = (await opened.jobs.submit(child))[0]
            await opened.jobs.add(made.id, [NewItem(1, b"{}")])
            assert (await opened.jobs.get(made.id)).off_peak == closes
            assert await claim(opened) == []
            await turn(opened, hours_from(opened, -1, 2))
            assert len(await claim(opened)) == 2

    asyncio.run(scenario())


def test_what_is_tried_anew_waits_for_the_window(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            submitted, _ = await opened.jobs.submit(job(off_peak=hours_from(opened, 2, 5)))
            await opened.jobs.command(submitted.id, Command.CANCEL)
            again = await opened.jobs.command(submitted.id, Command.REDRIVE)
            assert again.state is JobState.QUEUED and again.opens_at is not None
            assert await claim(opened) == []
            await turn(opened, hours_from(opened, -1, 2))
            assert len(await claim(opened)) == 1

    asyncio.run(scenario())
